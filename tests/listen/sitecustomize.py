"""Have `python app.py` listen where the test wants it, the file itself being run unchanged."""

from __future__ import annotations

import os

import flask

run_as_written = flask.Flask.run


def run_on_port(self, host=None, port=None, *arguments, **options):  # type: ignore[no-untyped-def]
    return run_as_written(self, "127.0.0.1", int(os.environ["PORT"]), *arguments, **options)


flask.Flask.run = run_on_port  # type: ignore[method-assign]
