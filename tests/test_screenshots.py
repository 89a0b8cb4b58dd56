"""Show every state of the page, and take the pictures of the docs: `make screenshots`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pages import OFFLINE, Site, button, click_and_save, expect_words, running_site, wait_for
from playwright.sync_api import Page
from processes import ROOT

STATES = (
    "idle submitting queued running unknown reconnecting ready saving done failed cancelled expired"
)

# What takes minutes, or a browser's question, is put into the picture that a run of seconds has.
CHANGE = """
  (changes) => {
    const element = document.querySelector("download-btn");
    element.accept({...element.snapshot, ...changes, seq: element.snapshot.seq + 1000000});
  }
"""
HOLD_BACK = """
  (flag) => {
    const element = document.querySelector("download-btn");
    const {files: [first, second], seq} = element.snapshot;
    const files = [first, {...second, started: false, downloaded: false}];
    element.accept({...element.snapshot, files, seq: seq + 1000000});
    element.show(...(flag === "held" ? ["ready", "held"] : ["saving"]));
  }
"""
# The bar of unknown progress moves: midway is as good as anywhere.
PAUSE = """
  () => document.getAnimations().forEach((animation) => {
    animation.pause();
    animation.currentTime = 1050;
  })
"""
HIDE_TITLE = "document.querySelector('h1').style.display = 'none'"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("screenshots")) as site:
        yield site


@pytest.fixture
def take(tmp_path: Path) -> Callable[[Page, str], None]:
    """Keep a picture of what the page shows; `SCREENSHOTS` names the folder."""
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))

    def take(page: Page, name: str) -> None:
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        page.evaluate(PAUSE)
        path = folder / f"{name}.png"
        page.locator("main").screenshot(path=path)
        assert path.stat().st_size < 40_000

    return take


@pytest.fixture
def narrow(new_visitor: Callable[..., Any]) -> Iterator[Page]:
    """A page as wide as a picture in the docs."""
    page = new_visitor(viewport={"width": 560, "height": 700}, locale="en-GB").open_tab()
    yield page
    page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize("state", STATES.split())
def test_a_state_can_be_shown(
    narrow: Page, site: Site, take: Callable[[Page, str], None], state: str, tmp_path: Path
) -> None:
    page, gate = narrow, uuid4().hex
    PREPARE[state](page, site, gate, tmp_path)
    page.evaluate(HIDE_TITLE)
    take(page, state)
    site.open_gate(gate)


def run_half_way(page: Page, site: Site, gate: str) -> None:
    page.goto(site.address(f"half:{gate}", framework="bootstrap5"))
    button(page).click()
    wait_for(page, "running")
    expect_words(page, "42%")


def idle(page: Page, site: Site, gate: str, folder: Path) -> None:
    page.goto(site.address("one", framework="bootstrap5"))


def submitting(page: Page, site: Site, gate: str, folder: Path) -> None:
    page.goto(site.address("one", framework="bootstrap5"))
    page.route("**/start", lambda route: None)
    button(page).click()
    expect_words(page, "Starting…")


def queued(page: Page, site: Site, gate: str, folder: Path) -> None:
    run_half_way(page, site, gate)
    page.evaluate(CHANGE, {"state": "queued", "percent": None, "text": "", "queue_position": 3})
    expect_words(page, "Place 3 in the queue")


def running(page: Page, site: Site, gate: str, folder: Path) -> None:
    run_half_way(page, site, gate)
    page.evaluate(CHANGE, {"eta": 110, "eta_text": "about 2 min left"})
    expect_words(page, "about 2 min left")


def unknown(page: Page, site: Site, gate: str, folder: Path) -> None:
    page.goto(site.address(f"unknown:{gate}", framework="bootstrap5"))
    button(page).click()
    expect_words(page, "Looking around")


def reconnecting(page: Page, site: Site, gate: str, folder: Path) -> None:
    run_half_way(page, site, gate)
    page.expected_errors.append(OFFLINE)  # type: ignore[attr-defined]
    page.context.set_offline(True)
    wait_for(page, "reconnecting")
    expect_words(page, "Connection lost.")


def ready(page: Page, site: Site, gate: str, folder: Path) -> None:
    page.goto(site.address("two", framework="bootstrap5"))
    button(page).click()
    wait_for(page, "done")
    page.evaluate(HOLD_BACK, "held")
    expect_words(page, "Your browser did not save everything")


def saving(page: Page, site: Site, gate: str, folder: Path) -> None:
    page.goto(site.address("two", framework="bootstrap5"))
    button(page).click()
    wait_for(page, "done")
    page.evaluate(HOLD_BACK, "saving")


def done(page: Page, site: Site, gate: str, folder: Path) -> None:
    page.goto(site.address("thanks", framework="bootstrap5"))
    click_and_save(page, folder)
    wait_for(page, "done")


def failed(page: Page, site: Site, gate: str, folder: Path) -> None:
    page.goto(site.address("broken", framework="bootstrap5"))
    button(page).click()
    wait_for(page, "failed")


def cancelled(page: Page, site: Site, gate: str, folder: Path) -> None:
    run_half_way(page, site, gate)
    page.get_by_role("button", name="Cancel").click()
    wait_for(page, "cancelled")


def expired(page: Page, site: Site, gate: str, folder: Path) -> None:
    run_half_way(page, site, gate)
    page.evaluate("document.querySelector('download-btn').fail('gone')")
    wait_for(page, "expired")


PREPARE = {
    function.__name__: function
    for function in (
        *(idle, submitting, queued, running, unknown, reconnecting),
        *(ready, saving, done, failed, cancelled, expired),
    )
}


def test_the_centre_can_be_shown(
    narrow: Page, site: Site, take: Callable[[Page, str], None], tmp_path: Path
) -> None:
    page, gate = narrow, uuid4().hex
    for name in ("two", "thanks"):
        page.goto(site.address(name))
        button(page).click()
        wait_for(page, "done")
    run_half_way(page, site, gate)
    page.goto(site.address(path="/center", framework="bootstrap5"))
    expect_words(page, "42%")
    page.evaluate("document.querySelector('[data-center-notify]').hidden = true")
    page.evaluate(HIDE_TITLE)
    take(page, "center")
    site.open_gate(gate)


def test_the_docs_show_every_state() -> None:
    shown = re.findall(r"\(images/([\w-]+)\.png\)", (ROOT / "docs" / "page.md").read_text())
    assert sorted(shown) == sorted([*STATES.split(), "center"])
    assert all((ROOT / "docs" / "images" / f"{name}.png").exists() for name in shown)
