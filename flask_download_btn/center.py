"""Render the downloads centre: a visitor's runs, live and recent, wherever they were started."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from flask import render_template, url_for
from markupsafe import Markup

from . import runs, visitors
from .assets import address
from .html import Html
from .parts import Parts
from .pictures import Snapshot
from .runs import Run

MOST_RUNS = 50


class Center:
    """`{{ download_center() }}`: leave the page, come back, and find what was made."""

    def __init__(self, parts: Parts, html: Html) -> None:
        self._parts = parts
        self._html = html

    def __call__(self, *, nonce: str | None = None) -> Markup:
        """Render the list, with the script and style that it needs."""
        return self._html.render_script(nonce) + self.render(nonce)

    def render(self, nonce: str | None = None) -> Markup:
        """Render the list alone, as the page asks for it again and again."""
        self._parts.pulse.start()
        visitors.made_session_key()
        view = SimpleNamespace(
            url=url_for("download_btn.center"),
            script_url=address("download-center.js"),
            nonce=nonce,
            texts=self._parts.words.of(visitors.language()),
            items=[self._item(run) for run in self._runs()],
        )
        return Markup(render_template("download_btn/center.html", view=view))

    def _runs(self) -> list[Run]:
        return self._parts.runs.of(
            visitors.owners(), ended_within=self._parts.settings.retention, limit=MOST_RUNS
        )

    def _item(self, run: Run) -> SimpleNamespace:
        picture = self._parts.pictures.of(run)
        made_at = datetime.fromtimestamp(run.made_at, timezone.utc)
        state = picture["state"]
        files = picture["files"] if state == runs.READY else []
        return SimpleNamespace(
            id=run.id,
            name=run.btn_name,
            made_at=made_at.isoformat(timespec="seconds"),
            made_at_text=made_at.strftime("%Y-%m-%d %H:%M UTC"),
            state=state,
            # What the page compares: an item that is of another kind now is replaced.
            kind=" ".join([state, *(str(_look_of(file)) for file in files)]),
            run=picture,
            files=files,
            html=self._followed(run, picture) if run.is_live else None,
        )

    def _followed(self, run: Run, picture: Snapshot) -> Markup:
        # A button that nobody sees follows the run, with the templates that every button has.
        btn = _Follower(run)
        view = self._html.view_of(btn, token="", snapshot=picture)
        return self._html.rendered(btn, view)


class _Follower:
    """What the templates of a button need to know of a run in the list."""

    btn_template = progress_template = form_id = None

    def __init__(self, run: Run) -> None:
        self._run_id = run.id
        self.btn_text = run.btn_name
        self.btn_attrs = {"hidden": True, "tabindex": "-1"}
        self.progress_attrs = {"class": ["progress"]}
        self.progress_bar_attrs = {"class": ["progress-bar"]}
        self.progress_text_attrs: dict[str, Any] = {}

    def get_id(self, suffix: str = "btn") -> str:
        return f"download-center-{self._run_id[:12]}-{suffix}"


def _look_of(file: dict[str, Any]) -> int:
    return 2 if file["gone"] else int(file["downloaded"])
