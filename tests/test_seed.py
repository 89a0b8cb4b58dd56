"""Test the documented set-up and its two functions, as written, under every server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import SERVERS, Process
from wire import WireVisitor

SET_UP = """
from flask import Flask, render_template
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.ext.orderinglist import ordering_list
from flask_download_btn import DownloadBtnManager, DownloadBtnMixin, FunctionMixin

app = Flask(__name__)
app.config["SECRET_KEY"] = "..............................."
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///app.db"
{settings}
db = SQLAlchemy(app)
download_btn_manager = DownloadBtnManager(app, db=db)

@DownloadBtnManager.register
class DownloadBtn(DownloadBtnMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    create_file_functions = db.relationship(
        'Function',
        order_by='Function.index',
        collection_class=ordering_list('index'),
        foreign_keys='Function.create_file_id'
    )

class Function(FunctionMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    create_file_id = db.Column(db.Integer, db.ForeignKey('download_btn.id'))
"""

FUNCTIONS = """
import string
from random import choices

@app.route('/file-creation')
def file_creation():
    btn = DownloadBtn()
    btn.cache = 'default'
    btn.create_file_functions = [
        Function(create_file0, msg='Hello, World!'),
        Function(create_file1, msg=choices(string.ascii_letters, k=400))
    ]
    db.session.commit()
    return render_template('index.html', download_btn=btn)

import time
from base64 import b64encode

def create_file0(btn, msg):
    if btn.downloaded:
        return
    stage = 'Creating File 0'
    yield btn.reset(stage=stage, pct_complete=0)
    data = ''
    for i, char in enumerate(msg):
        data += char
        yield btn.report(stage, 100.0*i/len(msg))
        time.sleep(.5)
    data = b64encode(data.encode())
    url = 'data:text/plain;base64,' + data.decode()
    btn.downloads = [(url, 'tmp_file0.txt')]
    db.session.commit()
    yield btn.report(stage, 100.0)

def create_file1(btn, msg):
    stage = 'Creating File 1'
    yield btn.reset(stage, 0)
    data = ''
    for i, char in enumerate(msg):
        data += char
        yield btn.report(stage, 100.0*i/len(msg))
        time.sleep(.01)
    data = b64encode(data.encode())
    url = 'data:text/plain;base64,' + data.decode()
    btn.tmp_downloads = [(url, 'tmp_file1.txt')]
    yield btn.report(stage, 100)
"""

END = """
@app.route('/again/<int:id>')
def again(id):
    return render_template('index.html', download_btn=db.session.get(DownloadBtn, id))

with app.app_context():
    db.create_all()

if __name__ == "__main__":
    app.run()
"""

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>File creation</title>{{ download_btn.render_script() }}</head>
<body>{{ download_btn.render_btn() }}{{ download_btn.render_progress() }}</body>
</html>
"""

MODES = {"gevent": "gevent", "gunicorn-gevent": "gevent", "eventlet": "eventlet"}


def write_app(folder: Path, server: str) -> Path:
    """Write the documented app into a folder; its waits alone are made shorter."""
    mode = MODES.get(server, "threading")
    settings = f'app.config["DOWNLOAD_BTN_ASYNC_MODE"] = {mode!r}'
    functions = FUNCTIONS.replace("sleep(.5)", "sleep(.04)").replace("sleep(.01)", "sleep(.002)")
    (folder / "templates").mkdir()
    (folder / "templates" / "index.html").write_text(PAGE)
    app = folder / "app.py"
    app.write_text(SET_UP.format(settings=settings) + functions + END)
    return app


@pytest.mark.parametrize("server", SERVERS)
def test_the_documented_way_runs_under_every_server(
    server: str, tmp_path: Path, serve: Callable[..., Process]
):
    site = serve(write_app(tmp_path, server), server)

    with WireVisitor(site.url) as visitor:
        token = visitor.load("/file-creation")
        watch, first = visitor.save(token)
        again, second = visitor.save(token)

    assert watch is not None
    assert_files(first)
    assert_seen_live(watch.pictures, ["Creating File 0", "Creating File 1"])
    # What was cached comes as it was, without its stage; what is temporary is made anew.
    assert second == first
    assert again is not None
    assert {picture["stage"] for picture in again.pictures} <= {"", "Creating File 1"}
    assert "Traceback" not in site.log()


def assert_files(files: dict[str, bytes]) -> None:
    assert list(files) == ["tmp_file0.txt", "tmp_file1.txt"]
    assert files["tmp_file0.txt"] == b"Hello, World!"
    assert len(files["tmp_file1.txt"]) == 400
    assert files["tmp_file1.txt"].isalpha()


def assert_seen_live(pictures: list[Any], stages: list[str]) -> None:
    running = [picture for picture in pictures if picture["state"] == "running"]
    seen = [picture["stage"] for picture in running if picture["stage"]]
    assert list(dict.fromkeys(seen)) == stages
    for stage in stages:
        percents = [picture["percent"] for picture in running if picture["stage"] == stage]
        assert len(set(percents)) >= 3, percents
        assert percents == sorted(percents)
    for picture in running:
        if picture["stage"]:
            assert picture["text"] == f"{picture['stage']}: {int(picture['percent'])}%"
    assert pictures[-1]["state"] == "ready"


def test_rows_written_by_one_server_work_under_another(
    tmp_path: Path, serve: Callable[..., Process]
):
    app = write_app(tmp_path, "werkzeug")
    first = serve(app, "werkzeug")
    with WireVisitor(first.url) as visitor:
        _, before = visitor.save(visitor.load("/file-creation"))
    first.stop()

    for server in ("gunicorn", "flask", "werkzeug"):
        site = serve(app, server)
        with WireVisitor(site.url) as visitor:
            _, files = visitor.save(visitor.load("/again/1"))
        assert files == before
        site.stop()
