"""Decide which URLs a button may lead to: one strict parser, for downloads and callbacks."""

from __future__ import annotations

import base64
import ipaddress
import re
import unicodedata
from typing import NoReturn
from urllib.parse import quote, unquote_to_bytes, urlsplit

from .errors import LinkRefused
from .outputs import is_mimetype

MAX_URL_CHARACTERS = 8192

_ALLOWED = "'https://…', 'http://…', or a path of this site, such as '/reports/2026.pdf'"
_ALLOWED_WITH_DATA = f"{_ALLOWED}, or 'data:…'"

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_ABSOLUTE = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.IGNORECASE)
_PATH = re.compile(r"(/[^?#]*)(\?[^#]*)?(#.*)?")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
_DOT_SEGMENTS = frozenset({".", ".."})
_DEFAULT_PORTS = {"http": "80", "https": "443"}

_TOKEN = r"[A-Za-z0-9!#$&^_.+\-]+"  # RFC 6838's names, which are all that a header can carry
_QUOTED = r"\"[ !#-+\--\[\]-~]*\""  # printable, but for '"', ',' and '\'
_DATA = re.compile(
    rf"(?P<type>{_TOKEN}/{_TOKEN})?(?P<parameters>(?:;{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))*)"
    r"(?P<base64>;base64)?",
    re.IGNORECASE,
)
_CHARSET = re.compile(rf";charset=\"?({_TOKEN})\"?", re.IGNORECASE)
_DATA_HEAD_CHARACTERS = 512
_UTF8_NAMES = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})


def check_url(url: object, *, what: str, data: bool = False, origin: str | None = None) -> str:
    """Give back the URL as one that every browser reads in the same way, or refuse it.

    `what` names the attribute in the error. `data` allows `data:` URLs. With `origin`
    ("https://example.com"), an absolute URL must lead to that origin.
    """
    text = _plain_text(url, what=what)
    scheme = _SCHEME.match(text)
    if scheme and scheme[1].lower() == "data":
        if not data:
            _refuse(what, text, "A page must not lead to a 'data:' URL.", data=data)
        _read_data_url(text, what=what)
        return "data:" + text[len("data:") :]
    if len(text) > MAX_URL_CHARACTERS:
        _refuse(what, text, f"It is longer than {MAX_URL_CHARACTERS} characters.", data=data)
    _check_characters(text, what=what, data=data)
    if scheme and scheme[1].lower() in _DEFAULT_PORTS:
        return _check_absolute(text, what=what, data=data, origin=origin)
    if scheme:
        _refuse(what, text, f"'{scheme[1]}:' is not allowed.", data=data)
    return _check_path(text, what=what, data=data)


def own_page(url: str | None, root: str) -> str | None:
    """Give back a callback that stays on this site, whose address is `root`."""
    if not url:
        return None
    site = urlsplit(root)
    return check_url(url, what="callback", origin=f"{site.scheme}://{site.netloc}")


def decode_data_url(url: str, limit: int | None) -> tuple[str, bytes]:
    """Give the type and the bytes of a `data:` URL; `limit` is in bytes, None is no limit.

    The type carries a charset only where the URL says one that is not UTF-8.
    """
    refuse_oversized(url, limit)
    mimetype, payload, is_base64 = _read_data_url(url, what="data URL")
    content = base64.b64decode(_padded(payload)) if is_base64 else unquote_to_bytes(payload)
    return mimetype, content


def refuse_oversized(url: str, limit: int | None) -> None:
    """Refuse a `data:` URL that holds more than `limit` bytes; 0 and None are no limit."""
    if not limit or url[: len("data:")].lower() != "data:":
        return
    # What it holds is never longer than itself; four bytes are the most of one character.
    if 4 * len(url) <= limit:
        return
    _, payload, is_base64 = _read_data_url(url, what="data URL")
    size = len(_unescaped(payload).rstrip("=")) * 3 // 4 if is_base64 else _length(payload)
    if size > limit:
        raise LinkRefused(
            f"The data URL {_shown(url)} holds {size} bytes, which is more than the {limit} that"
            " DOWNLOAD_BTN_DATA_URL_LIMIT allows. Hand over a File instead, which has no such"
            " limit."
        )


