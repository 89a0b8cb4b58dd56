"""Test what becomes of a run whose page is closed: it goes on, unless its button says not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import sites
from flask import Response, request, send_file
from playwright.sync_api import Page
from processes import TESTS, wait_until

from flask_download_btn import File

# As htmx and Turbo replace what stands in a page by what the server sends.
REPLACE = """
  async () => {
    const html = await (await fetch(location)).text();
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of ["download-btn", ".download-btn-progress"]) {
      document.querySelector(part).replaceWith(document.adoptNode(fresh.querySelector(part)));
    }
  }
"""


def turbo() -> Response:
    return send_file(TESTS / "vendor" / "turbo.js")


def with_turbo(response: Response) -> Response:
    """Have Turbo drive the pages that ask for it."""
    if "turbo" in request.args:
        response.set_data(response.get_data() + b"<script src='/turbo.js'></script>")
    return response


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


@pytest.fixture
def site(tmp_path: Path, gate: threading.Event) -> Iterator[sites.Site]:
    with sites.site(tmp_path, declare=False) as site:

        def waits(btn):
            while not gate.wait(0.02):
                yield
            yield File(b"done", "done.txt")

        site.manager.button("goes_on")(waits)
        site.manager.button("stops", stops_with_page=True)(waits)
        site.app.add_url_rule("/turbo.js", view_func=turbo, endpoint="turbo")
        site.app.after_request(with_turbo)
        yield site
        gate.set()


def click_and_leave(page: Page, site: sites.Site, url: str, name: str) -> None:
    page.goto(f"{url}/a-page-with/{name}")
    page.expected_errors.append("404")  # type: ignore[attr-defined]  # it has no icon
    page.locator("download-btn button[name]").click()
    page.locator("download-btn[data-state=running]").wait_for()
    wait_until(lambda: [run.state for run in site.runs()] == ["running"], "No run has begun")
    page.goto("about:blank")


def test_a_run_goes_on_when_its_page_is_closed(page: Page, site: sites.Site, gate: threading.Event):
    with site.served() as url:
        click_and_leave(page, site, url, "goes_on")
        gate.set()

        wait_until(lambda: [run.state for run in site.runs()] == ["ready"], "It did not go on")


def test_a_button_may_stop_its_run_when_turbo_leaves_the_page(page: Page, site: sites.Site):
    with site.served() as url:
        page.expected_errors.append("404")  # type: ignore[attr-defined]  # it has no icon
        page.goto(f"{url}/a-page-with/stops?turbo")
        page.locator("download-btn button[name]").click()
        page.locator("download-btn[data-state=running]").wait_for()
        page.evaluate("void (window.isTheSame = true)")
        # What is moved within its page, or replaced there, is not left.
        page.evaluate("document.body.prepend(document.querySelector('download-btn'))")
        page.evaluate(REPLACE)
        page.locator("download-btn[data-state=running][data-snapshot]").wait_for()
        page.evaluate("Turbo.visit('/a-page-with/goes_on')")
        page.locator("download-btn[data-state=idle]").wait_for()

        wait_until(lambda: [run.state for run in site.runs()] == ["cancelled"], "It goes on")
        assert page.evaluate("window.isTheSame")


def test_a_second_tab_that_is_closed_stops_nothing(
    page: Page, site: sites.Site, gate: threading.Event
):
    with site.served() as url:
        page.expected_errors.append("404")  # type: ignore[attr-defined]  # it has no icon
        page.goto(f"{url}/a-page-with/stops")
        page.locator("download-btn button[name]").click()
        page.locator("download-btn[data-state=running]").wait_for()
        second = page.context.new_page()
        second.goto(f"{url}/a-page-with/stops")
        second.locator("download-btn[data-state=running]").wait_for()
        second.goto("about:blank")
        gate.set()

        page.locator("download-btn[data-state=done]").wait_for()


def test_a_button_may_stop_its_run_when_the_page_is_closed(page: Page, site: sites.Site):
    with site.served() as url:
        click_and_leave(page, site, url, "stops")

        wait_until(lambda: [run.state for run in site.runs()] == ["cancelled"], "It goes on")
