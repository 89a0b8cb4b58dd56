"""Carry a run out where it was started, before the click is answered: for tests and scripts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext


class InlineRunner:
    """The same path as any runner's, without another thread."""

    def __init__(self, carry_out: Callable[[str], None]) -> None:
        self._carry_out = carry_out

    def start(self, run_id: str) -> None:
        self._carry_out(run_id)

    def queued(self) -> Iterable[str]:
        return ()

    def place(self) -> AbstractContextManager[None]:
        return nullcontext()
