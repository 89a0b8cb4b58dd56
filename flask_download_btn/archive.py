"""Lay out a ZIP of stored files whose every byte is known before the first one leaves."""

from __future__ import annotations

import io
import re
import struct
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from .conditions import Span
from .outflow import OpenFile, Piece, Slice, Source, length_of
from .outputs import clean_name

_LIMIT = 0xFFFFFFFF
_MANY = 0xFFFF
_UTF8 = 0x800
_UNIX = 3
_REGULAR_FILE = 0o100644 << 16
# A browser replaces these when it saves a file; what unpacks an archive may not.
_UNSAFE = re.compile(r'[<>:"|?*]')


class Member(Protocol):
    """What an archive must know of a file beforehand."""

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def made_at(self) -> float: ...


def layout(
    members: Sequence[Member], checksums: Sequence[int], sources: Sequence[Source]
) -> list[Piece]:
    """Return the archive's bytes, in order: entries are stored as they are, so nothing is computed.

    The same files always give the same bytes, so that an interrupted download can go on.
    """
    pieces: list[Piece] = []
    directory = []
    offset = 0
    names = unique_names(member.name for member in members)
    for member, crc, source, name in zip(members, checksums, sources, names, strict=True):
        header = _local_header(name.encode(), member, crc)
        directory.append(_central_header(name.encode(), member, crc, offset))
        pieces += [header, Slice(source, Span(0, member.size))]
        offset += len(header) + member.size
    central = b"".join(directory)
    return [*pieces, central + _end(len(directory), len(central), offset)]


def size_of(members: Iterable[Member]) -> int:
    """Return how many bytes the archive of these files has."""
    return _size_of(tuple(_Shape(member.name, member.size) for member in members))


class _Shape(NamedTuple):
    """All of a file that the archive's size depends on; when it was made is as long at any time."""

    name: str
    size: int
    made_at: float = 0.0


@lru_cache(maxsize=100)
def _size_of(shapes: tuple[_Shape, ...]) -> int:
    # A run is drawn again and again while its files leave.
    unread = [OpenFile(io.BytesIO())] * len(shapes)
    return sum(map(length_of, layout(shapes, [0] * len(shapes), unread)))


def unique_names(names: Iterable[str]) -> list[str]:
    """Return names that no two files share, whatever case and file system unpack them."""
    taken: set[str] = set()
    # The last number that a name was given: a thousand equal ones are not tried a million times.
    numbers: dict[str, int] = {}
    unique = []
    for name in names:
        name = _UNSAFE.sub("_", clean_name(name))
        stem, dot, extension = name.rpartition(".")
        number, candidate = numbers.get(name.casefold(), 1), name
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{stem} ({number}).{extension}" if dot else f"{name} ({number})"
        numbers[name.casefold()] = number
        taken.add(candidate.casefold())
        unique.append(candidate)
    return unique


def _local_header(name: bytes, member: Member, crc: int) -> bytes:
    sizes = [member.size] * 2 if member.size >= _LIMIT else []
    extra = _zip64(*sizes) + _moment(member)
    size = _LIMIT if sizes else member.size
    return (
        struct.pack(
            "<4s5H3L2H",
            b"PK\x03\x04",
            45 if sizes else 20,
            _UTF8,
            0,
            *_dos_time(member),
            crc,
            size,
            size,
            len(name),
            len(extra),
        )
        + name
        + extra
    )


def _central_header(name: bytes, member: Member, crc: int, offset: int) -> bytes:
    large = [member.size] * 2 if member.size >= _LIMIT else []
    far = [offset] if offset >= _LIMIT else []
    extra = _zip64(*large, *far) + _moment(member)
    size = _LIMIT if large else member.size
    version = 45 if large or far else 20
    return (
        struct.pack(
            "<4s4B4H3L5H2L",
            b"PK\x01\x02",
            version,
            _UNIX,
            version,
            0,
            _UTF8,
            0,
            *_dos_time(member),
            crc,
            size,
            size,
            len(name),
            len(extra),
            0,
            0,
            0,
            _REGULAR_FILE,
            _LIMIT if far else offset,
        )
        + name
        + extra
    )


def _end(count: int, size: int, offset: int) -> bytes:
    end = struct.pack(
        "<4s4H2LH",
        b"PK\x05\x06",
        0,
        0,
        min(count, _MANY),
        min(count, _MANY),
        min(size, _LIMIT),
        min(offset, _LIMIT),
        0,
    )
    if count < _MANY and size < _LIMIT and offset < _LIMIT:
        return end
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, offset)
    return record + struct.pack("<4sLQL", b"PK\x06\x07", 0, offset + size, 1) + end


def _zip64(*values: int) -> bytes:
    return struct.pack(f"<2H{len(values)}Q", 1, 8 * len(values), *values) if values else b""


def _moment(member: Member) -> bytes:
    # The DOS time has no time zone; this one has.
    return struct.pack("<2HBl", 0x5455, 5, 1, min(int(member.made_at), 2**31 - 1))


def _dos_time(member: Member) -> tuple[int, int]:
    year, month, day, hour, minute, second = time.gmtime(member.made_at)[:6]
    if year < 1980:
        return 0, 0x21
    return hour << 11 | minute << 5 | second // 2, (year - 1980) << 9 | month << 5 | day
