"""Test what a page finds that is loaded again: the live run of its button, or what became of it."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import sites
from flask import Response, render_template_string, request
from playwright.sync_api import Page
from processes import wait_until

from flask_download_btn import File

OPEN = threading.Event()
SHOWN: list[int] = []

CUSTOMERS: list[str] = []

INSERT = """
  async () => {
    const html = await (await fetch("/new-rows")).text();
    const fresh = new DOMParser().parseFromString(html, "text/html");
    const parts = fresh.querySelectorAll("download-btn, .download-btn-progress");
    document.body.prepend(...[...parts].map((part) => document.adoptNode(part)));
  }
"""


def wait_for_the_gate(btn):
    yield btn.report("A secret of Ann", 10)
    while not OPEN.wait(0.02):
        yield
    yield File(b"done", "done.txt")


def one_customer(btn, name):
    yield from wait_for_the_gate(btn)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[sites.Site]:
    OPEN.clear()
    with sites.site(tmp_path) as site:

        @site.manager.button("kept")
        def kept(btn):
            yield from wait_for_the_gate(btn)

        @site.manager.button("about")
        def about(btn, which):
            yield from wait_for_the_gate(btn)

        @site.manager.button("two")
        def two(btn):
            yield from wait_for_the_gate(btn)
            yield File(b"more", "more.txt")

        @site.app.get("/new-rows")
        def new_rows() -> str:
            buttons = []
            for _ in range(int(request.args.get("rows", 1))):
                buttons.append(site.DownloadBtn())
                buttons[-1].create_file_functions = [site.Function(wait_for_the_gate)]
            site.db.session.commit()
            page = "<title>Rows</title>{% for btn in buttons %}{{ btn }}{% endfor %}"
            if "center" in request.args:
                page += "{{ download_center() }}"
            return render_template_string(page, buttons=buttons)

        @site.app.get("/customers")
        def customers() -> str:
            buttons = []
            for name in CUSTOMERS:
                buttons.append(site.DownloadBtn())
                buttons[-1].create_file_functions = [site.Function(one_customer, name)]
            site.db.session.commit()
            page = "<title>Customers</title>{% for btn in buttons %}{{ btn }}{% endfor %}"
            return render_template_string(page, buttons=buttons)

        @site.app.get("/cached")
        def cached() -> Response:
            html = "<title>Cached</title>{{ download_btn('kept') }}"
            answer = Response(render_template_string(html))
            answer.headers["Cache-Control"] = "private, max-age=3600"
            return answer

        @site.app.get("/next")
        def next_one() -> str:
            shown = len(SHOWN)
            SHOWN.append(shown)
            page = "<title>Next</title>{{ download_center() }}{{ download_btn('about', which=n) }}"
            return render_template_string(page, n=shown)

        @site.app.after_request
        def unstored(response: Response) -> Response:
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        SHOWN.clear()
        CUSTOMERS[:] = ["b"]
        yield site
        OPEN.set()


@pytest.fixture
def url(site: sites.Site, page: Page) -> Iterator[str]:
    page.expected_errors.append("404")  # type: ignore[attr-defined]  # it has no icon
    with site.served() as url:
        yield url
        # A page that still follows a run complains of a server that goes.
        for tab in page.context.pages:
            tab.goto("about:blank")


@pytest.fixture
def downloads(page: Page) -> list[str]:
    names: list[str] = []
    page.on("download", lambda download: names.append(download.suggested_filename))
    return names


def click(page: Page, number: int = 0) -> None:
    page.locator("download-btn button[name]").nth(number).click()
    wait_for(page, "running", number)


def wait_for(page: Page, state: str, number: int = 0) -> None:
    page.locator("download-btn").nth(number).and_(page.locator(f"[data-state={state}]")).wait_for()


def states(page: Page) -> list[str]:
    return page.locator("download-btn").evaluate_all("all => all.map(({state}) => state)")


def end(site: sites.Site) -> None:
    OPEN.set()
    wait_until(lambda: [run.state for run in site.runs()] == ["ready"], "It did not go on")


# -- a view that makes a new button each time ----------------------------------------------------


def test_a_new_button_in_an_old_one_s_place_goes_on_with_its_run(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    page.goto(f"{url}/new-rows?rows=3")
    click(page, 1)
    for _ in range(2):
        page.reload()
        wait_for(page, "running", 1)
    assert states(page) == ["idle", "running", "idle"]

    OPEN.set()
    wait_for(page, "done", 1)
    assert downloads == ["done.txt"]
    assert page.evaluate("sessionStorage.length") == 0
    page.reload()
    assert states(page) == ["idle", "idle", "idle"]


def test_going_back_to_a_new_button_finds_the_run(page: Page, site: sites.Site, url: str):
    page.goto(f"{url}/new-rows")
    click(page)
    page.goto(f"{url}/new-rows?rows=2")
    assert states(page) == ["idle", "idle"]
    page.go_back()

    wait_for(page, "running")


def test_a_second_tab_finds_the_run_of_a_new_button(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    page.goto(f"{url}/new-rows?rows=2")
    click(page, 1)
    tab = page.context.new_page()
    tab.on("download", lambda download: downloads.append(download.suggested_filename))
    tab.goto(f"{url}/new-rows?rows=2")
    wait_for(tab, "running", 1)
    assert states(tab) == ["idle", "running"]
    OPEN.set()
    for each in (page, tab):
        wait_for(each, "done", 1)

    assert downloads == ["done.txt"]


def test_two_tabs_that_are_clicked_have_one_run_and_both_save_its_file(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    tab = page.context.new_page()
    tab.on("download", lambda download: downloads.append(download.suggested_filename))
    for each in (page, tab):
        each.goto(f"{url}/new-rows")
    for each in (page, tab):
        click(each)
    assert len(site.runs()) == 1
    OPEN.set()
    for each in (page, tab):
        wait_for(each, "done")

    assert downloads == ["done.txt", "done.txt"]


def test_of_two_runs_in_a_spot_the_one_whose_file_was_not_fetched_is_found(site: sites.Site):
    ann = sites.Visitor(site)
    tokens = [sites.token_in(new_rows_for(ann)) for _ in range(2)]
    pictures = [ann.start(token, {"choice": token}).get_json() for token in tokens]
    OPEN.set()
    first, last = (ann.ended(picture) for picture in pictures)
    assert found_by(ann)["run"] == last["run"]
    ann.fetch(last["files"][0])

    assert found_by(ann)["run"] == first["run"]


def test_what_is_added_to_a_page_leaves_the_run_to_the_button_that_shows_it(page: Page, url: str):
    page.goto(f"{url}/new-rows")
    click(page)
    page.evaluate(INSERT)
    page.wait_for_function("document.querySelectorAll('download-btn').length === 2")
    wait_for(page, "idle")

    assert states(page) == ["idle", "running"]


def test_a_downloads_centre_beside_it_takes_no_run_away(page: Page, url: str):
    page.goto(f"{url}/new-rows?center=yes")
    click(page)
    page.reload()
    page.locator("download-center").get_by_text("A secret of Ann").wait_for()

    wait_for(page, "running")


def test_no_page_finds_a_run_that_the_app_no_longer_allows(page: Page, site: sites.Site, url: str):
    page.goto(f"{url}/new-rows")
    click(page)
    clicked = site.runs()[0].btn_uid
    site.manager.authorize(lambda action, btn: btn.uid != clicked)
    page.reload()

    assert states(page) == ["idle"]


def test_no_page_finds_the_run_of_a_button_that_has_been_revoked(
    page: Page, site: sites.Site, url: str
):
    page.goto(f"{url}/new-rows")
    click(page)
    with site.app.app_context():
        site.db.session.scalars(site.db.select(site.DownloadBtn)).one().clear_csrf()
        site.db.session.commit()
    page.reload()

    assert states(page) == ["idle"]


def test_a_page_with_another_address_has_a_button_of_its_own(page: Page, url: str):
    page.goto(f"{url}/new-rows")
    click(page)
    page.goto(f"{url}/new-rows?which=other")

    assert states(page) == ["idle"]


def test_a_button_keeps_its_run_when_another_comes_before_it(page: Page, url: str):
    page.goto(f"{url}/customers")
    click(page)
    CUSTOMERS.insert(0, "a")
    page.reload()

    wait_for(page, "running", 1)
    assert states(page) == ["idle", "running"]


def test_what_is_swapped_in_goes_on_with_the_run(page: Page, site: sites.Site, url: str):
    page.goto(f"{url}/new-rows")
    click(page)
    page.evaluate(
        """async () => {
          const html = await (await fetch(location)).text();
          const fresh = new DOMParser().parseFromString(html, "text/html");
          document.body.replaceWith(document.adoptNode(fresh.body));
        }"""
    )

    wait_for(page, "running")
    assert len(site.runs()) == 1


def test_who_comes_after_another_visitor_is_told_nothing_of_the_run(
    page: Page, site: sites.Site, url: str
):
    page.goto(f"{url}/new-rows")
    click(page)
    page.locator(".download-btn-text", has_text="A secret of Ann").wait_for()
    page.context.clear_cookies()
    page.add_init_script(
        """window.shown = [];
        document.addEventListener("download-btn-change", () => {
          shown.push(document.querySelector(".download-btn-progress").innerText);
        });"""
    )
    page.reload()
    wait_for(page, "idle")

    assert page.evaluate("sessionStorage.length") <= 1
    assert "secret" not in page.evaluate("JSON.stringify(sessionStorage)")
    assert "secret" not in " ".join(page.evaluate("shown"))


def test_a_button_with_a_name_takes_no_other_s_run(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    page.goto(f"{url}/next")
    click(page)
    page.goto(f"{url}/new-rows")
    page.go_back()
    page.locator("download-center").get_by_text("A secret of Ann").wait_for()
    assert states(page)[-1] == "idle"

    OPEN.set()
    page.locator("download-center").get_by_role("link", name="done.txt").wait_for()
    assert states(page)[-1] == "idle"
    assert downloads == []


def test_who_comes_back_after_hours_to_a_new_button_is_offered_the_files(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    page.goto(f"{url}/new-rows")
    click(page)
    page.goto(f"{url}/a-page-with/kept")
    end(site)
    site.age_runs(3600)
    page.goto(f"{url}/new-rows")
    page.get_by_role("link", name="done.txt").wait_for()

    page.wait_for_timeout(2500)
    assert states(page) == ["ready"]
    assert downloads == []


# -- a page that comes out of the browser's cache, which knows of no run --------------------------


def start_on_cached_page(page: Page, url: str) -> None:
    # The first visit brings the session, for which the page varies.
    page.goto(f"{url}/new-rows")
    page.goto(f"{url}/cached")
    click(page)
    page.goto(f"{url}/new-rows")


def go_back_to_cached_page(page: Page) -> None:
    page.go_back()
    assert page.evaluate("performance.getEntriesByType('navigation')[0].transferSize") == 0


def test_a_page_out_of_the_cache_finds_its_run(page: Page, url: str):
    start_on_cached_page(page, url)
    go_back_to_cached_page(page)

    wait_for(page, "running")


def test_a_page_out_of_the_cache_offers_what_was_ready_long_ago(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    start_on_cached_page(page, url)
    end(site)
    page.evaluate(
        """() => {
          const [key] = Object.keys(sessionStorage);
          const known = JSON.parse(sessionStorage.getItem(key));
          sessionStorage.setItem(key, JSON.stringify({...known, at: known.at - 7200000}));
        }"""
    )
    go_back_to_cached_page(page)
    page.get_by_role("link", name="done.txt").wait_for()

    page.wait_for_timeout(2500)
    assert states(page) == ["ready"]
    assert downloads == []


def test_what_the_browser_remembers_tells_another_visitor_nothing(
    page: Page, site: sites.Site, url: str
):
    start_on_cached_page(page, url)
    page.context.clear_cookies()
    page.go_back()
    page.wait_for_function("sessionStorage.length === 0")

    wait_for(page, "idle")


# -- what was ready long before ------------------------------------------------------------------


def come_back_after_an_hour(page: Page, site: sites.Site, url: str, name: str = "kept") -> None:
    page.goto(f"{url}/a-page-with/{name}")
    click(page)
    page.goto("about:blank")
    end(site)
    site.age_runs(3600)
    page.goto(f"{url}/a-page-with/{name}")
    wait_for(page, "ready")


def test_what_was_ready_long_before_is_offered_and_saved_by_the_visitor_alone(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    asked: list[str] = []
    come_back_after_an_hour(page, site, url)
    page.on("request", lambda request: asked.append(request.url))
    page.locator(".download-btn-text", has_text="Ready: done.txt").wait_for()
    page.wait_for_timeout(2500)
    assert not downloads
    assert not asked

    page.get_by_role("link", name="done.txt").click()
    wait_for(page, "done")
    page.reload()
    wait_for(page, "idle")
    assert downloads == ["done.txt"]


def test_what_was_offered_and_is_moved_within_its_page_is_still_only_offered(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    come_back_after_an_hour(page, site, url)
    page.evaluate("document.body.prepend(document.querySelector('download-btn'))")
    page.wait_for_timeout(2500)

    assert states(page) == ["ready"]
    assert not downloads


def test_files_whose_time_is_over_are_not_offered(page: Page, site: sites.Site, url: str):
    page.goto(f"{url}/a-page-with/kept")
    click(page)
    page.goto("about:blank")
    end(site)
    site.age_runs(3600)
    site.parts.files.forget(site.runs()[0].files[0]["file"])
    tab = page.context.new_page()
    tab.goto(f"{url}/a-page-with/kept")

    wait_for(tab, "idle")
    assert not tab.locator("download-btn[data-snapshot]").count()


def test_all_files_of_an_offer_may_be_taken_at_once(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    come_back_after_an_hour(page, site, url, "two")
    page.locator("[data-btn-zip]").click()

    wait_for(page, "done")
    assert downloads == ["files.zip"]


def test_a_listener_that_handles_the_files_itself_keeps_its_links(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    page.goto(f"{url}/a-page-with/kept")
    page.evaluate(
        """document.addEventListener("download-btn-ready", (event) => {
          event.preventDefault();
          fetch(event.detail.files[0].url);
        })"""
    )
    click(page)
    OPEN.set()
    wait_for(page, "ready")
    wait_until(lambda: site.runs()[0].is_downloaded(0), "It was not fetched")
    page.wait_for_timeout(1000)

    assert states(page) == ["ready"]
    assert page.get_by_role("link", name="done.txt").is_visible()


def test_a_listener_may_save_the_files_at_once(
    page: Page, site: sites.Site, url: str, downloads: list[str]
):
    page.goto(f"{url}/a-page-with/kept")
    page.evaluate(
        """document.addEventListener("download-btn-ready", (event) => {
          event.preventDefault();
          event.target.save();
        })"""
    )
    click(page)
    OPEN.set()

    wait_for(page, "done")
    assert downloads == ["done.txt"]


def test_a_page_is_told_of_an_offer(page: Page, site: sites.Site, url: str):
    page.add_init_script(
        """window.told = [];
        document.addEventListener("download-btn-ready", ({detail}) => told.push(detail.offered));"""
    )
    come_back_after_an_hour(page, site, url)
    page.wait_for_function("told.length")

    assert page.evaluate("told") == [True]


def test_what_just_ended_comes_before_what_was_ready_long_ago(site: sites.Site):
    ann = sites.Visitor(site)
    token = ann.token("kept")
    first = ann.start(token).get_json()
    end(site)
    site.age_runs(3600)
    assert offered(ann, site) is True
    OPEN.clear()
    second = ann.start(token).get_json()
    assert offered(ann, site) is None
    OPEN.set()
    ann.ended(second)

    assert offered(ann, site) is None
    assert first["run"] != second["run"]


def new_rows_for(visitor: sites.Visitor) -> str:
    return visitor.client.get("/new-rows").text


def found_by(visitor: sites.Visitor) -> Any:
    return snapshot_in(new_rows_for(visitor))


def snapshot_in(html: str) -> Any:
    found = re.search(r"data-snapshot='([^']*)'", html)
    assert found
    return json.loads(unescape(found[1]))


def offered(visitor: sites.Visitor, site: sites.Site) -> Any:
    return snapshot_in(visitor.page("kept")).get("offered")
