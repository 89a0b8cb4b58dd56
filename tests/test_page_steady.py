"""Hold the page to what it keeps to whatever becomes of a run, a network or a policy."""

from __future__ import annotations

import gzip
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import sites
from pages import (
    RECORD,
    STATES,
    Site,
    address_of_states,
    button,
    click_and_save,
    downloads_of,
    expect_words,
    running_site,
    saved,
    show_states,
    text,
    wait_for,
)
from playwright.sync_api import Page, WebSocketRoute, expect
from processes import ROOT, wait_until

from flask_download_btn import File

STATIC = ROOT / "flask_download_btn" / "static"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("steady")) as site:
        yield site


@pytest.fixture
def own_site(tmp_path: Path) -> Iterator[Site]:
    """A site that counts the calls of one test."""
    with running_site(tmp_path) as site:
        yield site


@pytest.fixture
def gate() -> str:
    return uuid4().hex


@pytest.fixture
def page(new_visitor: Callable[..., Any]) -> Page:
    tab = new_visitor(viewport={"width": 1024, "height": 800}).open_tab()
    tab.add_init_script(RECORD)
    return tab  # type: ignore[no-any-return]


# -- saving again ----------------------------------------------------------------------------------

WAYS_TO_SAVE = {
    "the button": lambda page: page.get_by_role("button", name="Save again").click(),
    "a script": lambda page: page.evaluate("document.querySelector('download-btn').save()"),
}


@pytest.mark.parametrize("way", WAYS_TO_SAVE)
def test_the_file_is_saved_once_more_without_another_run(
    page: Page, own_site: Site, tmp_path: Path, way: str
) -> None:
    page.goto(own_site.address("one"))
    click_and_save(page, tmp_path)
    wait_for(page, "done")
    for _ in range(2):
        with page.expect_download() as saving:
            WAYS_TO_SAVE[way](page)
        assert saved(saving.value, tmp_path) == ("orders.csv", b"a,b\n1,2\n")
        wait_for(page, "done")
        assert "Saved orders.csv" in text(page)
    assert own_site.facts()["calls"]["one"] == 1
    assert page.evaluate("seen.events.map(([name]) => name)") == ["start", "ready", "done"]


def test_all_files_are_saved_once_more(page: Page, site: Site) -> None:
    page.goto(site.address("two"))
    downloads = downloads_of(page)
    button(page).click()
    wait_for(page, "done")
    page.get_by_role("button", name="Save again").click()
    wait_until(lambda: page.evaluate("1") and len(downloads) == 4, "not all are saved again")
    names = sorted(download.suggested_filename for download in downloads)
    assert names == ["first.csv", "first.csv", "second.csv", "second.csv"]
    wait_for(page, "done")


def test_files_that_a_listener_kept_back_are_saved_when_it_says_so(
    page: Page, site: Site, tmp_path: Path
) -> None:
    page.goto(site.address("one"))
    downloads = downloads_of(page)
    page.evaluate(
        """document.addEventListener("download-btn-ready", (event) => {
          event.preventDefault();
          window.saveNow = () => event.target.save();
        })"""
    )
    button(page).click()
    wait_for(page, "ready")
    page.wait_for_timeout(300)
    assert not downloads
    with page.expect_download() as saving:
        page.evaluate("saveNow()")
    assert saved(saving.value, tmp_path) == ("orders.csv", b"a,b\n1,2\n")
    wait_for(page, "done")


def test_a_file_that_cannot_be_had_once_more_is_named_and_not_saved(
    page: Page, site: Site, tmp_path: Path
) -> None:
    page.expected_errors.append("404")  # type: ignore[attr-defined]
    page.goto(site.address("one"))
    click_and_save(page, tmp_path)
    wait_for(page, "done")
    page.route("**/files/**", lambda route: route.fulfill(status=404))
    downloads = downloads_of(page)
    page.get_by_role("button", name="Save again").click()
    wait_for(page, "failed")
    assert "Not available, so not saved: orders.csv." in text(page)
    assert not downloads


# -- the network -----------------------------------------------------------------------------------


def test_after_a_long_silence_the_button_may_be_used_and_finds_its_run(
    page: Page, own_site: Site, gate: str
) -> None:
    page.expected_errors.append("ERR_FAILED")  # type: ignore[attr-defined]
    page.clock.install()
    page.route_web_socket("**/socket.io/**", mute)
    page.goto(own_site.address(f"one:{gate}"))
    downloads = downloads_of(page)
    button(page).click()
    wait_for(page, "running")
    page.route("**/runs/**", lambda route: route.abort())
    wait_for(page, "reconnecting")
    expect(button(page)).to_have_attribute("aria-disabled", "true")
    again = page.get_by_role("button", name="Try again")
    expect(again).to_be_hidden()

    def is_usable() -> bool:
        page.clock.fast_forward(1000)
        return button(page).get_attribute("aria-disabled") is None

    wait_until(is_usable, "the button stays unusable")
    expect(page.locator("download-btn")).to_have_attribute("data-state", "reconnecting")
    expect_words(page, "Connection lost. Trying again…")
    with page.expect_response("**/start"):
        again.click()
    page.unroute("**/runs/**")
    wait_for(page, "running")
    own_site.open_gate(gate)
    wait_for(page, "done")
    assert own_site.facts()["calls"]["one"] == 1
    assert len(downloads) == 1


