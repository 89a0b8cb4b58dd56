"""Look at the downloads centre as a visitor who left a page and comes back for what was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pages import Site, axe_findings, button, downloads_of, running_site, saved, wait_for
from playwright.sync_api import Locator, Page, expect
from processes import wait_until

# A browser shows no notice in a test; this keeps what would be shown.
NOTICES = """
  window.notices = [];
  window.Notification = class extends Notification {
    constructor(title, options) {
      super(title, options);
      notices.push([title, options.body]);
    }
  };
"""
HIDE = """
  Object.defineProperty(document, "hidden", {configurable: true, get: () => true});
  document.dispatchEvent(new Event("visibilitychange"));
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("center")) as site:
        yield site


@pytest.fixture
def gate() -> str:
    return uuid4().hex


def runs(page: Page) -> Locator:
    return page.locator(".download-center-runs > li")


def start_elsewhere(page: Page, site: Site, *names: str, until: str = "done") -> None:
    """Click buttons on another page of the same visitor."""
    tab = page.context.new_page()
    for name in names:
        tab.goto(site.address(name))
        button(tab).click()
        wait_for(tab, until)
    tab.close()


def test_a_visitor_without_downloads_reads_so(page: Page, site: Site) -> None:
    page.goto(site.address(path="/center"))
    expect(page.get_by_text("There are no downloads yet.")).to_be_visible()
    assert axe_findings(page) == []


def test_live_runs_show_progress_and_ended_ones_what_became_of_them(
    page: Page, site: Site, gate: str
) -> None:
    start_elsewhere(page, site, "one", "nothing", "thanks")
    start_elsewhere(page, site, "refusing", "broken", until="failed")
    start_elsewhere(page, site, f"half:{gate}", until="running")
    page.goto(site.address(path="/center"))
    half, broken, refusing, thanks, nothing, one = (runs(page).nth(index) for index in range(6))
    expect(half.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "42")
    expect(half).to_contain_text("Writing the orders of the year 2026: 42%")
    expect(broken).to_contain_text("Something went wrong. Please try again.")
    expect(broken).to_contain_text("Reference: ")
    expect(refusing).to_contain_text("Pick at least one order.")
    expect(thanks).to_contain_text("Thank you for your order.")
    expect(nothing).to_contain_text("There is no file to save.")
    expect(one).to_contain_text("Export orders")
    expect(one.get_by_role("link", name="orders.csv (8 B)")).to_be_visible()
    expect(one).to_contain_text("saved")
    assert axe_findings(page) == []
    site.open_gate(gate)


def test_nothing_is_saved_until_a_link_is_used(
    page: Page, site: Site, gate: str, tmp_path: Path
) -> None:
    start_elsewhere(page, site, f"half:{gate}", until="running")
    page.goto(site.address(path="/center"))
    downloads = downloads_of(page)
    site.open_gate(gate)
    link = runs(page).get_by_role("link", name="half.csv")
    expect(link).to_be_visible()
    page.wait_for_timeout(1500)
    assert not downloads
    with page.expect_download() as saving:
        link.click()
    assert saved(saving.value, tmp_path) == ("half.csv", b"half")
    expect(runs(page)).to_contain_text("saved")


def test_several_files_are_listed_and_come_as_one_archive(page: Page, site: Site) -> None:
    start_elsewhere(page, site, "two")
    page.goto(site.address(path="/center"))
    assert runs(page).get_by_role("link").all_inner_texts() == [
        "first.csv (5 B)",
        "second.csv (6 B)",
        "Download all (259 B)",
    ]
    with page.expect_download() as saving:
        runs(page).get_by_role("link", name="Download all").click()
    assert saving.value.suggested_filename == "files.zip"


def test_what_was_saved_within_an_archive_is_not_said_to_be_saved_by_itself(
    page: Page, site: Site
) -> None:
    page.goto(site.address("archived"))
    with page.expect_download():
        button(page).click()
    wait_for(page, "done")
    page.goto(site.address(path="/center"))
    expect(runs(page).get_by_role("link", name="Download all")).to_be_visible()
    assert "saved" not in runs(page).inner_text()


