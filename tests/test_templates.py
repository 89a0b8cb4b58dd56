"""Test that an app's own templates take the place of ours, with any markup that keeps the hooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sites
from pages import wait_for
from playwright.sync_api import Page, expect
from processes import ROOT, Process

from flask_download_btn import File

APP = """
import os
import threading
from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy
from flask_download_btn import DownloadBtnManager, File

app = Flask(__name__, instance_path=os.environ["FOLDER"])
app.config["SECRET_KEY"] = "a key that nobody guesses so soon"
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///app.db"
db = SQLAlchemy(app)
manager = DownloadBtnManager(
    app, db=db, btn_template="own/btn.html", progress_template="own/progress.html"
)
gate = threading.Event()

@manager.button(text="Export")
def export(btn):
    yield btn.reset("Writing", 40)
    while not gate.wait(0.02):
        yield
    yield File(b"own", "own.txt")

@app.get("/")
def page():
    head = '<!doctype html><html lang="en"><title>Page</title><link rel="icon" href="data:,">'
    return render_template_string(head + "{{ download_btn('export') }}")

@app.post("/go")
def go():
    gate.set()
    return ""

with app.app_context():
    db.create_all()

if __name__ == "__main__":
    app.run()
"""

# No button, no bar of ours, no list: a link-like element, a sentence, and a <progress>-like box.
PROGRESS = """
<aside id="{{ view.progress_id }}" data-btn-for="{{ view.id }}">
  <b data-btn-when="running" data-btn-words="{stage} at {percent} per cent" data-btn-say></b>
  <i data-btn-when="done" data-btn-words="You have {files_text}" data-btn-say></i>
  <u data-btn-act="cancel" data-btn-when="stoppable" role="button" tabindex="0">Enough</u>
</aside>
"""


@pytest.fixture
def own(serve: Callable[..., Process], tmp_path: Path) -> Process:
    app, folder = tmp_path / "own_app.py", tmp_path / "templates" / "own"
    app.write_text(APP)
    folder.mkdir(parents=True)
    shipped = ROOT / "flask_download_btn" / "templates" / "download_btn" / "btn.html"
    button = shipped.read_text()
    start, end = button.index("<button "), button.index("</button>") + len("</button>")
    anchor = (
        '<em><input type="image" alt="{{ btn.btn_text }}" name="download_btn_token"'
        ' value="{{ view.token }}"></em>'
    )
    (folder / "btn.html").write_text(button[:start] + anchor + button[end:])
    (folder / "progress.html").write_text(PROGRESS)
    return serve(app, environment={"FOLDER": str(tmp_path / "instance")})


def test_templates_of_other_markup_do_the_same(page: Page, own: Process, tmp_path: Path) -> None:
    page.goto(own.url)
    page.get_by_role("button", name="Export").click()
    wait_for(page, "running")
    expect(page.locator("aside b")).to_have_text("Writing at 40 per cent")
    expect(page.locator("aside i")).to_be_hidden()
    with page.expect_download() as saving:
        page.request.post(f"{own.url}/go")
    assert saving.value.suggested_filename == "own.txt"
    wait_for(page, "done")
    expect(page.locator("aside i")).to_have_text("You have own.txt")
    expect(page.locator("[data-btn-live]")).to_have_text("You have own.txt")


def test_templates_of_other_markup_can_cancel(page: Page, own: Process) -> None:
    page.goto(own.url)
    page.get_by_role("button", name="Export").click()
    wait_for(page, "running")
    page.get_by_role("button", name="Enough").click()
    wait_for(page, "cancelled")


def makes(btn: object) -> File:
    return File(b"made", "made.txt")


def test_a_button_may_have_templates_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "one.html").write_text("<p>one {{ btn.btn_text }} {{ view.token }}</p>")
    (folder / "two.html").write_text("<p>two {{ view.progress_id }}</p>")
    with sites.site(tmp_path) as site:
        own = site.button(makes, btn_template="one.html", progress_template="two.html")
        page = site.visitor().page(own)
        assert "<p>one Download " in page
        assert "<p>two download-btn-" in page
        assert "<download-btn" not in page
        assert "<download-btn" in site.visitor().page(site.button(makes))


def test_templates_of_our_names_in_the_apps_folder_are_taken(tmp_path: Path) -> None:
    folder = tmp_path / "templates" / "download_btn"
    folder.mkdir(parents=True)
    (folder / "progress.html").write_text("<p>mine</p>")
    with sites.site(tmp_path) as site:
        page = site.visitor().page(site.button(makes))
        assert "<p>mine</p>" in page
        assert "<download-btn" in page