def mute(socket: WebSocketRoute) -> None:
    """Open, and say nothing."""


def mute_after_connecting(socket: WebSocketRoute) -> None:
    """Let Engine.IO open and Socket.IO connect, and say nothing from then on."""
    server = socket.connect_to_server()

    def pass_on(message: str | bytes) -> None:
        if re.match("0|40", str(message)):
            socket.send(message)

    server.on_message(pass_on)


@pytest.mark.parametrize("become_mute", [mute, mute_after_connecting])
def test_a_socket_that_opens_and_stays_mute_keeps_nothing_from_being_shown_and_saved(
    page: Page,
    site: Site,
    gate: str,
    tmp_path: Path,
    become_mute: Callable[[WebSocketRoute], None],
) -> None:
    sockets: list[str] = []

    def open_socket(socket: WebSocketRoute) -> None:
        sockets.append(socket.url)
        become_mute(socket)

    page.route_web_socket("**/socket.io/**", open_socket)
    page.goto(site.address(f"half:{gate}"))
    button(page).click()
    expect_words(page, "Writing the orders of the year 2026: 42%")
    with page.expect_download() as saving:
        site.open_gate(gate)
    assert saved(saving.value, tmp_path) == ("half.csv", b"half")
    wait_for(page, "done")
    assert len(sockets) == 1
    assert "reconnecting" not in page.evaluate("seen.states")


# -- the bar and its place -------------------------------------------------------------------------

# What one sees of the bar in each frame: the stage and percent that are said, and how full it is.
WATCH_BAR = """() => {
  window.frames = [];
  const progress = document.querySelector(".download-btn-progress");
  const [bar, fill] = ["bar", "fill"].map((part) => progress.querySelector(`[data-btn-${part}]`));
  const look = () => {
    const words = progress.querySelector(".download-btn-text").innerText.match(/(.+): (\\d+)%/);
    if (words) {
      const full = fill.getBoundingClientRect().width / bar.getBoundingClientRect().width;
      frames.push([words[1], Number(words[2]), 100 * full]);
    }
    requestAnimationFrame(look);
  };
  look();
}"""


def test_the_bar_never_goes_back_within_a_stage_and_begins_the_next_at_once(
    page: Page, site: Site
) -> None:
    page.goto(site.address("stages"))
    page.evaluate(WATCH_BAR)
    button(page).click()
    wait_for(page, "done")
    frames = page.evaluate("frames")
    grown = []
    for stage in ("Reading orders", "Writing orders"):
        seen = [(percent, full) for name, percent, full in frames if name == stage]
        fulls = [full for _, full in seen]
        assert fulls == sorted(fulls)
        percent, full = seen[0]
        assert full == pytest.approx(percent, abs=1)
        grown.append(fulls[-1] - full)
    assert max(grown) > 0


def test_a_step_within_a_stage_slides_and_a_new_stage_jumps(page: Page, site: Site) -> None:
    page.goto(site.address("stages"))
    button(page).click()
    wait_for(page, "done")
    steps = [step.split("|") for step in page.evaluate("seen.widths")]
    for stage in ("1", "2"):
        told = [(float(w[:-1]), how) for no, w, how in steps if no == stage and w]
        widths = [width for width, _ in told]
        assert widths == sorted(widths)
        hows = [how for _, how in told]
        assert hows[0] == "none"
        assert set(hows[1:]) == {""}


def test_a_lower_percent_of_the_same_stage_and_an_older_picture_move_nothing_back(
    page: Page, site: Site, gate: str
) -> None:
    page.goto(site.address(f"half:{gate}"))
    button(page).click()
    expect_words(page, "42%")
    page.evaluate(
        """async () => {
          const element = document.querySelector("download-btn");
          const {seq} = element.snapshot;
          const next = {...element.snapshot, percent: 10, text: "Back: 10%"};
          element.accept({...next, seq: seq + 1000});
          element.accept({...next, seq: seq - 1, percent: 90, text: "Long ago: 90%"});
          await new Promise(requestAnimationFrame);
        }"""
    )
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuenow", "42")
    assert page.locator("[data-btn-fill]").evaluate("(fill) => fill.style.width") == "42.7%"
    assert "42%" in text(page)
    site.open_gate(gate)