def test_a_run_can_be_cancelled_with_the_keyboard_and_focus_stays_with_it(
    page: Page, site: Site, gate: str
) -> None:
    start_elsewhere(page, site, f"half:{gate}", until="running")
    page.goto(site.address(path="/center"))
    cancel = runs(page).get_by_role("button", name="Cancel")
    expect(cancel).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(cancel).to_be_focused()
    page.keyboard.press("Enter")
    expect(runs(page)).to_contain_text("Cancelled.")
    expect(runs(page).locator("download-btn")).to_have_count(0)
    expect(runs(page)).to_be_focused()


def test_what_a_button_of_the_page_announces_is_not_announced_twice(
    page: Page, site: Site, gate: str
) -> None:
    page.goto(site.address(f"half:{gate}", path="/center"))
    page.locator("main > section [name=download_btn_token]").click()
    expect(runs(page).locator("download-btn")).to_have_attribute("data-state", "running")
    expect(page.locator("[data-btn-live]")).to_have_count(1)
    site.open_gate(gate)
    expect(runs(page)).to_contain_text("half.csv")


def test_a_run_that_is_started_in_another_tab_appears(page: Page, site: Site, gate: str) -> None:
    page.goto(site.address(path="/center"))
    start_elsewhere(page, site, f"half:{gate}", until="running")
    expect(runs(page)).to_contain_text("Go half way", timeout=10_000)
    expect(page.get_by_text("There are no downloads yet.")).to_be_hidden()
    site.open_gate(gate)


def test_a_run_that_is_started_beside_the_list_appears_at_once_and_is_saved_once(
    page: Page, site: Site, gate: str
) -> None:
    page.goto(site.address(f"half:{gate}", path="/center"))
    downloads = downloads_of(page)
    button(page).click()
    expect(runs(page)).to_contain_text("42%", timeout=2000)
    site.open_gate(gate)
    wait_for(page, "done")
    expect(runs(page).get_by_role("link", name="half.csv")).to_be_visible()
    assert len(downloads) == 1


def test_a_list_that_nothing_happens_in_asks_seldom(page: Page, site: Site, gate: str) -> None:
    start_elsewhere(page, site, "one", "two", "thanks")
    page.goto(site.address(f"half:{gate}", path="/center"))
    button(page).click()
    expect(runs(page).first).to_contain_text("42%")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(3500)
    assert len([url for url in asked if "/center" in url]) <= 2
    # What has ended is not asked about, and of what lives a socket tells.
    assert len([url for url in asked if "/runs/" in url]) <= 4
    assert len({url for url in asked if "/runs/" in url}) <= 1
    site.open_gate(gate)


def test_another_visitor_sees_nothing_of_it(
    page: Page, new_visitor: Callable[..., Any], site: Site, gate: str
) -> None:
    start_elsewhere(page, site, "one", "thanks")
    other = new_visitor().open_tab()
    other.goto(site.address(path="/center"))
    expect(other.get_by_text("There are no downloads yet.")).to_be_visible()
    expect(runs(other)).to_have_count(0)


def test_files_that_have_expired_say_so(new_visitor: Callable[..., Any], tmp_path: Path) -> None:
    with running_site(tmp_path) as site:
        page = new_visitor().open_tab()
        start_elsewhere(page, site, "one", "two")
        for path in (tmp_path / "files").rglob("*"):
            if path.is_file() and "download" not in path.name:
                path.unlink()
        page.goto(site.address(path="/center"))
        page.expected_errors.append("410|favicon")  # type: ignore[attr-defined]
        link = page.get_by_role("link", name="orders.csv")
        with page.context.expect_page() as opening:
            link.evaluate("(link) => { link.removeAttribute('download'); link.target = '_blank' }")
            link.click()
        expect(opening.value.get_by_role("heading", name="File expired")).to_be_visible()
        page.reload()
        expect(runs(page).nth(1)).to_contain_text("The files have expired.")
        expect(runs(page).nth(1).get_by_role("link")).to_have_count(0)


def test_without_scripts_the_list_has_its_links(
    new_visitor: Callable[..., Any], site: Site, gate: str, tmp_path: Path
) -> None:
    page = new_visitor(java_script_enabled=False).open_tab()
    page.expected_errors.append("favicon")
    page.goto(site.address("at_once"))
    page.get_by_role("button", name="Export at once").click()
    page.goto(site.address(f"half:{gate}"))
    page.get_by_role("button", name="Go half way").click()
    page.goto(site.address(path="/center"))
    expect(page.get_by_role("link", name="In progress")).to_be_visible()
    # No button of it can start anything, and nothing keeps room for what no script will draw.
    expect(runs(page).get_by_role("button")).to_have_count(0)
    expect(runs(page).locator(".download-btn-progress")).to_be_hidden()
    with page.expect_download() as saving:
        page.get_by_role("link", name="at once.txt").click()
    assert saved(saving.value, tmp_path) == ("at once.txt", b"at once")
    site.open_gate(gate)


