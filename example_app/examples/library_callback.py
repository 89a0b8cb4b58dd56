"""A plain function lets a library report the progress, through the callback that the library has.

Here it is SQLite's own backup.
"""

import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

from flask import render_template

from ..extensions import manager
from .blueprint import pages


@manager.button(text="Back up a database")
def back_up(btn):
    def tell(status, remaining, total):
        btn.report("Copying pages", 100 * (total - remaining) / total)

    with TemporaryDirectory() as folder:
        path = Path(folder, "backup.sqlite")
        source, target = sqlite3.connect(":memory:"), sqlite3.connect(path)
        source.execute("CREATE TABLE blobs AS SELECT zeroblob(2000000) AS content")
        source.backup(target, pages=5, progress=tell, sleep=0.02)
        source.close()
        target.close()
        with btn.create_file("backup.sqlite") as file:
            file.write(path.read_bytes())


@pages.get("/library-callback")
def library_callback():
    return render_template("examples/library_callback.html")
