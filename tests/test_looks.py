"""Look at every state as people have it who read, see or set up their screen in another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pages import Site, all_states, axe_findings, running_site, show_all_states
from playwright.sync_api import Page

# What a person can press or read, as it stands in the page's own window.
CUT_OFF = """() => [...document.querySelectorAll("button, a, p, li, [data-btn-bar]")]
  .filter((node) => node.checkVisibility() && node.getBoundingClientRect().width)
  .filter((node) => {
    const {left, right} = node.getBoundingClientRect();
    // What moves in a bar comes from outside of it.
    const overflows = !node.matches("[data-btn-bar]") && node.scrollWidth > node.clientWidth + 1;
    return left < -0.5 || right > innerWidth + 0.5 || overflows;
  })
  .map((node) => node.outerHTML.slice(0, 100))"""
BARS = """() => [...document.querySelectorAll("[data-btn-bar]")].map((bar) => {
  const fill = bar.querySelector("[data-btn-fill]");
  const [outer, inner] = [bar.getBoundingClientRect(), fill.getBoundingClientRect()];
  return {
    value: bar.getAttribute("aria-valuenow"),
    startsLeft: Math.abs(inner.left - outer.left) < 2,
    startsRight: Math.abs(inner.right - outer.right) < 2,
    color: getComputedStyle(fill).backgroundColor,
    track: getComputedStyle(bar).backgroundColor,
    border: parseFloat(getComputedStyle(bar).borderTopWidth),
  };
})"""

# Where what moves is at the middle of its way: well inside of the bar.
MIDWAY = """() => document.getAnimations()
  .filter(({animationName}) => animationName?.startsWith("download-btn-slide"))
  .map((animation) => {
    animation.pause();
    animation.currentTime = 300 + 800;
    const fill = animation.effect.target;
    const [outer, inner] = [fill.parentNode, fill].map((node) => node.getBoundingClientRect());
    return inner.left > outer.left && inner.right < outer.right;
  })"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("looks")) as site:
        yield site


@pytest.fixture
def every_state(
    new_visitor: Callable[..., Any], site: Site, tmp_path: Path
) -> Iterator[Callable[..., Page]]:
    """Open a page with a button in each state: `every_state({"dir": "rtl"}, forced_colors=…)`."""
    gates = [uuid4().hex]

    def open_page(query: dict[str, str], **options: Any) -> Page:
        page: Page = new_visitor(**options).open_tab()
        page.goto(all_states(site, gates[0], **query))
        show_all_states(page, gates[0])
        # For whoever wants to see it.
        page.screenshot(path=tmp_path / "looks.png", full_page=True)
        return page

    yield open_page
    site.open_gate(gates[0])


@pytest.mark.parametrize("framework", ["none", "bootstrap5"])
def test_from_right_to_left_everything_is_mirrored(
    every_state: Callable[..., Page], framework: str
) -> None:
    page = every_state(
        {"dir": "rtl", "framework": framework}, viewport={"width": 480, "height": 800}
    )

    assert page.evaluate(CUT_OFF) == []
    partly = [bar for bar in page.evaluate(BARS) if bar["value"] == "42"]
    assert partly
    assert all(bar["startsRight"] and not bar["startsLeft"] for bar in partly)
    cancel = page.get_by_role("button", name="Cancel").first.bounding_box()
    assert cancel
    assert cancel["x"] < 240
    # Words and sizes keep their own direction: "(5 B)", and not "(B 5)".
    sizes = "[...document.querySelectorAll('li small')].map((n) => getComputedStyle(n).direction)"
    assert set(page.evaluate(sizes)) == {"ltr"}


def test_from_right_to_left_unknown_progress_is_seen_all_the_way(
    every_state: Callable[..., Page],
) -> None:
    page = every_state({"dir": "rtl"})

    assert page.evaluate(MIDWAY) == [True, True]


@pytest.mark.parametrize("framework", ["none", "bootstrap5"])
def test_at_twice_the_size_nothing_is_cut_off(
    every_state: Callable[..., Page], framework: str
) -> None:
    half = {"width": 640, "height": 400}
    page = every_state({"framework": framework}, viewport=half, device_scale_factor=2)

    assert page.evaluate(CUT_OFF) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("framework", ["none", "bootstrap5"])
def test_with_the_visitors_own_colours_the_bar_is_seen(
    every_state: Callable[..., Page], framework: str
) -> None:
    page = every_state({"framework": framework}, forced_colors="active")

    bars = page.evaluate(BARS)
    assert len(bars) == 9
    for bar in bars:
        assert bar["color"] != bar["track"]
        assert bar["border"] >= 1
    assert axe_findings(page) == []


def test_who_wants_no_motion_sees_none(every_state: Callable[..., Page]) -> None:
    page = every_state({}, reduced_motion="reduce")

    moving = "document.getAnimations().map(({effect}) => effect.target.outerHTML)"
    assert page.evaluate(moving) == []
