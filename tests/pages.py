"""What tests of the page share: a running page_app, and what one asks of a page."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import axe_playwright_python
from browsers import Tab
from playwright.sync_api import Page, expect
from processes import TESTS, Process, app_server

BUTTON = "[name=download_btn_token]"
OFFLINE = "ERR_(CONNECTION|EMPTY|INTERNET)|WebSocket"

# What a page did, seen from inside: every state and announcement in order, and each width of the
# bar with the stage that it belongs to and how it was come to: "2|35%|none".
RECORD = """
  window.seen = {states: [], texts: [], widths: [], said: [], events: []};
  document.addEventListener("DOMContentLoaded", () => {
    const note = (list, value) => { if (list.at(-1) !== value) list.push(value); };
    const look = () => {
      const element = document.querySelector("download-btn");
      const progress = document.querySelector(".download-btn-progress");
      if (!element || !progress) return;
      note(seen.states, element.dataset.state);
      note(seen.said, element.querySelector("[data-btn-live]").textContent);
      note(seen.texts, progress.querySelector(".download-btn-text").innerText.trim());
      const {width, transition} = progress.querySelector("[data-btn-fill]").style;
      note(seen.widths, [element.snapshot?.stage_no ?? "", width, transition].join("|"));
    };
    new MutationObserver(look).observe(document.body, {
      subtree: true, childList: true, attributes: true, characterData: true,
    });
    for (const name of ["start", "ready", "failed", "done"]) {
      document.addEventListener("download-btn-" + name, (event) => {
        seen.events.push([name, event.detail?.state ?? null]);
      });
    }
  });
"""


# Two files as a snapshot has them. The second was not saved, and its name reads from the right.
FILES = [
    {"name": name, "size": 9, "size_text": "3.4 MB", "type": "text/csv"}
    | {"url": f"/files/{saved}", "started": saved, "downloaded": saved, "elsewhere": False}
    for name, saved in (("(1) orders.csv", True), ("(2) דוח.csv", False))
]
ZIP = {"name": "files.zip", "url": "/zip", "size_text": "6.8 MB", "only": False}
HALF = {"percent": 42.7, "text": "Writing the orders of the year 2026: 42%"}

# All that a page can show: a snapshot, and the state and flag that the page gives to it.
STATES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "idle": ({}, ["idle"]),
    "submitting": ({}, ["submitting"]),
    "queued": ({"queue_position": 3}, ["queued"]),
    "running": (HALF | {"eta_text": "about 2 min left"}, ["running"]),
    "unknown": ({"text": "Looking around"}, ["running"]),
    "cancelling": (HALF, ["running", "cancelling"]),
    "reconnecting": (HALF, ["reconnecting"]),
    "lost": (HALF, ["reconnecting", "lost"]),
    "held": ({"files": FILES, "zip": ZIP}, ["ready", "held"]),
    "framed": ({"files": FILES}, ["ready", "framed"]),
    "elsewhere": ({"files": FILES}, ["ready", "elsewhere"]),
    "cut": ({"files": [FILES[0], FILES[1] | {"cut": True}]}, ["ready", "cut"]),
    "offered": ({"files": FILES}, ["ready", "offered"]),
    "saving": ({"files": FILES}, ["saving"]),
    "done": ({"files": FILES, "zip": ZIP}, ["done"]),
    "messaged": ({"files": FILES[:1], "message": "Thank you for your order."}, ["done"]),
    "nothing": ({}, ["done"]),
    "failed": (
        HALF | {"message": "Something went wrong. Please try again.", "reference": "4f1d0c"},
        ["failed"],
    ),
    "cancelled": (HALF, ["cancelled"]),
    "expired": (HALF, ["expired"]),
}

# Every snapshot is drawn by the page's own script; no server makes a run for it.
SHOW_STATES = """
  async (states) => {
    const elements = [...document.querySelectorAll("main > section download-btn")];
    const blank = {
      state: "running", stage: "", stage_no: 1, percent: null, text: "", eta: null, eta_text: null,
      queue_position: null, message: null, reference: null, callback: null,
      url: "/", cancel_url: "/", files: [], zip: null, seq: 1,
    };
    // What has files loads the script's second half, which draws the others too.
    const names = Object.keys(states);
    const order = [...names].sort((a, b) => ("files" in states[b][0]) - ("files" in states[a][0]));
    for (const name of order) {
      const [changes, shown] = states[name];
      const element = elements[names.indexOf(name)];
      element.closest("section").dataset.shows = name;
      if (name === "idle") continue;
      const picture = {...blank, run: element.id, ...changes};
      if (picture.files.length) {
        const files = picture.files.map((file) => ({...file, downloaded: true}));
        element.snapshot = {...picture, files, state: "ready"};
        element.parentNode.insertBefore(element, element.nextSibling);
        while (element.state !== "done") await new Promise((resolve) => setTimeout(resolve, 10));
      }
      element.accept({...picture, seq: 2});
      element.show(...shown);
    }
  }
