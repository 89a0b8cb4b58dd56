"""A cached file is made once, kept with its button, and there at once for everybody who clicks.

A button of other arguments is another button: tomorrow's price list will be made anew.
"""

import time
from datetime import date

from flask import render_template

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages


@manager.button(text="Price list of today", cache="default")
def price_list(btn, day):
    if btn.downloaded:
        return
    lines = []
    for number in btn.track(range(1, 51), "Calculating prices"):
        lines.append(f"Product {number},{number * 1.19:.2f}\n")
        time.sleep(0.05)
    yield File("".join(lines).encode(), f"prices-{day}.csv", cached=True)


@pages.get("/cached-file")
def cached_file():
    return render_template("examples/cached_file.html", today=date.today())
