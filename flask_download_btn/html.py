"""Render a button, its progress and its script; what a template calls."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from flask import g, has_request_context, render_template, request, url_for
from markupsafe import Markup
from sqlalchemy import inspect

from . import references, visitors
from .assets import address
from .channel import NAMESPACE
from .columns import render_attrs
from .errors import ConfigurationError
from .parts import Parts
from .pictures import Snapshot
from .runs import Run
from .spots import spot_of

JUST_ENDED = 60.0
"""Seconds for which a page that is loaded anew saves what is ready, and does not only offer it."""


class Html:
    """Renders buttons for the visitor of the current request."""

    def __init__(
        self, parts: Parts, templates: Any, is_allowed: Callable[[str, Callable[[], Any]], bool]
    ) -> None:
        """Take the app's parts, who names its templates, and what asks its `authorize`."""
        self._parts = parts
        self._templates = templates
        self._is_allowed = is_allowed

    def __call__(self, name: str, /, **arguments: Any) -> Any:
        """Return the button of a name and its arguments: `{{ download_btn("name", year=1) }}`."""
        named = self._parts.named.get(name)
        if named is None:
            known = ", ".join(sorted(self._parts.named)) or "none"
            raise ConfigurationError(
                f"There is no download button {name!r}. Write '@manager.button' above a function of"
                f" that name. There are: {known}."
            )
        references.check_call(named.function, (), arguments)
        text = references.dump_arguments((), arguments, name)
        return self._parts.buttons.draft(name, text, **named.attributes)

    def render_all(self, btn: Any) -> Markup:
        return self.render_script() + self.render_btn(btn) + self.render_progress(btn)

    def render_btn(self, btn: Any) -> Markup:
        template = btn.btn_template or self._templates.btn_template
        return Markup(render_template(template, btn=btn, view=self._view(btn, "btn")))

    def render_progress(self, btn: Any) -> Markup:
        template = btn.progress_template or self._templates.progress_template
        return Markup(render_template(template, btn=btn, view=self._view(btn, "progress")))

    def render_script(self, nonce: str | None = None) -> Markup:
        """Render what a page needs once: it is no harm to render it again."""
        view = SimpleNamespace(
            script_url=address("download-btn.js"),
            style_url=address("download-btn.css"),
            nonce=nonce,
        )
        return Markup(render_template("download_btn/script.html", view=view))

    def rendered(self, btn: Any, view: SimpleNamespace) -> Markup:
        """Render a button and its progress with the app's templates."""
        names = (self._templates.btn_template, self._templates.progress_template)
        return Markup("").join(Markup(render_template(name, btn=btn, view=view)) for name in names)

    def token(self, btn: Any, identity: str, spot: str = "") -> str:
        """Sign what a page with this button may start."""
        _, revision = self._identity(btn)
        which = [btn.name, btn.arguments] if btn.name_key else [btn.uid]
        return self._parts.tokens.for_button(identity, [revision, spot, *which])

    def _view(self, btn: Any, part: str) -> SimpleNamespace:
        _refuse_outside_request(btn)
        _number(btn, part)
        self._parts.pulse.start()
        uid, _ = self._identity(btn)
        spot = spot_of(btn)
        token = self.token(btn, visitors.identity(), spot)
        return self.view_of(btn, token=token, snapshot=self._snapshot(uid, spot), spot=spot)

    def view_of(
        self, btn: Any, *, token: str, snapshot: Snapshot | None, spot: str = ""
    ) -> SimpleNamespace:
        """Return what the templates need beside the button."""
        return SimpleNamespace(
            id=btn.get_id("element"),
            progress_id=btn.get_id("progress"),
            start_url=url_for("download_btn.start"),
            token=token,
            form_id=btn.form_id,
            has_spot=bool(spot),
            socket_url=NAMESPACE,
            socket_path=self._socket_path(),
            style_url=address("download-btn.css"),
            client_url=address("vendor/socket.io.esm.min.js"),
            snapshot=snapshot,
            texts=self._parts.words.of(visitors.language()),
            attrs=render_attrs,
        )

    def _identity(self, btn: Any) -> tuple[str | None, str]:
        if not btn.name_key:
            _refuse_unsaved(btn)
            return btn.uid, btn.revision
        return self._parts.buttons.identity_of(btn.name_key)

    def _snapshot(self, uid: str | None, spot: str) -> Snapshot | None:
        if uid is None:
            return None
        found = self._parts.runs.latest_of(
            visitors.owners(),
            uid,
            spot,
            ended_within=self._parts.settings.retention,
            late_after=JUST_ENDED,
        )
        for run, is_late in found:
            picture = self._picture(run, is_late)
            if picture and (run.btn_uid == uid or self._may_see(run)):
                return picture
        return None

    def _picture(self, run: Run, is_late: bool) -> Snapshot | None:
        """Draw a run that a page has to show: a live one, or one with files to be had."""
        wanted = _unfetched(run)
        if not (run.is_live or wanted):
            return None
        picture = self._parts.pictures.of(run)
        if not is_late:
            return picture
        if all(picture["files"][index]["gone"] for index in wanted):
            return None
        # Whoever comes back after hours is not surprised by a download.
        return picture | {"offered": True}

    def _may_see(self, run: Run) -> bool:
        return self._is_allowed("watch", lambda: self._parts.buttons.find(run.btn_uid))

    def _socket_path(self) -> str:
        path = self._parts.socketio.server_options.get("path") or "socket.io"
        return f"{request.script_root}/{path.strip('/')}"


def _unfetched(run: Run) -> list[int]:
    # One that leaves now is the other page's; one that was cut off is offered again.
    return [i for i in range(len(run.files)) if str(i) not in run.fetched or run.is_cut(i)]


def _number(btn: Any, part: str) -> None:
    """Tell apart the buttons of one name and arguments that a page shows more than once.

    Each part is counted by itself: a page may ask for a button anew to render its progress.
    """
    shown = g.setdefault("download_btn_shown", {}).setdefault((btn.name_key or btn.uid, part), [])
    if not any(btn is other for other in shown):
        shown.append(btn)
        btn.__dict__.setdefault("copy_number", len(shown))


def _refuse_outside_request(btn: Any) -> None:
    if not has_request_context():
        raise ConfigurationError(
            f"Button {btn.btn_text!r} was rendered outside of a request. A button belongs to the"
            " session of the visitor who loads the page: render it in a view."
        )


def _refuse_unsaved(btn: Any) -> None:
    if not inspect(btn).has_identity:
        raise ConfigurationError(
            f"Button {btn.btn_text!r} was rendered before it was saved. Call 'db.session.commit()'"
            " before 'render_template', or a click will not find it."
        )
