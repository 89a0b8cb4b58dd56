"""Answer a request for a stored file, or for several as one ZIP."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import time
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any, BinaryIO
from urllib.parse import quote

from flask import Response
from werkzeug.utils import send_file
from werkzeug.wrappers import Request
from werkzeug.wsgi import FileWrapper

from .archive import layout
from .compression import ENCODING, compressed, is_text
from .conditions import Span, Unsatisfiable, ranges, refusal
from .errors import FileGone
from .files import Stored
from .outflow import CHUNK, OpenFile, Outflow, Piece, Slice, cut, length_of
from .outputs import clean_name
from .protocols import Storage

# An archive holds so many of its files open, so that pruning cannot take them away meanwhile.
HELD_OPEN = 32
UNKNOWN_TYPE = "application/octet-stream"
ACTIVE_TYPES = {
    *("text/html", "text/xml", "text/xsl", "text/javascript", "text/ecmascript"),
    *("application/javascript", "application/ecmascript", "application/x-javascript"),
    *("application/xml", "application/wasm", "application/x-shockwave-flash", "message/rfc822"),
}
INLINE_TYPES = {
    *("text/plain", "text/csv", "application/json", "application/pdf"),
    *("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp"),
    *("audio/mpeg", "audio/ogg", "audio/wav", "audio/mp4", "audio/webm", "audio/flac"),
    *("video/mp4", "video/webm", "video/ogg"),
}
CACHE_CONTROL = {
    "no-store": "no-store",
    "default": "private, no-cache",
    "no-cache": "private, no-cache",
    "reload": "private, no-cache",
    "force-cache": "private, max-age=86400",
}
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Robots-Tag": "noindex",
}

Tell = Callable[[], object]
TellSpans = Callable[["list[Span]", int, bool], object]

logger = logging.getLogger(__name__)


def respond(
    stored: Stored,
    storage: Storage,
    request: Request,
    *,
    on_started: Tell | None = None,
    on_complete: Tell | None = None,
    on_part: TellSpans | None = None,
    cache: str | None = None,
    accel: str | None = None,
    compress_up_to: int = 0,
    seconds: int = 300,
) -> Response:
    """Answer a GET or HEAD for a stored file; raises FileGone before anything is sent.

    `on_started` is called before the answer, `on_complete` when the whole file was handed to the
    socket, `on_part` when not all of it was, with the spans that were, the whole size, and whether
    the answer was cut off; the last two outside of any request or app context. `cache` is a fetch
    cache mode. `accel` is a URI prefix for nginx's X-Accel-Redirect, or "X-Sendfile"; what is
    handed over so counts as sent. Text of up to `compress_up_to` bytes leaves compressed where the
    client takes it. `seconds` is how long a store's link is good.
    """
    ends = _Ends(on_started, on_complete, on_part)
    if link := _link(stored, storage, seconds):
        return _redirect(link, request, ends)
    file = _opened(stored, storage)
    entity = _Entity(
        size=stored.size,
        etag=stored.checksum,
        modified=stored.made_at,
        mimetype=served_type(stored.mimetype),
        disposition=content_disposition(clean_name(stored.name), inline=_is_inline(stored)),
        cache_control=_cache_control(stored, cache),
        pieces=[Slice(OpenFile(file), Span(0, stored.size))],
    )
    handover = _handover(stored, storage, accel) if accel else None
    if not handover and is_text(stored.mimetype) and stored.size <= compress_up_to:
        entity.varies = True
        if _takes_compressed(request) and (content := compressed(_whole_content(file))):
            entity.close()
            entity = entity.compressed_to(content)
            ends = ends.without_spans()
    return _answer(entity, request, ends, handover)


def stream_zip(
    files: Sequence[Stored],
    name: str,
    storage: Storage,
    request: Request,
    *,
    on_started: Tell | None = None,
    on_complete: Tell | None = None,
    on_part: TellSpans | None = None,
) -> Response:
    """Answer with one ZIP of several stored files, of known length, and resumable.

    Who is told of what has left is told as by `respond`.
    """
    checksums = [_crc32(stored, storage) for stored in files]
    pieces = layout(files, checksums, _sources(files, storage))
    entity = _Entity(
        size=sum(map(length_of, pieces)),
        etag=_etag_of(pieces, files),
        modified=max(stored.made_at for stored in files),
        mimetype="application/zip",
        disposition=content_disposition(clean_name(name), inline=False),
        cache_control="no-store",
        pieces=pieces,
    )
    return _answer(entity, request, _Ends(on_started, on_complete, on_part))


@dataclass
class _Entity:
    """What is served, as far as HTTP is concerned."""

    size: int
    etag: str
    modified: float
    mimetype: str
    disposition: str
    cache_control: str
    pieces: list[Piece]
    encoding: str | None = None
    varies: bool = False

    def compressed_to(self, content: bytes) -> _Entity:
        """Return the same in another form, which has a tag of its own."""
        etag = f"{self.etag}-{ENCODING}"
        return replace(self, size=len(content), etag=etag, pieces=[content], encoding=ENCODING)

    @property
    def last_modified(self) -> int:
        # The database's clock may be ahead of ours, but no file is of tomorrow.
        return int(min(self.modified, time.time()))

    def close(self) -> None:
        for piece in self.pieces:
            if isinstance(piece, Slice):
                piece.source.close()


@dataclass
class _Ends:
    """Whom to tell that a file begins to leave, and has left."""

    on_started: Tell | None
    on_complete: Tell | None
    on_part: TellSpans | None

    def started(self) -> None:
        self._tell(self.on_started)

    def left(self, spans: list[Span], size: int, *, is_cut: bool = False) -> None:
        if spans == [Span(0, size)]:
            self._tell(self.on_complete)
        elif spans or is_cut:
            self._tell(self.on_part, spans, size, is_cut)

    def without_spans(self) -> _Ends:
        """Return who is told of an answer whose bytes are not the file's own."""
        on_part = self.on_part
        if on_part is None:
            return self
        return replace(self, on_part=lambda spans, size, is_cut: on_part([], size, is_cut))

    def _tell(self, tell: Callable[..., object] | None, *arguments: Any) -> None:
        # The bytes are more important than the bookkeeping.
        try:
            if tell:
                tell(*arguments)
        except Exception:
            logger.exception("That a file was fetched could not be noted.")


