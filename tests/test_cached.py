"""Test what a button keeps: made once, whoever clicks first, and replaced only by what is whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from processes import TESTS, Process
from wire import WireVisitor

from flask_download_btn import DownloadBtnManager, DownloadError, File
from flask_download_btn.testing import EndedRun, click

TOGETHER = 4


class Site:
    """An app whose buttons keep what they make; its functions wait for each other."""

    def __init__(self, folder: Path) -> None:
        self.app = Flask(__name__)
        self.app.config.update(
            SECRET_KEY="a long and random value",
            SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder / 'app.db'}",
            DOWNLOAD_BTN_FOLDER=str(folder / "files"),
        )
        self.folder = folder / "files"
        self.db = SQLAlchemy(self.app)
        self.manager = DownloadBtnManager(self.app, self.db)
        self.meeting = threading.Barrier(TOGETHER)
        self.calls: list[str] = []

    def click_together(self, name: str) -> list[EndedRun]:
        ended: list[EndedRun] = []

        def visit() -> None:
            ended.append(click(self.app.test_client(), name))

        visitors = [threading.Thread(target=visit) for _ in range(TOGETHER)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
        return ended

    def stored(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)

    @site.manager.button()
    def by_file(btn):
        site.calls.append("by_file")
        if not btn.downloaded:
            number = site.meeting.wait(timeout=30)
            yield File(b"copy %d" % number, "copy.txt", cached=True)

    @site.manager.button()
    def by_url(btn):
        if not btn.downloaded:
            site.meeting.wait(timeout=30)
            btn.downloads = [("data:text/plain,hello", "hello.txt")]
            site.db.session.commit()

    @site.manager.button()
    def fails_later(btn):
        site.calls.append("fails_later")
        yield File(b"version %d" % len(site.calls), "version.txt", cached=True)
        if len(site.calls) == 2:
            raise DownloadError("Not today.")

    @site.manager.button()
    def makes_once(btn):
        if not btn.downloads:
            yield File(b"made", "made.txt", cached=True)

    def choose(response, btn):
        if "file" in response:
            btn.downloads.append(("data:text/plain,mine", f"{response['file']}.txt"))

    @site.manager.button(form=choose)
    def chooses(btn):
        yield File(b"extra", "extra.txt", cached=True)

    with site.app.app_context():
        site.db.create_all()
    yield site
    with site.app.app_context():
        site.db.engine.dispose()


@pytest.mark.parametrize("name", ["by_file", "by_url"])
def test_promise_21_first_clicks_together_keep_one_file_and_all_get_it(site: Site, name: str):
    together = site.click_together(name)

    contents = {run.files[0].read() for run in together}
    assert [run.state for run in together] == ["ready"] * TOGETHER
    assert len(contents) == 1
    assert len(site.stored()) == 1


def test_promise_21_first_clicks_in_several_processes_keep_one_file(
    serve: Callable[..., Process], tmp_path: Path
):
    app, folder = TESTS / "apps" / "scenario_app.py", tmp_path / "instance"
    environment = {"FOLDER": str(folder)}
    # The tables first: four processes that make them at once are in each other's way.
    make = [sys.executable, "-c", "import scenario_app"]
    subprocess.run(make, cwd=app.parent, env={**os.environ, **environment}, check=True)
    server = serve(app, "gunicorn", workers=4, environment=environment)
    visitors = [WireVisitor(server.url) for _ in range(8)]
    tokens = [visitor.load("/?b=takes_a_while") for visitor in visitors]
    got: list[bytes] = []

    def visit(visitor: WireVisitor, token: str) -> None:
        picture = visitor.start(token)
        while picture["state"] != "ready":
            picture = visitor.look(picture)
        got.extend(visitor.fetch(file) for file in picture["files"])

    threads = [
        threading.Thread(target=visit, args=pair) for pair in zip(visitors, tokens, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(got) == 8
    assert len(set(got)) == 1
    stored = [path for path in (folder / "download_btn").rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in stored] == got[:1]


def test_a_second_click_gets_what_the_button_keeps(site: Site):
    first = site.click_together("by_file")[0].files[0].read()

    again = click(site.app.test_client(), "by_file")

    assert again.files[0].read() == first
    assert len(site.stored()) == 1


def test_promise_21_a_run_that_fails_leaves_the_kept_file_in_place(site: Site):
    client = site.app.test_client()
    click(client, "fails_later")

    failed = click(client, "fails_later")
    parts = site.app.extensions["download_btn_manager"]
    with site.app.app_context():
        btn, _ = parts.buttons.named("fails_later", parts.html("fails_later").arguments)
        kept = parts.files.find(btn.downloads[0]["file"])

    assert (failed.state, failed.message) == ("failed", "Not today.")
    with parts.storage.open(kept.key) as file:
        assert file.read() == b"version 1"
    assert len(site.stored()) == 1


def test_a_file_that_is_made_again_takes_the_place_of_the_one_with_its_name(site: Site):
    client = site.app.test_client()
    for _ in range(3):
        latest = click(client, "fails_later")

    assert [file.name for file in latest.files] == ["version.txt"]
    assert latest.files[0].read() == b"version 3"


def test_what_a_deleted_button_kept_goes_with_it(site: Site):
    click(site.app.test_client(), "fails_later")
    parts = site.app.extensions["download_btn_manager"]
    with site.app.app_context():
        site.db.session.delete(site.db.session.scalars(site.db.select(parts.buttons.model)).one())
        site.db.session.commit()

        parts.prune()

    assert site.stored() == []


def test_the_command_prunes_what_the_hourly_pruning_would(site: Site):
    click(site.app.test_client(), "fails_later")
    parts = site.app.extensions["download_btn_manager"]
    with site.app.app_context():
        site.db.session.delete(site.db.session.scalars(site.db.select(parts.buttons.model)).one())
        site.db.session.commit()
    prune = ["download-btn", "prune"]

    planned = site.app.test_cli_runner().invoke(args=[*prune, "--dry-run"])
    assert planned.output.startswith("Would delete 1 files (1 expired")
    assert len(site.stored()) == 1

    done = site.app.test_cli_runner().invoke(args=prune)
    assert done.output == planned.output.replace("Would delete", "Deleted")
    assert site.stored() == []


def test_a_data_url_is_decoded_however_its_scheme_is_written(site: Site):
    parts = site.app.extensions["download_btn_manager"]
    with site.app.app_context():
        btn = parts.buttons.model(downloads=[("DATA:text/plain,hello", "hello.txt")])
        site.db.session.commit()

        (file,) = click(site.app.test_client(), btn).files

        assert (file.name, file.read()) == ("hello.txt", b"hello")


def test_a_button_whose_kept_file_is_gone_makes_it_again(site: Site):
    client = site.app.test_client()
    first = click(client, "makes_once")
    for path in site.stored():
        path.unlink()

    gone = client.get(first.snapshot["files"][0]["url"])
    again = click(client, "makes_once")

    assert gone.status_code == 410
    assert again.files[0].read() == b"made"


def test_what_one_visitors_form_chose_is_kept_for_nobody(site: Site):
    chosen = click(site.app.test_client(), "chooses", form={"file": "mine"})
    other = click(site.app.test_client(), "chooses")

    assert [file.name for file in chosen.files] == ["mine.txt", "extra.txt"]
    assert [file.name for file in other.files] == ["extra.txt"]
