"""Answer the browser: start a run, look at it, cancel it; say why a door stays shut."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from . import runs, visitors
from .assets import AssetBlueprint
from .buttons import Facts
from .channel import Look
from .clicks import Clicks
from .doors import Asks, Door, Refusal
from .engine import Claim
from .errors import LimitReached, TokenRefused
from .fetches import Fetches
from .parts import Parts
from .pictures import Snapshot
from .runs import Click, Run

SOONEST, LATEST = 2, 10
"""Seconds after which a page without scripts asks again."""

logger = logging.getLogger(__name__)


def make_blueprint(parts: Parts, asks: Asks) -> tuple[Blueprint, Look]:
    """Make the extension's routes for one app, and the look that its channel takes."""
    views = Views(parts, asks)
    blueprint = AssetBlueprint(
        "download_btn",
        __name__,
        url_prefix=parts.settings.url_prefix,
        static_folder="static",
        template_folder="templates",
    )
    blueprint.before_request(views.wake)
    blueprint.post("/start", endpoint="start")(views.start)
    blueprint.get("/runs/<token>", endpoint="run")(views.look)
    blueprint.post("/runs/<token>/cancel", endpoint="cancel")(views.cancel)
    blueprint.get("/center", endpoint="center")(views.list_runs)
    blueprint.get("/files/<token>", endpoint="file")(
        _file_view(Fetches(parts, asks).fetch, views.in_words)
    )
    blueprint.register_error_handler(Refusal, views.refuse)
    blueprint.register_error_handler(RequestEntityTooLarge, views.refuse_large)
    blueprint.register_error_handler(Exception, views.refuse_broken)
    return blueprint, views.watched


def _file_view(
    view: Callable[..., Response], in_words: Callable[[Response], Response]
) -> Callable[..., Response]:
    """Have Flask-Talisman leave a file the policy it is served with: that of pages is weaker."""

    def own(token: str) -> Response:
        return in_words(view(token))

    own.talisman_view_options = {"content_security_policy": None}  # type: ignore[attr-defined]
    return own