def _answer(
    entity: _Entity, request: Request, ends: _Ends, handover: dict[str, str] | None = None
) -> Response:
    if not _has_one_host(request):
        entity.close()
        return _without_body(entity, 400, {})
    try:
        status, wanted = _decided(entity, request)
    except Unsatisfiable:
        entity.close()
        return _without_body(entity, 416, {"Content-Range": f"bytes */{entity.size}"})
    if status in (304, 412):
        entity.close()
        return _without_body(entity, status, {})
    if handover and _may_hand_over(request):
        entity.close()
        return _handed_over(entity, request, handover, wanted, ends)
    if request.method == "HEAD":
        entity.close()
        return _response(entity, request, [], 200, entity.size, None)
    ends.started()
    if not wanted:
        return _whole(entity, request, ends)
    return _ranged(entity, request, wanted, ends)


def _decided(entity: _Entity, request: Request) -> tuple[int, list[Span] | None]:
    if status := refusal(request.headers, entity.etag, entity.last_modified):
        return status, None
    if request.method != "GET":
        return 200, None
    return 200, ranges(request.headers, entity.etag, entity.last_modified, entity.size)


def _has_one_host(request: Request) -> bool:
    # RFC 9112, 3.2. Not every server looks; a cache in front may take the other one.
    host = request.environ.get("HTTP_HOST", "")
    is_old = request.environ.get("SERVER_PROTOCOL") == "HTTP/1.0"
    return is_old or (bool(host) and "," not in host)


