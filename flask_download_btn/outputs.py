"""What a create-file function hands over: a File, with a name that is safe to save."""

from __future__ import annotations

import io
import mimetypes
import os
import re
import unicodedata
from collections.abc import AsyncIterable, Iterable
from pathlib import Path
from typing import BinaryIO

from .errors import OutputRefused

Content = bytes | bytearray | memoryview | Path | BinaryIO | Iterable[bytes] | AsyncIterable[bytes]

# A file system takes 255 bytes; browsers add ".crdownload" or " (1)" to that.
LONGEST_NAME = 240
LONGEST_EXTENSION = 32
LONGEST_MIMETYPE = 127
NAMELESS = "download"

_SURROGATES = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"[\t\n\v\f\r\x1c-\x1f\x85\u2028\u2029]+")
_SEPARATORS = re.compile(r"[/\\\u2044\u2215\u29f5\u29f8\ufe68\uff0f\uff3c]+")
# They make "report\u202efdp.exe" look like "reportexe.pdf", or two names look like one.
_INVISIBLE = frozenset(
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff\ufff9\ufffa\ufffb\ufffe\uffff"
)
# Windows opens a device for these, whatever extension follows.
_DEVICE = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9\u00b9\u00b2\u00b3])[ ]*(\.|$)", re.I
)
_MIMETYPE = re.compile(
    r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*(;[ ]?[a-z0-9-]+=[a-z0-9._+-]+)*", re.I
)

# The system's own tables differ between machines; a download's type must not.
_types = mimetypes.MimeTypes(filenames=())
for _mimetype, _extension in (
    ("application/geo+json", ".geojson"),
    ("application/jsonl", ".jsonl"),
    ("application/x-ndjson", ".ndjson"),
    ("application/toml", ".toml"),
    ("application/yaml", ".yaml"),
    ("application/yaml", ".yml"),
    ("application/vnd.apache.parquet", ".parquet"),
    ("application/vnd.oasis.opendocument.spreadsheet", ".ods"),
    ("application/vnd.oasis.opendocument.text", ".odt"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", ".pptx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", ".xlsx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", ".docx"),
    ("application/epub+zip", ".epub"),
    ("application/gzip", ".gz"),
    ("application/x-7z-compressed", ".7z"),
    ("application/zip", ".zip"),
    ("application/zstd", ".zst"),
    ("image/avif", ".avif"),
    ("image/webp", ".webp"),
    ("text/calendar", ".ics"),
    ("text/markdown", ".md"),
    ("text/plain", ".log"),
    ("text/vcard", ".vcf"),
):
    _types.add_type(_mimetype, _extension)
_ENCODINGS = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}


class File:
    """A file for the visitor: its content, and the name to save it under.

    `content` is `bytes`, a `pathlib.Path`, a binary file object (read from its start if it can be
    rewound), or an iterable of `bytes`, plain or async. `mimetype` is guessed from the name when
    left out. `inline` lets the browser show types that are safe to show. `max_age` is in seconds;
    `cached` keeps the file with its button rather than with this run.
    """

    def __init__(
        self,
        content: Content,
        filename: str,
        *,
        mimetype: str | None = None,
        inline: bool = False,
        max_age: int | None = None,
        cached: bool = False,
    ) -> None:
        if not isinstance(filename, str):
            raise OutputRefused(
                f"File(…, {filename!r}) needs a file name as its second argument, a str."
            )
        _check_content(content, filename)
        self.content = content
        self.filename = filename
        self.name = clean_name(filename)
        self.mimetype = _checked_mimetype(mimetype or guess_mimetype(self.name), filename)
        self.inline = bool(inline)
        self.max_age = _checked_max_age(max_age, filename)
        self.cached = bool(cached)

    def __repr__(self) -> str:
        return f"File({type(self.content).__name__}, {self.filename!r})"


def _check_content(content: object, filename: str) -> None:
    """Refuse what is no bytes, with the way out."""
    if isinstance(content, str):
        raise OutputRefused(
            f"File({filename!r}) was given a str. Hand over its bytes, text.encode(), "
            "or, if it is a path, Path(…)."
        )
    if isinstance(content, io.TextIOBase):
        raise OutputRefused(
            f"File({filename!r}) was given a text file. Open it in binary mode, open(…, 'rb')."
        )
    if isinstance(content, (dict, set, frozenset)) or not (
        isinstance(content, (bytes, bytearray, memoryview, os.PathLike, Iterable, AsyncIterable))
        or callable(getattr(content, "read", None))
    ):
        raise OutputRefused(
            f"File({filename!r}) was given {_short(content)}. It takes bytes, a pathlib.Path, "
            "a binary file object, or an iterable of bytes."
        )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _checked_mimetype(mimetype: str, filename: str) -> str:
    if not isinstance(mimetype, str) or not is_mimetype(mimetype):
        raise OutputRefused(
            f"File({filename!r}) was given mimetype={mimetype!r}. It looks like 'text/csv'."
        )
    return mimetype


def is_mimetype(text: str) -> bool:
    """Tell whether a text is a type that a header can carry."""
    return len(text) <= LONGEST_MIMETYPE and bool(_MIMETYPE.fullmatch(text))


def _checked_max_age(max_age: int | None, filename: str) -> int | None:
    if max_age is None:
        return None
    if isinstance(max_age, bool) or not isinstance(max_age, int) or max_age < 0:
        raise OutputRefused(
            f"File({filename!r}) was given max_age={max_age!r}. It is seconds, 0 or more."
        )
    return min(max_age, 2**31 - 1)


def guess_mimetype(name: str) -> str:
    """Return the type that a file's name promises, the same on every machine."""
    mimetype, encoding = _types.guess_type("x" + _extensions(name))
    if encoding:
        return _ENCODINGS.get(encoding, "application/octet-stream")
    return mimetype or "application/octet-stream"


def _extensions(name: str) -> str:
    # Only these, so that no character of a name is read as part of a URL.
    return "".join(f".{part}" for part in name.split(".")[1:][-2:] if part.isalnum())


def clean_name(name: str) -> str:
    """Return a name that every system can save, shows as it is, and does not act upon."""
    name = _SURROGATES.sub("_", name)
    name = unicodedata.normalize("NFC", _SPACES.sub(" ", name))
    name = "".join(char for char in name if not _is_hidden(char))
    parts = [part.strip() for part in _SEPARATORS.split(name)]
    name = "_".join(part for part in parts if part.strip("."))
    name = name.strip().rstrip(". ")
    if not name or name.startswith("."):
        name = NAMELESS + name
    if _DEVICE.match(name):
        name = f"_{name}"
    return _shortened(name)


def _is_hidden(char: str) -> bool:
    return char in _INVISIBLE or unicodedata.category(char) == "Cc"


def _shortened(name: str) -> str:
    """Cut a name's stem, keeping its extension, until a file system takes it."""
    if len(name.encode()) <= LONGEST_NAME:
        return name
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > LONGEST_EXTENSION:
        stem, dot, extension = name, "", ""
    room = LONGEST_NAME - len((dot + extension).encode())
    stem = stem.encode()[:room].decode("utf-8", "ignore")
    return stem.rstrip(". ") + dot + extension
