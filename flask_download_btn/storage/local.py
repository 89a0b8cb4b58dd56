"""Keep stored files in a folder of this machine."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ..protocols import PART, Entry

_KEY = re.compile(r"[0-9a-z][0-9a-z_-]{3,79}")
_BUFFER = 1 << 18
_FLAGS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NONBLOCK = getattr(os, "O_NONBLOCK", 0)
_GONE = frozenset((errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR))
"""How a system says that no such file is there; all else, a full table of files say, passes."""
_SECOND = 10**9
_MICROSECOND = 10**3


class LocalStorage:
    """A folder with two levels of folders in it, named by the keys' first characters.

    A file is written beside its place as `<key>.part` and renamed when it is whole, so a reader
    sees the whole file or none of it. Nothing is forced to the disk unless `sync` is true: what a
    power cut left short or empty is noticed by its size, and not served. One folder belongs to one
    database: what has no row there is deleted in time. `mode` is a file's, 0o640 for a server of
    another user that sends the files itself.
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
        part = whole.with_name(key + PART)
        self._make_folders(whole)
        self._refuse_links(whole)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, self._mode)
        try:
            with os.fdopen(handle, "wb", buffering=_BUFFER) as file:
                yield file
                file.flush()
                if self._sync:
                    os.fsync(handle)
            os.utime(part, ns=(time.time_ns(), _stamp(key)), follow_symlinks=False)
            os.replace(part, whole)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise

    def open(self, key: str) -> StoredFile:
        place = self._place(key)
        self._refuse_links(place)
        try:
            # Without O_NONBLOCK, a planted FIFO would hold the reader for ever.
            handle = os.open(place, os.O_RDONLY | _FLAGS | _NONBLOCK)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            if not self.root.is_dir():
                # A disk that is not mounted is no reason to forget a thousand files.
                raise OSError(f"The folder of stored files, {self.root}, is not there.") from error
            raise FileNotFoundError(f"Nothing is stored under {key!r}.") from error
        return StoredFile(handle, key)

    def delete(self, key: str) -> None:
        place = self._place(key)
        with suppress(FileNotFoundError):
            self._refuse_links(place)
            place.unlink()

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
        if not _KEY.fullmatch(key.removesuffix(PART)):
            raise FileNotFoundError(f"{key!r} is no key of a stored file.")
        return self.root / key[:2] / key[2:4] / key

    def _make_folders(self, place: Path) -> None:
        folder = place.parent
        try:
            folder.mkdir(mode=self._folder_mode, exist_ok=True)
        except FileNotFoundError:
            self.root.mkdir(mode=self._folder_mode, parents=True, exist_ok=True)
            folder.parent.mkdir(mode=self._folder_mode, exist_ok=True)
            folder.mkdir(mode=self._folder_mode, exist_ok=True)

    def _refuse_links(self, place: Path) -> None:
        # The last part of a path is guarded by O_NOFOLLOW. These two stand above it.
        for folder in (place.parent.parent, place.parent):
            if folder.is_symlink():
                raise FileNotFoundError(f"{folder} was replaced by a link.")


class StoredFile(io.FileIO):
    """A stored file, open for reading; it knows whether anybody wrote to it since it was stored."""

    def __init__(self, handle: int, key: str) -> None:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            os.close(handle)
            raise FileNotFoundError(f"What lies under {key!r} is no file.")
        super().__init__(handle, "rb")
        self.is_as_written = state.st_mtime_ns % _SECOND == _stamp(key) % _SECOND


def _stamp(key: str) -> int:
    """Return a time of change for a file, of which the key decides the microseconds.

    Any later write moves it, so a change in place is seen without reading the file.
    """
    microseconds = int.from_bytes(key.encode()[-8:], "big") % (_SECOND // _MICROSECOND)
    return time.time_ns() // _SECOND * _SECOND + microseconds * _MICROSECOND


def _folders(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(folder) as found:
        for item in found:
            if len(item.name) == 2 and item.is_dir(follow_symlinks=False):
                yield Path(item.path)
