"""Build small apps in this process, with a visitor or more, for tests that need no browser."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, render_template_string
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from processes import wait_until
from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator

from flask_download_btn import DownloadBtnManager, DownloadBtnMixin, FunctionMixin
from flask_download_btn.testing import EndedRun, click

QUICK = {
    "DOWNLOAD_BTN_HEARTBEAT": 0.5,
    "DOWNLOAD_BTN_LEASE": 2,
    "DOWNLOAD_BTN_REAP": 0.5,
    "SECRET_KEY": "a secret that nobody guesses",
}
JSON = {"Accept": "application/json"}


class Unanswered:
    """Knows which requests of an app are not answered yet, but for its WebSockets."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.requests: list[object] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if "HTTP_UPGRADE" in environ:
            return self.app(environ, start_response)
        self.requests.append(environ)
        try:
            answer = self.app(environ, start_response)
        except Exception:
            self.requests.remove(environ)
            raise
        return ClosingIterator(answer, lambda: self.requests.remove(environ))


class Site:
    """One app, its database, its manager and its models."""

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "site",
        db: SQLAlchemy | None = None,
        declare: bool = True,
        create: bool = True,
        prepare: Callable[[Flask, SQLAlchemy], object] = lambda app, db: None,
        manager: DownloadBtnManager | None = None,
        options: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.app = Flask(name, root_path=str(folder), instance_path=str(folder / "instance"))
        address = f"sqlite:///{folder / 'app.db'}"
        self.app.config.update(QUICK, SQLALCHEMY_DATABASE_URI=address)
        self.app.config.update(settings)
        self.db = db or SQLAlchemy()
        self.db.init_app(self.app)
        prepare(self.app, self.db)
        self.manager = manager or DownloadBtnManager(db=self.db)
        self.manager.init_app(self.app, self.db, **(options or {}))
        if declare:
            self._declare()
        self.DownloadBtn: Any = self.manager.DownloadBtn
        self.Function: Any = self.manager.Function
        self._add_page()
        if create:
            with self.app.app_context():
                self.db.create_all()

    def _declare(self) -> None:
        db: Any = self.db

        @DownloadBtnManager.register
        class DownloadBtn(DownloadBtnMixin, db.Model):
            id = db.Column(db.Integer, primary_key=True)

        class Function(FunctionMixin, db.Model):
            id = db.Column(db.Integer, primary_key=True)

    def _add_page(self) -> None:
        @self.app.get("/a-page-with/<btn>")
        def a_page_with(btn: str) -> str:
            button = self.parts.buttons.find(btn) or self.parts.html(btn)
            return render_template_string("<title>Page</title>{{ button }}", button=button)

    @property
    def parts(self) -> Any:
        return self.app.extensions["download_btn_manager"]

    def button(self, *functions: Any, **attributes: Any) -> str:
        """Save a button of these functions, or `(function, kwargs)`, and return its uid."""
        with self.app.app_context():
            btn = self.DownloadBtn(**attributes)
            btn.create_file_functions = [
                self.Function(item[0], **item[1]) if isinstance(item, tuple) else item
                for item in functions
            ]
            self.db.session.commit()
            return str(btn.uid)

    @contextmanager
    def row(self, uid: str) -> Iterator[Any]:
        """Give a button's row in an app context of its own, and save what was changed."""
        with self.app.app_context():
            yield self.parts.buttons.find(uid)
            self.db.session.commit()

    def visitor(self, **options: Any) -> Visitor:
        return Visitor(self, **options)

    def run(self, *functions: Any, form: Any = None, **attributes: Any) -> EndedRun:
        """Have a new visitor click a new button of these functions."""
        return self.visitor().click(self.button(*functions, **attributes), form)

    def runs(self) -> list[Any]:
        return list(self.parts.runs.recent(1000))

    def age_runs(self, seconds: float) -> None:
        """Have all runs made, and ended, so much earlier."""
        table = self.db.metadata.tables["download_btn_run"]
        earlier = {name: table.c[name] - seconds for name in ("made_at", "ended_at")}
        with self.app.app_context():
            self.db.session.execute(table.update().values(earlier))
            self.db.session.commit()

    def stored_bytes(self) -> list[Path]:
        """Return whatever lies in the storage's folder, whole or not."""
        return [path for path in self.parts.storage.root.rglob("*") if path.is_file()]

    @contextmanager
    def served(self) -> Iterator[str]:
        """Serve the app over HTTP and WebSocket from threads of this process; give its URL."""
        unanswered = Unanswered(self.app)
        server = make_server("127.0.0.1", 0, unanswered, threaded=True)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            # A browser complains of an answer that never comes.
            wait_until(lambda: not unanswered.requests, "A request has no answer")
            server.shutdown()
            server.server_close()
            thread.join()

    def close(self) -> None:
        """Let what still runs end, and give the database's connections back."""
        wait_until(lambda: not len(self.parts.lives), "A run of the test does not end")
        if "pulse" in self.parts.__dict__:
            self.parts.pulse.stop()
        with self.app.app_context():
            self.db.session.remove()
            self.db.engine.dispose()


@contextmanager
def site(folder: Path, **options: Any) -> Iterator[Site]:
    """Give a site that is closed at the end of the block."""
    opened = Site(folder, **options)
    try:
        yield opened
    finally:
        opened.close()


class Visitor:
    """Somebody with a session of their own, through Flask's test client."""

    def __init__(self, site: Site, base_url: str = "http://localhost") -> None:
        self.site = site
        self.base_url = base_url
        self.client: FlaskClient = site.app.test_client()

    def click(self, btn: Any, form: Any = None, **arguments: Any) -> EndedRun:
        """Click a button, given by its uid or its name, and wait for the end."""
        with self.site.app.app_context():
            found = self.site.parts.buttons.find(btn)
            return click(self.client, btn if found is None else found, form, **arguments)

    def token(self, btn: str) -> str:
        """Load a page with a button, and return the token that it carries."""
        return token_in(self.page(btn))

    def page(self, btn: str) -> str:
        """Load a page with a button, by its uid or its name."""
        return self.client.get(f"/a-page-with/{btn}", base_url=self.base_url).text

    def start(self, token: str, form: Any = None, headers: Any = None) -> Any:
        """Post a click with a token; answers at once."""
        data = {**(form or {}), "download_btn_token": token}
        return self.client.post(
            "/download-btn/start", data=data, headers=headers or JSON, base_url=self.base_url
        )

    def look(self, picture: Any) -> Any:
        return self.client.get(self._own(picture["url"]), headers=JSON, base_url=self.base_url)

    def cancel(self, picture: Any) -> Any:
        address = self._own(picture["cancel_url"])
        return self.client.post(address, headers=JSON, base_url=self.base_url)

    def fetch(self, file: Any) -> Any:
        with self.client.get(self._own(file["url"]), base_url=self.base_url) as answer:
            answer.get_data()
            return answer

    def _own(self, path: str) -> str:
        return path.removeprefix(urlsplit(self.base_url).path.rstrip("/"))

    def ended(self, picture: Any) -> Any:
        """Poll until the run has ended; return its last picture."""
        seen = [picture]

        def has_ended() -> bool:
            seen[0] = self.look(picture).get_json()
            return seen[0]["state"] not in ("queued", "running")

        wait_until(has_ended, "The run does not end")
        return seen[0]


def token_in(html: str) -> str:
    found = re.search(r'name="download_btn_token" value="([^"]+)"', html) or re.search(
        r'value="([^"]+)"[^>]*name="download_btn_token"', html
    )
    assert found, html
    return unescape(found[1])
