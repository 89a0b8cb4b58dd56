"""See every state of the page as one does who zooms, reads from the right, or needs contrast."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from browser import Visitor
from pages import (
    FILES,
    Site,
    address_of_states,
    axe_findings,
    button,
    running_site,
    show_states,
    wait_for,
)
from playwright.sync_api import Browser, Page

SCALE = 2
SHEETS = {
    "none": "/page.css",
    "bootstrap4": "/framework/bootstrap4/css/bootstrap.min.css",
    "bootstrap5": "/framework/bootstrap5/css/bootstrap.min.css",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("looks")) as site:
        yield site


@pytest.fixture(scope="module")
def shown(browser: Browser, site: Site) -> Iterator[Page]:
    """One page with a button in each state, and the centre with what a visitor made before."""
    visitor = Visitor(browser, viewport={"width": 1024, "height": 800}, device_scale_factor=SCALE)
    visitor.expected_errors.append("404")
    page = visitor.open_tab()
    page.goto(site.address("two", "broken"))
    for index, state in enumerate(("done", "failed")):
        button(page, index).click()
        wait_for(page, state, index)
    page.goto(address_of_states(site, "/center"))
    show_states(page)
    yield page
    visitor.close()
    assert not visitor.unexpected_errors


@pytest.fixture
def look(shown: Page) -> Iterator[Callable[..., Page]]:
    """Give the page a framework, a direction, a size; and take it all back after the test."""

    def look(
        framework: str = "none",
        *,
        theme: str = "light",
        direction: str = "ltr",
        size: tuple[int, int] = (1024, 800),
        **media: Any,
    ) -> Page:
        shown.set_viewport_size({"width": size[0], "height": size[1]})
        shown.emulate_media(
            color_scheme=media.get("color_scheme", "light"),
            forced_colors=media.get("forced_colors", "none"),
            reduced_motion=media.get("reduced_motion", "no-preference"),
        )
        shown.evaluate(DRESS, [SHEETS[framework], theme, direction])
        return shown

    yield look
    look()


# Another sheet in place of the page's own; and what moves stands still where all of it is seen.
DRESS = """
  async ([sheet, theme, direction]) => {
    const root = document.documentElement;
    root.dataset.bsTheme = theme;
    root.dir = direction;
    root.style.scrollBehavior = "auto";
    root.lang = direction === "rtl" ? "ar" : "en";
    const link = document.querySelector("head link[rel=stylesheet]");
    if (!link.href.endsWith(sheet)) {
      await new Promise((resolve) => {
        link.onload = resolve;
        link.href = sheet;
      });
    }
    scrollTo(0, 0);
    await new Promise(requestAnimationFrame);
    for (const animation of document.getAnimations()) {
      if (animation.effect.getComputedTiming().iterations === 1) animation.finish();
      else Object.assign(animation, {currentTime: 1100}).pause();
    }
  }
"""

# -- sizes and directions --------------------------------------------------------------------------

# What of the page is cut off, covered or out of reach.
FAULTS = """
  () => {
    const faults = [];
    const stateOf = (node) => node.closest("[data-shows]")?.dataset.shows ?? "centre";
    const say = (node, what) => {
      faults.push(`${stateOf(node)}: ${what}: ${node.textContent.trim()}`);
    };
    if (document.documentElement.scrollWidth > innerWidth) faults.push("the page scrolls sideways");
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    const overlap = (one, other) =>
      Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1 &&
      Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > 4;
    let above = [];
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const node = text.parentElement;
      if (!text.data.trim() || node.closest(".download-btn-live, template")) continue;
      const range = document.createRange();
      range.selectNodeContents(text);
      const boxes = [...range.getClientRects()].filter(({width}) => width > 0);
      for (const {left, right} of boxes) {
        if (left < 0 || right > innerWidth) say(node, "beyond the window");
      }
      for (let box = node; box !== document.body; box = box.parentElement) {
        const cuts = getComputedStyle(box).overflowX !== "visible";
        if (cuts && box.scrollWidth > box.clientWidth) say(node, "cut off");
      }
      for (const [other, theirs] of above) {
        const covers = boxes.some((box) => theirs.some((their) => overlap(box, their)));
        if (covers) say(node, `covers "${other.trim()}"`);
      }
      above = [...above.slice(-8), [text.data, boxes]];
    }
    for (const control of document.querySelectorAll("main :is(a, button)")) {
      if (!control.getClientRects().length) continue;
      control.scrollIntoView({block: "center"});
      const {left, top, width, height} = control.getBoundingClientRect();
      const hit = document.elementFromPoint(left + width / 2, top + height / 2);
      if (!control.contains(hit)) say(control, "out of reach");
      if (height < 24 && !control.closest("li")) say(control, "too small to hit");
    }
    return faults;
  }