def _whole(entity: _Entity, request: Request, ends: _Ends) -> Response:
    def at_end(left: int, handed: int) -> None:
        spans = _spans_left([Span(0, entity.size)], left, handed)
        ends.left(spans, entity.size, is_cut=left < entity.size)

    return _response(entity, request, entity.pieces, 200, entity.size, at_end)


def _ranged(entity: _Entity, request: Request, wanted: list[Span], ends: _Ends) -> Response:
    if len(wanted) > 1:
        return _several(entity, request, wanted, ends)
    [span] = wanted

    def at_end(left: int, handed: int) -> None:
        spans = _spans_left([span], left, handed)
        ends.left(spans, entity.size, is_cut=left < span.size)

    response = _response(entity, request, cut(entity.pieces, span), 206, span.size, at_end)
    response.headers["Content-Range"] = _content_range(span, entity)
    return response


def _several(entity: _Entity, request: Request, wanted: list[Span], ends: _Ends) -> Response:
    boundary = secrets.token_hex(16)
    pieces: list[Piece] = []
    # Where each span's bytes lie in the answer.
    places: list[Span] = []
    position = 0
    for span in wanted:
        header = (
            f"\r\n--{boundary}\r\nContent-Type: {entity.mimetype}\r\n"
            f"Content-Range: {_content_range(span, entity)}\r\n\r\n"
        ).encode()
        header = header if pieces else header[2:]
        pieces += [header, *cut(entity.pieces, span)]
        places.append(Span(position + len(header), position + len(header) + span.size))
        position = places[-1].stop
    pieces.append(f"\r\n--{boundary}--\r\n".encode())

    def at_end(left: int, handed: int) -> None:
        spans = [
            Span(span.start, min(span.stop, span.start + left - place.start))
            for span, place in zip(wanted, places, strict=True)
            if left > place.start
        ]
        ends.left(spans, entity.size, is_cut=left < length)

    length = sum(map(length_of, pieces))
    response = _response(entity, request, pieces, 206, length, at_end)
    response.headers["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
    return response


def _spans_left(spans: list[Span], left: int, handed: int) -> list[Span]:
    """Return what has left of one span.

    Of the chunk at which a client went away it may have a part, and asks for the rest later, so
    that chunk counts as well, but for the last byte: nobody saw the end leave.
    """
    [span] = spans
    if left < span.size:
        left = min(handed, span.size - 1)
    return [Span(span.start, span.start + left)] if left or not span.size else []


def _content_range(span: Span, entity: _Entity) -> str:
    return f"bytes {span.start}-{span.stop - 1}/{entity.size}"


def _response(
    entity: _Entity,
    request: Request,
    pieces: Sequence[Piece],
    status: int,
    length: int,
    at_end: Callable[[int, int], object] | None,
) -> Response:
    outflow: Any = Outflow(pieces, _closing(entity, at_end))
    # eventlet would gather small chunks, and send them after it has asked for the end.
    request.environ["eventlet.minimum_write_chunk_size"] = 1
    response = send_file(
        outflow,
        {"wsgi.file_wrapper": _file_wrapper(request)},
        mimetype=entity.mimetype,
        conditional=False,
        etag=entity.etag,
        last_modified=entity.last_modified,
        response_class=Response,
    )
    assert isinstance(response, Response)
    response.status_code = status
    response.content_length = length
    response.headers["Content-Type"] = entity.mimetype
    _add_headers(response, entity)
    return response


def _closing(
    entity: _Entity, at_end: Callable[[int, int], object] | None
) -> Callable[[int, int], None]:
    def close(left: int, handed: int) -> None:
        # A range leaves out files that are open all the same.
        entity.close()
        if at_end:
            at_end(left, handed)

    return close


def _file_wrapper(request: Request) -> Callable[[Any, int], Any]:
    """Return what the server iterates over; gunicorn sends its own class by `sendfile`."""
    wrapper = request.environ.get("wsgi.file_wrapper")
    socket = request.environ.get("gunicorn.socket")
    # Another server's wrapper may send without telling how much; then nothing would be known.
    # gevent's sockets have no `sendfile` of the kernel's: theirs goes in steps of 8 kB.
    if getattr(wrapper, "__module__", "").startswith("gunicorn.") and not type(
        socket
    ).__module__.startswith("gevent"):
        return lambda outflow, size: wrapper(outflow, CHUNK)  # type: ignore[misc]
    return lambda outflow, size: FileWrapper(outflow, CHUNK)


def _without_body(entity: _Entity, status: int, headers: dict[str, str]) -> Response:
    response = Response(status=status, headers=headers)
    if status == 304:
        response.set_etag(entity.etag)
        response.last_modified = entity.last_modified  # type: ignore[assignment]
        _add_headers(response, entity)
        return response
    response.headers["Content-Type"] = "text/plain; charset=utf-8"
    response.set_data(_SENTENCES[status])
    response.headers.update(SAFE_HEADERS)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Accept-Ranges"] = "bytes"
    return response


_SENTENCES = {
    400: "The request names no host, or two.\n",
    412: "The file is not the version that was asked for.\n",
    416: "The file has no such bytes.\n",
}


def _add_headers(response: Response, entity: _Entity) -> None:
    response.headers.update(SAFE_HEADERS)
    response.headers["Content-Disposition"] = entity.disposition
    response.headers["Cache-Control"] = entity.cache_control
    response.headers["Accept-Ranges"] = "bytes"
    response.vary.add("Cookie")
    if entity.varies:
        response.vary.add("Accept-Encoding")
    if entity.encoding:
        response.headers["Content-Encoding"] = entity.encoding


def _takes_compressed(request: Request) -> bool:
    # A range is one of the file's own bytes.
    return "Range" not in request.headers and request.accept_encodings[ENCODING] > 0


def _whole_content(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read()


# What is served


def served_type(mimetype: str) -> str:
    """Return the type to send: none that a browser would run, and a charset for text."""
    essence = mimetype.partition(";")[0].strip().lower()
    if essence in ACTIVE_TYPES or essence.endswith("+xml") or essence.startswith("multipart/"):
        return UNKNOWN_TYPE
    if essence.startswith("text/") and "charset" not in mimetype.lower():
        return f"{mimetype}; charset=utf-8"
    return mimetype


def _is_inline(stored: Stored) -> bool:
    return stored.inline and stored.mimetype.partition(";")[0].strip().lower() in INLINE_TYPES


def _cache_control(stored: Stored, cache: str | None) -> str:
    if stored.max_age is not None:
        return f"private, max-age={stored.max_age}" if stored.max_age else "private, no-cache"
    if not stored.cached:
        return "no-store"
    return CACHE_CONTROL[cache or "default"]


def content_disposition(name: str, *, inline: bool) -> str:
    """Return the header that names the file: ASCII for all, and RFC 8187 for the very name."""
    kind = "inline" if inline else "attachment"
    fallback = _ascii(name)
    header = f'{kind}; filename="{fallback}"'
    if fallback != name:
        header += f"; filename*=UTF-8''{quote(name, safe='!#$&+-.^_`|~')}"
    return header


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(char for char in plain if not unicodedata.combining(char))
    # A percent sign or a backslash is read in more than one way.
    return re.sub(r"[^\x20-\x7e]|[\"\\%/]", "_", plain)


def _opened(stored: Stored, storage: Storage) -> BinaryIO:
    try:
        file = storage.open(stored.key)
    except FileNotFoundError as error:
        raise FileGone(f"The bytes of the file {stored.id} are gone.", stored.id) from error
    if file.seek(0, os.SEEK_END) != stored.size or not _is_genuine(file, stored):
        file.close()
        message = f"The file {stored.id} is no longer the one that was stored."
        raise FileGone(message, stored.id)
    return file


def _is_genuine(file: BinaryIO, stored: Stored) -> bool:
    # One that came back from a backup has lost its stamp, and is none the worse for it.
    if getattr(file, "is_as_written", True):
        return True
    logger.warning("The file %s was touched since it was stored; reading it whole.", stored.id)
    digest = hashlib.sha256()
    for chunk in _chunks(file):
        digest.update(chunk)
    return digest.hexdigest() == stored.checksum


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    return iter(lambda: file.read(CHUNK), b"")


def _sources(files: Sequence[Stored], storage: Storage) -> list[_LateFile]:
    """Open every file once, since an archive that has begun cannot say that one is gone."""
    sources = [_LateFile(stored, storage) for stored in files]
    try:
        for number, source in enumerate(sources):
            source.open()
            if number >= HELD_OPEN:
                source.close()
    except BaseException:
        for source in sources:
            source.close()
        raise
    return sources


class _LateFile:
    """A stored file that is opened when its turn comes, unless it is open already."""

    def __init__(self, stored: Stored, storage: Storage) -> None:
        self._stored = stored
        self._storage = storage
        self._file: BinaryIO | None = None

    def open(self) -> BinaryIO:
        if self._file is None:
            self._file = _opened(self._stored, self._storage)
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _crc32(stored: Stored, storage: Storage) -> int:
    if stored.crc32 is not None:
        return stored.crc32
    crc = 0
    with _opened(stored, storage) as file:
        for chunk in _chunks(file):
            crc = zlib.crc32(chunk, crc)
    return crc


def _etag_of(pieces: Sequence[Piece], files: Sequence[Stored]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        if isinstance(piece, bytes):
            digest.update(piece)
    for stored in files:
        digest.update(stored.checksum.encode())
    return digest.hexdigest()


# What leaves by another way


def _link(stored: Stored, storage: Storage, seconds: int) -> str | None:
    return storage.url(
        stored.key,
        name=clean_name(stored.name),
        mimetype=served_type(stored.mimetype),
        inline=_is_inline(stored),
        seconds=seconds,
    )


def _redirect(link: str, request: Request, ends: _Ends) -> Response:
    response = Response(status=302, headers={"Location": link, **SAFE_HEADERS})
    response.headers["Cache-Control"] = "no-store"
    response.vary.add("Cookie")
    if request.method == "GET":
        ends.started()
        ends.left([Span(0, 0)], 0)
    return response


def _handover(stored: Stored, storage: Storage, accel: str) -> dict[str, str] | None:
    path = storage.path(stored.key)
    if path is None:
        return None
    if accel == "X-Sendfile":
        if not str(path).isascii() or "%" in str(path):
            # Some servers read an escape there, and a header carries no other letters.
            return None
        return {"X-Sendfile": str(path)}
    place = PurePath(*path.parts[-3:]).as_posix()
    return {"X-Accel-Redirect": f"{accel.rstrip('/')}/{place}"}


def _may_hand_over(request: Request) -> bool:
    # nginx would compare its own ETag, send a range to a HEAD, and knows no number above 2 ** 63.
    if any(name in request.headers for name in _JUDGED_HERE):
        return False
    asked = request.headers.get("Range", "")
    return not (asked and request.method == "HEAD") and not re.search(r"\d{19}", asked)


_JUDGED_HERE = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")


def _handed_over(
    entity: _Entity,
    request: Request,
    handover: dict[str, str],
    wanted: list[Span] | None,
    ends: _Ends,
) -> Response:
    response = Response(headers=handover, content_type=entity.mimetype)
    response.set_etag(entity.etag)
    response.last_modified = entity.last_modified  # type: ignore[assignment]
    _add_headers(response, entity)
    # The server in front says so itself, and would say it twice.
    del response.headers["Accept-Ranges"]
    if request.method == "GET":
        ends.started()
        response.call_on_close(lambda: ends.left(wanted or [Span(0, entity.size)], entity.size))
    return response
