"""Test that the example app shows what it says: each page, in a browser, as a visitor meets it."""

from __future__ import annotations

import re
import sqlite3
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from processes import ROOT, Process, app_server

if TYPE_CHECKING:
    from playwright.sync_api import Download, Page

NAMES = sorted(
    path.stem
    for path in (ROOT / "example_app" / "examples").glob("*.py")
    if path.stem not in ("__init__", "blueprint", "catalogue")
)
ONE_FILE = {
    "short-way": ("orders-2026.csv", b"401,2026,"),
    "what-to-yield": ("cake.txt", b"A cake"),
    "library-callback": ("backup.sqlite", b"SQLite format 3"),
    "async-generator": ("weather.csv", b""),
    "collect": ("me.txt", b"Your language: en-US\nThe page that you clicked on: http"),
    "attributes": ("rainbow.txt", b"A rainbow\n"),
    "own-templates": ("annual-report.txt", b"It was"),
    "bootstrap": ("report.txt", b"As good"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("example_app")
    environment = {"INSTANCE_PATH": str(folder / "instance")}
    server: Process = app_server(
        "example_app", "werkzeug", log_file=folder / "server.log", environment=environment
    )
    server.start()
    yield server.url
    server.kill()


@pytest.fixture
def visit(page: Page, site: str) -> Callable[[str], list[Download]]:
    """Open a page; the list it returns grows with each download."""

    def visit(name: str) -> list[Download]:
        downloads: list[Download] = []
        page.on("download", lambda download: downloads.append(download))
        page.goto(f"{site}/{name}")
        return downloads

    return visit


def click(page: Page, number: int = 0, *, until: str = "done", patience: float = 30) -> None:
    """Click a page's button, and wait for a state of it."""
    page.locator("download-btn button").nth(number).click()
    wait_for(page, until, number, patience)


def wait_for(page: Page, state: str, number: int = 0, patience: float = 30) -> None:
    page.wait_for_function(
        "([number, state]) => document.querySelectorAll('download-btn')[number].dataset.state"
        " === state",
        arg=[number, state],
        timeout=patience * 1000,
    )


def content(download: Download) -> bytes:
    return Path(download.path()).read_bytes()


def names(downloads: list[Download]) -> list[str]:
    return [download.suggested_filename for download in downloads]


def panel(page: Page, number: int = 0) -> str:
    return page.locator(".download-btn-progress").nth(number).inner_text()


# -- every page --------------------------------------------------------------------------------


def test_the_index_leads_to_every_example_and_says_what_it_shows(page: Page, site: str):
    page.goto(site)

    cards = page.locator(".cards li")
    assert cards.count() == len(NAMES)
    for name in NAMES:
        card = cards.filter(has=page.locator(f"a[href='/{name.replace('_', '-')}']"))
        assert re.search(r"\w.*[.]$", card.locator("p").inner_text())


@pytest.mark.parametrize("name", NAMES)
def test_a_page_shows_its_own_source_and_fits_a_small_screen(
    new_visitor: Callable[..., object], site: str, name: str
):
    page = new_visitor(viewport={"width": 320, "height": 640}).open_tab()  # type: ignore[attr-defined]
    answer = page.goto(f"{site}/{name.replace('_', '-')}")

    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    module = import_module(f"example_app.examples.{name}")
    sources = page.locator("pre").all_text_contents()
    assert sources[0].strip() == Path(str(module.__file__)).read_text().strip()
    assert (ROOT / f"templates/examples/{name}.html").read_text().strip() == sources[1].strip()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("name", ONE_FILE)
def test_a_click_saves_the_file(visit: Callable[[str], list[Download]], page: Page, name: str):
    downloads = visit(name)

    click(page)

    file_name, beginning = ONE_FILE[name]
    assert names(downloads) == [file_name]
    assert content(downloads[0]).startswith(beginning)


# -- what is special about some ----------------------------------------------------------------


def test_the_documented_way_caches_one_file_of_two(
    visit: Callable[[str], list[Download]], page: Page
):
    downloads = visit("documented-way")
    click(page)
    assert sorted(names(downloads)) == ["tmp_file0.txt", "tmp_file1.txt"]
    assert content(downloads[0]) == b"Hello, World!"

    page.locator("download-btn button").first.click()
    page.wait_for_selector("text=Creating File 1")
    wait_for(page, "done")

    assert [content(file) for file in downloads[:2]] == [content(file) for file in downloads[2:]]


def test_the_documented_way_finds_its_run_after_a_reload_and_in_another_tab(
    visit: Callable[[str], list[Download]], page: Page
):
    visit("documented-way")
    click(page, until="running")
    page.reload()
    wait_for(page, "running")
    tab = page.context.new_page()
    tab.goto(page.url)

    wait_for(tab, "running")
    page.get_by_role("button", name="Cancel").click()
    wait_for(tab, "cancelled")


def test_several_files_come_one_by_one_or_as_one(
    visit: Callable[[str], list[Download]], page: Page
):
    downloads = visit("several-files")

    click(page, 0)
    click(page, 1)

    # A browser tells of what it fetches side by side in no order.
    assert sorted(names(downloads)[:3]) == ["customers.txt", "orders.txt", "products.txt"]
    assert names(downloads)[3:] == ["shop.zip"]
    with zipfile.ZipFile(downloads[3].path()) as archive:
        assert archive.namelist() == ["orders.txt", "customers.txt", "products.txt"]


def test_a_file_may_be_made_of_many_things(visit: Callable[[str], list[Download]], page: Page):
    downloads = visit("file-contents")

    click(page)

    with zipfile.ZipFile(downloads[0].path()) as archive:
        assert archive.read("bytes.txt") == "Grüße\n".encode()
        assert archive.read("path.py").startswith(b'"""A file is made of')
        assert archive.read("open-file.txt") == b"anything with a read method\n"
        assert archive.read("generator.csv").endswith(b"999,998001\n")


def test_a_big_file_arrives_whole(visit: Callable[[str], list[Download]], page: Page):
    downloads = visit("big-file")

    click(page)

    assert Path(downloads[0].path()).stat().st_size == 200_000_000


def test_a_cached_file_is_made_once(visit: Callable[[str], list[Download]], page: Page):
    downloads = visit("cached-file")
    click(page)
    page.reload()

    click(page, patience=2)

    assert content(downloads[0]) == content(downloads[1])


def test_the_form_is_checked_by_the_browser_and_by_its_function(
    visit: Callable[[str], list[Download]], page: Page
):
    page.expected_errors.append("422")  # type: ignore[attr-defined]
    downloads = visit("form")

    page.locator("download-btn button").click()
    assert page.locator("#name").evaluate("field => field === document.activeElement")
    page.fill("#name", "Ada")
    click(page, until="failed")
    assert "There is nothing to make." in panel(page)
    assert page.locator("fieldset").get_by_text("Tick at least one.").is_visible()
    page.check("[value=stock]")
    assert page.locator("fieldset").get_by_text("Tick at least one.").is_hidden()
    click(page)

    assert names(downloads) == ["stock.txt"]
    assert content(downloads[0]) == b"Report of stock, for Ada\n"


def test_an_upload_is_worked_on(visit: Callable[[str], list[Download]], page: Page):
    downloads = visit("upload")
    text = {"name": "text.txt", "mimeType": "text/plain", "buffer": b"to be or not to be"}
    page.set_input_files("#text", [text])  # type: ignore[list-item]

    click(page)

    assert content(downloads[0]) == b"2 to\n2 be\n1 or\n1 not\n"


def test_after_a_download_comes_a_message_or_another_page(
    visit: Callable[[str], list[Download]], page: Page
):
    visit("callback")

    click(page, 0)
    assert "Have a good trip!" in panel(page)
    page.locator("download-btn button").nth(1).click()

    page.wait_for_url("**/callback/thanks")


def test_a_failure_is_said_and_a_crash_has_a_reference(
    visit: Callable[[str], list[Download]], page: Page
):
    visit("failure")

    click(page, 0, until="failed")
    click(page, 1, until="failed")

    assert "There are no orders of this year yet." in panel(page, 0)
    assert re.search("Reference: [0-9a-f]{8}", panel(page, 1))
    assert "ZeroDivision" not in panel(page, 1)


def test_a_long_run_is_found_after_a_reload_and_can_be_cancelled(
    visit: Callable[[str], list[Download]], page: Page
):
    downloads = visit("cancel")
    page.locator("download-btn button").first.click()
    page.wait_for_selector("text=Counting:")

    page.reload()
    page.wait_for_selector("text=Counting:")
    page.locator("[data-btn-act=cancel]").click()
    wait_for(page, "cancelled")

    assert downloads == []


def test_eight_buttons_work_side_by_side(visit: Callable[[str], list[Download]], page: Page):
    downloads = visit("many-at-once")

    for button in page.locator("download-btn button").all():
        button.click()
    for number in range(8):
        wait_for(page, "done", number)

    assert sorted(names(downloads)) == [f"part-{number}.txt" for number in range(1, 9)]
    for file in downloads:
        number = file.suggested_filename[5]
        assert content(file).startswith(f"Part {number}, line 0\n".encode())


def test_the_demo_starts_anew_on_tables_of_an_earlier_version(
    tmp_path: Path, serve: Callable[..., Process], page: Page
):
    with closing(sqlite3.connect(tmp_path / "example_app.db")) as old:
        old.execute("CREATE TABLE download_btn_run (id VARCHAR(32) PRIMARY KEY)")
    server = serve("example_app", "werkzeug", environment={"INSTANCE_PATH": str(tmp_path)})
    page.goto(f"{server.url}/short-way")

    with page.expect_download() as download:
        page.locator("download-btn button").click()
    assert download.value.suggested_filename == "orders-2026.csv"
