"""A link leads where it says, in every browser, or it is refused where it is assigned."""

from __future__ import annotations

import base64
import random
import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import pytest
from markupsafe import Markup

from flask_download_btn.errors import DownloadBtnError, LinkRefused
from flask_download_btn.links import (
    MAX_URL_CHARACTERS,
    check_url,
    decode_data_url,
    refuse_oversized,
)

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "/a\\..\\..\\evil.example",
    "https:\\\\evil.example",
    "https:/\\evil.example",
    "https:/evil.example",
    "https:evil.example",
    "http:evil.example",
    "https:///evil.example",
    "https:////evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\n/evil.example",
    "\t//evil.example",
    "/\x00/evil.example",
    " //evil.example",
    "//evil.example ",
    "/a ",
    " /a",
    "https://example.com/ ",
    "/.//evil.example",
    "/..//evil.example",
    "/a/..//evil.example",
    "/%2e//evil.example",
    "/%2E%2e//evil.example",
    "/.%2e//evil.example",
    "/\u3000/evil.example",
    "/\u2028/evil.example",
    "/\ufeff/evil.example",
    "/\u200b/evil.example",
    "/\u202e/moc.elpmaxe.live",
    "/\xad/evil.example",
    "/\x85/evil.example",
    "/\xa0/evil.example",
    "/\ud800/evil.example",
]

SCRIPTS = [
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "javascript://example.com/%0aalert(1)",
    "java\tscript:alert(1)",
    "java\nscript:alert(1)",
    "\x01javascript:alert(1)",
    " javascript:alert(1)",
    "\xa0javascript:alert(1)",
    "\u200bjavascript:alert(1)",
    "javascript\u200b:alert(1)",
    "javascript\uff1aalert(1)",
    "jav&#x61;script:alert(1)",
    "javascript&colon;alert(1)",
    "vbscript:msgbox(1)",
    "livescript:x",
    "view-source:https://example.com",
    "file:///etc/passwd",
    "file:/etc/passwd",
    "blob:https://example.com/1",
    "filesystem:https://example.com/x",
    "about:blank",
    "ftp://example.com/x",
    "ws://example.com/x",
    "mailto:a@example.com",
    "tel:123",
    "intent://x#Intent;end",
    "C:\\Windows\\x",
    "c:/Windows/x",
    "http+unix://x/",
    "x:",
    ":x",
]

HOSTS = [
    "https://user@evil.example/",
    "https://user:password@evil.example/",
    "https://example.com@evil.example/",
    "https://example.com:443@evil.example/",
    "https://@evil.example/",
    "https://example.com\\@evil.example/",
    "https://example.com%40evil.example/",
    "https://example.com%2f.evil.example/",
    "https://example.com\uff0fevil.example/",
    "https://example.com\uff20evil.example/",
    "https://example\u3002com/",
    "https://ex\u0430mple.com/",
    "https://\u24d4vil.example/",
    "https://faß.example/",
    "https://evil\u200b.example/",
    "https://exam ple.com/",
    "https://",
    "https://?x",
    "https://#x",
    "https://:80/",
    "https://./",
    "https://a..b/",
    "https://.a/",
    "https://-a.example/",
    "https://a-.example/",
    "https://a/../b",
    f"https://{'a' * 64}.example/",
    f"https://{'a.' * 130}example/",
    "https://example.com:/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:99999999999/",
    "https://example.com:+80/",
    "https://example.com:-80/",
    "https://example.com:8_0/",
    "https://example.com:\uff18\uff10/",
    "https://example.com:80:80/",
    "https://example.com:80a/",
    "https://[::1/",
    "https://[::1]a/",
    "https://[::1]80/",
    "https://[fe80::1%25eth0]/",
    "https://[::g]/",
    "https://[]/",
    "https://::1/",
    "https://1/",
    "https://127.1/",
    "https://0x7f.0.0.1/",
    "https://0x7f000001/",
    "https://2130706433/",
    "https://017700000001/",
    "https://127.0.0.01/",
    "https://127.0.0.1./",
    "https://256.0.0.1/",
    "https://a.1/",
    "https://a.0x/",
    "https://exa<mple.com/",
    'https://exa"mple.com/',
    "https://exa'mple.com/",
    "https://$host/",
]

RELATIVE = [
    "",
    ".",
    "..",
    "report.csv",
    "./report.csv",
    "../report.csv",
    "?x=1",
    "#x",
    "evil.example",
]

