"""Render the downloads centre: a visitor's runs, live and recent, wherever they were started."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

from flask import render_template, url_for
from markupsafe import Markup

from . import runs, visitors
from .html import Html
from .parts import Parts
from .runs import Run

MOST_RUNS = 50


class Center:
    """`{{ download_center() }}`: leave the page, come back, and find what was made."""

    def __init__(self, parts: Parts, html: Html) -> None:
        self._parts = parts
        self._html = html

    def __call__(self) -> Markup:
        """Render the list, with the script and style that it needs."""
        return self._html.render_script() + self.render()

    def render(self) -> Markup:
        """Render the list alone, as the page asks for it again and again."""
        self._parts.pulse.start()
        visitors.made_session_key()
        view = SimpleNamespace(
            url=url_for("download_btn.center"),
            script_url=url_for("download_btn.static", filename="download-center.js"),
            texts=self._parts.words.of(visitors.language()),
            items=[self._item(run) for run in self._runs()],
        )
        return Markup(render_template("download_btn/center.html", view=view))

    def _runs(self) -> list[Run]:
        return self._parts.runs.of(
            visitors.owners(), ended_within=self._parts.settings.retention, limit=MOST_RUNS
        )

    def _item(self, run: Run) -> SimpleNamespace:
        made_at = datetime.fromtimestamp(run.made_at, timezone.utc)
        is_followed = run.is_live or (run.state == runs.READY and self._has_files(run))
        return SimpleNamespace(
            id=run.id,
            name=run.btn_name,
            made_at=made_at.isoformat(timespec="seconds"),
            made_at_text=made_at.strftime("%Y-%m-%d %H:%M UTC"),
            state=run.state if is_followed or run.state != runs.READY else runs.EXPIRED,
            message=run.message,
            html=self._followed(run) if is_followed else None,
        )

    def _has_files(self, run: Run) -> bool:
        return not run.files or bool(self._parts.pictures.stored_files(run)) or _is_link(run)

    def _followed(self, run: Run) -> Markup:
        # A button that nobody sees follows the run, with the templates that every button has.
        btn = _Follower(run)
        view = self._html.view_of(btn, token="", snapshot=self._parts.pictures.of(run))
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


def _is_link(run: Run) -> bool:
    return any("url" in item for item in run.files)
