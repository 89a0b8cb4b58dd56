"""Open pages in Debian's Chromium, and hold against a test every error that it did not expect."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")

# Without the network flags it asks for hosts of its own at every start.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """One person with a browser of their own: cookies, tabs, and whatever goes wrong in them."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        options.setdefault("accept_downloads", True)
        self.errors: list[str] = []
        self.expected_errors: list[str] = []
        self.context: BrowserContext = browser.new_context(**options)
        self.context.set_default_timeout(15_000)
        # A violation of the page's policy is an error on the console too.
        self.context.on("console", self._note_console)
        self.context.on("weberror", lambda error: self._note(f"uncaught: {error.error}"))
        self.context.on("page", self._share_lists)

    def open_tab(self) -> Page:
        return self.context.new_page()

    @property
    def unexpected_errors(self) -> list[str]:
        return [error for error in self.errors if not self._is_expected(error)]

    def close(self) -> None:
        self.context.close()

    def _share_lists(self, page: Page) -> None:
        # So that a test which has but a page can say `page.expected_errors.append("410")`.
        page.errors = self.errors  # type: ignore[attr-defined]
        page.expected_errors = self.expected_errors  # type: ignore[attr-defined]

    def _note_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._note(f"{message.text} ({message.location.get('url', '')})")

    def _note(self, error: str) -> None:
        self.errors.append(error)

    def _is_expected(self, error: str) -> bool:
        return any(re.search(pattern, error) for pattern in self.expected_errors)