class Views(Door):
    """The extension's views; each checks the token, the owner, and the app's `authorize`."""

    def __init__(self, parts: Parts, asks: Asks) -> None:
        super().__init__(parts, asks)
        self._clicks = Clicks(parts, asks)

    def wake(self) -> None:
        """See that this process has its pulse, before it serves anything of ours."""
        if request.endpoint != "download_btn.static":
            self._parts.pulse.start()

    # -- start -----------------------------------------------------------------------------------

    def start(self) -> Response:
        """Start a run, form and all; answer what can be said of it at once."""
        click, facts = self._clicks.read()
        with self._parts.runner.place() as begin:
            run, is_new = self._run_of(click, claimed=begin is not None)
            with self._parts.lives.awaited(run.id) as waiter:
                if is_new:
                    self._hand_over(run, facts, begin)
                waiter.wait(self._parts.settings.wait if is_new else 0)
        return self._answer(waiter.ended or self._as_it_is(run))

    def _as_it_is(self, run: Run) -> Run:
        """Look at a run again; one that this process carries out needs no database for that."""
        live = self._parts.lives.get(run.id)
        if live and not live.is_lost:
            return live.run
        return self._parts.runs.find(run.id) or run

    def _run_of(self, click: Click, *, claimed: bool) -> tuple[Run, bool]:
        try:
            return self._parts.runs.make(click, claimed=claimed)
        except LimitReached as error:
            raise Refusal(429, error.key, retry_after=error.retry_after) from error

    def _hand_over(self, run: Run, facts: Facts, begin: Callable[[Claim], None] | None) -> None:
        try:
            if begin:
                begin(Claim(run, facts))
            else:
                self._parts.runner.start(run.id)
        except Exception as error:
            logger.exception("Run %s could not be started.", run.id)
            self._parts.engine.fail_unstarted(run, self._words["unavailable"])
            raise Refusal(503, "unavailable", retry_after=30) from error

    # -- look and cancel -------------------------------------------------------------------------

    def look(self, token: str) -> Response:
        """Answer a poll, or show a run to a browser without scripts."""
        return self._answer(self._own_run("watch", token))

    def cancel(self, token: str) -> Response:
        """Stop a run at its next report."""
        run = self._own_run("cancel", token)
        live = self._parts.lives.get(run.id)
        if live:
            live.cancel()
        if run.state == runs.QUEUED and not self._parts.engine.cancel_queued(run.id):
            run = self._parts.runs.find(run.id) or run
        if run.state == runs.RUNNING:
            with self._parts.lives.awaited(run.id) as ended:
                self._parts.runs.ask_to_cancel(run.id)
                ended.wait(self._parts.settings.wait)
        return self._answer(self._parts.runs.find(run.id) or run)

    def watched(self, token: Any) -> tuple[str, Snapshot] | None:
        """Check a run's token for the channel; give the run's id and picture."""
        self._parts.pulse.start()
        try:
            run = self._own_run("watch", token)
        except Refusal:
            return None
        return run.id, self._parts.pictures.of(run)

    def _own_run(self, action: str, token: Any) -> Run:
        try:
            run_id = self._parts.tokens.read_run(token, visitors.owners())
        except TokenRefused as error:
            raise Refusal(404, "error_404") from error
        return self.allowed_run(action, run_id)

    def list_runs(self) -> Response:
        """Answer the visitor's runs, as the downloads centre shows them."""
        return _fresh(Response(self._asks.center(), mimetype="text/html"))

    # -- answers ---------------------------------------------------------------------------------

    def _answer(self, run: Run) -> Response:
        picture = self._parts.pictures.of(run)
        if visitors.wants_json():
            return _fresh(jsonify(picture))
        if request.method == "POST":
            return _fresh(redirect(picture["url"], 303))  # type: ignore[arg-type]
        page = self._page("run", snapshot=picture, back_url=run.page)
        if picture["state"] in runs.LIVE:
            # Rarer, the longer it takes: who reads or presses something is interrupted each time.
            age = max(0.0, time.time() - run.made_at)
            page.headers["Refresh"] = str(int(min(max(age / 10, SOONEST), LATEST)))
        return _fresh(page)

    def refuse(self, refusal: Refusal) -> Response:
        """Say why a door stays shut: a picture for a script, a page for a person."""
        message = refusal.message or self._words[refusal.key]
        picture = self._parts.pictures.of_no_run(message, refusal.reference, refusal.errors)
        if visitors.wants_json():
            response = jsonify(picture)
        else:
            title = self._words.get(f"error_{refusal.status}_title")
            response = self._page(
                "error",
                status=refusal.status,
                title=title or self._words["error_500_title"],
                sentence=message,
                errors=refusal.errors,
                back_url=visitors.page() if request.method == "POST" else None,
            )
        response.status_code = refusal.status
        if refusal.retry_after:
            response.headers["Retry-After"] = str(refusal.retry_after)
        return _fresh(response)

    def in_words(self, response: Response) -> Response:
        """Say to a person what a file's answer says in headers alone."""
        if response.status_code != 416:
            return response
        said = self.refuse(Refusal(416, "error_416"))
        for header in ("Content-Range", "Accept-Ranges"):
            said.headers[header] = response.headers[header]
        return said

    def refuse_large(self, error: RequestEntityTooLarge) -> Response:
        return self.refuse(Refusal(413, "error_413"))

    def refuse_broken(self, error: Exception) -> Any:
        """Answer what should not have happened: a reference, which the log has too."""
        if isinstance(error, HTTPException):
            return error
        if current_app.testing or current_app.debug:
            raise error
        reference = secrets.token_hex(4)
        logger.error("%s failed (reference %s).", request.endpoint, reference, exc_info=error)
        return self.refuse(Refusal(500, "failed", reference=reference))

    def _page(self, name: str, **values: Any) -> Response:
        html = render_template(
            f"download_btn/{name}.html",
            texts=self._words,
            lang=visitors.language() or self._parts.settings.language,
            style_url=url_for("download_btn.static", filename="download-btn.css"),
            **values,
        )
        return Response(html, mimetype="text/html")


def _fresh(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