def _length(payload: str) -> int:
    return len(payload.encode()) - 2 * payload.count("%")


def _plain_text(url: object, *, what: str) -> str:
    if not isinstance(url, str):
        raise LinkRefused(
            f"The {what} must be a URL, a str, not {type(url).__name__} {_shown(url)}."
        )
    # A subclass, such as Markup, would bring its own methods along.
    return str.__str__(url)


def _check_characters(text: str, *, what: str, data: bool) -> None:
    if not text:
        _refuse(what, text, "It is empty.", data=data)
    if text != text.strip(" "):
        _refuse(what, text, "It begins or ends with a space.", data=data)
    if "\\" in text:
        _refuse(what, text, "It holds a backslash, which browsers read as '/'.", data=data)
    for character in text:
        # Browsers drop or fold some of these, and then read another URL than we did.
        if character != " " and unicodedata.category(character) in _INVISIBLE:
            name = f"U+{ord(character):04X}"
            _refuse(what, text, f"It holds the invisible character {name}.", data=data)
    if _BAD_PERCENT.search(text):
        _refuse(what, text, "It holds a '%' that starts no escape; write it '%25'.", data=data)


def _check_absolute(text: str, *, what: str, data: bool, origin: str | None) -> str:
    match = _ABSOLUTE.fullmatch(text)
    if match is None or not match[2]:
        _refuse(what, text, "Its scheme is not followed by '//' and a host.", data=data)
    scheme, authority = match[1].lower(), match[2]
    site = f"{scheme}://{_check_authority(authority, scheme, text, what=what, data=data)}"
    if origin is not None and site != check_url(origin, what="origin").rstrip("/"):
        _refuse(what, text, f"It leads away from {origin}.", data=data)
    _check_segments(match[3], text, what=what, data=data)
    return site + _serialise(match[3] or "/", match[4], match[5])


def _check_path(text: str, *, what: str, data: bool) -> str:
    if not text.startswith("/"):
        _refuse(what, text, "A path of this site starts with '/'.", data=data)
    if text.startswith("//"):
        _refuse(what, text, "'//' leads to another host; write its 'https:' too.", data=data)
    match = _PATH.fullmatch(text)
    assert match is not None  # "/" has been seen, and no line end is left
    _check_segments(match[1], text, what=what, data=data)
    return _serialise(match[1], match[2], match[3])


def _check_segments(path: str, text: str, *, what: str, data: bool) -> None:
    # "/.//elsewhere" is "//elsewhere" once a browser or a proxy has tidied it up.
    segments = path.lower().replace("%2e", ".").split("/")
    if not _DOT_SEGMENTS.isdisjoint(segments):
        _refuse(what, text, "Its path holds '.' or '..'; write where it leads.", data=data)


def _check_authority(authority: str, scheme: str, text: str, *, what: str, data: bool) -> str:
    if "@" in authority:
        _refuse(what, text, "It holds a user name ('…@'), which hides the host.", data=data)
    host, port = _split_port(authority)
    if not (_is_address(host) or _is_host_name(host)):
        hint = "A host that is not ASCII is written in its 'xn--' form."
        _refuse(what, text, f"{_shown(host)} is no host name. {hint}", data=data)
    if port is None:
        return host.lower()
    if not _PORT.fullmatch(port) or not 0 < int(port) < 65536:
        _refuse(what, text, f"{_shown(port)} is no port.", data=data)
    number = str(int(port))
    return host.lower() if number == _DEFAULT_PORTS[scheme] else f"{host.lower()}:{number}"


def _split_port(authority: str) -> tuple[str, str | None]:
    if authority.startswith("["):
        host, bracket, rest = authority.partition("]")
        return host + bracket + ("" if rest.startswith(":") else rest), rest[1:] or None
    host, colon, port = authority.partition(":")
    return host, port if colon else None


