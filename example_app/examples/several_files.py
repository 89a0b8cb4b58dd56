"""Several files are saved one by one, or as a single ZIP if the button has the name of an archive.

Many browsers ask before they save a second file. The page then says which files wait, with a link
to each, and one to all of them.
"""

import time

from flask import render_template

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages


@manager.button(text="Make three files")
def three_files(btn):
    for name in btn.track(("orders", "customers", "products"), "Writing"):
        time.sleep(0.5)
        yield File(f"All {name}\n".encode(), f"{name}.txt")


@manager.button(text="Make one ZIP of three files", archive="shop.zip")
def three_files_in_one(btn):
    yield from three_files(btn)


@pages.get("/several-files")
def several_files():
    return render_template("examples/several_files.html")
