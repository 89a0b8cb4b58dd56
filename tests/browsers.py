"""Drive Firefox and WebKit, which are not Chromium, through what every browser must do."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright


class Tab(Protocol):
    """What the tests ask of a browser's page."""

    def open(self, url: str) -> None: ...
    def click(self, selector: str) -> None: ...
    def evaluate(self, expression: str) -> Any: ...
    def saved(self) -> dict[str, bytes]: ...


def find_firefox() -> str | None:
    return shutil.which("firefox-esr") or shutil.which("firefox")


def find_webkit() -> str | None:
    return shutil.which("Xvfb") and shutil.which("WebKitWebDriver")


@contextmanager
def firefox(folder: Path) -> Iterator[FirefoxTab]:
    with sync_playwright() as playwright:
        # The channel has Playwright speak to Firefox as Debian builds it.
        browser = playwright.firefox.launch(
            channel="moz-firefox",
            executable_path=find_firefox(),
            env={**os.environ, "HOME": str(folder)},
        )
        try:
            yield FirefoxTab(browser.new_page(accept_downloads=True), folder)
        finally:
            browser.close()


class FirefoxTab:
    """A page of Firefox, through Playwright."""

    def __init__(self, page: Any, folder: Path) -> None:
        self._page = page
        self._folder = folder
        self._downloads: list[Any] = []
        page.on("download", lambda download: self._downloads.append(download))

    def open(self, url: str) -> None:
        self._page.goto(url)

    def click(self, selector: str) -> None:
        self._page.locator(selector).first.click()

    def evaluate(self, expression: str) -> Any:
        try:
            return self._page.evaluate(expression)
        except PlaywrightError as error:
            if "context was destroyed" not in str(error):
                raise
            # That page has gone: ask the one that comes.
            self._page.wait_for_load_state()
            return self._page.evaluate(expression)

    def saved(self) -> dict[str, bytes]:
        # Events come only while Playwright is asked something.
        self._page.evaluate("0")
        return {each.suggested_filename: Path(each.path()).read_bytes() for each in self._downloads}


@contextmanager
def webkit(folder: Path) -> Iterator[WebKitTab]:
    from selenium import webdriver
    from selenium.webdriver.webkitgtk.service import Service

    settings = folder / "settings"
    downloads = folder / "Downloads"
    for each in (settings, downloads):
        each.mkdir()
    (settings / "user-dirs.dirs").write_text(f'XDG_DOWNLOAD_DIR="{downloads}"\n')
    with _display() as display:
        environment = {
            **os.environ,
            "DISPLAY": display,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(settings),
            # There is no graphics card here.
            "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
        }
        driver = webdriver.WebKitGTK(service=Service(find_webkit(), env=environment))
        try:
            driver.set_script_timeout(10)
            yield WebKitTab(driver, downloads)
        finally:
            driver.quit()


class WebKitTab:
    """A page of WebKit, through Selenium."""

    def __init__(self, driver: Any, downloads: Path) -> None:
        self._driver = driver
        self._downloads = downloads

    def open(self, url: str) -> None:
        self._driver.get(url)

    def click(self, selector: str) -> None:
        self._driver.find_element("css selector", selector).click()

    def evaluate(self, expression: str) -> Any:
        return self._driver.execute_script(f"return {expression}")

    def saved(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self._downloads.iterdir()}


@contextmanager
def _display() -> Iterator[str]:
    """Give a screen that nobody sees, under a number of its own choice."""
    reading, writing = os.pipe()
    command = [
        "Xvfb",
        "-displayfd",
        str(writing),
        "-screen",
        "0",
        "1024x768x24",
        "-nolisten",
        "tcp",
    ]
    process = subprocess.Popen(command, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as numbers:
            yield f":{numbers.readline().strip()}"
    finally:
        process.terminate()
        process.wait(30)


BROWSERS = {
    "firefox": (find_firefox, firefox),
    "webkit": (find_webkit, webkit),
}
