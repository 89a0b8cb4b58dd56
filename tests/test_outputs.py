"""Test what a function may hand over as a file, and under which names it is saved."""

from __future__ import annotations

import io
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from flask_download_btn.errors import OutputRefused
from flask_download_btn.outputs import LONGEST_NAME, File, clean_name, guess_mimetype
from flask_download_btn.texts import size_text

PREDICTABLE = {
    "report.csv": "report.csv",
    "Größe 3€.pdf": "Größe 3€.pdf",
    "日本語.tar.gz": "日本語.tar.gz",
    "👩‍👩‍👧.txt": "👩‍👩‍👧.txt",
    'it\'s; "100%" = done.txt': 'it\'s; "100%" = done.txt',
    "../../etc/passwd": "etc_passwd",
    "..\\..\\windows\\win.ini": "windows_win.ini",
    "/etc/passwd": "etc_passwd",
    "C:\\temp\\a.txt": "C:_temp_a.txt",
    "a\uff0fb\u2215c": "a_b_c",
    "a\r\nSet-Cookie: x=1.csv": "a Set-Cookie: x=1.csv",
    "line\u2028break\x85.txt": "line break .txt",
    "nul\x00byte\x1b[31m.txt": "nulbyte[31m.txt",
    "annexe\u202etxt.exe": "annexetxt.exe",
    "zero\u200bwidth\ufeff.txt": "zerowidth.txt",
    "": "download",
    "   ": "download",
    "...": "download",
    "..": "download",
    "/": "download",
    "\u202e": "download",
    ".csv": "download.csv",
    "trailing. . ": "trailing",
    "  spaces  ": "spaces",
    "con": "_con",
    "CON.txt": "_CON.txt",
    "nul .txt": "_nul .txt",
    "COM¹.log": "_COM¹.log",
    "lpt9": "_lpt9",
    "conin$.txt": "_conin$.txt",
    "console.txt": "console.txt",
    "com10.txt": "com10.txt",
    "lone\ud800surrogate.txt": "lone_surrogate.txt",
    "e\u0301.txt": "é.txt",
    "a" * 300 + ".csv": "a" * 236 + ".csv",
    "€" * 300 + ".csv": "€" * 78 + ".csv",
    "x." + "y" * 300: "x." + "y" * 238,
}
HOSTILE = [
    *PREDICTABLE,
    *(
        f"{prefix}{chr(code)}{suffix}"
        for code in range(0xA0)
        for prefix, suffix in (("", ""), ("a", "b"))
    ),
    *(chr(code) * 3 for code in range(0x2000, 0x2070)),
    "con." * 100,
    ". " * 200 + "x",
    "a" * 239 + "." + "b",
    "a" * 230 + ". . . . . . .csv",
    "nul" + " " * 300 + ".txt",
    "\udfff" * 300,
    "/".join(["con"] * 90),
    "%2e%2e%2fetc%2fpasswd",
    "file.txt:stream",
    "\U000e0041tag.txt",
]


@pytest.mark.parametrize(("name", "expected"), PREDICTABLE.items(), ids=ascii)
def test_a_cleaned_name_is_predictable(name: str, expected: str):
    assert clean_name(name) == expected


def test_no_name_is_dangerous_once_it_is_cleaned():
    for name in HOSTILE:
        cleaned = clean_name(name)

        assert cleaned, ascii(name)
        assert len(cleaned.encode("utf-8")) <= LONGEST_NAME, ascii(name)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f/\\\u2028-\u202e\u2066-\u2069]", cleaned), ascii(
            name
        )
        assert all(unicodedata.category(char) not in ("Cc", "Cs") for char in cleaned), ascii(name)
        assert cleaned == cleaned.strip(), ascii(name)
        assert not cleaned.startswith("."), ascii(name)
        assert not cleaned.endswith("."), ascii(name)
        assert not re.match(r"(con|prn|aux|nul|com\d|lpt\d) *(\.|$)", cleaned, re.I), ascii(name)


def test_a_cleaned_name_stays_as_it_is():
    for name in HOSTILE:
        assert clean_name(clean_name(name)) == clean_name(name), ascii(name)


async def async_content():
    yield b"abc"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"abc",
        bytearray(b"abc"),
        memoryview(b"abc"),
        Path("here"),
        io.BytesIO(b"abc"),
        [b"a", b"b"],
        (b"a" for _ in range(3)),
        async_content(),
    ],
    ids=lambda content: type(content).__name__,
)
def test_a_file_is_made_of_bytes_in_any_form(content: Any):
    assert File(content, "a.txt").content is content


@pytest.mark.parametrize(
    ("content", "way_out"),
    [
        ("text", r"text\.encode\(\).*Path\("),
        (io.StringIO("text"), "binary mode"),
        (3, "takes bytes"),
        (None, "takes bytes"),
        ({"a": 1}, "takes bytes"),
        ({b"a"}, "takes bytes"),
    ],
)
def test_what_is_no_bytes_is_refused_with_the_way_out(content: Any, way_out: str):
    with pytest.raises(OutputRefused, match=rf"'orders\.csv'.*{way_out}"):
        File(content, "orders.csv")


@pytest.mark.parametrize("filename", [None, b"a.txt", Path("a.txt"), 3])
def test_a_file_needs_a_name_of_text(filename: Any):
    with pytest.raises(OutputRefused, match="needs a file name"):
        File(b"", filename)


def test_a_file_keeps_the_name_it_was_given_and_the_one_to_save_it_under():
    file = File(b"", "../orders.csv")

    assert (file.filename, file.name) == ("../orders.csv", "orders.csv")


@pytest.mark.parametrize(
    ("name", "mimetype"),
    [
        ("a.csv", "text/csv"),
        ("a.CSV", "text/csv"),
        ("a.pdf", "application/pdf"),
        ("a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        ("a.json", "application/json"),
        ("a.png", "image/png"),
        ("a.zip", "application/zip"),
        ("a.tar.gz", "application/gzip"),
        ("a.csv.gz", "application/gzip"),
        ("a.parquet", "application/vnd.apache.parquet"),
        ("download", "application/octet-stream"),
        ("a.unheardof", "application/octet-stream"),
        ("data:text/html,x.csv", "text/csv"),
        ("http://example.com/x", "application/octet-stream"),
    ],
)
def test_a_type_is_guessed_from_the_name_alone(name: str, mimetype: str):
    assert guess_mimetype(name) == mimetype
    assert File(b"", name).mimetype == mimetype


def test_a_type_that_is_given_counts():
    assert File(b"", "a.csv", mimetype="text/plain; charset=latin-1").mimetype.endswith("latin-1")


@pytest.mark.parametrize(
    "mimetype",
    ["csv", "text/csv\r\nSet-Cookie: a=b", "text/", "/csv", "text/csv;", "a/" + "b" * 200, 3],
)
def test_a_type_that_would_break_a_header_is_refused(mimetype: Any):
    with pytest.raises(OutputRefused, match="mimetype"):
        File(b"", "a.csv", mimetype=mimetype)


@pytest.mark.parametrize("max_age", [-1, 1.5, "60", True])
def test_a_max_age_is_whole_seconds(max_age: Any):
    with pytest.raises(OutputRefused, match="max_age"):
        File(b"", "a.csv", max_age=max_age)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (3_400_000, "3.4 MB"),
        (9_949_999, "9.9 MB"),
        (9_950_000, "10 MB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (5 * 10**9, "5.0 GB"),
        (2 * 10**15, "2000 TB"),
    ],
)
def test_sizes_are_for_people(size: int, text: str):
    assert size_text(size) == text