def _is_address(host: str) -> bool:
    is_bracketed = host.startswith("[") and host.endswith("]") and "%" not in host
    try:
        if is_bracketed:
            ipaddress.IPv6Address(host[1:-1])
        else:
            ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _is_host_name(host: str) -> bool:
    labels = host.removesuffix(".").split(".")
    # Browsers take "1", "0x7f.1" and "127.1" for addresses, other parsers for names.
    is_number = _NUMBER.fullmatch(labels[-1])
    return len(host) <= 253 and not is_number and all(_LABEL.fullmatch(label) for label in labels)


def _serialise(path: str, query: str | None, fragment: str | None) -> str:
    safe = "!$&'()*+,;=:@/%~-._"
    return quote(path, safe=safe) + quote(query or "", safe=safe + "?") + _fragment(fragment, safe)


def _fragment(fragment: str | None, safe: str) -> str:
    return "#" + quote(fragment[1:], safe=safe + "?") if fragment else ""


def _read_data_url(url: str, *, what: str) -> tuple[str, str, bool]:
    scheme, head, comma, payload = url[:5].lower(), *url[5:].partition(",")
    is_short = scheme == "data:" and comma and len(head) <= _DATA_HEAD_CHARACTERS
    match = _DATA.fullmatch(head) if is_short else None
    if match is None:
        shape = "'data:<type>;base64,<content>'"
        _refuse(what, url, f"It is no data URL of the shape {shape}.", data=True)
    mimetype = _data_type(match)
    if not is_mimetype(mimetype):
        _refuse(what, url, f"{_shown(mimetype)} is no type that a file can have.", data=True)
    is_base64 = match["base64"] is not None
    _check_payload(payload, is_base64, what=what, url=url)
    return mimetype, payload, is_base64


def _data_type(match: re.Match[str]) -> str:
    mimetype = (match["type"] or "text/plain").lower()
    charset = _CHARSET.search(match["parameters"])
    if charset and charset[1].lower() not in _UTF8_NAMES and mimetype.startswith("text/"):
        return f"{mimetype}; charset={charset[1].lower()}"
    return mimetype


_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
# What a browser would cut off, drop, or trip over.
_LOST_IN_DATA = re.compile(r"[\x00-\x1f\x7f#\ud800-\udfff]")


def _check_payload(payload: str, is_base64: bool, *, what: str, url: str) -> None:
    if not is_base64:
        lost = _LOST_IN_DATA.search(payload)
        if lost or _BAD_PERCENT.search(payload):
            reason = f"{lost[0]!r}" if lost else "a '%' that starts no escape"
            way_out = "Escape it with urllib.parse.quote, or use ';base64'."
            _refuse(what, url, f"Its content holds {reason}. {way_out}", data=True)
        return
    text = _unescaped(payload)
    # Forgiving about missing padding, as browsers are; four letters are three bytes.
    letters = len(text.rstrip("="))
    padded = letters != len(text)
    if not _BASE64.fullmatch(text) or letters % 4 == 1 or (padded and len(text) % 4):
        _refuse(what, url, "Its content is not base64.", data=True)


def _padded(payload: str) -> str:
    text = _unescaped(payload)
    return text + "=" * (-len(text) % 4)


def _unescaped(payload: str) -> str:
    if "%" not in payload:
        return payload
    # Letters that are not ASCII stay such, and are then no base64.
    return unquote_to_bytes(payload).decode("latin-1")


def _refuse(what: str, url: str, reason: str, *, data: bool) -> NoReturn:
    allowed = _ALLOWED_WITH_DATA if data else _ALLOWED
    raise LinkRefused(f"The {what} {_shown(url)} is refused. {reason} Allowed are {allowed}.")


def _shown(value: object) -> str:
    text = ascii(value[:80]) if isinstance(value, str) else ascii(value)
    return text if len(text) <= 90 else text[:80] + "…"
