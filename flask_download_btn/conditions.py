"""Read what a request asks of a file under which conditions, as RFC 9110 says."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from werkzeug.datastructures import EnvironHeaders, Headers
from werkzeug.http import parse_date, parse_etags

MOST_RANGES = 16
# A longer one asks for trouble; it is ignored, which a server always may.
LONGEST_RANGE_HEADER = 2000

_RANGES = re.compile(r"[ \t]*bytes[ \t]*=(.*)", re.I | re.S)
# ASCII digits alone: Python's int() would also take "+1", "1_0" and other scripts' digits.
_RANGE = re.compile(r"([0-9]*)-([0-9]*)")
_ETAG = re.compile(r'"[\x21\x23-\x7e\x80-\xff]*"')


class Span(NamedTuple):
    """Some bytes of a file: from `start` up to, not including, `stop`."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        return self.stop - self.start


class Unsatisfiable(Exception):
    """Raised when no range that was asked for has a byte in the file: the answer is 416."""


def refusal(headers: Headers | EnvironHeaders, etag: str, modified: int) -> int | None:
    """Return 412 or 304 if a condition of the request says so (RFC 9110, 13.2.2)."""
    if "If-Match" in headers:
        tags = parse_etags(headers["If-Match"])
        if not (tags.star_tag or tags.contains(etag)):
            return 412
    elif (date := _seconds(headers.get("If-Unmodified-Since"))) is not None and modified > date:
        return 412
    if "If-None-Match" in headers:
        tags = parse_etags(headers["If-None-Match"])
        return 304 if tags.star_tag or tags.contains_weak(etag) else None
    if (date := _seconds(headers.get("If-Modified-Since"))) is not None and modified <= date:
        return 304
    return None


def ranges(
    headers: Headers | EnvironHeaders, etag: str, modified: int, size: int
) -> list[Span] | None:
    """Return the ranges that a GET asks for; None: the whole file is the answer."""
    header = headers.get("Range", "")
    if not size or not header or len(header) > LONGEST_RANGE_HEADER:
        return None
    if not _is_same_version(headers.get("If-Range"), etag, modified):
        return None
    asked = _parsed(header, size)
    if asked is None:
        return None
    found = [span for span in asked if span.size > 0]
    if not found:
        raise Unsatisfiable
    # Two that overlap may be an honest mistake; many of them are an attack (14.2, 17.15).
    return _joined(found) if len(asked) <= MOST_RANGES else None


def _is_same_version(condition: str | None, etag: str, modified: int) -> bool:
    if condition is None:
        return True
    condition = condition.strip()
    if _ETAG.fullmatch(condition):
        return condition == f'"{etag}"'
    return _seconds(condition) == modified


def _parsed(header: str, size: int) -> list[Span] | None:
    match = _RANGES.fullmatch(header)
    if not match:
        return None
    # An empty element of a list means nothing (5.6.1).
    items = [item for item in (item.strip(" \t") for item in match[1].split(",")) if item]
    spans = [_span(item, size) for item in items]
    return None if None in spans or not spans else spans  # type: ignore[return-value]


def _span(item: str, size: int) -> Span | None:
    match = _RANGE.fullmatch(item)
    if not match or item == "-":
        return None
    first, last = match.groups()
    if not first:
        return Span(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return Span(min(int(first), size), min(int(last) + 1, size) if last else size)


def _joined(spans: list[Span]) -> list[Span]:
    """Join spans that overlap or touch, so that no byte leaves twice."""
    joined: list[Span] = []
    for span in spans:
        touching = [
            other for other in joined if other.start <= span.stop and span.start <= other.stop
        ]
        if not touching:
            joined.append(span)
            continue
        place = joined.index(touching[0])
        whole = Span(
            min(span.start, *(other.start for other in touching)),
            max(span.stop, *(other.stop for other in touching)),
        )
        joined = [other for other in joined if other not in touching]
        joined.insert(place, whole)
    return joined


def _seconds(date: str | None) -> int | None:
    try:
        parsed: datetime | None = parse_date(date)
        return None if parsed is None else int(parsed.timestamp())
    except (OverflowError, ValueError):
        return None
