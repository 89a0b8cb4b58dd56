"""Two hundred megabytes go straight to the storage and from there to the browser, never to memory.

A download that breaks off can be resumed.
"""

import os

from flask import render_template

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages

MEGABYTE = 1_000_000


@manager.button(text="Make 200 MB")
def make_big_file(btn):
    def chunks():
        for _ in btn.track(range(200), "Writing"):
            yield os.urandom(MEGABYTE)

    return File(chunks(), "big.bin")


@pages.get("/big-file")
def big_file():
    return render_template("examples/big_file.html")
