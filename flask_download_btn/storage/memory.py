"""Keep stored files in this process's memory, for tests."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..protocols import Entry


class MemoryStorage:
    """A storage that is gone with its process."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def writer(self, key: str, *, name: str, mimetype: str) -> Iterator[BinaryIO]:
        buffer = io.BytesIO()
        yield buffer
        with self._lock:
            self._files[key] = (buffer.getvalue(), time.time())

    def open(self, key: str) -> BinaryIO:
        try:
            return io.BytesIO(self._files[key][0])
        except KeyError:
            raise FileNotFoundError(f"Nothing is stored under {key!r}.") from None

    def delete(self, key: str) -> None:
        with self._lock:
            self._files.pop(key, None)

    def url(self, key: str, *, name: str, mimetype: str, inline: bool, seconds: int) -> None:
        return None

    def path(self, key: str) -> Path | None:
        return None

    def scan(self) -> Iterator[Entry]:
        with self._lock:
            held = list(self._files.items())
        return iter([Entry(key, len(data), modified) for key, (data, modified) in held])
