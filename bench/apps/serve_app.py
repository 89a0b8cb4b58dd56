"""The app whose files `serve.py` fetches, through this extension and by Flask's own means."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flask import Flask, Response, send_file
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import Engine, event

from flask_download_btn import DownloadBtnManager, File

FOLDER = Path(os.environ["BENCH_FOLDER"])

app = Flask(__name__, instance_path=str(FOLDER))
app.config.update(
    SECRET_KEY="a key for a bench, long enough",
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{FOLDER}/bench.db",
    DOWNLOAD_BTN_ACCEL=os.environ.get("BENCH_ACCEL"),
    DOWNLOAD_BTN_MAX_BYTES=0,
)
db = SQLAlchemy(app)
manager = DownloadBtnManager(app, db=db)


@event.listens_for(Engine, "connect")
def set_up_sqlite(connection: Any, record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


@manager.button(text="Make them")
def files(btn: Any) -> Iterator[Any]:
    for path in sorted(FOLDER.glob("*.bin")):
        yield File(path, path.name)


@app.get("/plain/<name>")
def plain(name: str) -> Response:
    return send_file(FOLDER / name, as_attachment=True)


with app.app_context():
    db.create_all()
