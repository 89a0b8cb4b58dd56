"""Serve stored files under a real server: `python serving_app.py SERVER PORT [OPTION …]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__" and sys.argv[1] == "eventlet":
    import eventlet

    eventlet.monkey_patch()
elif __name__ == "__main__" and sys.argv[1] == "gevent":
    from gevent import monkey

    monkey.patch_all()

from flask import Flask, Response, request

from flask_download_btn import delivery
from flask_download_btn.errors import FileGone
from flask_download_btn.files import Stored
from flask_download_btn.storage import LocalStorage

FOLDER = Path(os.environ.get("SERVING_FOLDER", "."))
ACCEL = os.environ.get("SERVING_ACCEL")


def make_app() -> Flask:
    app = Flask(__name__)
    storage = LocalStorage(FOLDER / "stored")

    def tell(what: str) -> None:
        with (FOLDER / "told").open("a") as told:
            told.write(what + "\n")

    @app.get("/dl/<name>")
    def download(name: str) -> Response:
        stored = find(name)
        try:
            return delivery.respond(
                stored,
                storage,
                request,
                on_started=lambda: tell(f"started {name}"),
                on_complete=lambda: tell(f"complete {name}"),
                on_part=lambda spans: tell(f"part {name} {[tuple(span) for span in spans]}"),
                accel=ACCEL,
            )
        except FileGone:
            return Response("File expired.\n", 410, {"Cache-Control": "no-store"})

    @app.get("/zip")
    def zipped() -> Response:
        files = [find(name) for name in request.args.getlist("name")]
        return delivery.stream_zip(
            files, "all.zip", storage, request, on_complete=lambda: tell("complete zip")
        )

    def find(name: str) -> Stored:
        found = read_index().get(name)
        if found is None:
            raise LookupError
        return found

    @app.errorhandler(LookupError)
    def missing(error: Exception) -> Response:
        return Response("There is no such file.\n", 404, {"Cache-Control": "no-store"})

    return app


def read_index() -> dict[str, Stored]:
    """Return the files that the test put there, by the name in their URL."""
    import json

    rows = json.loads((FOLDER / "index.json").read_text())
    return {name: Stored(**row) for name, row in rows.items()}


if __name__ == "__main__":
    port = int(sys.argv[2])
    app = make_app()
    if sys.argv[1] == "werkzeug":
        app.run(port=port, threaded=True)
    elif sys.argv[1] == "gevent":
        from gevent.pywsgi import WSGIServer

        WSGIServer(("127.0.0.1", port), app, log=None).serve_forever()
    elif sys.argv[1] == "eventlet":
        import eventlet.wsgi

        eventlet.wsgi.server(eventlet.listen(("127.0.0.1", port)), app, log_output=False)
    elif sys.argv[1] == "gunicorn":
        os.execv(
            sys.executable,
            [
                *(sys.executable, "-m", "gunicorn", "-k", "gthread", "-w", "1", "--threads", "8"),
                *("-b", f"127.0.0.1:{port}", "--chdir", str(Path(__file__).parent)),
                *sys.argv[3:],
                "serving_app:make_app()",
            ],
        )
