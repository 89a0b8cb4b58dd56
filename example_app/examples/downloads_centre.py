"""The downloads centre lists what a visitor has started, live and recent, on whatever page it was.

Start a file here or on any other page, leave, and come back: it is still in the list, with its
progress and `Cancel`, and with its files until they expire. The list keeps itself up to date.
"""

import time

from flask import render_template

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages


@manager.button(text="Count the stock")
def count_the_stock(btn, shelf):
    for _ in btn.track(range(50), f"Counting shelf {shelf}"):
        time.sleep(0.2)
    yield File(f"Shelf {shelf}: all there.\n".encode(), f"shelf {shelf}.txt")


@pages.get("/downloads-centre")
def downloads_centre():
    return render_template("examples/downloads_centre.html")
