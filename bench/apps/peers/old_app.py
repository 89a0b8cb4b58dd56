"""The job of `pages.py` in flask-download-btn 0.0.22, the old package of this name, on its pins."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator

from flask import render_template_string
from job import DONE, STEPS, TRIVIAL, step
from old_package import DownloadBtn, app, db

PAGE = """<!doctype html>
<html lang="en"><title>Orders</title>
<script src="/static/jquery.min.js"></script>
{{ btn.render_script()|safe }}
<main><h1>Orders</h1>{{ btn.render_btn()|safe }}{{ btn.render_progress()|safe }}</main></html>
"""


def trivial(btn) -> Iterator[str]:
    btn.tmp_downloads = [(data_url(DONE), "done.txt")]
    yield btn.report("Made", 100)


def orders(btn) -> Iterator[str]:
    parts = []
    yield btn.reset("Writing orders", 0)
    for number in range(STEPS):
        parts.append(step(number))
        yield btn.report("Writing orders", 100 * (number + 1) / STEPS)
    btn.tmp_downloads = [(data_url("".join(parts).encode()), "orders.csv")]


def data_url(content: bytes) -> str:
    return f"data:text/plain;base64,{base64.b64encode(content).decode()}"


@app.route("/")
def page() -> str:
    btn = DownloadBtn(btn_text="Make it", create_file_functions=[trivial if TRIVIAL else orders])
    db.session.add(btn)
    db.session.commit()
    return render_template_string(PAGE, btn=btn)


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ["PORT"]), threaded=True)
