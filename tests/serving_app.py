"""Serve the stored files that a test has listed in `index.json`, and tell what has left."""

from __future__ import annotations

import json
import os
from pathlib import Path

from flask import Flask, Response, request
from flask_socketio import SocketIO

from flask_download_btn import delivery
from flask_download_btn.errors import FileGone
from flask_download_btn.files import Stored
from flask_download_btn.storage import LocalStorage

FOLDER = Path(os.environ["SERVING_FOLDER"])

app = Flask(__name__)
socketio = SocketIO(app, async_mode=os.environ.get("MODE", "threading"))
storage = LocalStorage(FOLDER / "stored")


@app.get("/files/<name>")
def fetch(name: str) -> Response:
    return delivery.respond(
        find(name),
        storage,
        request,
        on_started=lambda: tell(f"started {name}"),
        on_complete=lambda: tell(f"complete {name}"),
        on_part=lambda spans, *_: tell(f"part {name} {' '.join(f'{a}-{b}' for a, b in spans)}"),
        accel=os.environ.get("SERVING_ACCEL"),
    )


@app.get("/zip")
def fetch_all() -> Response:
    return delivery.stream_zip(
        [find(name) for name in request.args.getlist("name")],
        "all.zip",
        storage,
        request,
        on_complete=lambda: tell("complete zip"),
    )


def find(name: str) -> Stored:
    return Stored(**json.loads((FOLDER / "index.json").read_text())[name])


def tell(what: str) -> None:
    with (FOLDER / "told").open("a") as told:
        told.write(f"{what}\n")


@app.errorhandler(KeyError)
def unknown(error: Exception) -> Response:
    return Response("There is no such file.\n", 404, {"Cache-Control": "no-store"})


@app.errorhandler(FileGone)
def gone(error: Exception) -> Response:
    return Response("File expired.\n", 410, {"Cache-Control": "no-store"})


if __name__ == "__main__":
    app.run(threaded=True)
