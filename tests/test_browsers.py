"""Live through the page's core in Firefox and WebKit; test_page.py does in Chromium."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from browsers import BROWSERS, Tab
from conftest import need
from pages import BUTTON, Site, address_of_states, axe_findings, running_site, show_states
from processes import wait_until

# What Selenium does inside of itself.
pytestmark = pytest.mark.filterwarnings("ignore:.*remote_server_addr:DeprecationWarning")

STATE = "document.querySelector('download-btn').dataset.state"
TEXT = "document.querySelector('.download-btn-progress').innerText"
LOADED = "Boolean(customElements.get('download-btn'))"
IS_BACK = f"location.pathname === '/new-row' && !('old' in document.body.dataset) && {LOADED}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def site_without_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("poll"), NO_SOCKET="1") as site:
        yield site


@pytest.fixture(scope="module", params=BROWSERS)
def tab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    find, drive = BROWSERS[request.param]
    need(request.param, find())
    with drive(tmp_path_factory.mktemp(request.param)) as tab:
        yield tab


@pytest.fixture
def gate() -> str:
    return uuid4().hex


@pytest.fixture
def opened(tab: Tab) -> Callable[[str], Tab]:
    def open_page(address: str) -> Tab:
        tab.open(address)
        wait_until(lambda: tab.evaluate(LOADED), "the script is not loaded")
        return tab

    return open_page


def wait_for(tab: Tab, state: str) -> None:
    wait_until(
        lambda: tab.evaluate(STATE) == state, f"the page is not {state}", patience=15, pause=0.1
    )


def wait_for_files(tab: Tab, files: dict[str, bytes]) -> None:
    wait_until(
        lambda: files.items() <= tab.saved().items(), f"{list(files)} not saved", patience=15
    )


def test_a_click_saves_the_file(opened: Callable[[str], Tab], site: Site) -> None:
    tab = opened(site.address("one"))
    tab.click(BUTTON)
    wait_for(tab, "done")
    wait_for_files(tab, {"orders.csv": b"a,b\n1,2\n"})
    assert "Saved orders.csv" in tab.evaluate(TEXT)


def test_two_files_are_saved(opened: Callable[[str], Tab], site: Site) -> None:
    tab = opened(site.address("two"))
    tab.click(BUTTON)
    wait_for(tab, "done")
    wait_for_files(tab, {"first.csv": b"first", "second.csv": b"second"})


def test_a_run_can_be_cancelled(opened: Callable[[str], Tab], site: Site, gate: str) -> None:
    tab = opened(site.address(f"half:{gate}"))
    tab.click(BUTTON)
    wait_for(tab, "running")
    tab.click("[data-btn-act=cancel]:not([hidden])")
    wait_for(tab, "cancelled")
    assert "Cancelled." in tab.evaluate(TEXT)


def test_a_page_that_is_loaded_again_gets_the_file(
    opened: Callable[[str], Tab], site: Site, gate: str
) -> None:
    name = f"half:{gate}"
    tab = opened(site.address(name))
    tab.click(BUTTON)
    wait_for(tab, "running")
    before = len(tab.saved())
    opened(site.address(name))
    wait_for(tab, "running")
    assert "42%" in tab.evaluate(TEXT)
    site.open_gate(gate)
    wait_for(tab, "done")
    wait_until(lambda: len(tab.saved()) == before + 1, "the file is not saved")
    assert tab.saved()["half.csv"] == b"half"


@pytest.mark.parametrize("way", ["location.reload()", "history.back()"])
def test_a_button_that_its_view_makes_anew_goes_on_with_the_run(
    opened: Callable[[str], Tab], site: Site, gate: str, way: str
) -> None:
    tab = opened(site.address(path="/new-row", gate=gate))
    tab.click(BUTTON)
    wait_for(tab, "running")
    if "back" in way:
        opened(site.address("one"))
    else:
        tab.evaluate("(document.body.dataset.old = '')")
    tab.evaluate(f"void {way}")
    wait_until(lambda: tab.evaluate(IS_BACK), "the page is not loaded")
    wait_for(tab, "running")
    site.open_gate(gate)
    wait_for(tab, "done")
    wait_for_files(tab, {f"{gate}.csv": b"anew"})


@pytest.mark.parametrize("may_save", [False, True])
def test_in_a_frame_that_may_not_save_the_page_says_so(
    tab: Tab, site: Site, may_save: bool
) -> None:
    sandbox = "allow-scripts allow-same-origin allow-forms" + " allow-downloads" * may_save
    tab.open(f"{site.url}/framed?sandbox={sandbox.replace(' ', '%20')}")
    inside = "document.querySelector('iframe').contentDocument"
    wait_until(
        lambda: tab.evaluate(f"Boolean({inside}.querySelector('download-btn:defined'))"),
        "the frame does not load",
    )
    tab.evaluate(f"void {inside}.querySelector('{BUTTON}').click()")
    words = f"{inside}.querySelector('.download-btn-progress').innerText"
    warning = "The page around this one may forbid saving."
    if may_save:
        wait_until(lambda: "Saved orders.csv" in tab.evaluate(words), "it is not saved")
    else:
        wait_until(lambda: warning in tab.evaluate(words), "nothing is said", patience=15)
        assert tab.evaluate(f"{inside}.querySelector('[data-btn-page]').offsetWidth") > 0
    assert (warning in tab.evaluate(words)) != may_save


def test_where_sockets_are_blocked_polling_carries_the_run(
    opened: Callable[[str], Tab], site_without_socket: Site, gate: str
) -> None:
    tab = opened(site_without_socket.address(f"half:{gate}", "one"))
    tab.click(BUTTON)
    wait_until(lambda: "42%" in tab.evaluate(TEXT), "no percent is shown")
    site_without_socket.open_gate(gate)
    wait_for(tab, "done")


def test_the_downloads_centre_offers_what_was_made(
    opened: Callable[[str], Tab], site: Site
) -> None:
    tab = opened(site.address("thanks"))
    tab.click(BUTTON)
    wait_for(tab, "done")
    opened(site.address(path="/center"))
    assert "thanks.txt" in tab.evaluate("document.querySelector('download-center').innerText")


def test_no_state_breaks_the_policy_of_a_strict_page(
    opened: Callable[[str], Tab], site: Site
) -> None:
    tab = opened(site.address("stages"))
    tab.evaluate(
        "void (window.broken = [], document.addEventListener('securitypolicyviolation',"
        " (event) => broken.push(event.blockedURI)))"
    )
    tab.click(BUTTON)
    wait_for(tab, "done")
    assert tab.evaluate("window.broken") == []


def test_no_state_has_a_fault_that_axe_finds(opened: Callable[[str], Tab], site: Site) -> None:
    tab = opened(address_of_states(site, "/center"))
    show_states(tab)
    assert axe_findings(tab) == []