MALFORMED = ["/100%", "/%", "/%g0", "/%1", "/a?x=%zz", "/a#%", "https://example.com/%"]

NO_TEXT: list[Any] = [None, 1, b"/a", ["/a"], ("/a", "b"), object()]


@pytest.mark.parametrize("data", [False, True], ids=["callback", "download"])
@pytest.mark.parametrize(
    "url", [*ELSEWHERE, *SCRIPTS, *HOSTS, *RELATIVE, *MALFORMED, *NO_TEXT], ids=ascii
)
def test_an_attack_is_refused(url: Any, data: bool) -> None:
    with pytest.raises(LinkRefused) as caught:
        check_url(url, what="callback", data=data)
    message = str(caught.value)
    assert message.startswith("The callback ")
    assert message.replace("…", "").isascii()
    assert message.isprintable()


@pytest.mark.parametrize(
    "url",
    [
        "data:text/html,<script>alert(1)</script>",
        "data:text/html;base64,PHNjcmlwdD4=",
        "DATA:text/html,x",
        "data:,x",
        " data:text/html,x",
        "da\tta:text/html,x",
    ],
)
def test_a_page_is_never_led_to_a_data_url(url: str) -> None:
    with pytest.raises(LinkRefused, match="The callback"):
        check_url(url, what="callback")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("/a//b", "/a//b"),
        ("/a?x=1&y=a+b#top", "/a?x=1&y=a+b#top"),
        ("/a?next=https://example.com/../x", "/a?next=https://example.com/../x"),
        ("/a?x=//b", "/a?x=//b"),
        ("/a?b?c#d?e", "/a?b?c#d?e"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a b.csv", "/a%20b.csv"),
        ("/a%20b.csv", "/a%20b.csv"),
        ("/a%2fb%5Cc", "/a%2fb%5Cc"),
        ("/größe.csv", "/gr%C3%B6%C3%9Fe.csv"),
        ("/\U0001f600", "/%F0%9F%98%80"),
        ('/"><script>', "/%22%3E%3Cscript%3E"),
        ("/a:b@c", "/a:b@c"),
        ("/javascript:alert(1)", "/javascript:alert(1)"),
        ("/a#", "/a#"),
        ("/a?", "/a?"),
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.com/Path", "https://example.com/Path"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:0443/", "https://example.com/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("https://example.com?x=1", "https://example.com/?x=1"),
        ("https://example.com#x", "https://example.com/#x"),
        ("https://localhost:5000/a", "https://localhost:5000/a"),
        ("http://127.0.0.1:8000/a", "http://127.0.0.1:8000/a"),
        ("http://[::1]:8000/a", "http://[::1]:8000/a"),
        ("https://xn--fa-hia.example/", "https://xn--fa-hia.example/"),
        ("https://example.com./a", "https://example.com./a"),
        ("https://my_host/a", "https://my_host/a"),
        ("https://example.com/a//b", "https://example.com/a//b"),
        (
            "https://store.example/key?X-Amz-Signature=ab%2Fcd&X-Amz-Date=20260101T000000Z",
            "https://store.example/key?X-Amz-Signature=ab%2Fcd&X-Amz-Date=20260101T000000Z",
        ),
        (Markup("/a"), "/a"),
    ],
)
def test_an_honest_link_is_kept(url: str, kept: str) -> None:
    for data in (False, True):
        result = check_url(url, what="callback", data=data)
        assert result == kept
        assert type(result) is str
    assert check_url(kept, what="callback") == kept


def test_a_user_name_before_the_host_is_called_by_its_name() -> None:
    with pytest.raises(LinkRefused, match="a user name"):
        check_url("https://example.com@evil.example/", what="callback")


def test_the_refusal_says_what_which_and_what_now() -> None:
    with pytest.raises(LinkRefused) as caught:
        check_url("report.csv", what="callback")
    assert str(caught.value) == (
        "The callback 'report.csv' is refused. A path of this site starts with '/'. Allowed are "
        "'https://…', 'http://…', or a path of this site, such as '/reports/2026.pdf'."
    )
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, DownloadBtnError)


def test_a_long_link_is_refused_and_not_repeated() -> None:
    with pytest.raises(LinkRefused, match="longer than") as caught:
        check_url("/" + "a" * MAX_URL_CHARACTERS, what="callback")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("url", ["/a", "https://example.com/a", "https://EXAMPLE.com:443/a"])
