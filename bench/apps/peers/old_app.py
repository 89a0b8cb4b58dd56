"""The job of `pages.py` in flask-download-btn 0.0.22, the old package of this name, on its pins."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator

from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy
from job import DONE, STEPS, TRIVIAL, step
from sqlalchemy import event
from sqlalchemy.engine import Engine
from xstatic.pkg import jquery

from flask_download_btn import DownloadBtnManager, DownloadBtnMixin

PAGE = """<!doctype html>
<html lang="en"><title>Orders</title>
<script src="/static/jquery.min.js"></script>
{{ btn.render_script()|safe }}
<main><h1>Orders</h1>{{ btn.render_btn()|safe }}{{ btn.render_progress()|safe }}</main></html>
"""

app = Flask(__name__, static_folder=jquery.BASE_DIR, static_url_path="/static")
app.config.update(
    SECRET_KEY="a key for a bench, long enough",
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{os.environ['BENCH_FOLDER']}/{os.environ['PORT']}.db",
    SQLALCHEMY_TRACK_MODIFICATIONS=False,
)
db = SQLAlchemy(app)
manager = DownloadBtnManager(app, db=db)


@event.listens_for(Engine, "connect")
def set_up_sqlite(connection, record) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


@DownloadBtnManager.register
class DownloadBtn(DownloadBtnMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)


def trivial(btn) -> Iterator[str]:
    btn.tmp_downloads = [(data_url(DONE), "done.txt")]
    yield btn.report("Made", 100)


def orders(btn) -> Iterator[str]:
    parts = []
    yield btn.reset("Writing orders", 0)
    for number in range(STEPS):
        parts.append(step(number))
        yield btn.report("Writing orders", 100 * (number + 1) / STEPS)
    btn.tmp_downloads = [(data_url("".join(parts).encode()), "orders.csv")]


def data_url(content: bytes) -> str:
    return f"data:text/plain;base64,{base64.b64encode(content).decode()}"


@app.route("/")
def page() -> str:
    btn = DownloadBtn(btn_text="Make it", create_file_functions=[trivial if TRIVIAL else orders])
    db.session.add(btn)
    db.session.commit()
    return render_template_string(PAGE, btn=btn)


with app.app_context():
    db.create_all()

if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ["PORT"]), threaded=True)
