"""An app with flask-download-btn 0.0.22, the old package of our name, on its pins."""

from __future__ import annotations

import os

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.engine import Engine
from xstatic.pkg import jquery

from flask_download_btn import DownloadBtnManager, DownloadBtnMixin

app = Flask(__name__, static_folder=jquery.BASE_DIR, static_url_path="/static")
app.config.update(
    SECRET_KEY="a key for a bench, long enough",
    SQLALCHEMY_DATABASE_URI=os.environ["BENCH_DATABASE"],
    SQLALCHEMY_TRACK_MODIFICATIONS=False,
    SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 30}},
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


with app.app_context():
    db.create_all()
