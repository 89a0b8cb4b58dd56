"""Buttons carry Bootstrap's classes, so that they look like the rest of a Bootstrap page."""

import time

from flask import render_template

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages


@manager.button(text="Download the report", download_msg="The report is saved.")
def bootstrap_report(btn):
    for _ in btn.track(range(100), "Writing the report"):
        time.sleep(0.03)
    return File(b"As good as it looks\n", "report.txt")


@pages.get("/bootstrap")
def bootstrap():
    return render_template("examples/bootstrap.html")