def test_a_link_of_the_origin_is_kept(url: str) -> None:
    assert check_url(url, what="callback", origin="https://example.com")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com.evil.example/",
        "https://evil.example/https://example.com",
        "http://example.com/",
        "https://example.com:444/",
        "https://sub.example.com/",
        "https://example.com./",
    ],
)
def test_a_link_that_leaves_the_origin_is_refused(url: str) -> None:
    with pytest.raises(LinkRefused, match=r"It leads away from https://example\.com\."):
        check_url(url, what="callback", origin="https://example.com")


# --- found by nobody in particular ------------------------------------------------------------

SITE = "https://site.example"
PIECES = [
    *"/\\?#:@.%&=;[]'\"<> \t\n\r\x00\x7f",
    *[
        "//",
        "..",
        "%2e",
        "%2f",
        "%5c",
        "%00",
        "%0a",
        "%",
        "https:",
        "http:",
        "javascript:",
        "data:",
    ],
    *["evil.example", "site.example", "a", "1", "text/html", ",", "ä", "\u200b", "\uff0f", "\xa0"],
    *["[::1]", "xn--a", "|", "^", "`", "{", "}", "~", "+", "\ud800", "\U0001f600"],
]


def accepted_of_random(count: int, seed: int) -> list[tuple[str, str]]:
    dice = random.Random(seed)
    accepted = []
    for _ in range(count):
        start = dice.choice(["", "/", "/", "https://", "https://evil.example", "http:/"])
        url = start + "".join(dice.choices(PIECES, k=dice.randint(0, 7)))
        try:
            accepted.append((url, check_url(url, what="callback")))
        except LinkRefused:
            continue
    return accepted


def test_whatever_is_kept_is_read_alike_by_python() -> None:
    accepted = accepted_of_random(40_000, seed=1)
    assert len(accepted) > 1_000
    for url, kept in accepted:
        assert kept.isascii()
        assert kept.isprintable()
        assert not set(kept) & set('\\"<> ')
        assert check_url(kept, what="callback") == kept
        there = urlsplit(urljoin(SITE + "/page", kept))
        if url.startswith("/"):
            assert (there.scheme, there.netloc) == ("https", "site.example")
        else:
            assert url.lower().startswith((f"{there.scheme}://{there.hostname}", "http"))
            assert "@" not in there.netloc


def test_whatever_is_kept_is_read_alike_by_a_browser(browser: Any) -> None:
    accepted = accepted_of_random(40_000, seed=2)
    page = browser.new_page()
    try:
        read = page.evaluate(
            "urls => urls.map(url => { try { const read = new URL(url, 'https://site.example/page');"
            " return [read.protocol, read.origin, read.username, read.href] }"
            " catch (error) { return ['error', url, '', ''] } })",
            [kept for _, kept in accepted],
        )
    finally:
        page.close()
    for (url, kept), (protocol, origin, username, href) in zip(accepted, read, strict=True):
        assert protocol in {"https:", "http:"}, (url, kept)
        assert username == ""
        if url.startswith("/"):
            assert origin == SITE, (url, kept)
            assert href.startswith(SITE + "/")
            assert not href.startswith(SITE + "//")
        else:
            assert kept.startswith(origin + "/"), (url, kept)


# --- data URLs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "mimetype", "content"),
    [
        ("data:text/plain;base64,SGVsbG8=", "text/plain", b"Hello"),
        ("data:text/plain;base64,SGVsbG8", "text/plain", b"Hello"),
        ("data:text/plain;base64,SGVsbG8%3D", "text/plain", b"Hello"),
        ("data:text/plain;base64,%2B%2f8=", "text/plain", b"\xfb\xff"),
        ("data:text/plain;base64,", "text/plain", b""),
        ("data:;base64,SGVsbG8=", "text/plain", b"Hello"),
        ("data:,Hello%2C%20World!", "text/plain", b"Hello, World!"),
        ("data:,", "text/plain", b""),
        ("data:,a b", "text/plain", b"a b"),
        ("data:,größe", "text/plain", "größe".encode()),
        ("data:TEXT/CSV;CharSet=UTF-8,a;b", "text/csv", b"a;b"),
        ("data:text/csv;charset=latin-1,%FC", "text/csv; charset=latin-1", b"\xfc"),
        ('data:text/csv;charset="iso-8859-1",%FC', "text/csv; charset=iso-8859-1", b"\xfc"),
        ("data:;charset=US-ASCII,a", "text/plain", b"a"),
        ("data:image/svg+xml;x=y;base64,PHN2Zz4=", "image/svg+xml", b"<svg>"),
        ("data:application/vnd.ms-excel;BASE64,AAAA", "application/vnd.ms-excel", b"\0\0\0"),
        ("DATA:text/plain,x", "text/plain", b"x"),
        ("data:text/plain,a,b", "text/plain", b"a,b"),
        ("data:text/html,<b>", "text/html", b"<b>"),
    ],
)
def test_a_data_url_is_decoded(url: str, mimetype: str, content: bytes) -> None:
    assert check_url(url, what="download", data=True) == url.replace("DATA:", "data:")
    assert decode_data_url(url, None) == (mimetype, content)
    assert decode_data_url(url, len(content)) == (mimetype, content)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 100, 1000, 65_537])
