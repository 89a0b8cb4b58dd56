"""Let bytes of open files flow to a server, and know how many of them have left."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import BinaryIO, NamedTuple, Protocol

from .conditions import Span
from .errors import FileGone

CHUNK = 1 << 18


class Source(Protocol):
    """What a slice reads from; it may be opened as late as at its first byte."""

    def open(self) -> BinaryIO: ...

    def close(self) -> None: ...


class OpenFile:
    """A file that is open already."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def open(self) -> BinaryIO:
        return self._file

    def close(self) -> None:
        self._file.close()


class Slice(NamedTuple):
    """Some bytes of a source."""

    source: Source
    span: Span


Piece = bytes | Slice


def length_of(piece: Piece) -> int:
    return len(piece) if isinstance(piece, bytes) else piece.span.size


def cut(pieces: Sequence[Piece], span: Span) -> list[Piece]:
    """Return what lies in a span of the pieces put together."""
    found: list[Piece] = []
    position = 0
    for piece in pieces:
        start = max(span.start - position, 0)
        stop = min(span.stop - position, length_of(piece))
        if start < stop:
            found.append(_part(piece, start, stop))
        position += length_of(piece)
    return found


def _part(piece: Piece, start: int, stop: int) -> Piece:
    if isinstance(piece, bytes):
        return piece[start:stop]
    return Slice(piece.source, Span(piece.span.start + start, piece.span.start + stop))


class Outflow:
    """Reads pieces in order as one file, and says at the end how many bytes the server took.

    A server asks for a chunk only after the one before went to the socket, and `socket.sendfile`
    seeks to where it came, even when it is interrupted: both are what `left` is known from.
    `at_end` is called once, when the server is done, with the number of bytes that have left, and
    the number that were handed out: of the last chunk nobody can say what has left of it.
    """

    def __init__(
        self, pieces: Sequence[Piece], at_end: Callable[[int, int], object] | None = None
    ) -> None:
        self._pieces = pieces
        self._ends = list(accumulate(map(length_of, pieces)))
        self._at_end = at_end
        self._handed = 0
        self._closed = False
        self._source: Source | None = None
        self.left = 0
        self._rewind()

    @property
    def size(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, size: int = CHUNK) -> bytes:
        self.left = self._handed
        chunk = self._read(CHUNK if size < 0 else size)
        self._handed += len(chunk)
        return chunk

    def _read(self, size: int) -> bytes:
        chunks: list[bytes] = []
        while size > 0 and (chunk := self._read_piece(self._handed + sum(map(len, chunks)), size)):
            chunks.append(chunk)
            size -= len(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _read_piece(self, position: int, size: int) -> bytes:
        if position >= self.size:
            return b""
        number = bisect_right(self._ends, position)
        piece = self._pieces[number]
        offset = position - (self._ends[number] - length_of(piece))
        if isinstance(piece, bytes):
            return piece[offset : offset + size]
        file = self._switch(piece.source)
        file.seek(piece.span.start + offset)
        chunk = file.read(min(size, piece.span.size - offset))
        if not chunk:
            # Breaking the connection is the one way left to say that the rest is missing.
            raise FileGone("A stored file became shorter while it was sent.")
        return chunk

    def _switch(self, source: Source) -> BinaryIO:
        # An archive of a thousand files must not hold a thousand of them open.
        if self._source is not None and self._source is not source:
            self._source.close()
        self._source = source
        return source.open()

    def _rewind(self) -> None:
        if len(self._pieces) == 1 and isinstance(self._pieces[0], Slice):
            piece = self._pieces[0]
            piece.source.open().seek(piece.span.start)

    # What socket.sendfile needs: one slice of one real file

    def fileno(self) -> int:
        return self._only_slice().source.open().fileno()

    def tell(self) -> int:
        return self._only_slice().span.start + self._handed

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        piece = self._only_slice()
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("seek")
        piece.source.open().seek(position)
        self.left = self._handed = position - piece.span.start
        return position

    def _only_slice(self) -> Slice:
        if len(self._pieces) != 1 or not isinstance(self._pieces[0], Slice):
            raise io.UnsupportedOperation("These bytes are not one file.")
        return self._pieces[0]

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for piece in self._pieces:
            if isinstance(piece, Slice):
                piece.source.close()
        if self._at_end:
            self._at_end(self.left, self._handed)
