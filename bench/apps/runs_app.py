"""The app whose runs `runs.py` starts: one button, 100 reports in a second, one small file."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

from flask import Flask, jsonify
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, event

from flask_download_btn import DownloadBtnManager, File, visitors
from flask_download_btn.runs import Click

REPORTS = 100
PAUSE = 0.01

app = Flask(__name__, instance_path=os.environ["BENCH_FOLDER"])
app.config.update(
    SECRET_KEY="a key for a bench, long enough",
    SQLALCHEMY_DATABASE_URI=os.environ["BENCH_DATABASE"],
    DOWNLOAD_BTN_ASYNC_MODE=os.environ["BENCH_MODE"],
    DOWNLOAD_BTN_MAX_RUNNING=int(os.environ["BENCH_RUNS"]),
)
if app.config["SQLALCHEMY_DATABASE_URI"].startswith("postgresql"):
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": 20, "max_overflow": 0}
db = SQLAlchemy(app)
manager = DownloadBtnManager(app, db=db)


@event.listens_for(Engine, "connect")
def set_up_sqlite(connection: Any, record: Any) -> None:
    if app.config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite"):
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")


@manager.button(text="Make it")
def hundred_reports(btn: Any) -> Iterator[Any]:
    for number in range(REPORTS):
        yield btn.report("Working", 100 * number / REPORTS)
        time.sleep(PAUSE)
    yield File(b"done\n", "done.txt")


@app.get("/")
def visit() -> str:
    """Give a visitor a session and a token, as a page would."""
    parts = app.extensions["download_btn_manager"]
    return parts.html.token(parts.html("hundred_reports"), visitors.identity())


@app.post("/start/<int:number>")
def start(number: int) -> Any:
    """Start so many runs by the runner alone; say when the first one was handed to it."""
    parts = app.extensions["download_btn_manager"]
    made = [parts.runs.make(click_of(parts, place))[0] for place in range(number)]
    started_at = time.time()
    for run in made:
        parts.runner.start(run.id)
    return jsonify(started_at=started_at)


@app.post("/bare/<int:number>")
def bare(number: int) -> Any:
    """Do the bare job so many times at once: what is left is what runs cost."""
    started_at, left = time.time(), [None] * number
    ended = threading.Event()

    def job() -> None:
        for _ in range(REPORTS):
            time.sleep(PAUSE)
        left.pop()
        if not left:
            ended.set()

    for _ in range(number):
        manager.socketio.start_background_task(job)
    ended.wait()
    return jsonify(seconds=time.time() - started_at)


def click_of(parts: Any, place: int) -> Click:
    btn, _ = parts.buttons.named("hundred_reports", "[[], {}]", btn_text="Make it")
    arguments = btn_arguments(parts)
    signature = parts.tokens.sign_row("button hundred_reports", arguments)
    step = {"button": "hundred_reports", "arguments": arguments, "signature": signature}
    visit = {
        "form": [],
        "user_id": None,
        "collected": None,
        "root": "http://127.0.0.1/",
        "cache": "no-store",
    }
    return Click(
        btn_uid=btn.uid,
        btn_name=btn.name,
        btn_revision=btn.revision,
        owner=f"session:{place}-{time.time()}",
        plan=json.dumps({"steps": [step], "downloads": None, "tmp_downloads": []}),
        visit=json.dumps(visit),
        restart=False,
        callback=None,
        archive=None,
        message=None,
        sameness="",
    )


def btn_arguments(parts: Any) -> str:
    return str(parts.html("hundred_reports").arguments)


with app.app_context():
    db.create_all()

if __name__ == "__main__":
    manager.socketio.run(
        app, "127.0.0.1", int(os.environ["PORT"]), allow_unsafe_werkzeug=True, log_output=False
    )