def test_a_nonce_is_enough_and_times_are_the_visitors_own(
    new_visitor: Callable[..., Any], site: Site
) -> None:
    page = new_visitor(timezone_id="America/New_York", locale="en-US").open_tab()
    start_elsewhere(page, site, "one")
    page.goto(site.address(path="/center", nonce="abc123"))
    expect(runs(page).locator("time")).to_have_attribute("data-own", "")
    assert "UTC" not in runs(page).locator("time").inner_text()


@pytest.mark.parametrize("framework", ["none", "bootstrap5"])
@pytest.mark.parametrize("width", [320, 1024])
def test_the_list_can_be_read_with_any_framework(
    new_visitor: Callable[..., Any], site: Site, gate: str, framework: str, width: int
) -> None:
    scheme = "dark" if width == 320 else "light"
    visitor = new_visitor(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = visitor.open_tab()
    start_elsewhere(page, site, "two", f"half:{gate}", until="running|done")
    page.goto(site.address(path="/center", framework=framework, theme=scheme))
    expect(runs(page)).to_have_count(2)
    expect(runs(page).first).to_contain_text("42%")
    assert axe_findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    site.open_gate(gate)


# -- notices -------------------------------------------------------------------------------------


def test_an_end_in_a_hidden_tab_is_told_if_the_visitor_allowed_it(
    page: Page, site: Site, gate: str
) -> None:
    page.context.grant_permissions(["notifications"])
    page.add_init_script(NOTICES)
    page.goto(site.address(f"half:{gate}"))
    button(page).click()
    wait_for(page, "running")
    page.evaluate(HIDE)
    site.open_gate(gate)
    wait_until(lambda: page.evaluate("notices.length"), "no notice came")
    assert page.evaluate("notices") == [["Go half way", "Ready: half.csv"]]


def test_a_failure_in_a_hidden_tab_is_told_too(page: Page, site: Site, gate: str) -> None:
    page.context.grant_permissions(["notifications"])
    page.add_init_script(NOTICES)
    page.goto(site.address(f"broken:{gate}"))
    button(page).click()
    wait_for(page, "running")
    page.evaluate(HIDE)
    site.open_gate(gate)
    wait_until(lambda: page.evaluate("notices.length"), "no notice came")
    assert page.evaluate("notices[0][1]").startswith("Something went wrong.")


@pytest.mark.parametrize("case", ["seen", "cancelled"])
def test_what_the_visitor_sees_or_did_is_not_told(
    page: Page, site: Site, gate: str, case: str
) -> None:
    page.context.grant_permissions(["notifications"])
    page.add_init_script(NOTICES)
    page.goto(site.address(f"half:{gate}"))
    button(page).click()
    wait_for(page, "running")
    if case == "seen":
        site.open_gate(gate)
        wait_for(page, "done")
    else:
        page.evaluate(HIDE)
        page.evaluate("document.querySelector('download-btn').cancel()")
        wait_for(page, "cancelled")
    assert page.evaluate("notices") == []


def test_nobody_is_asked_without_a_click(page: Page, site: Site) -> None:
    page.add_init_script(
        """window.asked = 0;
        Object.defineProperty(Notification, "permission", {get: () => "default"});
        Notification.requestPermission = async () => (asked++, "granted");"""
    )
    page.goto(site.address("one", path="/center"))
    button(page).click()
    wait_for(page, "done")
    assert page.evaluate("asked") == 0
    ask = page.get_by_role("button", name="Tell me when a download is ready")
    ask.click()
    assert page.evaluate("asked") == 1
    expect(ask).to_be_hidden()


@pytest.mark.parametrize("answer", ["granted", "denied"])
def test_who_has_answered_is_not_asked_again(page: Page, site: Site, answer: str) -> None:
    page.add_init_script(
        f"Object.defineProperty(Notification, 'permission', {{get: () => '{answer}'}})"
    )
    page.goto(site.address(path="/center"))
    expect(page.get_by_role("button", name="Tell me when a download is ready")).to_be_hidden()