FRAMEWORKS = ("none", "bootstrap4", "bootstrap5")
LISTED = {name for name, (changes, _) in STATES.items() if len(changes.get("files", ())) > 1}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_no_state_without_a_list_of_files_moves_what_stands_below(
    page: Page, site: Site, framework: str
) -> None:
    page.goto(address_of_states(site, framework=framework))
    show_states(page)
    # One section stands below the other, and each shows a state: as high, none moves the next.
    heights = page.evaluate(
        """() => [...document.querySelectorAll("[data-shows]")].map((section) => (
          [section.dataset.shows, section.getBoundingClientRect().height]
        ))"""
    )
    compared = {name: height for name, height in heights if name not in LISTED}
    assert set(compared) > {"idle", "queued", "running", "failed", "cancelled", "expired"}
    assert compared == dict.fromkeys(compared, compared["idle"])


# -- policies and hosts ----------------------------------------------------------------------------


def test_a_nonce_alone_is_enough_for_all_scripts(
    page: Page, site: Site, gate: str, tmp_path: Path
) -> None:
    answer = page.goto(site.address(f"half:{gate}", nonce="abc123", static="yes"))
    assert answer
    assert answer.headers["content-security-policy"].endswith("; script-src 'nonce-abc123'")
    with page.expect_websocket():
        button(page).click()
    expect_words(page, "Writing the orders of the year 2026: 42%")
    with page.expect_download() as saving:
        site.open_gate(gate)
    assert saved(saving.value, tmp_path) == ("half.csv", b"half")
    wait_for(page, "done")


def test_a_click_asks_nothing_of_another_host(
    page: Page, site: Site, gate: str, tmp_path: Path
) -> None:
    asked: list[str] = []
    page.context.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.goto(site.address(f"half:{gate}", path="/center"))
    button(page).click()
    expect_words(page, "42%")
    with page.expect_download() as saving:
        site.open_gate(gate)
    assert saved(saving.value, tmp_path) == ("half.csv", b"half")
    wait_for(page, "done")
    assert any(url.startswith("ws:") for url in asked)
    assert any("/start" in url for url in asked)
    hosts = {re.sub("^(https?|wss?)://", "", url).split("/")[0] for url in asked}
    assert hosts == {site.url.removeprefix("http://")}


# -- buttons that are rows -------------------------------------------------------------------------

GATES: dict[str, threading.Event] = defaultdict(threading.Event)


def wait_and_write(btn, gate):
    yield btn.reset("Writing", 42)
    while not GATES[gate].wait(0.02):
        yield btn.report("Writing", 42)
    yield File(b"row", "row.txt")


@pytest.fixture
def row_page(tmp_path: Path, gate: str) -> Iterator[str]:
    """The address of a page whose button is a row that the view looks up."""
    with sites.site(tmp_path) as site:
        uid = site.button((wait_and_write, {"gate": gate}))
        with site.served() as url:
            yield f"{url}/a-page-with/{uid}"
        GATES[gate].set()


def test_a_page_of_a_kept_row_finds_its_run_when_it_is_loaded_again(
    page: Page, row_page: str, gate: str, tmp_path: Path
) -> None:
    page.expected_errors.append("404")  # type: ignore[attr-defined]  # it has no icon
    page.goto(row_page)
    button(page).click()
    wait_for(page, "running")
    page.reload()
    wait_for(page, "running")
    expect_words(page, "Writing: 42%")
    with page.expect_download() as saving:
        GATES[gate].set()
    assert saved(saving.value, tmp_path) == ("row.txt", b"row")
    wait_for(page, "done")


def test_a_second_tab_with_a_kept_row_shows_its_run_and_the_file_is_saved_once(
    page: Page, row_page: str, gate: str
) -> None:
    page.expected_errors.append("404")  # type: ignore[attr-defined]  # it has no icon
    page.goto(row_page)
    button(page).click()
    wait_for(page, "running")
    other = page.context.new_page()
    other.goto(row_page)
    wait_for(other, "running")
    expect_words(other, "Writing: 42%")
    downloads = downloads_of(page), downloads_of(other)
    GATES[gate].set()
    wait_for(page, "done")
    wait_for(other, "done")
    assert [len(some) for some in downloads] == [1, 0]


# -- weight ----------------------------------------------------------------------------------------


def test_what_the_first_click_loads_of_ours_is_small() -> None:
    assert len(gzip.compress((STATIC / "download-btn-live.js").read_bytes(), 9)) <= 8192


TOPS = """
  () => [...document.querySelectorAll("section[data-shows]")].map((section) => [
    section.dataset.shows,
    section.querySelector(".download-btn-bar").getBoundingClientRect().top
      - section.getBoundingClientRect().top,
  ])
"""


@pytest.mark.parametrize("width", [1024, 320])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_no_sentence_moves_the_bar(page: Page, site: Site, framework: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(address_of_states(site, framework=framework))
    show_states(page)
    tops = dict(page.evaluate(TOPS))
    assert {name: top for name, top in tops.items() if abs(top - tops["running"]) > 1} == {}
