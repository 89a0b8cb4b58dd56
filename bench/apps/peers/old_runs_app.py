"""The runs of `runs.py` in flask-download-btn 0.0.22, the old package of this name, on its pins."""

from __future__ import annotations

import os

if os.environ["BENCH_MODE"] == "gevent":
    from gevent import monkey

    monkey.patch_all()

import time
from collections.abc import Iterator

from flask import render_template_string
from old_package import DownloadBtn, app, db

REPORTS = 100
PAUSE = 0.01


def hundred_reports(btn) -> Iterator[str]:
    for number in range(REPORTS):
        yield btn.report("Working", 100 * number / REPORTS)
        time.sleep(PAUSE)
    btn.tmp_downloads = [("data:text/plain;base64,ZG9uZQo=", "done.txt")]


@app.route("/")
def visit() -> str:
    """Give a visitor a session, and the scripts in which the URLs of a button stand."""
    btn = DownloadBtn(create_file_functions=[hundred_reports])
    db.session.add(btn)
    db.session.commit()
    return render_template_string("{{ btn.render_script()|safe }}", btn=btn)


if __name__ == "__main__":
    if os.environ["BENCH_MODE"] == "gevent":
        from gevent.pywsgi import WSGIServer

        WSGIServer(("127.0.0.1", int(os.environ["PORT"])), app, log=None).serve_forever()
    app.run("127.0.0.1", int(os.environ["PORT"]), threaded=True)
