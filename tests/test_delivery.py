"""Test how stored files leave: as RFC 9110 says, whole or not at all, and counted honestly."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import os
import random
import re
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from flask import Flask, Response, request
from processes import ROOT, SERVERS, Process, free_port, wait_until
from werkzeug.http import parse_options_header
from werkzeug.test import Client

from flask_download_btn import delivery
from flask_download_btn.archive import layout, unique_names
from flask_download_btn.conditions import Span
from flask_download_btn.errors import FileGone
from flask_download_btn.files import Stored
from flask_download_btn.outflow import OpenFile, Outflow, Slice, cut
from flask_download_btn.outputs import guess_mimetype
from flask_download_btn.storage import LocalStorage, MemoryStorage

CONFORMANCE = ROOT.parent / "shared" / "tools" / "conformance.py"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
CONTENT = bytes(range(256)) * 400
MADE_AT = 1_700_000_000
MODES = {"gevent": "gevent", "gunicorn-gevent": "gevent", "eventlet": "eventlet"}
MODIFIED = formatdate(MADE_AT, usegmt=True)
EARLIER = formatdate(MADE_AT - 60, usegmt=True)
LATER = formatdate(MADE_AT + 60, usegmt=True)


def put(storage: Any, content: bytes | Iterator[bytes], name: str, **options: Any) -> Stored:
    """Store a file, and return what its row would say."""
    key = f"{secrets.token_hex(16)}-{secrets.token_hex(8)}"
    sha256, crc, size = hashlib.sha256(), 0, 0
    with storage.writer(key, name=name, mimetype="") as sink:
        for chunk in [content] if isinstance(content, bytes) else content:
            sink.write(chunk)
            sha256.update(chunk)
            crc = zlib.crc32(chunk, crc)
            size += len(chunk)
    values: dict[str, Any] = {
        "id": secrets.token_hex(16),
        "key": key,
        "name": name,
        "mimetype": guess_mimetype(name),
        "size": size,
        "checksum": sha256.hexdigest(),
        "crc32": crc,
        "inline": False,
        "max_age": None,
        "cached": False,
        "run_id": None,
        "btn_uid": None,
        "source": None,
        "made_at": MADE_AT + 0.5,
    }
    return Stored(**{**values, **options})


class Site:
    """An app with one file, as a test client sees it."""

    def __init__(self, storage: Any) -> None:
        self.storage = storage
        self.told: list[Any] = []
        self.options: dict[str, Any] = {}
        self.stored = put(storage, CONTENT, "report.csv")
        self.app = Flask(__name__)
        self.app.add_url_rule("/file", view_func=self._fetch)
        self.app.testing = True

    def _fetch(self) -> Response:
        return delivery.respond(
            self.stored,
            self.storage,
            request,
            on_started=lambda: self.told.append("started"),
            on_complete=lambda: self.told.append("complete"),
            on_part=lambda spans, size, is_cut: self.told.append((spans, is_cut)),
            **self.options,
        )

    def serve(self, content: bytes = CONTENT, name: str = "report.csv", **values: Any) -> Site:
        self.stored = put(self.storage, content, name, **values)
        return self

    def get(self, headers: Mapping[str, str] | None = None, method: str = "GET") -> Any:
        with self.app.test_client() as client:
            response = client.open("/file", method=method, headers=headers)
            response.get_data()
            response.close()
            return response

    @property
    def etag(self) -> str:
        return f'"{self.stored.checksum}"'


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return LocalStorage(tmp_path / "stored") if request.param == "local" else MemoryStorage()


@pytest.fixture
def site(storage: Any) -> Site:
    return Site(storage)


# Whole


def test_a_file_leaves_whole_and_named(site: Site):
    response = site.get()

    assert response.status_code == 200
    assert response.data == CONTENT
    assert response.content_length == len(CONTENT)
    assert response.headers["Content-Disposition"] == 'attachment; filename="report.csv"'
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"


def test_every_file_has_the_headers_that_keep_it_harmless(site: Site):
    headers = site.get().headers

    assert dict(headers) == {
        "Accept-Ranges": "bytes",
        "Cache-Control": "no-store",
        "Content-Disposition": 'attachment; filename="report.csv"',
        "Content-Length": str(len(CONTENT)),
        "Content-Security-Policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
        "Content-Type": "text/csv; charset=utf-8",
        "Cross-Origin-Resource-Policy": "same-origin",
        "ETag": site.etag,
        "Last-Modified": MODIFIED,
        "Referrer-Policy": "no-referrer",
        "Vary": "Cookie",
        "X-Content-Type-Options": "nosniff",
        "X-Robots-Tag": "noindex",
    }


def test_the_names_of_other_days_are_cleaned_too(site: Site):
    response = site.serve(name="a\r\nX-Injected: 1/..\\\u202eb.csv").get()

    assert "X-Injected" not in response.headers
    assert response.headers["Content-Disposition"] == 'attachment; filename="a X-Injected: 1_b.csv"'


@pytest.mark.parametrize(
    ("name", "fallback"),
    [
        ("plain.csv", "plain.csv"),
        ("Größe 3€.csv", "Gro_e 3_.csv"),
        ("日本語.csv", "___.csv"),
        ('qu"ote.csv', "qu_ote.csv"),
        ("100%41.csv", "100_41.csv"),
        ("semi;colon=x.csv", "semi;colon=x.csv"),
        ("it's (1).csv", "it's (1).csv"),
        ("👩‍👧.csv", "___.csv"),
        ("ﬁle.csv", "file.csv"),
    ],
)
def test_a_name_comes_back_as_it_was_with_ascii_beside_it(site: Site, name: str, fallback: str):
    header = site.serve(name=name).get().headers["Content-Disposition"]

    assert header.isascii()
    assert re.match(r'attachment; filename="([^"\\]*)"', header)[1] == fallback  # type: ignore[index]
    assert parse_options_header(header)[1]["filename"] == name


@pytest.mark.parametrize(
    ("mimetype", "served"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("text/csv; charset=latin-1", "text/csv; charset=latin-1"),
        ("application/pdf", "application/pdf"),
        ("image/png", "image/png"),
        ("application/epub+zip", "application/epub+zip"),
        ("text/html", "application/octet-stream"),
        ("TEXT/HTML; charset=utf-7", "application/octet-stream"),
        ("application/xhtml+xml", "application/octet-stream"),
        ("image/svg+xml", "application/octet-stream"),
        ("text/xml", "application/octet-stream"),
        ("application/xml", "application/octet-stream"),
        ("application/mathml+xml", "application/octet-stream"),
        ("text/javascript", "application/octet-stream"),
        ("application/javascript", "application/octet-stream"),
        ("multipart/related", "application/octet-stream"),
        ("application/octet-stream", "application/octet-stream"),
    ],
)
def test_no_type_leaves_that_a_browser_would_run(site: Site, mimetype: str, served: str):
    assert site.serve(mimetype=mimetype).get().headers["Content-Type"] == served


@pytest.mark.parametrize(
    ("mimetype", "kind"),
    [
        ("application/pdf", "inline"),
        ("image/png", "inline"),
        ("text/plain", "inline"),
        ("text/html", "attachment"),
        ("image/svg+xml", "attachment"),
        ("application/zip", "attachment"),
        ("application/octet-stream", "attachment"),
    ],
)
def test_only_harmless_types_are_shown_in_the_browser(site: Site, mimetype: str, kind: str):
    site.serve(mimetype=mimetype, inline=True)

    assert site.get().headers["Content-Disposition"].startswith(f"{kind};")


@pytest.mark.parametrize(
    ("values", "cache", "header"),
    [
        ({}, None, "no-store"),
        ({}, "default", "no-store"),
        ({}, "force-cache", "no-store"),
        ({"max_age": 60}, None, "private, max-age=60"),
        ({"max_age": 0}, None, "private, no-cache"),
        ({"cached": True}, None, "private, no-cache"),
        ({"cached": True}, "no-store", "no-store"),
        ({"cached": True}, "default", "private, no-cache"),
        ({"cached": True}, "no-cache", "private, no-cache"),
        ({"cached": True}, "reload", "private, no-cache"),
        ({"cached": True}, "force-cache", "private, max-age=86400"),
        ({"cached": True, "max_age": 60}, "no-store", "private, max-age=60"),
    ],
)
def test_a_file_is_cached_as_its_button_says_and_never_by_others(
    site: Site, values: dict[str, Any], cache: str | None, header: str
):
    site.serve(**values).options["cache"] = cache

    assert site.get().headers["Cache-Control"] == header


def test_a_file_of_tomorrow_is_said_to_be_of_today(site: Site):
    before = int(time.time())

    response = site.serve(made_at=time.time() + 3600).get()

    assert before <= response.last_modified.timestamp() <= time.time()


# Conditions


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": "{etag}"}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"other", {etag}'}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-Match": "W/{etag}"}, 412),
        ({"If-Match": ",,,"}, 412),
        ({"If-Match": '"other"', "If-None-Match": "{etag}"}, 412),
        ({"If-Unmodified-Since": MODIFIED}, 200),
        ({"If-Unmodified-Since": LATER}, 200),
        ({"If-Unmodified-Since": EARLIER}, 412),
        ({"If-Unmodified-Since": "yesterday"}, 200),
        ({"If-Match": "{etag}", "If-Unmodified-Since": EARLIER}, 200),
        ({"If-None-Match": "{etag}"}, 304),
        ({"If-None-Match": "W/{etag}"}, 304),
        ({"If-None-Match": '"a,b", W/"x" ,{etag}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"'}, 200),
        ({"If-None-Match": '"other"', "If-Modified-Since": MODIFIED}, 200),
        ({"If-Modified-Since": MODIFIED}, 304),
        ({"If-Modified-Since": LATER}, 304),
        ({"If-Modified-Since": EARLIER}, 200),
        ({"If-Modified-Since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, 304),
        ({"If-Modified-Since": "Tue Nov 14 22:13:20 2023"}, 304),
        ({"If-Modified-Since": "Sun, 06 Nov 99999 08:49:37 GMT"}, 200),
        ({"If-Modified-Since": ""}, 200),
        ({"If-None-Match": "{etag}", "Range": "bytes=0-9"}, 304),
        ({"If-Match": '"other"', "Range": "bytes=0-9"}, 412),
    ],
)
def test_conditions_are_judged_in_their_order(
    site: Site, method: str, headers: dict[str, str], status: int
):
    response = site.get(
        {name: value.format(etag=site.etag) for name, value in headers.items()}, method
    )

    assert response.status_code == status
    if status != 200:
        assert site.told == []
    if status == 304:
        assert response.data == b""
        assert response.headers["ETag"] == site.etag
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ("{etag}", 206),
        (MODIFIED, 206),
        ("W/{etag}", 200),
        ('"other"', 200),
        (EARLIER, 200),
        (LATER, 200),
        ("garbage", 200),
        ("{unquoted}", 200),
        ("", 200),
    ],
)
def test_promise_20_a_range_of_another_version_is_the_whole_file(
    site: Site, condition: str, status: int
):
    condition = condition.format(etag=site.etag, unquoted=site.etag.strip('"'))

    response = site.get({"Range": "bytes=5-14", "If-Range": condition})

    assert response.status_code == status
    assert response.data == (CONTENT[5:15] if status == 206 else CONTENT)


# Ranges

LAST = len(CONTENT) - 1


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-14", 5, 15),
        ("bytes=0-", 0, LAST + 1),
        ("bytes=100-", 100, LAST + 1),
        ("bytes=-500", LAST - 499, LAST + 1),
        (f"bytes=-{LAST * 3}", 0, LAST + 1),
        (f"bytes={LAST}-{LAST}", LAST, LAST + 1),
        ("bytes=10-99999999999999999999", 10, LAST + 1),
        ("BYTES = 5-14", 5, 15),
        ("bytes=, ,5-14,", 5, 15),
        ("bytes=5-9,10-14", 5, 15),
        ("bytes=10-14,5-11", 5, 15),
        (f"bytes=5-14,{LAST + 1}-", 5, 15),
        ("bytes=" + ",".join(["0-"] * 16), 0, LAST + 1),
    ],
)
def test_one_range_is_answered_by_its_bytes(site: Site, header: str, start: int, stop: int):
    response = site.get({"Range": header})

    assert response.status_code == 206
    assert response.data == CONTENT[start:stop]
    assert response.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(CONTENT)}"
    assert response.content_length == stop - start
    assert response.headers["ETag"] == site.etag


@pytest.mark.parametrize(
    "header",
    [
        *("bytes", "bytes=", "bytes=-", "bytes=abc", "bytes=5-2", "bytes=1-2-3", "bytes=--5"),
        *("bytes=0x0-0x5", "=0-5", "0-5", "items=0-5", "none=0-0", "bytes=1-2,abc", "bytes=,"),
        *("bytes=+1-+2", "bytes=1_0-2_0", "bytes=-+5", "bytes=1-+9", "bytes= 1 - 2", "bytes=1.0-2"),
        *("bytes=" + "0" * 5000 + "-", "bytes=0-" + "9" * 5000, "bytes=" + "," * 9000),
        "bytes=" + ",".join(f"{place}-{place}" for place in range(0, 100, 2)),
        "bytes=" + ",".join(["0-"] * 1000),
    ],
    ids=lambda header: header[:20],
)
def test_what_is_no_range_or_too_many_is_the_whole_file(site: Site, header: str):
    response = site.get({"Range": header})

    assert response.status_code == 200
    assert response.data == CONTENT


@pytest.mark.parametrize("digits", ["\u0661-\u0662", "\u00b2-\u00b3"])
def test_other_digits_are_no_numbers(site: Site, digits: str):
    header = f"bytes={digits}".encode().decode("latin-1")

    with site.app.test_client() as client:
        response = client.get("/file", environ_overrides={"HTTP_RANGE": header})
        assert response.data == CONTENT
        response.close()


@pytest.mark.parametrize(
    "header",
    [f"bytes={LAST + 1}-", f"bytes={LAST + 1}-{LAST + 9}", "bytes=-0", "bytes=9" + "0" * 30 + "-"],
)
def test_a_range_beyond_the_end_is_416_and_says_where_the_end_is(site: Site, header: str):
    response = site.get({"Range": header})

    assert response.status_code == 416
    assert response.headers["Content-Range"] == f"bytes */{len(CONTENT)}"
    assert response.headers["Cache-Control"] == "no-store"
    assert site.told == []


def test_several_ranges_are_parts_of_one_answer(site: Site):
    response = site.get({"Range": "bytes=100-109,0-9,-5"})

    assert response.status_code == 206
    assert "Content-Range" not in response.headers
    assert response.content_length == len(response.data)
    kind, options = parse_options_header(response.headers["Content-Type"])
    assert kind == "multipart/byteranges"
    parts = (b"\r\n" + response.data).split(b"\r\n--" + options["boundary"].encode())
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    read = [part.split(b"\r\n\r\n", 1) for part in parts[1:-1]]
    assert [body for _, body in read] == [CONTENT[100:110], CONTENT[:10], CONTENT[-5:]]
    total = len(CONTENT)
    for (header, _), places in zip(
        read, ["100-109", "0-9", f"{total - 5}-{total - 1}"], strict=True
    ):
        assert f"Content-Range: bytes {places}/{total}".encode() in header
        assert b"Content-Type: text/csv; charset=utf-8" in header


def test_a_head_ignores_ranges_and_says_all_that_a_get_says(site: Site):
    head = site.get({"Range": "bytes=0-9"}, method="HEAD")

    assert head.status_code == 200
    assert head.data == b""
    assert dict(head.headers) == dict(site.get().headers)


def test_an_empty_file_has_no_ranges(site: Site):
    site.serve(content=b"")

    for headers in ({}, {"Range": "bytes=0-0"}, {"Range": "bytes=0-"}, {"Range": "bytes=-5"}):
        response = site.get(headers)
        assert (response.status_code, response.data, response.content_length) == (200, b"", 0)


@pytest.mark.parametrize("host", ["", "one.example,two.example"])
def test_a_request_names_one_host(site: Site, host: str):
    with site.app.test_request_context("/file"):
        request.environ["HTTP_HOST"] = host
        assert site._fetch().status_code == 400


# Gone


def test_a_file_whose_bytes_are_gone_is_known_before_the_answer(site: Site):
    site.storage.delete(site.stored.key)

    for method in ("GET", "HEAD"):
        with pytest.raises(FileGone):
            site.get(method=method)
    assert site.told == []


@pytest.mark.parametrize("change", ["shorter", "longer", "other bytes"])
def test_promise_18_a_file_that_no_longer_matches_is_not_served(tmp_path: Path, change: str):
    site = Site(LocalStorage(tmp_path / "stored"))
    with site.storage.path(site.stored.key).open("r+b") as file:
        if change == "shorter":
            file.truncate(10)
        elif change == "longer":
            file.seek(0, os.SEEK_END)
            file.write(b"more")
        else:
            file.write(b"other")

    with pytest.raises(FileGone, match="no longer the one"):
        site.get()


def test_a_file_of_another_size_is_not_served_whatever_keeps_it():
    site = Site(MemoryStorage())
    with site.storage.writer(site.stored.key, name="", mimetype="") as sink:
        sink.write(CONTENT[:-1])

    with pytest.raises(FileGone, match="no longer the one"):
        site.get()


def test_a_file_that_came_back_from_a_backup_is_served(tmp_path: Path):
    site = Site(LocalStorage(tmp_path / "stored"))
    path = site.storage.path(site.stored.key)
    shutil.copyfile(path, tmp_path / "backup")
    path.unlink()
    shutil.copyfile(tmp_path / "backup", path)

    assert site.get().data == CONTENT


def test_a_store_that_is_away_is_an_error_and_not_a_gone_file(tmp_path: Path):
    site = Site(LocalStorage(tmp_path / "stored"))
    site.storage.root.rename(tmp_path / "away")

    with pytest.raises(OSError, match="is not there"):
        site.get()


# What has left


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, ["started", "complete"]),
        ({"Range": "bytes=0-"}, ["started", "complete"]),
        ({"Range": "bytes=5-14"}, ["started", ([(5, 15)], False)]),
        ({"Range": "bytes=100-109,0-9"}, ["started", ([(100, 110), (0, 10)], False)]),
        ({"If-None-Match": "*"}, []),
    ],
)
def test_what_left_is_told_once(site: Site, headers: dict[str, str], told: list[Any]):
    site.get(headers)

    assert site.told == told


def test_a_head_is_no_download(site: Site):
    site.get(method="HEAD")

    assert site.told == []


def test_an_empty_file_is_downloaded_too(site: Site):
    site.serve(content=b"").get()

    assert site.told == ["started", "complete"]


@pytest.mark.parametrize(("chunks", "told"), [(0, []), (1, [(0, 262_144)]), (4, [(0, 999_999)])])
def test_a_server_that_stops_asking_has_sent_no_more(site: Site, chunks: int, told: list[Any]):
    site.serve(content=b"x" * 1_000_000)
    with site.app.test_request_context("/file"):
        response = site._fetch()
        iterator = iter(response.response)
        for _ in range(chunks):
            next(iterator)
        response.response.close()  # type: ignore[union-attr]
        response.response.close()  # type: ignore[union-attr]

    assert site.told == ["started", (told, True)]


def test_bookkeeping_that_fails_breaks_no_download(site: Site, caplog: pytest.LogCaptureFixture):
    def fail(*arguments: Any) -> None:
        raise RuntimeError("the database is away")

    site.told = type("Told", (), {"append": fail})()  # type: ignore[assignment]

    assert site.get().data == CONTENT
    assert "the database is away" in caplog.text


def test_a_failed_read_breaks_the_connection_and_is_no_download(tmp_path: Path):
    site = Site(LocalStorage(tmp_path / "stored"))
    site.serve(content=b"x" * 1_000_000)
    with site.app.test_request_context("/file"):
        response = site._fetch()
        chunks = iter(response.response)
        next(chunks)
        os.truncate(site.storage.path(site.stored.key), 300_000)
        with pytest.raises(FileGone):
            list(chunks)
        response.response.close()  # type: ignore[union-attr]

    assert "complete" not in site.told


class LinkingStorage(MemoryStorage):
    """A store with URLs of its own."""

    def url(self, key: str, **options: Any) -> str:  # type: ignore[override]
        return f"https://store.example/{key}?" + "&".join(f"{k}={v}" for k, v in options.items())


def test_a_store_with_links_of_its_own_is_where_the_visitor_goes():
    site = Site(LinkingStorage())
    site.serve(name="a/../b.html", inline=True)

    response = site.get()

    assert response.status_code == 302
    assert response.headers["Location"].endswith(
        "?name=a_b.html&mimetype=application/octet-stream&inline=False&seconds=300"
    )
    assert response.headers["Cache-Control"] == "no-store"
    assert site.told == ["started", "complete"]


def test_a_look_at_a_link_is_no_download():
    site = Site(LinkingStorage())

    assert site.get(method="HEAD").status_code == 302
    assert site.told == []


@pytest.mark.parametrize(
    ("accel", "header", "value"),
    [
        ("/protected/", "X-Accel-Redirect", "/protected/{0}/{1}/{key}"),
        ("/protected", "X-Accel-Redirect", "/protected/{0}/{1}/{key}"),
        ("X-Sendfile", "X-Sendfile", "{root}/{0}/{1}/{key}"),
    ],
)
def test_the_server_in_front_can_send_the_bytes(
    tmp_path: Path, accel: str, header: str, value: str
):
    site = Site(LocalStorage(tmp_path / "stored"))
    site.options["accel"] = accel
    key = site.stored.key

    response = site.get()

    expected = value.format(key[:2], key[2:4], key=key, root=tmp_path / "stored")
    assert response.headers[header] == expected
    assert response.data == b""
    assert site.told == ["started", "complete"]


@pytest.mark.parametrize("folder", ["größe", "50%41"])
def test_a_path_that_a_header_cannot_carry_is_sent_by_us(tmp_path: Path, folder: str):
    site = Site(LocalStorage(tmp_path / folder))
    site.options["accel"] = "X-Sendfile"

    response = site.get()

    assert response.data == CONTENT
    assert "X-Sendfile" not in response.headers


def test_without_a_path_we_send_the_bytes_ourselves():
    site = Site(MemoryStorage())
    site.options["accel"] = "/protected/"

    assert site.get().data == CONTENT


# Compressed


TEXT = b"number,square\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(2000))
TAKES_GZIP = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.fixture
def text(site: Site) -> Site:
    site.options["compress_up_to"] = len(TEXT)
    return site.serve(TEXT)


def test_text_leaves_compressed_to_who_takes_it(text: Site):
    response = text.get(TAKES_GZIP)

    assert gzip.decompress(response.data) == TEXT
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.content_length == len(response.data) < len(TEXT) / 2
    assert response.headers["ETag"] == f'"{text.stored.checksum}-gzip"'
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert set(response.vary) == {"Cookie", "Accept-Encoding"}
    assert text.told == ["started", "complete"]
    assert text.get(TAKES_GZIP, "HEAD").headers["Content-Length"] == str(len(response.data))


@pytest.mark.parametrize(
    "headers", [{}, {"Accept-Encoding": "identity"}, {"Accept-Encoding": "gzip;q=0, br"}]
)
def test_who_takes_no_gzip_gets_the_file_as_it_is(text: Site, headers: dict[str, str]):
    response = text.get(headers)

    assert response.data == TEXT
    assert "Content-Encoding" not in response.headers
    assert response.headers["ETag"] == text.etag
    assert "Accept-Encoding" in response.vary


def test_a_range_is_one_of_the_files_own_bytes(text: Site):
    response = text.get({**TAKES_GZIP, "Range": "bytes=100-199"})

    assert (response.status_code, response.data) == (206, TEXT[100:200])
    assert response.headers["ETag"] == text.etag


def test_a_compressed_download_that_broke_off_begins_anew(text: Site):
    etag = text.get(TAKES_GZIP).headers["ETag"]

    response = text.get({**TAKES_GZIP, "Range": "bytes=100-", "If-Range": etag})

    assert (response.status_code, response.data) == (200, TEXT)


def test_each_form_of_a_file_is_known_by_its_own_tag(text: Site):
    etag = text.get(TAKES_GZIP).headers["ETag"]

    assert text.get({**TAKES_GZIP, "If-None-Match": etag}).status_code == 304
    assert text.get({"If-None-Match": etag}).status_code == 200
    assert text.get({**TAKES_GZIP, "If-None-Match": text.etag}).status_code == 200
    assert text.get({"If-None-Match": text.etag}).status_code == 304


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (TEXT + b"1", "too-large.csv"),
        (b"n\n", "small.csv"),
        (TEXT, "report.pdf"),
        (random.Random(1).randbytes(5000), "noise.txt"),
    ],
)
def test_what_would_gain_nothing_leaves_as_it_is(text: Site, content: bytes, name: str):
    response = text.serve(content, name).get(TAKES_GZIP)

    assert response.data == content
    assert "Content-Encoding" not in response.headers


def test_a_compressed_file_that_left_in_part_is_not_counted(text: Site):
    with text.app.test_request_context("/file", headers=TAKES_GZIP):
        response = text.app.full_dispatch_request()
    chunks = iter(response.response)
    next(chunks)
    response.close()

    # What left were no bytes of the file's own.
    assert text.told == ["started", ([], True)]


# Several as one


class Archive:
    """An app that serves several files as one ZIP."""

    def __init__(self, storage: Any, files: list[Stored]) -> None:
        self.storage, self.files, self.told = storage, files, []  # type: ignore[var-annotated]
        app = Flask(__name__)
        app.add_url_rule("/zip", view_func=self._fetch)
        self.client: Client = app.test_client()

    def _fetch(self) -> Response:
        return delivery.stream_zip(
            self.files,
            "../all?.zip",
            self.storage,
            request,
            on_complete=lambda: self.told.append("complete"),
            on_part=lambda spans, size, is_cut: self.told.append((spans, size, is_cut)),
        )

    def get(self, headers: Mapping[str, str] | None = None) -> Any:
        response = self.client.get("/zip", headers=headers)
        response.get_data()
        response.close()
        return response


@pytest.fixture
def archive(storage: Any) -> Archive:
    names = [
        "report.csv",
        "REPORT.csv",
        "report (2).csv",
        "Größe.txt",
        'a"b:c.txt',
        "more",
        "more",
    ]
    return Archive(storage, [put(storage, f"{name}\n".encode() * 1000, name) for name in names])


def test_an_archive_holds_every_file_under_a_name_of_its_own(archive: Archive):
    response = archive.get()

    with zipfile.ZipFile(io.BytesIO(response.data)) as unpacked:
        assert unpacked.testzip() is None
        assert unpacked.namelist() == [
            *("report.csv", "REPORT (2).csv", "report (2) (2).csv", "Größe.txt", "a_b_c.txt"),
            *("more", "more (2)"),
        ]
        assert unpacked.read("report.csv") == b"report.csv\n" * 1000
        assert unpacked.infolist()[0].date_time[:3] == (2023, 11, 14)


def test_many_files_of_one_name_are_told_apart():
    names = unique_names(["report.csv", "Report.csv", "report (3).csv"] + ["report.csv"] * 20_000)

    assert names[:5] == [
        *("report.csv", "Report (2).csv", "report (3).csv", "report (4).csv", "report (5).csv")
    ]
    assert len({name.casefold() for name in names}) == 20_003


def test_an_archive_says_its_length_beforehand(archive: Archive):
    response = archive.get()

    assert response.content_length == len(response.data)
    assert response.headers["Content-Type"] == "application/zip"
    assert response.headers["Content-Disposition"].startswith('attachment; filename="all?.zip"')


@pytest.mark.parametrize("program", ["unzip", "7z", "bsdtar"])
def test_other_programs_read_the_archive(archive: Archive, tmp_path: Path, program: str):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed.")
    (tmp_path / "all.zip").write_bytes(archive.get().data)
    arguments = {"unzip": ["-tq"], "7z": ["t"], "bsdtar": ["-tf"]}[program]

    subprocess.run(
        [program, *arguments, str(tmp_path / "all.zip")], check=True, capture_output=True
    )


def test_an_archive_can_be_resumed(archive: Archive):
    whole = archive.get()
    half = len(whole.data) // 2 + 1

    first = archive.get({"Range": f"bytes=0-{half - 1}"})
    second = archive.get({"Range": f"bytes={half}-", "If-Range": whole.headers["ETag"]})

    assert first.data + second.data == whole.data
    size = len(whole.data)
    parts = [([(0, half)], size, False), ([(half, size)], size, False)]
    assert archive.told == ["complete", *parts]


def test_an_archive_is_another_once_a_file_of_it_is_another(archive: Archive):
    etag = archive.get().headers["ETag"]
    assert archive.get().headers["ETag"] == etag

    archive.files[0] = put(archive.storage, b"REPORT.CSV\n" * 1000, "report.csv")

    assert archive.get().headers["ETag"] != etag
    assert archive.get({"Range": "bytes=5-", "If-Range": etag}).status_code == 200


def test_the_rest_of_an_archive_alone_is_no_download_of_it(archive: Archive):
    archive.get({"Range": "bytes=100-"})
    archive.get({"Range": "bytes=0-99"})

    assert "complete" not in archive.told


def test_an_archive_of_more_files_than_are_held_open(storage: Any):
    files = [put(storage, b"%d" % number, f"{number}.txt") for number in range(100)]

    response = Archive(storage, files).get()

    with zipfile.ZipFile(io.BytesIO(response.data)) as unpacked:
        assert [unpacked.read(name) for name in unpacked.namelist()] == [
            b"%d" % n for n in range(100)
        ]


def test_an_archive_holds_few_of_its_files_open(tmp_path: Path):
    storage = LocalStorage(tmp_path / "stored")
    files = [put(storage, b"%d" % number, f"{number}.txt") for number in range(100)]
    before = len(os.listdir("/proc/self/fd"))
    archive = Archive(storage, files)

    with archive.client.application.test_request_context("/zip"):  # type: ignore[attr-defined]
        response = archive._fetch()
        assert len(os.listdir("/proc/self/fd")) - before <= delivery.HELD_OPEN + 1
        for _ in response.response:
            assert len(os.listdir("/proc/self/fd")) - before <= delivery.HELD_OPEN + 1
        response.response.close()  # type: ignore[union-attr]

    assert len(os.listdir("/proc/self/fd")) == before


def test_an_archive_with_a_file_that_is_gone_is_not_begun(archive: Archive):
    archive.storage.delete(archive.files[-1].key)

    with pytest.raises(FileGone), archive.client.application.test_request_context("/zip"):  # type: ignore[attr-defined]
        archive._fetch()


def test_a_checksum_that_the_row_lacks_is_made_up_for(archive: Archive):
    whole = archive.get().data

    archive.files = [dataclasses.replace(stored, crc32=None) for stored in archive.files]

    assert archive.get().data == whole


class Zeros(io.RawIOBase):
    """A file of so many zeros that takes no place."""

    def __init__(self, size: int) -> None:
        self.size, self.position = size, 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def read(self, size: int = -1, /) -> bytes:
        size = min(size, self.size - self.position)
        self.position += size
        return bytes(size)


class LargeStorage(MemoryStorage):
    def open(self, key: str) -> BinaryIO:
        size = key.partition("zeros-")[2]
        return Zeros(int(size)) if size else super().open(key)  # type: ignore[return-value]


class Remote(io.RawIOBase):
    """An archive that is read by ranges, as a program that unpacks it from afar would."""

    def __init__(self, archive: Archive) -> None:
        self.archive, self.position = archive, 0
        head = archive.client.head("/zip")
        assert head.content_length is not None
        self.size = head.content_length

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.position

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self.position = offset + (0, self.position, self.size)[whence]
        return self.position

    def read(self, size: int = -1, /) -> bytes:
        stop = self.size if size < 0 else min(self.size, self.position + size)
        if stop <= self.position:
            return b""
        data: bytes = self.archive.get({"Range": f"bytes={self.position}-{stop - 1}"}).data
        self.position = stop
        return data


@pytest.mark.parametrize("size", [2**32 - 2, 2**32 - 1, 5 * 2**30])
def test_an_archive_goes_beyond_four_gigabytes(size: int):
    storage = LargeStorage()
    small, other = put(storage, b"hello", "small.txt"), put(storage, b"bye", "other.txt")
    large = dataclasses.replace(small, key=f"zeros-{size}", size=size, name="large.bin", crc32=0)

    with zipfile.ZipFile(Remote(Archive(storage, [small, large, other]))) as unpacked:  # type: ignore[arg-type]
        assert unpacked.read("small.txt") == b"hello"
        assert unpacked.read("other.txt") == b"bye"
        assert unpacked.getinfo("large.bin").file_size == size
        with unpacked.open("large.bin") as file:
            assert file.read(10) == bytes(10)


def test_an_archive_takes_more_than_65535_files():
    stored = put(MemoryStorage(), b"x", "x")
    assert stored.crc32 is not None
    count = 65_600
    files = [dataclasses.replace(stored, name=f"{number}.txt") for number in range(count)]

    pieces = layout(files, [stored.crc32] * count, [OpenFile(io.BytesIO(b"x"))] * count)

    data = b"".join(piece if isinstance(piece, bytes) else b"x" for piece in pieces)
    with zipfile.ZipFile(io.BytesIO(data)) as unpacked:
        assert len(unpacked.namelist()) == 65_600
        assert unpacked.read("65599.txt") == b"x"


# The flow itself


def flow(*pieces: bytes | tuple[bytes, int, int]) -> list[Any]:
    return [
        piece
        if isinstance(piece, bytes)
        else Slice(OpenFile(io.BytesIO(piece[0])), Span(piece[1], piece[2]))
        for piece in pieces
    ]


def test_pieces_are_read_as_one():
    outflow = Outflow(flow(b"ab", (b"0123456789", 2, 6), b"", b"cd", (b"xyz", 0, 1)))

    assert outflow.read(3) == b"ab2"
    assert outflow.read(100) == b"345cdx"
    assert outflow.read(100) == b""
    assert outflow.left == outflow.size == 9


@pytest.mark.parametrize("start", range(8))
@pytest.mark.parametrize("stop", range(8))
def test_any_part_of_the_pieces_can_be_cut_out(start: int, stop: int):
    pieces = flow(b"ab", (b"0123456789", 2, 5), b"cd")

    assert Outflow(cut(pieces, Span(start, stop))).read(100) == b"ab234cd"[start:stop]


# Real servers


class Serving:
    """A real server with files to fetch, and what it told of them."""

    def __init__(self, folder: Path, start: Callable[..., Process]) -> None:
        self.folder = folder
        self.storage = LocalStorage(folder / "stored")
        self._start = start
        self._index: dict[str, Any] = {}

    def put(self, name: str, content: bytes | Iterator[bytes], file_name: str = "") -> Stored:
        stored = put(self.storage, content, file_name or name)
        self._index[name] = dataclasses.asdict(stored)
        (self.folder / "index.json").write_text(json.dumps(self._index))
        return stored

    def start(
        self, server: str, environment: Mapping[str, str] | None = None, **options: Any
    ) -> Process:
        self.process = self._start(
            Path(__file__).with_name("serving_app.py"),
            server,
            environment={
                "SERVING_FOLDER": str(self.folder),
                "MODE": MODES.get(server, "threading"),
                **(environment or {}),
            },
            **options,
        )
        return self.process

    def told(self) -> list[str]:
        path = self.folder / "told"
        return path.read_text().splitlines() if path.exists() else []

    def wait_until_told(self, line: str) -> None:
        wait_until(lambda: line in self.told(), f"{line!r} was not told, but {self.told()}")

    @contextmanager
    def connection(
        self, path: str, headers: str = "", method: str = "GET"
    ) -> Iterator[socket.socket]:
        port = int(self.process.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            request = f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n"
            connection.sendall(request.encode())
            yield connection

    def fetch(self, path: str, headers: str = "", method: str = "GET") -> bytes:
        with self.connection(path, headers, method) as connection:
            chunks = iter(lambda: connection.recv(1 << 20), b"")
            return b"".join(chunks).partition(b"\r\n\r\n")[2]

    def abort(self, path: str, headers: str = "") -> None:
        """Go away after the first bytes, as a closed lid does."""
        with self.connection(path, headers) as connection:
            connection.recv(4096)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def workers(self) -> list[int]:
        """Return the processes that serve: gunicorn's children, or the server itself."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()] or [self.process.pid]

    def count_in(self, name: str, what: str) -> int:
        """Add up a number of `/proc/PID/{name}` over the processes that serve."""
        texts = [Path(f"/proc/{pid}/{name}").read_text() for pid in self.workers()]
        return sum(int(re.search(rf"^{what}:\s*(\d+)", text, re.M)[1]) for text in texts)  # type: ignore[index]


