"""Test what a person lives through, scenario by scenario: those that have no file of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import button, click_and_save, downloads_of, text, wait_for
from playwright.sync_api import Page, expect
from processes import TESTS, Process, app_server
from wire import WireVisitor

SORRY = "Something went wrong. Please try again."


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("scenarios")
    server = app_server(
        TESTS / "apps" / "scenario_app.py",
        "werkzeug",
        log_file=folder / "server.log",
        environment={"FOLDER": str(folder / "instance")},
    )
    try:
        yield server.start()
    finally:
        server.kill()
        print(server.log())


def together(count: int, visit: Callable[[int], Any]) -> list[Any]:
    """Have so many people visit at the same moment; return what they saw."""
    gate = threading.Barrier(count)
    seen: list[Any] = [None] * count

    def arrive(number: int) -> None:
        gate.wait()
        seen[number] = visit(number)

    people = [threading.Thread(target=arrive, args=[number]) for number in range(count)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    return seen


def ended(visitor: WireVisitor, picture: dict[str, Any]) -> dict[str, Any]:
    while picture["state"] in ("queued", "running"):
        picture = visitor.look(picture)
    return picture


def test_s4_what_is_ticked_alone_is_saved_and_nothing_ticked_is_said_so(
    page: Page, site: Process, tmp_path: Path
) -> None:
    page.expected_errors.append("422")  # type: ignore[attr-defined]
    page.goto(f"{site.url}/?b=ticked")
    downloads = downloads_of(page)
    button(page).click()
    wait_for(page, "failed")
    assert "Tick at least one." in text(page)
    assert "Saved" not in text(page)
    assert downloads == []
    page.get_by_label("b").check()
    assert click_and_save(page, tmp_path) == ("b.txt", b"b")
    wait_for(page, "done")
    assert len(downloads) == 1


def test_s11_a_second_click_gets_the_cached_file_without_making_it_again(
    page: Page, site: Process, tmp_path: Path
) -> None:
    page.goto(f"{site.url}/?b=cached")
    first = click_and_save(page, tmp_path)
    wait_for(page, "done")
    second = click_and_save(page, tmp_path)
    assert first == second == ("once.txt", b"made 1 times")


@pytest.mark.parametrize(
    ("name", "status", "in_the_log"),
    [
        ("never", "500", "KeyError: 'a secret of the server'"),
        ("number", None, "'number' returned 17. A create-file function returns None, a File or"),
        ("text", None, "'text' returned 'the content'. A create-file function returns None"),
    ],
)
def test_s15_a_form_function_that_raises_and_a_job_that_is_none_are_failures_with_a_reference(
    page: Page, site: Process, name: str, status: str | None, in_the_log: str
) -> None:
    if status:
        page.expected_errors.append(status)  # type: ignore[attr-defined]
    before = site.log().count(in_the_log)
    page.goto(f"{site.url}/?b={name}")
    button(page).click()
    wait_for(page, "failed", patience=2)
    shown = text(page)
    assert SORRY in shown
    assert "secret" not in shown
    assert site.log().count(in_the_log) == before + 1
    assert button(page).get_attribute("aria-disabled") is None
    reference = shown.partition("Reference: ")[2].split()[0]
    assert f"(reference {reference})" in site.log()


def test_s24_two_people_with_other_choices_get_their_own_a_hundred_times(site: Process) -> None:
    visitors = [WireVisitor(site.url), WireVisitor(site.url)]
    tokens = [visitor.load("/?b=ticked") for visitor in visitors]

    for _ in range(100):

        def click(number: int) -> list[tuple[str, bytes]]:
            visitor, choice = visitors[number], "ab"[number]
            picture = ended(visitor, visitor.start(tokens[number], which=choice))
            return [(file["name"], visitor.fetch(file)) for file in picture["files"]]

        assert together(2, click) == [[("a.txt", b"a")], [("b.txt", b"b")]]


def test_s25_a_token_that_is_not_mine_starts_nothing_and_shows_nothing(site: Process) -> None:
    ann, bob = WireVisitor(site.url), WireVisitor(site.url)
    token = ann.load("/?b=cached")
    bob.load("/?b=cached")
    picture = ended(ann, ann.start(token))

    for wrong in (token, "", token[:-1], token + "x", "nonsense", "a.b.c"):
        refused = bob.start(wrong)
        assert (refused["run"], refused["state"], refused["files"]) == (None, "failed", [])
    for address in (picture["url"], picture["files"][0]["url"]):
        assert bob.http.get(site.url + address, timeout=30).status_code == 404
    assert bob.http.post(site.url + picture["cancel_url"], timeout=30).status_code == 404


def test_s26_after_two_hundred_page_views_a_click_works_and_the_cookie_has_not_grown(
    page: Page, site: Process, tmp_path: Path
) -> None:
    def cookies() -> int:
        return sum(len(cookie["value"]) for cookie in page.context.cookies())

    page.goto(f"{site.url}/?b=cached")
    before = cookies()
    for number in range(200):
        assert page.request.get(f"{site.url}/?b=names&number={number % 7}").ok
    assert cookies() == before
    # The page was there before all the others, and its token is as good as ever.
    assert click_and_save(page, tmp_path)[0] == "once.txt"


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, 'say "hi".txt'),
        (1, "two lines .txt"),
        (2, "Übersicht – 东京.txt"),
        (3, "etc_passwd"),
        (4, "reportfdp.exe"),
        (5, "download"),
        (6, "n" * 236 + ".csv"),
    ],
)
def test_s31_a_name_is_safe_and_foreseeable_and_never_fails_a_run(
    page: Page, site: Process, tmp_path: Path, number: int, name: str
) -> None:
    page.goto(f"{site.url}/?b=names&number={number}")
    saved, content = click_and_save(page, tmp_path)
    assert content == b"content"
    wait_for(page, "done")
    listed = page.evaluate("document.querySelector('download-btn').snapshot.files[0].name")
    assert listed == name
    # The browser replaces what its own system cannot save.
    assert saved == name.replace('"', "_")


def test_s39_sixteen_threads_and_what_the_quickstart_sets_up_make_240_of_240(
    site: Process,
) -> None:
    def visit(number: int) -> int:
        whole = 0
        for _ in range(15):
            visitor = WireVisitor(site.url)
            picture = ended(visitor, visitor.start(visitor.load("/?b=names&number=2")))
            whole += [visitor.fetch(file) for file in picture["files"]] == [b"content"]
        return whole

    assert sum(together(16, visit)) == 240


@pytest.mark.parametrize("number", range(6))
def test_s42_odd_percents_are_made_good(
    page: Page, site: Process, tmp_path: Path, number: int
) -> None:
    page.goto(f"{site.url}/?b=odd&number={number}")
    assert click_and_save(page, tmp_path) == ("odd.txt", b"odd")
    wait_for(page, "done")


def test_s42_a_percent_that_is_no_number_is_a_failure_that_the_log_explains(
    page: Page, site: Process
) -> None:
    page.goto(f"{site.url}/?b=nonsense")
    button(page).click()
    wait_for(page, "failed", patience=2)
    assert SORRY in text(page)
    assert "'50'" in site.log()


def test_s43_a_job_knows_its_visitor_and_the_address_of_its_app(
    page: Page, site: Process, tmp_path: Path
) -> None:
    page.goto(f"{site.url}/?b=who&who=Ann")
    assert click_and_save(page, tmp_path) == ("who.txt", f"Ann at {site.url}/?b=who".encode())


RENAMED = """
import os
from flask import Flask, render_template_string, request
from flask_sqlalchemy import SQLAlchemy
from flask_download_btn import DownloadBtnManager, File

