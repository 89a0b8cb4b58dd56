"""Test what the documents that this project came from promise about files, each by its sentence.

The first number of a test is its document's: 000 and 001 are of a form builder that returns files,
002 of download responses in general, 003 of a `send_file`. The set-up of 004 is in `test_seed.py`.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import threading
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pandas
import pytest
import sites
from PIL import Image
from processes import wait_until
from reportlab.pdfgen import canvas
from sqlalchemy import update

from flask_download_btn import File, file_downloaded
from flask_download_btn.testing import EndedFile

HOUR = 3600.0
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.Site]:
    with sites.site(tmp_path_factory.mktemp("seeds"), DOWNLOAD_BTN_RUNNER="inline") as site:
        yield site


@pytest.fixture
def site(shared: sites.Site) -> sites.Site:
    return shared


def change_files(site: sites.Site, **values: Any) -> None:
    """Change the rows of all stored files, as time would."""
    files = site.parts.files
    statement = update(files._table).values(**values)
    site.parts.database.write(lambda connection: connection.execute(statement))


def only_file(site: sites.Site, function: Any, **attributes: Any) -> EndedFile:
    (file,) = site.run(function, **attributes).files
    return file


# -- 000, 001: what a function returns ----------------------------------------------------------


def greets(btn: Any) -> File:
    return File(b"Hello!", "hello.txt")


def greets_twice(btn: Any) -> list[File]:
    return [File(b"Hello!", "hello.txt"), File(b"Goodbye!", "goodbye.txt")]


def test_000_a_single_file_is_returned(site: sites.Site):
    file = only_file(site, greets)

    assert (file.name, file.read()) == ("hello.txt", b"Hello!")


def test_000_several_files_are_a_list_with_a_link_for_each(site: sites.Site):
    ended = site.run(greets_twice)

    listed = [(file["name"], file["size_text"]) for file in ended.snapshot["files"]]
    assert listed == [("hello.txt", "6 B"), ("goodbye.txt", "8 B")]
    assert len({file["url"] for file in ended.snapshot["files"]}) == 2
    assert [file.read() for file in ended.files] == [b"Hello!", b"Goodbye!"]


def pdf(btn: Any) -> File:
    buffer = io.BytesIO()
    page = canvas.Canvas(buffer)
    page.drawString(100, 750, "Report")
    page.save()
    return File(buffer, "document.pdf")


def pdf_straight(btn: Any) -> None:
    with btn.create_file("document.pdf") as file:
        page = canvas.Canvas(file)
        page.drawString(100, 750, "Report")
        page.save()


def excel_by_pandas(btn: Any) -> None:
    with btn.create_file("data.xlsx") as file:
        pandas.DataFrame({"a": range(3), "b": range(3)}).to_excel(file, index=False)


def excel_by_openpyxl(btn: Any) -> None:
    book = openpyxl.Workbook()
    for row in (["a", "b"], [0, 0], [1, 1], [2, 2]):
        book.active.append(row)
    with btn.create_file("data.xlsx") as file:
        book.save(file)


def csv_by_pandas(btn: Any) -> None:
    with btn.create_file("data.csv") as file:
        pandas.DataFrame({"a": range(3), "b": range(3)}).to_csv(file, index=False)


def csv_by_hand(btn: Any) -> None:
    with btn.create_file("data.csv") as file:
        csv.writer(file, lineterminator="\n").writerows([("a", "b"), (0, 0), (1, 1), (2, 2)])


def archive(btn: Any) -> None:
    with btn.create_file("archive.zip") as file, zipfile.ZipFile(file, "w") as packed:
        for number in range(3):
            packed.writestr(f"file{number}.txt", f"Content {number}")


def image(btn: Any) -> None:
    with btn.create_file("picture.png") as file:
        Image.new("RGB", (3, 2), "red").save(file, "PNG")


def dump(btn: Any) -> None:
    with btn.create_file("data.json") as file:
        json.dump({"größe": [1, 2]}, file, ensure_ascii=False)


def binary(btn: Any) -> File:
    return File(bytes(range(256)), "data.bin")


def is_pdf(content: bytes) -> bool:
    return content.startswith(b"%PDF") and content.rstrip().endswith(b"%%EOF")


def is_sheet(content: bytes) -> bool:
    rows = openpyxl.load_workbook(io.BytesIO(content)).active.values
    return list(rows) == [("a", "b"), (0, 0), (1, 1), (2, 2)]


def is_archive(content: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return packed.testzip() is None and packed.read("file2.txt") == b"Content 2"


@pytest.mark.parametrize(
    ("function", "mimetype", "is_whole"),
    [
        (pdf, "application/pdf", is_pdf),
        (pdf_straight, "application/pdf", is_pdf),
        (excel_by_pandas, XLSX, is_sheet),
        (excel_by_openpyxl, XLSX, is_sheet),
        (csv_by_pandas, "text/csv", b"a,b\n0,0\n1,1\n2,2\n".__eq__),
        (csv_by_hand, "text/csv", b"a,b\n0,0\n1,1\n2,2\n".__eq__),
        (archive, "application/zip", is_archive),
        (image, "image/png", lambda content: Image.open(io.BytesIO(content)).size == (3, 2)),
        (dump, "application/json", lambda content: json.loads(content) == {"größe": [1, 2]}),
        (binary, "application/octet-stream", bytes(range(256)).__eq__),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_000_any_type_of_file_from_any_library(
    function: Any, mimetype: str, is_whole: Any, site: sites.Site
):
    file = only_file(site, function)

    assert file.type == mimetype
    assert is_whole(file.read())


def test_000_the_registry_outlives_its_process(tmp_path: Path):
    with sites.site(tmp_path) as site:
        visitor = site.visitor()
        picture = visitor.ended(visitor.start(visitor.token(site.button(greets))).get_json())
        cookies = visitor.client._cookies

    with sites.site(tmp_path) as restarted:
        visitor = restarted.visitor()
        visitor.client._cookies = cookies
        assert visitor.fetch(picture["files"][0]).data == b"Hello!"


def test_000_the_registry_serves_many_threads(tmp_path: Path):
    with sites.site(tmp_path) as site:
        uid = site.button(greets)
        read: list[bytes] = []

        def visit() -> None:
            for _ in range(5):
                read.append(site.visitor().click(uid).files[0].read())

        visitors = [threading.Thread(target=visit) for _ in range(8)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()

        assert read == [b"Hello!"] * 40
        assert len(site.stored_bytes()) == 40


# -- 000, 001: how long files are kept ----------------------------------------------------------


def pruned(site: sites.Site) -> int:
    report, _ = site.parts.prune_now()
    return int(report.total)


def test_000_a_file_is_there_at_once_and_for_an_hour_after_its_download(tmp_path: Path):
    with sites.site(tmp_path) as site:
        file = only_file(site, greets)
        now = site.parts.database.now
        assert file.read() == file.read() == b"Hello!"

        (stored,) = site.parts.files.of_run(site.runs()[0].id)
        assert stored.expires_at - stored.downloaded_at == pytest.approx(HOUR, abs=1)
        change_files(site, expires_at=now + 1)
        assert pruned(site) == 0
        change_files(site, expires_at=now - 1)
        assert pruned(site) == 1
        assert site.stored_bytes() == []


@pytest.mark.parametrize("hours", [24, 6])
def test_000_a_file_that_nobody_fetched_goes_after_the_hours_that_are_set(
    hours: int, tmp_path: Path
):
    settings = {} if hours == 24 else {"DOWNLOAD_BTN_RETENTION": hours * HOUR}
    with sites.site(tmp_path, **settings) as site:
        site.run(greets)

        (stored,) = site.parts.files.of_run(site.runs()[0].id)
        assert stored.expires_at - stored.made_at == pytest.approx(hours * HOUR, abs=1)


def test_000_no_hours_at_all_keep_files_for_ever(tmp_path: Path):
    with sites.site(tmp_path, DOWNLOAD_BTN_RETENTION=0, DOWNLOAD_BTN_GRACE=0) as site:
        file = only_file(site, greets)
        file.read()

        (stored,) = site.parts.files.of_run(site.runs()[0].id)
        assert stored.expires_at is None


def test_001_files_are_cleaned_up_when_the_server_starts(tmp_path: Path):
    with sites.site(tmp_path, DOWNLOAD_BTN_PRUNE=0) as site:
        site.run(greets)
        change_files(site, expires_at=site.parts.database.now - 1)

    with sites.site(tmp_path) as restarted:
        # The first request begins the pulse, which prunes beside it.
        restarted.visitor().client.get("/download-btn/center")
        wait_until(lambda: not restarted.stored_bytes(), "Nobody cleans up")


def test_001_files_are_cleaned_up_hourly_by_one_process_of_many(tmp_path: Path):
    with sites.site(tmp_path) as one, sites.site(tmp_path) as other:
        one.run(greets)
        wait_until(lambda: not one.parts.chores.take("prune", HOUR), "Nobody prunes at the start")
        change_files(one, expires_at=one.parts.database.now - 1)

        for site in (one, other):
            site.parts.prune()
        assert len(one.stored_bytes()) == 1

        an_hour_ago = update(one.parts.chores._table).values(taken_at=one.parts.database.now - HOUR)
        one.parts.database.write(lambda connection: connection.execute(an_hour_ago))
        other.parts.prune()
        assert one.stored_bytes() == []


def test_001_one_of_many_takes_a_chore(tmp_path: Path):
    with sites.site(tmp_path) as site:
        together = threading.Barrier(8)
        taken: list[bool] = []

        def take() -> None:
            together.wait()
            taken.append(site.parts.chores.take("sweep", HOUR))

        takers = [threading.Thread(target=take) for _ in range(8)]
        for taker in takers:
            taker.start()
        for taker in takers:
            taker.join()

        assert taken.count(True) == 1


def test_001_the_folder_is_where_the_setting_says(tmp_path: Path):
    with sites.site(tmp_path / "app", DOWNLOAD_BTN_FOLDER=str(tmp_path / "elsewhere")) as site:
        site.run(greets)

        (path,) = site.stored_bytes()
        assert path.is_relative_to(tmp_path / "elsewhere")


def test_000_a_file_that_was_deleted_by_hand_has_expired_and_its_row_heals(site: sites.Site):
    visitor = site.visitor()
    ended = visitor.click(site.button(greets))
    (stored,) = site.parts.files.of_run(site.runs()[0].id)
    site.parts.storage.path(stored.key).unlink()

    address = ended.snapshot["files"][0]["url"]
    answer = visitor.client.get(address, headers={"Accept": "text/html"})

    assert answer.status_code == 410
    assert "File expired" in answer.text
    assert site.parts.files.find(stored.id) is None


# -- 002: what a download response is -----------------------------------------------------------


def named(btn: Any) -> File:
    return File(b"%PDF", "Übersicht 2026.pdf", mimetype="application/pdf")


def fetched(site: sites.Site, function: Any) -> Any:
    visitor = site.visitor()
    return visitor.fetch(visitor.click(site.button(function)).snapshot["files"][0])


def test_002_headers_say_the_name_and_the_type_in_every_script(site: sites.Site):
    headers = fetched(site, named).headers

    assert headers["Content-Type"] == "application/pdf"
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"Ubersicht 2026.pdf\"; filename*=UTF-8''%C3%9Cbersicht%202026.pdf"
    )


def lines(btn: Any) -> File:
    return File((f"Line {number}\n".encode() for number in range(5)), "lines.txt")


def async_lines(btn: Any) -> File:
    async def content() -> AsyncIterator[bytes]:
        for number in range(5):
            await asyncio.sleep(0)
            yield f"Line {number}\n".encode()

    return File(content(), "lines.txt")


@pytest.mark.parametrize("function", [lines, async_lines])
def test_002_content_may_be_made_on_the_fly(function: Any, site: sites.Site):
    assert only_file(site, function).read() == b"".join(b"Line %d\n" % n for n in range(5))


def shown(btn: Any) -> File:
    return File(b"\x89PNG", "image.png", inline=True)


def shown_markup(btn: Any) -> File:
    return File(b"<script>alert(1)</script>", "page.html", inline=True)


def test_002_inline_shows_a_file_and_attachment_saves_it(site: sites.Site):
    assert fetched(site, shown).headers["Content-Disposition"].startswith("inline;")
    assert fetched(site, binary).headers["Content-Disposition"].startswith("attachment;")
    # What a browser would run is saved, whatever the function says.
    markup = fetched(site, shown_markup).headers
    assert markup["Content-Disposition"].startswith("attachment;")
    assert markup["Content-Type"] == "application/octet-stream"


def climbs(btn: Any) -> File:
    return File(b"climbed", "../../etc/passwd")


def test_002_no_name_and_no_address_leads_out_of_the_folder(site: sites.Site):
    visitor = site.visitor()
    ended = visitor.click(site.button(climbs))

    assert ended.files[0].name == "etc_passwd"
    assert all(path.is_relative_to(site.parts.storage.root) for path in site.stored_bytes())
    for path in ("..%2f..%2fapp.db", "....//app.db", "/etc/passwd"):
        assert visitor.client.get(f"/download-btn/files/{path}").status_code == 404


def test_002_something_may_follow_once_a_file_has_left(site: sites.Site):
    told: list[str] = []

    def clean_up(sender: Any, run: Any, file: Any) -> None:
        told.append(file.name)

    with file_downloaded.connected_to(clean_up, site.app):
        ended = site.run(greets)
        assert told == []
        ended.files[0].read()

    assert told == ["hello.txt"]


def from_path(btn: Any, path: Path) -> File:
    return File(path, "report.csv")


def test_002_a_path_that_is_not_there_is_a_clear_failure(
    site: sites.Site, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    ended = site.run((from_path, {"path": tmp_path / "static" / "data.csv"}))

    assert ended.state == "failed"
    assert "File('report.csv') cannot read" in caplog.text
    assert "No such file or directory" in caplog.text


# -- 003: what a `send_file` takes --------------------------------------------------------------


def test_003_a_file_on_the_disk_is_served_under_a_name_of_its_own(site: sites.Site, tmp_path: Path):
    (tmp_path / "data.csv").write_bytes(b"a,b\n")

    (file,) = site.run((from_path, {"path": tmp_path / "data.csv"})).files

    assert (file.name, file.read()) == ("report.csv", b"a,b\n")


def from_memory(btn: Any) -> File:
    return File(io.BytesIO(b"some dynamic content"), "content", mimetype="text/plain")


def test_003_a_file_object_is_served_with_the_type_that_is_given(site: sites.Site):
    file = only_file(site, from_memory)

    assert (file.type, file.read()) == ("text/plain", b"some dynamic content")


def for_an_hour(btn: Any) -> File:
    return File(b"%PDF", "manual.pdf", max_age=3600)


def test_003_max_age_is_the_cache_control_of_one_visitors_own_cache(site: sites.Site):
    assert fetched(site, for_an_hour).headers["Cache-Control"] == "private, max-age=3600"
