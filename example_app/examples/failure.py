"""A `DownloadError` is shown to the visitor; of any other error they see a reference to the log."""

import time

from flask import render_template

from flask_download_btn import DownloadError

from ..extensions import manager
from .blueprint import pages


@manager.button(text="Fail with a reason")
def fail_with_reason(btn):
    yield "Looking for orders", 40
    time.sleep(1)
    raise DownloadError("There are no orders of this year yet.")


@manager.button(text="Crash")
def crash(btn):
    yield "Dividing", 60
    time.sleep(1)
    yield 1 / 0


@pages.get("/failure")
def failure():
    return render_template("examples/failure.html")
