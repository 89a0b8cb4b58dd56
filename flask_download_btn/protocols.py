"""The seams of the house: what a storage must be able to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

PART = ".part"
"""What the key of an unfinished writing ends in, wherever a storage shows it."""


class Sink(Protocol):
    """Where a storage takes bytes in."""

    def write(self, data: bytes, /) -> object: ...


class Entry(NamedTuple):
    """One thing that a storage holds; a key that ends in `.part` was never finished."""

    key: str
    size: int
    modified: float


class Storage(Protocol):
    """Keeps stored files, each under a key that this package made.

    Every implementation passes `tests/test_storage.py`.
    """

    def writer(self, key: str, *, name: str, mimetype: str) -> AbstractContextManager[Sink]:
        """Take a file in; a reader sees it only after the block ended well, and then whole."""

    def open(self, key: str) -> BinaryIO:
        """Return the file, readable and seekable; raises FileNotFoundError if it is not there."""

    def delete(self, key: str) -> None:
        """Delete the file, or the unfinished part; one that is not there is no error."""

    def url(self, key: str, *, name: str, mimetype: str, inline: bool, seconds: int) -> str | None:
        """Return a signed URL of the store's own, good for some seconds; None: we serve it."""

    def path(self, key: str) -> Path | None:
        """Return where on this machine's disk the file lies; None: nowhere."""

    def scan(self) -> Iterator[Entry]:
        """Go through all that this package has put here, unfinished parts too."""


class Publisher(Protocol):
    """Brings pictures of a run to whoever watches it."""

    def is_watched(self, run_id: str) -> bool:
        """Tell whether it is worth drawing a picture."""

    def publish(self, run_id: str, picture: dict[str, Any]) -> None:
        """Send a picture; never raises."""

    def watched(self) -> list[str]:
        """Return the runs that somebody watches here."""

    def close(self, run_id: str) -> None:
        """Have nobody watch a run any more."""


class Runner(Protocol):
    """Carries runs out, here or elsewhere.

    Every implementation passes `tests/test_runners.py`.
    """

    def start(self, run_id: str) -> None:
        """Have a committed run carried out; raises if it cannot be handed over."""

    def queued(self) -> Iterable[str]:
        """Return the runs that wait in this process, so that their leases are renewed."""

    def place(self) -> AbstractContextManager[Callable[[Any], None] | None]:
        """Keep a place for a run that may begin here at once, as long as the block lasts.

        It gives what to call with the claim of such a run, or None if a run has to be started.
        """
