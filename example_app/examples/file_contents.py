"""A file is made of bytes, a path, an open file, or a generator of bytes."""

import io
from pathlib import Path

from flask import render_template

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages


@manager.button(text="Make four files", archive="four-files.zip")
def four_files(btn):
    return [
        File("Grüße\n".encode(), "bytes.txt"),
        File(Path(__file__), "path.py"),
        File(io.BytesIO(b"anything with a read method\n"), "open-file.txt"),
        File(squares(), "generator.csv", mimetype="text/csv"),
    ]


def squares():
    for number in range(1000):
        yield f"{number},{number**2}\n".encode()


@pages.get("/file-contents")
def file_contents():
    return render_template("examples/file_contents.html")
