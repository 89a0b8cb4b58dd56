"""Rows for the button and its functions: one file is cached, the other is made at each click.

The second click finds file 0 on the button and makes only file 1. The models are in
`example_app/models.py`.
"""

import string
import time
from base64 import b64encode
from random import choices

from flask import render_template

from ..extensions import db
from ..models import DownloadBtn, Function
from .blueprint import pages


@pages.route("/documented-way")
def documented_way():
    btn = DownloadBtn()
    btn.cache = "default"
    btn.create_file_functions = [
        Function(create_file0, msg="Hello, World!"),
        Function(create_file1, msg=choices(string.ascii_letters, k=400)),
    ]
    db.session.commit()
    return render_template("examples/documented_way.html", download_btn=btn)


def create_file0(btn, msg):
    if btn.downloaded:
        return
    stage = "Creating File 0"
    yield btn.reset(stage=stage, pct_complete=0)
    data = ""
    for i, char in enumerate(msg):
        data += char
        yield btn.report(stage, 100.0 * i / len(msg))
        time.sleep(0.5)
    data = b64encode(data.encode())
    url = "data:text/plain;base64," + data.decode()
    btn.downloads = [(url, "tmp_file0.txt")]
    db.session.commit()
    yield btn.report(stage, 100.0)


def create_file1(btn, msg):
    stage = "Creating File 1"
    yield btn.reset(stage, 0)
    data = ""
    for i, char in enumerate(msg):
        data += char
        yield btn.report(stage, 100.0 * i / len(msg))
        time.sleep(0.01)
    data = b64encode(data.encode())
    url = "data:text/plain;base64," + data.decode()
    btn.tmp_downloads = [(url, "tmp_file1.txt")]
    yield btn.report(stage, 100)
