"""A button in a form sends what the visitor chose; a form function may refuse it, with a reason.

The browser checks the fields first, as with any form. What the function says of a field is shown at
that field.
"""

import time

from flask import render_template

from flask_download_btn import DownloadError, File

from ..extensions import manager
from .blueprint import pages

REPORTS = ("sales", "returns", "stock")


def check_choice(response, btn):
    chosen = response.getlist("report")
    if not chosen:
        raise DownloadError("There is nothing to make.", fields={"report": "Tick at least one."})
    if not set(chosen) <= set(REPORTS):
        raise DownloadError("There is no such report.")


@manager.button(text="Make reports", form=check_choice)
def make_reports(btn):
    name = btn.run.form["name"]
    for report in btn.track(btn.run.form.getlist("report"), "Writing"):
        time.sleep(0.7)
        yield File(f"Report of {report}, for {name}\n".encode(), f"{report}.txt")


@pages.get("/form")
def form():
    return render_template("examples/form.html", reports=REPORTS)