def test_any_bytes_survive_a_data_url(size: int) -> None:
    content = random.Random(size).randbytes(size)
    encoded = "data:x/y;base64," + base64.b64encode(content).decode()
    assert decode_data_url(encoded, size) == ("x/y", content)
    assert decode_data_url("data:x/y," + quote(content), size) == ("x/y", content)


@pytest.mark.parametrize(
    "url",
    [
        "data:",
        "data:text/plain",
        "data:text/plain;base64",
        "data:text,x",
        "data:/,x",
        "data:text/,x",
        "data:te xt/plain,x",
        "data:text/plain;,x",
        "data:text/plain;x,y",
        "data:text/plain;charset=ä,x",
        "data:text/plain\r\nSet-Cookie: a=b,x",
        'data:text/plain;x="a\r\nb",x',
        "data:text/plain;base64,a",
        "data:text/plain;base64,aaaaa",
        "data:text/plain;base64,aGk=x",
        "data:text/plain;base64,a=Gk",
        "data:text/plain;base64,=",
        "data:text/plain;base64,====",
        "data:text/plain;base64,aGk==",
        "data:text/plain;base64,aGkh=",
        "data:text/plain;base64,a-_k",
        "data:text/plain;base64,aG k=",
        "data:text/plain;base64,aGk=\n",
        "data:text/plain;base64,%zz",
        "data:text/plain;base64,ä",
        "data:text/plain;base64,SGVsbG8=#x",
        "data:,a\nb",
        "data:,a\tb",
        "data:,a\x00b",
        "data:,a#b",
        "data:,100%",
        "data:,\ud800",
        f"data:text/plain;x={'y' * 1000},x",
        f"data:text/{'y' * 200},x",
        "data:!/x,x",
    ],
    ids=ascii,
)
def test_a_malformed_data_url_is_refused_where_it_is_assigned(url: str) -> None:
    with pytest.raises(LinkRefused, match="The download"):
        check_url(url, what="download", data=True)
    with pytest.raises(LinkRefused):
        decode_data_url(url, None)


@pytest.mark.parametrize("url", ["https://example.com/a,b", "/a,b", "xdata:,x", ""])
def test_only_a_data_url_is_decoded(url: str) -> None:
    with pytest.raises(LinkRefused):
        decode_data_url(url, None)


@pytest.mark.parametrize("url", ["data:,abcd", "data:;base64,YWJjZA==", "data:,%61%62cd"])
def test_a_data_url_over_the_limit_is_refused(url: str) -> None:
    assert decode_data_url(url, 4)[1] == b"abcd"
    with pytest.raises(LinkRefused, match="holds 4 bytes, which is more than the 3"):
        decode_data_url(url, 3)


def test_what_is_no_data_url_is_of_no_size() -> None:
    for url in ("/a\ud800", "https://example.com/" + "a" * 100, "data:,\ud800"):
        with suppress(LinkRefused):
            refuse_oversized(url, 4)


def test_a_hostile_megabyte_is_refused_at_once() -> None:
    hostile = [
        "data:" + "a/" * 500_000,
        "data:a/b" + ";x=y" * 250_000 + ",",
        "data:a/b;base64," + "A" * 999_999 + "!",
        "data:a/b;base64," + "=" * 1_000_000,
        "data:," + "%" * 1_000_000,
        "https://" + "a." * 500_000,
        "/" + "../" * 300_000,
        "a" * 1_000_000 + ":",
    ]
    start = time.perf_counter()
    for url in hostile:
        with pytest.raises(LinkRefused) as caught:
            check_url(url, what="download", data=True)
        assert len(str(caught.value)) < 500
    assert time.perf_counter() - start < 5
