"""Templates of your own may hold any markup that keeps the documented hooks."""

import time

from flask import render_template

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages


@manager.button(
    text="Annual report",
    btn_template="examples/own_templates_btn.html",
    progress_template="examples/own_templates_progress.html",
)
def annual_report(btn):
    for _ in btn.track(range(100), "Writing the report"):
        time.sleep(0.03)
    return File(b"It was a good year.\n", "annual-report.txt")


@pages.get("/own-templates")
def own_templates():
    return render_template("examples/own_templates.html")