@pytest.fixture
def serving(tmp_path: Path, serve: Callable[..., Process]) -> Serving:
    return Serving(tmp_path, serve)


LARGE = 40_000_000


@pytest.mark.parametrize("server", [server for server in SERVERS if server != "flask"])
def test_every_server_tells_what_has_left(serving: Serving, server: str):
    content = os.urandom(1_000_000) * (LARGE // 1_000_000)
    serving.put("large.bin", content)
    serving.put("small.txt", b"hello")
    serving.put("empty.txt", b"")
    serving.start(server)

    assert serving.fetch("/files/small.txt") == b"hello"
    serving.wait_until_told("complete small.txt")
    assert serving.fetch("/files/empty.txt") == b""
    serving.wait_until_told("complete empty.txt")
    assert serving.fetch("/files/large.bin", "Range: bytes=1000-\r\n") == content[1000:]
    serving.wait_until_told(f"part large.bin 1000-{LARGE}")

    told = len(serving.told())
    serving.abort("/files/large.bin")
    serving.abort("/files/large.bin", "Range: bytes=1000-\r\n")
    serving.abort("/files/large.bin", "Range: bytes=0-9,1000-\r\n")
    serving.abort("/zip?name=large.bin&name=small.txt")
    serving.fetch("/files/large.bin", method="HEAD")
    # Of one that was broken off, it is told how far it came.
    wait_until(
        lambda: sum(line.startswith("part") for line in serving.told()[told:]) >= 2,
        f"told only {serving.told()}",
    )
    for line in serving.told()[told:]:
        assert line == "started large.bin" or re.match(r"part large\.bin ?((0|1000)-|$)", line), (
            line
        )
        assert not line.endswith(f"-{LARGE}")

    assert serving.fetch("/files/large.bin") == content
    serving.wait_until_told("complete large.bin")
    assert serving.told().count("complete large.bin") == 1
    unpacked = zipfile.ZipFile(io.BytesIO(serving.fetch("/zip?name=large.bin&name=small.txt")))
    assert unpacked.read("large.bin") == content
    serving.wait_until_told("complete zip")
    assert "Traceback" not in serving.process.log()


@pytest.mark.parametrize("headers", ["", "Range: bytes=1000-\r\n"], ids=["whole", "range"])
def test_under_gunicorn_the_kernel_sends_the_file(serving: Serving, headers: str):
    serving.put("large.bin", (bytes(1_000_000) for _ in range(100)))
    serving.start("gunicorn")
    serving.fetch("/files/large.bin", headers)
    before = serving.count_in("io", "syscr")

    serving.fetch("/files/large.bin", headers)

    # Chunk by chunk it would be 381 and more.
    assert serving.count_in("io", "syscr") - before < 100


@pytest.mark.parametrize("server", ["gunicorn", "werkzeug", "gevent", "eventlet"])
def test_promise_23_memory_does_not_grow_with_the_file(serving: Serving, server: str):
    serving.put("small.txt", b"hello")
    serving.put("large.bin", (bytes(1_000_000) for _ in range(300)))
    serving.start(server)
    serving.fetch("/files/small.txt")
    before = serving.count_in("status", "VmHWM")

    for path in ("/files/large.bin", "/zip?name=large.bin"):
        with serving.connection(path) as connection:
            while connection.recv(1 << 20):
                pass

    assert serving.count_in("status", "VmHWM") - before < 20_000


def test_promise_23_a_hundred_slow_readers_do_not_block_a_click(serving: Serving):
    serving.put("small.txt", b"hello")
    serving.put("large.bin", (bytes(1_000_000) for _ in range(50)))
    serving.start("gunicorn", threads=110)
    serving.fetch("/files/small.txt")
    with_all = [serving.connection("/files/large.bin") for _ in range(100)]
    connections = [each.__enter__() for each in with_all]
    try:
        for connection in connections:
            connection.recv(1000)
        started = time.monotonic()
        assert serving.fetch("/files/small.txt") == b"hello"
        assert time.monotonic() - started < 2
    finally:
        for each in with_all:
            each.__exit__(None, None, None)


def test_a_file_that_vanishes_while_it_is_sent_arrives_whole(serving: Serving):
    content = os.urandom(1_000_000) * 50
    stored = serving.put("large.bin", content)
    serving.start("gunicorn")

    with serving.connection("/files/large.bin") as connection:
        received = connection.recv(1000)
        serving.storage.delete(stored.key)
        received += b"".join(iter(lambda: connection.recv(1 << 20), b""))

    assert received.partition(b"\r\n\r\n")[2] == content
    serving.wait_until_told("complete large.bin")
    assert b"File expired" in serving.fetch("/files/large.bin")


def test_parallel_downloads_arrive_whole(serving: Serving):
    contents = {f"{number}.bin": os.urandom(3_000_000) for number in range(8)}
    for name, content in contents.items():
        serving.put(name, content)
    serving.start("gunicorn")
    fetched: dict[str, bytes] = {}

    def fetch(name: str) -> None:
        fetched[name] = serving.fetch(f"/files/{name}")

    threads = [threading.Thread(target=fetch, args=(name,)) for name in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert fetched == contents


# Checks that are not ours

NAMES = {
    "unicode": "résumé €.bin",
    "asian": "日本語.txt",
    "quote": "qu\"ote's;x=%41.bin",
    "unsafe": "../a\\r\\nX-Injected: 1/b.bin",
}
# What the HTTP server decides, not the app: all is right under gunicorn.
NOT_OURS = {
    "gunicorn": "-",
    # The development server closes every connection.
    "werkzeug": "srv.,robust.keepalive,robust.after-416",
}


def conformance(url: str, folder: Path, skip: str) -> dict[str, list[str]]:
    """Run the checks against a server, and return the ids of those that failed, by level."""
    if not CONFORMANCE.exists():
        pytest.skip("The conformance checks are not here.")
    command = [
        *(sys.executable, "-W", "ignore", str(CONFORMANCE), url, "/files/checked"),
        *("--file", str(folder / "checked.bin"), "--filename", "checked.bin"),
        *("--missing-path", "/files/unknown", "--gone-path", "/files/gone"),
        *("--empty-path", "/files/empty", "--json", str(folder / "conformance.json")),
        *("--skip", skip),
    ]
    for path, name in NAMES.items():
        command += ["--named", f"/files/{path}={name}"]
    subprocess.run(command, check=False, capture_output=True, timeout=110)
    rows = json.loads((folder / "conformance.json").read_text())["rows"]
    assert len(rows) > 100
    return {
        level: [row["id"] for row in rows if row["level"] == level and row["result"] == "FAIL"]
        for level in ("MUST", "SHOULD", "GOOD")
    }


def put_checked(serving: Serving) -> None:
    content = os.urandom(400_000)
    (serving.folder / "checked.bin").write_bytes(content)
    serving.put("checked", content, "checked.bin")
    serving.put("empty", b"", "empty.bin")
    serving.storage.delete(serving.put("gone", b"gone").key)
    for path, name in NAMES.items():
        serving.put(path, b"x", name.replace("\\r\\n", "\r\n"))


@pytest.mark.parametrize("server", [server for server in SERVERS if server != "flask"])
def test_conformance(serving: Serving, server: str):
    put_checked(serving)
    serving.start(server)
    skip = NOT_OURS.get(server, "srv.")

    failed = conformance(serving.process.url, serving.folder, skip)

    assert failed == {"MUST": [], "SHOULD": [], "GOOD": []}


NGINX_CONF = """
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
daemon off;
{user}
events {{}}
http {{
    access_log off;
    sendfile on;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {upstream};
            proxy_set_header Host $http_host;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
        location /stored-files/ {{
            internal;
            alias {folder}/stored/;
            etag off;
            add_header ETag $upstream_http_etag;
            add_header Last-Modified $upstream_http_last_modified;
            add_header Vary $upstream_http_vary;
            add_header X-Content-Type-Options $upstream_http_x_content_type_options;
            add_header Content-Security-Policy $upstream_http_content_security_policy;
            add_header Referrer-Policy $upstream_http_referrer_policy;
            add_header Cross-Origin-Resource-Policy $upstream_http_cross_origin_resource_policy;
            add_header X-Robots-Tag $upstream_http_x_robots_tag;
        }}
    }}
}}
"""


@pytest.fixture
def nginx(serving: Serving) -> Iterator[str]:
    """An app behind nginx, which sends the files; its URL."""
    if not NGINX:
        pytest.skip("nginx is not installed.")
    put_checked(serving)
    serving.put("large.bin", (bytes(1_000_000) for _ in range(50)))
    upstream = serving.start("gunicorn", {"SERVING_ACCEL": "/stored-files/"}).url
    port = free_port()
    user = "" if os.geteuid() else "user root;"
    conf = serving.folder / "nginx.conf"
    conf.write_text(
        NGINX_CONF.format(folder=serving.folder, port=port, upstream=upstream, user=user)
    )
    server = Process(
        [NGINX, "-c", str(conf)],
        log_file=serving.folder / "nginx-out.log",
        is_up=lambda: (serving.folder / "nginx.pid").exists(),
        url=f"http://127.0.0.1:{port}",
        directory=serving.folder,
    )
    server.start()
    yield server.url
    server.kill()


def test_behind_nginx_it_is_nginx_that_sends(serving: Serving, nginx: str):
    import urllib.request

    before = serving.count_in("io", "rchar")
    for headers in ({}, {"Range": "bytes=1000-"}):
        with urllib.request.urlopen(
            urllib.request.Request(f"{nginx}/files/large.bin", headers=headers)
        ) as response:
            assert len(response.read()) == 50_000_000 - 1000 * len(headers)
            assert response.headers.get_all("ETag") == [
                f'"{hashlib.sha256(bytes(50_000_000)).hexdigest()}"'
            ]
            assert {name: response.headers.get_all(name) for name in delivery.SAFE_HEADERS} == {
                name: [value] for name, value in delivery.SAFE_HEADERS.items()
            }
            assert response.headers.get_all("Vary") == ["Cookie"]
            assert response.headers.get_all("Accept-Ranges") == (None if headers else ["bytes"])
            assert "X-Accel-Redirect" not in response.headers

    assert serving.count_in("io", "rchar") - before < 5_000_000
    serving.wait_until_told("complete large.bin")
    serving.wait_until_told("part large.bin 1000-50000000")


def test_conformance_behind_nginx(serving: Serving, nginx: str):
    failed = conformance(nginx, serving.folder, skip="-")

    assert failed == {"MUST": [], "SHOULD": [], "GOOD": []}