"""


@pytest.mark.parametrize("framework", SHEETS)
def test_nothing_is_cut_or_out_of_reach_at_any_zoom(
    look: Callable[..., Page], framework: str
) -> None:
    # A window of 1280 by 800 at 200 %, and at 400 %; each pixel of the page is two of the screen.
    for size in ((640, 400), (320, 200)):
        page = look(framework, size=size)
        assert page.evaluate(FAULTS) == []


# Where words stand in a line: the lowest and the highest place that any letter of each has.
SPANS = """
  ([selector, words]) => {
    const nodes = [...document.querySelectorAll(selector)];
    const text = nodes.find((node) => node.getClientRects().length).firstChild;
    return words.map((word) => {
      const start = text.data.indexOf(word);
      const places = [...word].map((_, index) => {
        const range = document.createRange();
        range.setStart(text, start + index);
        range.setEnd(text, start + index + 1);
        return range.getBoundingClientRect().left;
      });
      return [Math.min(...places), Math.max(...places), places[0]];
    });
  }
"""
SAVING = "[data-shows=saving] .download-btn-text [data-btn-when=saving]"
NAMES = [file["name"] for file in FILES]


@pytest.mark.parametrize("framework", SHEETS)
def test_from_right_to_left_everything_is_mirrored(
    look: Callable[..., Page], framework: str
) -> None:
    for size in ((320, 800), (1024, 800)):
        page = look(framework, direction="rtl", size=size)
        assert page.evaluate(FAULTS) == []
    words, cancel, bar, fill = (
        box_of(page, f"[data-shows=running] {part}")
        for part in (
            "[data-btn-when=running\\ reconnecting]",
            "[data-btn-act=cancel]",
            "[data-btn-bar]",
            "[data-btn-fill]",
        )
    )
    assert cancel["x"] + cancel["width"] < words["x"]
    assert fill["x"] + fill["width"] == pytest.approx(bar["x"] + bar["width"], abs=2)
    assert fill["width"] == pytest.approx(0.427 * bar["width"], abs=3)


@pytest.mark.parametrize(("direction", "sense"), [("ltr", 1), ("rtl", -1)])
def test_a_bar_of_unknown_progress_moves_the_way_that_one_reads(
    look: Callable[..., Page], direction: str, sense: int
) -> None:
    page = look(direction=direction)
    places = page.evaluate(
        """() => {
          const fill = document.querySelector("[data-shows=unknown] [data-btn-fill]");
          const bar = fill.parentElement.getBoundingClientRect();
          const [animation] = fill.getAnimations();
          return [301, 1100, 1899].map((time) => {
            animation.currentTime = time;
            const {left, width} = fill.getBoundingClientRect();
            return (left + width / 2 - bar.left) / bar.width - 0.5;
          });
        }"""
    )
    assert [place * sense for place in places] == pytest.approx([-0.675, 0, 0.675], abs=0.05)


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_a_name_of_the_other_direction_disturbs_neither_its_neighbour_nor_its_sentence(
    look: Callable[..., Page], direction: str
) -> None:
    page = look(direction=direction)
    (low, high, first), (other_low, other_high, other_first) = page.evaluate(SPANS, [SAVING, NAMES])
    assert high < other_low if direction == "ltr" else other_high < low
    # Each begins where it is read from: "(1) orders.csv" on its left, "(2) דוח.csv" on its right.
    assert (first, other_first) == (low, other_high)


def test_sizes_and_references_are_readable_from_right_to_left(look: Callable[..., Page]) -> None:
    page = look(direction="rtl")
    for selector, words in (
        ("[data-shows=done] [data-btn-zip]", "6.8 MB"),
        ("[data-shows=saving] li small[data-btn-words]", "(3.4 MB)"),
        ("[data-shows=failed] .download-btn-note [data-btn-when=failed]", "4f1d0c"),
        (".download-center a bdi", "259 B"),
    ):
        ((low, _, first),) = page.evaluate(SPANS, [selector, [words]])
        assert first == low


def test_a_page_without_scripts_reads_as_its_words_do(page: Page, site: Site) -> None:
    page.expected_errors.append("favicon")  # type: ignore[attr-defined]
    page.goto(site.address("at_once"))
    button(page).click()
    wait_for(page, "done")
    page.goto(site.url + page.evaluate("document.querySelector('download-btn').snapshot.url"))
    directions = []
    for title in ("Ready", "جاهز"):
        page.evaluate("(title) => { document.title = title }", title)
        directions.append(page.evaluate("getComputedStyle(document.body).direction"))
    assert directions == ["ltr", "rtl"]


def box_of(page: Page, selector: str) -> dict[str, float]:
    box = page.locator(selector).first.bounding_box()
    assert box
    return dict(box)


# -- colours ---------------------------------------------------------------------------------------

# Where there is something to see, in pixels of the page.
PLACES = """
  () => {
    const places = [];
    const note = (node, what, {left, top, width, height}, margin = 0) => {
      const state = node.closest("[data-shows]")?.dataset.shows ?? "centre";
      const box = [left - margin, top + scrollY - margin, width + 2 * margin, height + 2 * margin];
      places.push({state, what, box: box.map(Math.round)});
    };
    const walker = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
    for (let text = walker.nextNode(); text; text = walker.nextNode()) {
      const node = text.parentElement;
      if (!text.data.trim() || node.closest(".download-btn-live, template")) continue;
      const range = document.createRange();
      range.selectNodeContents(text);
      for (const box of range.getClientRects()) {
        if (box.width > 2) note(node, `text ${text.data.trim()}`, box);
      }
    }
    for (const bar of document.querySelectorAll("[data-btn-bar]")) {
      if (getComputedStyle(bar).visibility === "hidden") continue;
      const isFull = bar.getAttribute("aria-valuenow") === "100";
      // The end of a full bar is seen against the page, any other's against what is still to come.
      note(bar, "bar", bar.getBoundingClientRect(), isFull ? 4 : -3);
    }
    for (const control of document.querySelectorAll(".download-btn-action")) {
      const {left, top, width, height} = control.getBoundingClientRect();
      const edge = {left: left - 4, top: top + height / 2, width: 8, height: 4};
      if (width) note(control, "border", edge);
    }
    return places;
  }
