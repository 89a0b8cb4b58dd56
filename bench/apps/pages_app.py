"""What stands in `pages.py` beside its peers: the same job, made by this extension."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy
from job import DONE, STEPS, TRIVIAL, step
from sqlalchemy import Engine, event

from flask_download_btn import DownloadBtnManager, File

PAGE = """<!doctype html>
<html lang="en"><title>Orders</title>
<main><h1>Orders</h1>{{ download_btn(name) }}</main></html>
"""

app = Flask(__name__, instance_path=os.environ["BENCH_FOLDER"])
app.config.update(
    SECRET_KEY="a key for a bench, long enough",
    SQLALCHEMY_DATABASE_URI=os.environ["BENCH_DATABASE"],
)
db = SQLAlchemy(app)
manager = DownloadBtnManager(app, db=db)


@event.listens_for(Engine, "connect")
def set_up_sqlite(connection: Any, record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


@manager.button(text="Make it")
def trivial(btn: Any) -> File:
    return File(DONE, "done.txt")


@manager.button(text="Make it")
def orders(btn: Any) -> Iterator[Any]:
    parts = [step(number) for number in btn.track(range(STEPS), "Writing orders")]
    yield File("".join(parts).encode(), "orders.csv")


@app.get("/")
def page() -> str:
    return render_template_string(PAGE, name="trivial" if TRIVIAL else "orders")


with app.app_context():
    db.create_all()

if __name__ == "__main__":
    manager.socketio.run(
        app, "127.0.0.1", int(os.environ["PORT"]), allow_unsafe_werkzeug=True, log_output=False
    )