"""


class Site:
    """A running page_app, and what a test asks of it."""

    def __init__(self, server: Process) -> None:
        self.server = server
        self.url = server.url

    def address(self, *buttons: str, path: str = "/", **query: str) -> str:
        parts = [f"b={button}" for button in buttons] + [f"{k}={v}" for k, v in query.items()]
        return f"{self.url}{path}?{'&'.join(parts)}"

    def open_gate(self, name: str) -> None:
        urllib.request.urlopen(f"{self.url}/gates/{name}", data=b"", timeout=10).close()

    def facts(self) -> Any:
        with urllib.request.urlopen(f"{self.url}/facts", timeout=10) as answer:
            return json.load(answer)


def new_site(folder: Path, **environment: str) -> Process:
    given = {
        "DATABASE_URL": f"sqlite:///{folder / 'page.db'}",
        "FOLDER": str(folder / "files"),
        **environment,
    }
    log_file = folder / "server.log"
    return app_server(TESTS / "page_app.py", "werkzeug", log_file=log_file, environment=given)


@contextmanager
def running_site(folder: Path, **environment: str) -> Iterator[Site]:
    server = new_site(folder, **environment).start()
    try:
        yield Site(server)
    finally:
        server.thaw()
        server.kill()
        # pytest shows it if the test failed.
        print(server.log())


def button(page: Page, index: int = 0) -> Any:
    return page.locator(BUTTON).nth(index)


def text(page: Page, index: int = 0) -> str:
    return page.locator(".download-btn-progress").nth(index).inner_text()


def expect_words(page: Page, words: str, index: int = 0) -> None:
    """Wait until the page shows these words, the copy for screen readers not counted."""
    page.wait_for_function(
        """([index, words]) => document.querySelectorAll(".download-btn-progress")[index]
          .innerText.includes(words)""",
        arg=[index, words],
    )


def wait_for(page: Page, state: str, index: int = 0, patience: float = 15) -> None:
    element = page.locator("download-btn").nth(index)
    expect(element).to_have_attribute(
        "data-state", re.compile(f"^({state})$"), timeout=patience * 1000
    )


def click_and_save(page: Page, folder: Path, index: int = 0) -> tuple[str, bytes]:
    with page.expect_download() as saving:
        button(page, index).click()
    return saved(saving.value, folder)


def saved(download: Any, folder: Path) -> tuple[str, bytes]:
    target = folder / uuid4().hex
    download.save_as(target)
    return download.suggested_filename, target.read_bytes()


def downloads_of(page: Page) -> list[Any]:
    downloads: list[Any] = []
    page.on("download", lambda download: downloads.append(download))
    return downloads


def address_of_states(site: Site, path: str = "/", **query: str) -> str:
    """Name a page with a new button for each of STATES."""
    return site.address(*(f"half:{uuid4().hex}" for _ in STATES), path=path, **query)


def show_states(page: Page | Tab) -> None:
    page.evaluate(f"({SHOW_STATES})({json.dumps(STATES)})")


def axe_findings(page: Page | Tab) -> list[str]:
    script = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
    page.evaluate(f"void (() => {{{script}}})()")
    violations = page.evaluate("axe.run().then(({violations}) => violations)")
    return [
        f"{finding['id']}: {node['html']}" for finding in violations for node in finding["nodes"]
    ]
