"""Swap buttons in and out with the real htmx and the real Turbo, while their runs live."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pages import (
    BUTTON,
    Site,
    button,
    click_and_save,
    downloads_of,
    expect_words,
    running_site,
    saved,
    wait_for,
)
from playwright.sync_api import Page, expect
from processes import TESTS, wait_until

# The ways in which each brings something new into a page.
WAYS = {"htmx": ["Swap", "Swap inside", "Elsewhere"], "turbo": ["Stream", "Frame", "Elsewhere"]}

# How each fetches the page once more, and puts it in the place of what is there.
AGAIN = {
    "htmx": "htmx.ajax('GET', location.href, {target: 'main', select: 'main', swap: 'outerHTML'})",
    "turbo": "Turbo.visit(location.href, {action: 'replace'})",
}

# What a page that swaps fifty times must not pile up.
COUNT_TIMERS = """
  window.ticking = new Set();
  const {setInterval, clearInterval} = window;
  window.setInterval = (...all) => {
    const id = setInterval(...all);
    ticking.add(id);
    return id;
  };
  window.clearInterval = (id) => (ticking.delete(id), clearInterval(id));
"""
SWAP_OFTEN = """
  async ([label, times]) => {
    const controls = [...document.querySelectorAll("button")];
    const control = controls.find(({textContent}) => textContent.trim() === label);
    for (let number = 0; number < times; number++) {
      const before = document.querySelector("download-btn");
      control.click();
      while (true) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        const now = document.querySelector("download-btn");
        if (now && now !== before && now.state === "running") break;
      }
    }
  }
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("swaps")) as site:
        yield site


@pytest.fixture
def gate() -> str:
    return uuid4().hex


def swaps(site: Site, library: str, now: str, later: str, **query: str) -> str:
    """Show one button, and controls that bring another in its place."""
    return site.address(now, path="/swaps", library=library, to=later, **query)


def swap(page: Page, way: str) -> None:
    """Use a control, and wait until what it brings is there."""
    page.evaluate("(selector) => { document.querySelector(selector).isOld = true }", BUTTON)
    page.locator("main").get_by_text(way, exact=True).click()
    page.wait_for_function(
        "(selector) => document.querySelector(selector)?.isOld === undefined", arg=BUTTON
    )


@pytest.mark.parametrize("library", WAYS)
def test_a_button_that_was_swapped_in_works(
    page: Page, site: Site, tmp_path: Path, library: str
) -> None:
    page.goto(swaps(site, library, "one", "at_once"))
    for way in WAYS[library]:
        swap(page, way)
        assert click_and_save(page, tmp_path) == ("at once.txt", b"at once")
        wait_for(page, "done")


@pytest.mark.parametrize(("library", "way"), [("htmx", "Swap"), ("turbo", "Stream")])
def test_a_button_brings_its_script_to_a_page_that_has_none(
    page: Page, site: Site, tmp_path: Path, library: str, way: str
) -> None:
    page.goto(site.address(path="/swaps", library=library, bare="1", to="at_once"))
    page.locator("main").get_by_text(way, exact=True).click()
    page.wait_for_function("() => customElements.get('download-btn')")
    assert click_and_save(page, tmp_path) == ("at once.txt", b"at once")
    wait_for(page, "done")


@pytest.mark.parametrize("library", WAYS)
def test_a_live_run_goes_on_in_whatever_takes_its_place(
    page: Page, site: Site, gate: str, library: str
) -> None:
    page.goto(swaps(site, library, f"half:{gate}", f"half:{gate}"))
    downloads = downloads_of(page)
    button(page).click()
    expect_words(page, "42%")
    for way in WAYS[library]:
        swap(page, way)
        wait_for(page, "running")
        expect_words(page, "42%")
        expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "42")
    site.open_gate(gate)
    wait_for(page, "done")
    assert [download.suggested_filename for download in downloads] == ["half.csv"]


@pytest.mark.parametrize(("library", "again"), AGAIN.items(), ids=AGAIN)
def test_a_button_that_its_view_makes_anew_goes_on_with_the_run_before(
    page: Page, site: Site, tmp_path: Path, gate: str, library: str, again: str
) -> None:
    page.goto(f"{site.url}/new-row?gate={gate}&library={library}")
    first = page.locator("download-btn").get_attribute("id")
    button(page).click()
    wait_for(page, "running")
    page.evaluate(again)
    page.wait_for_function("id => document.querySelector('download-btn').id !== id", arg=first)
    wait_for(page, "running")

    with page.expect_download() as download:
        site.open_gate(gate)
    assert saved(download.value, tmp_path)[1]
    wait_for(page, "done")


def test_a_page_that_turbo_morphs_still_shows_its_runs(page: Page, site: Site, gate: str) -> None:
    names = (f"unknown:{gate}", "two")
    page.goto(site.address(*names, path="/swaps", library="turbo", to="&to=".join(names)))
    for index, state in enumerate(("running", "done")):
        button(page, index).click()
        wait_for(page, state, index)
    page.evaluate("document.querySelector('#place').dataset.old = ''")
    page.get_by_role("button", name="Morph").click()
    expect(page.locator("#place")).not_to_have_attribute("data-old", "")
    wait_for(page, "running", 0, patience=1)
    expect_words(page, "Looking around")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    expect(button(page)).to_have_attribute("aria-disabled", "true")
    wait_for(page, "done", 1, patience=1)
    expect(page.get_by_role("link", name="second.csv")).to_be_visible()
    site.open_gate(gate)
    wait_for(page, "done")


