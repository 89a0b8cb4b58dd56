"""Keep stored files in a folder of this machine."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..protocols import Entry

_KEY = re.compile(r"[0-9a-z][0-9a-z_-]{3,79}")
_PART = ".part"
_BUFFER = 1 << 18
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)


class LocalStorage:
    """A folder with two levels of folders in it, named by the keys' first characters.

    A file is written beside its place as `<key>.part` and renamed when it is whole, so a reader
    sees the whole file or none of it. Whether it outlives a power cut is the disk's affair unless
    `sync` is true: an unsynced file that a cut left short is noticed by its size, and made again.
    """

    def __init__(
        self, root: str | os.PathLike[str], *, sync: bool = False, mode: int = 0o600
    ) -> None:
        self.root = Path(root).absolute()
        self._sync = sync
        self._mode = mode
        # Whoever may read a file must be able to reach it.
        self._folder_mode = 0o700 | (mode & 0o044) | ((mode & 0o044) >> 2)

    @contextmanager
    def writer(self, key: str, *, name: str, mimetype: str) -> Iterator[BinaryIO]:
        whole = self._place(key)
        part = whole.with_name(key + _PART)
        whole.parent.mkdir(mode=self._folder_mode, parents=True, exist_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, self._mode)
        try:
            with os.fdopen(handle, "wb", buffering=_BUFFER) as file:
                yield file
                file.flush()
                if self._sync:
                    os.fsync(file.fileno())
            os.replace(part, whole)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise

    def open(self, key: str) -> BinaryIO:
        # Without O_NONBLOCK, a planted FIFO would hold the reader for ever.
        handle = os.open(self._place(key), os.O_RDONLY | _FLAGS | _NONBLOCK)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise FileNotFoundError(f"What lies under {key!r} is no file.")
        return os.fdopen(handle, "rb")

    def delete(self, key: str) -> None:
        with suppress(FileNotFoundError):
            self._place(key).unlink()

    def url(self, key: str, *, name: str, mimetype: str, inline: bool, seconds: int) -> None:
        return None

    def path(self, key: str) -> Path:
        return self._place(key)

    def scan(self) -> Iterator[Entry]:
        for first in _folders(self.root):
            for second in _folders(first):
                yield from self._entries(second)

    def _entries(self, folder: Path) -> Iterator[Entry]:
        with suppress(FileNotFoundError), os.scandir(folder) as found:
            for item in found:
                if not self._is_ours(item):
                    continue
                with suppress(FileNotFoundError):
                    state = item.stat(follow_symlinks=False)
                    yield Entry(item.name, state.st_size, state.st_mtime)

    def _is_ours(self, item: os.DirEntry[str]) -> bool:
        if not item.is_file(follow_symlinks=False):
            return False
        try:
            return self._place(item.name) == Path(item.path)
        except FileNotFoundError:
            return False

    def _place(self, key: str) -> Path:
        """Return the path of a key. Every path is made here, so this is the only place to guard."""
        if not _KEY.fullmatch(key.removesuffix(_PART)):
            raise FileNotFoundError(f"{key!r} is no key of a stored file.")
        return self.root / key[:2] / key[2:4] / key


def _folders(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for item in found:
            if len(item.name) == 2 and item.is_dir(follow_symlinks=False):
                yield Path(item.path)
