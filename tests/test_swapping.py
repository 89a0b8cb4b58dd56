"""Swap buttons in and out as htmx and Turbo do, with the real libraries in a real Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
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
    wait_for,
)
from playwright.sync_api import Page, expect

STREAM = """async (url) => {
  const answer = await (await fetch(url)).text();
  const section = new DOMParser().parseFromString(answer, "text/html").querySelector("section");
  Turbo.renderStreamMessage(`<turbo-stream action="update" target="place"><template>
    ${section.outerHTML}</template></turbo-stream>`);
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("swapping")) as site:
        yield site


@pytest.fixture
def gate() -> str:
    return uuid4().hex


@pytest.fixture
def page(new_visitor: Callable[..., Any]) -> Page:
    tab = new_visitor().open_tab()
    # Both write styles of their own into pages, and htmx the bar's into the page that it kept.
    tab.expected_errors.append(r"inline style.*/library/")
    return tab  # type: ignore[no-any-return]


def with_htmx(site: Site, *buttons: str, **query: str) -> str:
    return site.address(*buttons, path="/swapping", library="htmx.min.js", **query)


def with_turbo(site: Site, *buttons: str, **query: str) -> str:
    return site.address(*buttons, path="/swapping", library="turbo.js", **query)


def path_of(site: Site, address: str) -> str:
    return quote(address.removeprefix(site.url))


def load(page: Page) -> None:
    """Have htmx load its part, and wait until it has settled."""
    page.evaluate(
        "() => { window.settled = new Promise((done) => htmx.on('htmx:afterSettle', done)) }"
    )
    page.locator("#load").click()
    page.evaluate("() => settled.then(() => null)")


# -- htmx ----------------------------------------------------------------------------------------


def test_a_button_that_htmx_swaps_in_works_as_any_other(
    page: Page, site: Site, tmp_path: Path
) -> None:
    page.goto(with_htmx(site, load=path_of(site, site.address("at_once"))))
    for _ in range(2):
        load(page)
        assert click_and_save(page, tmp_path) == ("at once.txt", b"at once")
        wait_for(page, "done")


def test_a_run_goes_on_when_htmx_swaps_its_button_for_itself(
    page: Page, site: Site, gate: str
) -> None:
    page.goto(with_htmx(site, load=path_of(site, site.address(f"half:{gate}"))))
    downloads = downloads_of(page)
    load(page)
    button(page).click()
    wait_for(page, "running")

    load(page)

    expect_words(page, "42%")
    site.open_gate(gate)
    wait_for(page, "done")
    assert len(downloads) == 1


def test_a_run_is_found_again_where_htmx_went_on_and_back(
    page: Page, site: Site, gate: str
) -> None:
    there = path_of(site, with_htmx(site, "one"))
    page.goto(with_htmx(site, f"half:{gate}", next=there))
    downloads = downloads_of(page)
    button(page).click()
    wait_for(page, "running")

    page.get_by_role("link", name="Next").click()
    expect(page.locator(BUTTON)).to_have_text("Export orders")
    page.go_back()

    wait_for(page, "running")
    site.open_gate(gate)
    wait_for(page, "done")
    assert len(downloads) == 1


def test_fifty_swaps_by_htmx_leave_nothing(page: Page, site: Site, gate: str) -> None:
    page.goto(with_htmx(site, load=path_of(site, site.address(f"half:{gate}"))))
    load(page)
    button(page).click()
    wait_for(page, "running")
    browser = page.context.new_cdp_session(page)
    browser.send("Performance.enable")

    def swap_and_count(times: int) -> dict[str, float]:
        for _ in range(times):
            load(page)
            wait_for(page, "running")
        browser.send("HeapProfiler.collectGarbage")
        metrics = browser.send("Performance.getMetrics")["metrics"]
        return {metric["name"]: metric["value"] for metric in metrics}

    before, after = swap_and_count(5), swap_and_count(50)
    assert after["JSEventListeners"] <= before["JSEventListeners"] + 60
    assert after["Nodes"] <= before["Nodes"] + 200
    site.open_gate(gate)


# -- Turbo ---------------------------------------------------------------------------------------


def test_a_button_on_a_page_that_turbo_visits_works(page: Page, site: Site, tmp_path: Path) -> None:
    page.goto(with_turbo(site, next=path_of(site, with_turbo(site, "at_once"))))
    page.evaluate("window.isSame = true")

    page.get_by_role("link", name="Next").click()

    expect(page.locator(BUTTON)).to_be_visible()
    assert page.evaluate("window.isSame")
    assert click_and_save(page, tmp_path) == ("at once.txt", b"at once")
    wait_for(page, "done")


def test_a_run_is_found_again_in_a_page_that_turbo_kept(page: Page, site: Site, gate: str) -> None:
    page.goto(with_turbo(site, f"half:{gate}", next=path_of(site, with_turbo(site, "one"))))
    downloads = downloads_of(page)
    button(page).click()
    wait_for(page, "running")

    page.get_by_role("link", name="Next").click()
    expect(page.locator(BUTTON)).to_have_text("Export orders")
    page.go_back()

    wait_for(page, "running")
    site.open_gate(gate)
    wait_for(page, "done")
    assert len(downloads) == 1


def test_a_button_in_a_frame_of_turbos_works(page: Page, site: Site, tmp_path: Path) -> None:
    page.goto(with_turbo(site))

    page.evaluate(
        "(url) => document.querySelector('turbo-frame').src = url",
        site.address("at_once", path="/frame"),
    )

    assert click_and_save(page, tmp_path) == ("at once.txt", b"at once")
    wait_for(page, "done")


def test_a_run_goes_on_when_a_stream_of_turbos_replaces_its_button(
    page: Page, site: Site, gate: str
) -> None:
    page.goto(with_turbo(site))
    downloads = downloads_of(page)
    page.evaluate(STREAM, site.address(f"half:{gate}"))
    button(page).click()
    wait_for(page, "running")

    page.evaluate(STREAM, site.address(f"half:{gate}"))

    expect_words(page, "42%")
    site.open_gate(gate)
    wait_for(page, "done")
    assert len(downloads) == 1


def test_the_libraries_are_those_that_their_note_names() -> None:
    folder = Path(__file__).parent / "vendor"
    note = (folder / "README.md").read_text()

    assert 'version:"2.0.11"' in (folder / "htmx.min.js").read_text()
    assert "Turbo 8.0.23" in (folder / "turbo.js").read_text()[:100]
    assert "htmx.org 2.0.11" in note
    assert "@hotwired/turbo 8.0.23" in note
