"""Whoever does not want to wait cancels: the function stops at its next report, and cleans up.

The page may also be closed or loaded again meanwhile: the run goes on, and is found again.
"""

import time

from flask import current_app, render_template

from ..extensions import manager
from .blueprint import pages


@manager.button(text="Count to 600", download_msg="That took a minute!")
def count(btn):
    try:
        with btn.create_file("numbers.txt") as file:
            for number in btn.track(range(1, 601), "Counting"):
                file.write(f"{number}\n")
                time.sleep(0.1)
    finally:
        current_app.logger.info("No more counting.")


@pages.get("/cancel")
def cancel():
    return render_template("examples/cancel.html")
