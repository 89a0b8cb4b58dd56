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
from playwright.sync_api import Page, expect
from processes import TESTS, Process, app_server

BUTTON = "[name=download_btn_token]"
OFFLINE = "ERR_(CONNECTION|EMPTY|INTERNET)|WebSocket"

# What a page did, seen from inside: every state, width and announcement in order.
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
      note(seen.widths, progress.querySelector("[data-btn-fill]").style.width);
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


def show_all_states(page: Page, gate: str) -> None:
    """Bring eleven buttons into one state each."""
    button(page, 1).click()
    page.evaluate("document.querySelectorAll('download-btn')[0].show('submitting')")
    for index in range(2, 9):
        button(page, index).click()
    wait_for(page, "running", 1)
    wait_for(page, "running", 2)
    wait_for(page, "failed", 3)
    wait_for(page, "failed", 4)
    for index in (5, 6, 7):
        wait_for(page, "done", index)
    wait_for(page, "running", 8)
    page.get_by_role("button", name="Cancel").last.click()
    wait_for(page, "cancelled", 8)


def all_states(site: Site, gate: str, **query: str) -> str:
    names = ["one", f"half:{gate}", f"unknown:{gate}", "broken", "refusing"]
    return site.address(*names, "two", "thanks", "nothing", f"one:{gate}", **query)


def axe_findings(page: Any) -> list[str]:
    """Return what axe finds in a page, or in another browser's tab."""
    script = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
    page.evaluate(f"void (() => {{ {script} }})()")
    violations = page.evaluate("axe.run().then(({violations}) => violations)")
    return [
        f"{finding['id']}: {node['html']}" for finding in violations for node in finding["nodes"]
    ]
