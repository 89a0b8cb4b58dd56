"""The app whose buttons `click.py` clicks: a small file after no, 100, 1,000 or 100,000 reports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, event

from flask_download_btn import DownloadBtnManager, File

PAGE = """<!doctype html>
<html lang="en"><title>Bench</title>
<main><h1>Bench</h1>{{ download_btn("reports", number=number) }}</main></html>
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
def reports(btn: Any, number: int) -> Iterator[Any]:
    for done in range(number):
        yield btn.report("Working", 100 * done / number)
    yield File(b"done\n", "done.txt")


@app.get("/<int:number>")
def page(number: int) -> str:
    return render_template_string(PAGE, number=number)


with app.app_context():
    db.create_all()

if __name__ == "__main__":
    manager.socketio.run(
        app, "127.0.0.1", int(os.environ["PORT"]), allow_unsafe_werkzeug=True, log_output=False
    )