"""

# The highest contrast between what is most of a place and any other colour that fills some of it.
CONTRASTS = """
  async ([picture, places, scale]) => {
    const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], {type: "image/png"}));
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    canvas.drawImage(bitmap, 0, 0);
    const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const part = (value) => linear(value / 255);
    const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b) + 0.05;
    return places.map(({what, box}) => {
      const {data} = canvas.getImageData(...box.map((value) => value * scale));
      const colours = new Map();
      for (let index = 0; index < data.length; index += 4) {
        const colour = data.slice(index, index + 3).join();
        colours.set(colour, (colours.get(colour) ?? 0) + 1);
      }
      const least = what.startsWith("text") ? 1 : data.length / 4 * 0.03;
      const found = [...colours].sort((a, b) => b[1] - a[1]).filter(([, count]) => count >= least);
      const [most, ...others] = found.map(([colour]) => light(colour.split(",")));
      const ratios = others.map((other) => Math.max(other, most) / Math.min(other, most));
      return Math.max(1, ...ratios);
    });
  }
"""


class Contrasts:
    """Measures in a picture what the eye gets, whatever dims, filters or forces colours."""

    def __init__(self, browser: Browser) -> None:
        self._canvas = browser.new_page()

    def too_low(self, page: Page) -> list[str]:
        """Name the words below 4.5:1, and the bars and borders below 3:1."""
        places = page.evaluate(PLACES)
        ratios = self._measure(page.screenshot(full_page=True), places)
        return [
            f"{place['state']}: {place['what']}: {ratio:.2f}"
            for place, ratio in zip(places, ratios, strict=True)
            if ratio < (4.5 if place["what"].startswith("text") else 3)
        ]

    def of_ring(self, page: Page) -> float:
        box = page.evaluate(RING)
        place = {"what": "text", "box": [0, 0, box["width"], box["height"]]}
        (ratio,) = self._measure(page.screenshot(clip=box), [place])
        return ratio

    def _measure(self, picture: bytes, places: list[dict[str, Any]]) -> list[float]:
        question = [base64.b64encode(picture).decode(), places, SCALE]
        return self._canvas.evaluate(CONTRASTS, question)  # type: ignore[no-any-return]

    def close(self) -> None:
        self._canvas.close()


@pytest.fixture(scope="module")
def contrasts(browser: Browser) -> Iterator[Contrasts]:
    contrasts = Contrasts(browser)
    yield contrasts
    contrasts.close()


LOOKS = [
    ("none", "light", "light"),
    ("none", "light", "dark"),
    ("bootstrap4", "light", "dark"),
    ("bootstrap5", "light", "dark"),
    ("bootstrap5", "dark", "light"),
]


@pytest.mark.parametrize(("framework", "theme", "scheme"), LOOKS)
def test_s37_every_state_can_be_read(
    look: Callable[..., Page], contrasts: Contrasts, framework: str, theme: str, scheme: str
) -> None:
    page = look(framework, theme=theme, color_scheme=scheme)
    faults = contrasts.too_low(page) + axe_findings(page)
    if framework == "bootstrap4":
        # Its own blue has 3.97:1 on its own buttons.
        faults = [fault for fault in faults if not re.search("btn-primary|Go half way: 3.9", fault)]
    assert faults == []


# A ring around what has the focus lies within four pixels of it.
RING = """
  () => {
    const {left, top, height} = document.activeElement.getBoundingClientRect();
    return {x: Math.round(left) - 5, y: Math.round(top + height / 2) - 3, width: 5, height: 6};
  }
