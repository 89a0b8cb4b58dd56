"""Turn away from a live run, as people do with tabs, pages and phones, and come back to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from browser import find_chromium
from conftest import need
from pages import BUTTON, Site, running_site
from plain_chromium import PlainPage, plain_chromium
from processes import wait_until

STATE = "document.querySelector('download-btn').dataset.state"
URL = "document.querySelector('download-btn').snapshot.url"
# Asks anew each time, and tells what was answered before.
ENDED = """
  fetch("{url}", {{headers: {{Accept: "application/json"}}}})
    .then((answer) => answer.json())
    .then(({{state}}) => (window.ended = state === "ready"));
  window.ended;
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("away")) as site:
        yield site


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlainPage]:
    """A tab that the browser may hide, freeze and keep: Playwright's does none of it."""
    need("chromium", find_chromium())
    with plain_chromium(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture
def gate() -> str:
    return uuid4().hex


@pytest.fixture
def start(tab: PlainPage, site: Site, gate: str) -> Callable[[], int]:
    """Have a run half way, and tell how many files were saved before."""

    def start() -> int:
        tab.open(site.address(f"half:{gate}", keep="1"))
        before = len(tab.saved())
        tab.click(BUTTON)
        wait_for(tab, "running")
        return before

    return start


def wait_for(tab: PlainPage, state: str) -> None:
    wait_until(lambda: tab.evaluate(STATE) == state, f"The page is not {state}")


def wait_for_one_file_more(tab: PlainPage, before: int) -> None:
    wait_for(tab, "done")
    wait_until(lambda: len(tab.saved()) == before + 1, "The file is not saved")


def test_a_hidden_tab_saves_its_file(
    tab: PlainPage, site: Site, gate: str, start: Callable[[], int]
) -> None:
    before = start()
    tab.hide()
    site.open_gate(gate)
    wait_for_one_file_more(tab, before)
    assert tab.evaluate("document.hidden")
    tab.show()


def test_a_phone_that_slept_finds_its_run_and_saves_the_file(
    tab: PlainPage, site: Site, gate: str, start: Callable[[], int]
) -> None:
    before = start()
    tab.evaluate("document.addEventListener('freeze', () => (window.slept = true))")
    tab.sleep()
    wait_until(lambda: tab.evaluate("window.slept"), "The tab does not sleep")
    site.open_gate(gate)
    assert tab.evaluate(STATE) != "done"
    tab.wake()
    wait_for_one_file_more(tab, before)


@pytest.mark.parametrize("ends", ["after", "before"])
def test_a_page_that_the_browser_kept_saves_what_ends(
    tab: PlainPage, site: Site, gate: str, start: Callable[[], int], ends: str
) -> None:
    before = start()
    url = tab.evaluate(URL)
    tab.evaluate("addEventListener('pageshow', (event) => (window.wasKept = event.persisted))")
    tab.call("Page.navigate", url=f"{site.url}/landed")
    wait_until(lambda: tab.evaluate("document.title") == "Landed", "The page is not left")
    if ends == "before":
        site.open_gate(gate)
        wait_until(lambda: tab.evaluate(ENDED.format(url=url)), "The run does not end")
    tab.evaluate("history.back()")
    wait_until(lambda: tab.evaluate("window.wasKept"), "The page is a new one")
    site.open_gate(gate)
    wait_for_one_file_more(tab, before)
