"""HTML attributes are nested dicts, edited in place and saved with the button."""

import time

from flask import render_template
from sqlalchemy import select

from flask_download_btn import File

from ..extensions import db
from ..models import DownloadBtn
from .blueprint import pages

TEXT = "A button of its own kind"


@pages.get("/attributes")
def attributes():
    btn = db.session.scalar(select(DownloadBtn).where(DownloadBtn.btn_text == TEXT)) or new_btn()
    btn.btn_attrs["data"]["views"] += 1  # in place; the commit saves it
    db.session.commit()
    return render_template("examples/attributes.html", download_btn=btn)


def new_btn():
    btn = DownloadBtn(btn_text=TEXT)
    btn.create_file_functions = paint
    btn.btn_attrs = {"class": ["btn", "round"], "title": "Click me", "data": {"views": 0}}
    btn.progress_attrs["class"].append("thick")
    btn.progress_bar_attrs["class"].append("rainbow")
    btn.progress_text_attrs = {"class": "strong"}
    return btn


def paint(btn):
    for _ in btn.track(range(100), "Painting"):
        time.sleep(0.02)
    return File(b"A rainbow\n", "rainbow.txt")