"""
CONTROLS = [
    "[data-shows=running] [name=download_btn_token]",
    "[data-shows=running] [data-btn-act=cancel]",
    "[data-shows=held] li a",
    "[data-shows=held] [data-btn-zip]",
]


@pytest.mark.parametrize(("framework", "theme", "scheme"), LOOKS)
def test_what_has_the_focus_shows_it(
    look: Callable[..., Page], contrasts: Contrasts, framework: str, theme: str, scheme: str
) -> None:
    page = look(framework, theme=theme, color_scheme=scheme)
    page.keyboard.press("Tab")
    for control in CONTROLS:
        page.locator(control).first.focus()
        assert contrasts.of_ring(page) >= 3, control


@pytest.mark.parametrize(("framework", "scheme"), [("none", "light"), ("bootstrap5", "dark")])
def test_forced_colours_leave_everything_visible(
    look: Callable[..., Page], contrasts: Contrasts, framework: str, scheme: str
) -> None:
    page = look(framework, forced_colors="active", color_scheme=scheme)
    assert contrasts.too_low(page) == []
    style = "(node, name) => getComputedStyle(node)[name]"
    bar = page.locator("[data-shows=running] [data-btn-bar]")
    assert bar.evaluate(style, "borderTopWidth") == "1px"
    usable, busy = (
        page.locator(f"[data-shows={state}] [name=download_btn_token]").evaluate(style, "color")
        for state in ("idle", "running")
    )
    assert usable != busy
    link = page.locator("[data-shows=held] li a").first
    assert "underline" in link.evaluate(style, "textDecoration")
    page.keyboard.press("Tab")
    page.locator(CONTROLS[1]).focus()
    assert contrasts.of_ring(page) >= 3


MOVING = """
  () => {
    for (const fill of document.querySelectorAll("[data-btn-fill]")) fill.style.width = "50%";
    const times = document.getAnimations().map(({effect}) => effect.getComputedTiming().duration);
    return times.filter((time) => time > 1).length;
  }
"""


@pytest.mark.parametrize("framework", SHEETS)
def test_nothing_moves_for_who_wants_less_of_it(look: Callable[..., Page], framework: str) -> None:
    page = look(framework)
    assert page.evaluate(MOVING) > 0
    page = look(framework, reduced_motion="reduce")
    assert page.evaluate(MOVING.replace("50%", "70%")) == 0