app = Flask(__name__, instance_path=os.environ["FOLDER"])
app.config["SECRET_KEY"] = "a key that nobody guesses so soon"
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///app.db"
db = SQLAlchemy(app)
manager = DownloadBtnManager(app, db=db)

@manager.button(text="Named")
def {name}(btn):
    return File(b"named", "named.txt")

def {name}_stored(btn):
    return File(b"stored", "stored.txt")

@app.get("/named")
def named():
    return show(app.jinja_env.globals["download_btn"]("{name}"))

@app.get("/stored")
def stored():
    btn = manager.DownloadBtn(btn_text="Stored", create_file_functions={name}_stored)
    db.session.commit()
    return show(btn)

def show(btn):
    head = '<!doctype html><html lang="en"><title>Page</title><link rel="icon" href="data:,">'
    return render_template_string(head + "{{{{ btn }}}}", btn=btn)

with app.app_context():
    db.create_all()

if __name__ == "__main__":
    app.run()
"""


@pytest.mark.parametrize(
    ("path", "status", "said", "in_the_log"),
    [
        ("/named", "404", "This button is no longer there. Load the page again.", "'export'"),
        ("/stored", None, SORRY, "has no 'export_stored'. If it was renamed or moved"),
    ],
)
def test_s44_a_deploy_that_renames_a_function_is_told_and_then_the_page_works(
    page: Page,
    serve: Callable[..., Process],
    tmp_path: Path,
    path: str,
    status: str | None,
    said: str,
    in_the_log: str,
) -> None:
    if status:
        page.expected_errors.append(status)  # type: ignore[attr-defined]
    # While the server is away, an open page may notice.
    page.expected_errors.append("ERR_CONNECTION|WebSocket")  # type: ignore[attr-defined]
    app = tmp_path / "renamed_app.py"
    app.write_text(RENAMED.format(name="export"))
    server = serve(app, environment={"FOLDER": str(tmp_path / "instance")})
    page.goto(server.url + path)

    app.write_text(RENAMED.format(name="export_orders"))
    server.restart()
    button(page).click()
    wait_for(page, "failed")

    assert said in text(page)
    assert in_the_log in server.log()
    button(page).click()
    wait_for(page, "failed")
    page.reload()
    expect(button(page)).to_be_visible()
    assert click_and_save(page, tmp_path)[1] in (b"named", b"stored")