@pytest.mark.parametrize("library", WAYS)
def test_who_goes_back_finds_the_live_run(page: Page, site: Site, gate: str, library: str) -> None:
    page.goto(swaps(site, library, f"half:{gate}", "one"))
    downloads = downloads_of(page)
    button(page).click()
    wait_for(page, "running")
    swap(page, "Elsewhere")
    wait_for(page, "idle")
    page.go_back()
    expect(button(page)).to_have_text("Go half way")
    wait_for(page, "running")
    expect_words(page, "42%")
    site.open_gate(gate)
    wait_for(page, "done")
    assert [download.suggested_filename for download in downloads] == ["half.csv"]


@pytest.mark.parametrize("library", WAYS)
def test_who_goes_back_to_what_was_saved_is_given_it_once(
    page: Page, site: Site, tmp_path: Path, library: str
) -> None:
    page.goto(swaps(site, library, "thanks", "one"))
    downloads = downloads_of(page)
    click_and_save(page, tmp_path)
    wait_for(page, "done")
    swap(page, "Elsewhere")
    page.go_back()
    expect(button(page)).to_have_text("Say thanks")
    wait_for(page, "idle")
    click_and_save(page, tmp_path)
    wait_for(page, "done")
    assert len(downloads) == 2


@pytest.mark.parametrize(("library", "way"), [("htmx", "Swap"), ("turbo", "Stream")])
def test_fifty_swaps_leave_nothing_behind(
    page: Page, site: Site, gate: str, library: str, way: str
) -> None:
    sockets: list[Any] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    page.add_init_script(COUNT_TIMERS)
    page.goto(swaps(site, library, f"half:{gate}", f"half:{gate}"))
    button(page).click()
    wait_for(page, "running")
    browser = page.context.new_cdp_session(page)
    browser.send("Performance.enable")

    def count() -> dict[str, float]:
        browser.send("HeapProfiler.collectGarbage")
        metrics = browser.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: metric["value"] for metric in metrics}

    page.evaluate(SWAP_OFTEN, [way, 5])
    before = count()

    def is_clean() -> bool:
        now = count()
        # One for each swap would be fifty.
        return (
            now["JSEventListeners"] < before["JSEventListeners"] + 25
            and now["Nodes"] <= before["Nodes"] + 100
            and now["JSHeapUsedSize"] <= before["JSHeapUsedSize"] + 1_000_000
        )

    page.evaluate(SWAP_OFTEN, [way, 50])
    # What is cleaned up by a task of its own takes a round or two.
    wait_until(is_clean, f"The swaps leave {count()} where {before} was")
    assert page.evaluate("ticking.size") == 1
    assert [socket.is_closed() for socket in sockets] == [False]
    page.evaluate("document.querySelector('#place').remove()")
    assert page.evaluate("ticking.size") == 0
    if not sockets[0].is_closed():
        sockets[0].wait_for_event("close")
    site.open_gate(gate)


@pytest.mark.parametrize("library", WAYS)
def test_a_link_to_a_file_saves_it_and_swaps_nothing(
    page: Page, site: Site, tmp_path: Path, library: str
) -> None:
    page.goto(site.address("two"))
    button(page).click()
    wait_for(page, "done")
    page.goto(site.address("two", path="/center", library=library))
    for name in ("first.csv", "Download all"):
        with page.expect_download():
            page.get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", name="Orders")).to_be_visible()


@pytest.mark.parametrize("library", WAYS)
def test_a_form_is_sent_by_its_button_alone(
    page: Page, site: Site, tmp_path: Path, library: str
) -> None:
    address = site.address(path="/form", library=library)
    page.goto(address)
    page.get_by_label("Who").fill(library)
    with page.expect_download() as saving:
        page.get_by_label("Who").press("Enter")
    assert saved(saving.value, tmp_path) == ("form 0.txt", b"form")
    wait_for(page, "done")
    assert page.url == address
    assert [form["who"] for form in site.facts()["forms"] if "who" in form].count([library]) == 1


def test_the_libraries_are_those_that_are_written_down() -> None:
    vendor = TESTS / "vendor"
    rows = re.findall(
        r"^\| `(\S+)` \| `\S+` \| (\S+) \| \w+, `(\S+)` \|$",
        (vendor / "README.md").read_text(),
        re.M,
    )
    assert len(rows) == 2
    for file, version, licence in rows:
        assert re.search(rf'(Turbo |version:"){re.escape(version)}\b', (vendor / file).read_text())
        assert "Permission" in (vendor / licence).read_text()


def test_a_script_that_an_upgrade_brings_into_an_open_page_changes_nothing(
    page: Page, site: Site, gate: str
) -> None:
    cancels: list[str] = []
    page.on(
        "request", lambda request: cancels.append(request.url) if "cancel" in request.url else None
    )
    page.goto(site.address(f"half:{gate}"))
    page.evaluate(
        "() => import(document.querySelector('script[src*=download-btn]').src + 'another')"
    )
    button(page).click()
    wait_for(page, "running")
    page.get_by_role("button", name="Cancel").click()
    wait_for(page, "cancelled")
    assert len(cancels) == 1
    site.open_gate(gate)
