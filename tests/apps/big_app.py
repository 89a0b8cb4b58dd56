"""An app with one button, whose file is 500 MB."""

from __future__ import annotations

import os

from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from flask_download_btn import DownloadBtnManager

MEGABYTE = bytes(range(256)) * 4000

app = Flask(__name__, instance_path=os.environ["FOLDER"])
app.config["SECRET_KEY"] = "a secret that nobody guesses"
app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{os.environ['FOLDER']}/app.db"
db = SQLAlchemy(app)
manager = DownloadBtnManager(app, db=db)


@manager.button()
def big(btn):
    with btn.create_file("big.bin") as file:
        for _ in btn.track(range(488), "Writing"):
            file.write(MEGABYTE)


@app.get("/")
def page():
    button = app.extensions["download_btn_manager"].html("big")
    return f'<!doctype html><link rel="icon" href="data:,"><title>Big</title>{button.__html__()}'


with app.app_context():
    db.create_all()

if __name__ == "__main__":
    app.run()
