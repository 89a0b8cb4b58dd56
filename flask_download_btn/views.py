"""Answer the browser: start a run, look at it, cancel it, fetch its files."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

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
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from . import delivery, runs, signals, visitors
from .channel import Look
from .errors import (
    DownloadBtnError,
    DownloadError,
    FileGone,
    LimitReached,
    OutputRefused,
    ReferenceRefused,
    TokenRefused,
)
from .files import Stored
from .links import own_page
from .parts import Parts
from .pictures import Snapshot
from .progress import Meter
from .runs import Click, Run

TOKEN_FIELD = "download_btn_token"  # a form field's name, not a secret
PROOFS = frozenset((TOKEN_FIELD, "csrf_token"))
"""Fields that prove where a form comes from; no run keeps them."""
LARGE = 100_000
"""Bytes from which the page is told that a download has begun, before it has ended."""

Spans = Iterable[tuple[int, int]]

logger = logging.getLogger(__name__)


class Asks(Protocol):
    """What the doors ask the app: the manager passes it on."""

    def is_allowed(self, action: str, find_btn: Callable[[], Any]) -> bool: ...
    def collected(self) -> Any: ...
    def center(self) -> str: ...


class Refusal(Exception):
    """Raised by a door that stays shut; `key` names its words, unless it brings its own."""

    def __init__(
        self,
        status: int,
        key: str,
        *,
        message: str | None = None,
        reference: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message or key)
        self.status = status
        self.key = key
        self.message = message
        self.reference = reference
        self.retry_after = retry_after


class FormResponse(MultiDict[str, str]):
    """The submitted form, as a form function gets it; uploads are in `files`."""

    def __init__(self, form: MultiDict[str, str], files: MultiDict[str, Any]) -> None:
        super().__init__(
            (name, value) for name, value in form.items(multi=True) if name != TOKEN_FIELD
        )
        self.files = files


def make_blueprint(parts: Parts, asks: Asks) -> tuple[Blueprint, Look]:
    """Make the extension's routes for one app, and the look that its channel takes."""
    doors = Doors(parts, asks)
    blueprint = Blueprint(
        "download_btn",
        __name__,
        url_prefix=parts.settings.url_prefix,
        static_folder="static",
        template_folder="templates",
    )
    blueprint.before_request(doors.wake)
    blueprint.post("/start", endpoint="start")(doors.start)
    blueprint.get("/runs/<token>", endpoint="run")(doors.look)
    blueprint.post("/runs/<token>/cancel", endpoint="cancel")(doors.cancel)
    blueprint.get("/center", endpoint="center")(doors.list_runs)
    blueprint.get("/files/<token>", endpoint="file")(doors.fetch)
    blueprint.register_error_handler(Refusal, doors.refuse)
    blueprint.register_error_handler(RequestEntityTooLarge, doors.refuse_large)
    blueprint.register_error_handler(Exception, doors.refuse_broken)
    return blueprint, doors.watched


class Doors:
    """The extension's views; each checks the token, the owner, and the app's `authorize`."""

    def __init__(self, parts: Parts, asks: Asks) -> None:
        self._parts = parts
        self._asks = asks

    @property
    def _words(self) -> Mapping[str, str]:
        return self._parts.words.of(visitors.language())

    def wake(self) -> None:
        """See that this process has its pulse, before it serves anything of ours."""
        if request.endpoint != "download_btn.static":
            self._parts.pulse.start()

    # -- start -----------------------------------------------------------------------------------

    def start(self) -> Response:
        """Start a run, form and all; answer what can be said of it at once."""
        self._limit_form()
        btn = self._clicked_button()
        self._refuse_forbidden("start", lambda: btn)
        run, is_new = self._run_of(self._click(btn))
        with self._parts.lives.awaited(run.id) as ended:
            if is_new:
                self._hand_over(run.id)
            ended.wait(self._parts.settings.wait if is_new else 0)
        return self._answer(self._as_it_is(run))

    def _as_it_is(self, run: Run) -> Run:
        """Look at a run again; one that this process carries out needs no database for that."""
        live = self._parts.lives.get(run.id)
        if live and not live.is_lost:
            return live.run
        return self._parts.runs.find(run.id) or run

    def _limit_form(self) -> None:
        most = self._parts.settings.max_form_bytes
        if (request.content_length or 0) > most:
            raise RequestEntityTooLarge
        with suppress(AttributeError):  # Flask 3.0 knows the app's own limit alone
            # Whoever sends in chunks does not say how much is to come.
            request.max_content_length = min(most, request.max_content_length or most)

    def _clicked_button(self) -> Any:
        self._refuse_cross_site()
        try:
            token = request.form.get(TOKEN_FIELD, "")
            revision, *which = self._parts.tokens.read_button(token, visitors.identity())
        except TokenRefused as error:
            logger.info("A click was refused: its token is %s.", error)
            raise Refusal(403, "stale_page") from error
        btn = self._named_button(*which) if len(which) == 2 else self._row_button(*which)
        if btn is None:
            raise Refusal(404, "button_gone")
        if btn.revision != revision:
            raise Refusal(403, "stale_page")
        return btn

    @staticmethod
    def _refuse_cross_site() -> None:
        # The token is the proof; this only spares a stolen one.
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise Refusal(403, "error_403")

    def _row_button(self, uid: str) -> Any | None:
        return self._parts.buttons.find(uid)

    def _named_button(self, name: str, arguments: str) -> Any | None:
        named = self._parts.named.get(name)
        if named is None:
            logger.error(
                "A page shows the button %r, which this app no longer has. Its visitor was told to"
                " load the page again.",
                name,
            )
            return None
        return self._parts.buttons.named(name, arguments, **named.attributes)

    def _click(self, btn: Any) -> Click:
        reference = secrets.token_hex(4)
        try:
            return self._click_of(btn)
        except DownloadError as error:
            raise Refusal(422, "failed", message=str(error)) from error
        except (Refusal, HTTPException):
            raise
        except Exception as error:
            logger.exception("A form function of %s failed (reference %s).", btn, reference)
            raise Refusal(500, "failed", reference=reference) from error
        finally:
            # What a form function changed is this visitor's own; the row that all share stays.
            self._parts.db.session.rollback()

    def _click_of(self, btn: Any) -> Click:
        uploads = [
            [name, upload.filename, upload.stream.seek(0, 2), upload.stream.seek(0)]
            for name, upload in request.files.items(multi=True)
        ]
        row_downloads = list(btn.downloads or ())
        btn._job = FormJob()
        self._handle_form(btn, FormResponse(request.form, request.files))
        downloads = list(btn.downloads or ())
        plan = {
            "steps": self._steps(btn),
            "downloads": None if downloads == row_downloads else downloads,
            "tmp_downloads": _without_files(btn),
        }
        form = [pair for pair in request.form.items(multi=True) if pair[0] not in PROOFS]
        visit = {
            "form": form,
            "user_id": visitors.user_id(),
            "collected": self._asks.collected(),
            "root": request.root_url,
            "cache": btn.cache,
            "language": visitors.language(),
        }
        return Click(
            btn_uid=btn.uid,
            btn_name=btn.btn_text or btn.name,
            btn_revision=btn.revision,
            owner=visitors.owner(),
            plan=json.dumps(plan),
            visit=_visit_text(visit),
            restart=btn.restart,
            callback=own_page(btn.callback, request.root_url),
            archive=btn.archive,
            message=btn.download_msg,
            sameness=json.dumps([plan, form, uploads]),
        )

    def _handle_form(self, btn: Any, response: FormResponse) -> None:
        named = self._parts.named.get(btn.name) if btn.name_key else None
        if named and named.form:
            named.form(response, btn)
        for function in list(btn.handle_form_functions):
            call, args, kwargs = self._parts.resolve(function.step())
            call(response, btn, *args, **kwargs)

    def _steps(self, btn: Any) -> list[dict[str, str]]:
        steps = [function.step() for function in btn.create_file_functions]
        return [self._named_step(btn), *steps] if btn.name_key else steps

    def _named_step(self, btn: Any) -> dict[str, str]:
        signature = self._parts.tokens.sign_row(f"button {btn.name}", btn.arguments)
        return {"button": btn.name, "arguments": btn.arguments, "signature": signature}

    def _run_of(self, click: Click) -> tuple[Run, bool]:
        try:
            return self._parts.runs.make(click)
        except LimitReached as error:
            raise Refusal(429, "too_many", retry_after=error.retry_after) from error

    def _hand_over(self, run_id: str) -> None:
        try:
            self._parts.runner.start(run_id)
        except Exception as error:
            logger.exception("Run %s could not be started.", run_id)
            self._parts.engine.fail_queued(run_id, self._words["unavailable"])
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
        return self._run_still_allowed(action, run_id)

    def _run_still_allowed(self, action: str, run_id: str) -> Run:
        run = self._parts.runs.find(run_id)
        if run is None or run.btn_revision != self._parts.buttons.revision_of(run.btn_uid):
            raise Refusal(404, "error_404")
        self._refuse_forbidden(action, lambda: self._parts.buttons.find(run.btn_uid))
        # We write on connections of our own, which a lock that this request holds would stop.
        self._parts.db.session.rollback()
        return run

    def _refuse_forbidden(self, action: str, find_btn: Callable[[], Any]) -> None:
        if not self._asks.is_allowed(action, find_btn):
            raise Refusal(403, "error_403")

    def list_runs(self) -> Response:
        """Answer the visitor's runs, as the downloads centre shows them."""
        return _fresh(Response(self._asks.center(), mimetype="text/html"))

    # -- fetch -----------------------------------------------------------------------------------

    def fetch(self, token: str) -> Response:
        """Send a file of a run, or all of them as a ZIP."""
        try:
            run_id, index = self._parts.tokens.read_file(token, visitors.owners())
        except TokenRefused as error:
            raise Refusal(404, "error_404") from error
        run = self._run_still_allowed("fetch", run_id)
        if index < 0:
            return self._fetch_all(run)
        if index >= len(run.files):
            raise Refusal(404, "error_404")
        item = run.files[index]
        return self._fetch_stored(run, index, item) if "file" in item else self._lead(run, index)

    def _fetch_stored(self, run: Run, index: int, item: Mapping[str, Any]) -> Response:
        stored = self._parts.files.find(item["file"])
        if stored is None:
            raise Refusal(410, "error_410")
        try:
            return delivery.respond(
                replace(stored, name=item["name"]),
                self._parts.storage,
                request,
                on_started=lambda: self._note_start(run, index, stored),
                on_complete=lambda: self._note_complete(run, index, stored),
                on_part=lambda spans: self._note_parts(run, index, stored, spans),
                cache=run.cache,
                accel=self._parts.settings.accel,
            )
        except FileGone as error:
            # The row heals itself: the next click makes the file again.
            self._parts.files.forget(stored.id)
            raise Refusal(410, "error_410") from error

    def _fetch_all(self, run: Run) -> Response:
        found = self._parts.pictures.stored_files(run)
        entries = [
            replace(found[item["file"]], name=item["name"])
            for item in run.files
            if item.get("file") in found
        ]
        if not entries or len(entries) < len(run.files):
            raise Refusal(410, "error_410")
        try:
            return delivery.stream_zip(
                entries,
                self._parts.pictures.archive_name(run),
                self._parts.storage,
                request,
                on_started=lambda: self._note_all_started(run, entries),
                on_complete=lambda: self._note_all(run, entries),
            )
        except FileGone as error:
            raise Refusal(410, "error_410") from error

    def _lead(self, run: Run, index: int) -> Response:
        if request.method == "GET":
            self._note_fetch(run, index, "downloaded")
            self._parts.buttons.mark_downloaded(run.btn_uid)
        response = redirect(run.files[index]["url"], 302)
        response.headers["Cache-Control"] = "no-store"
        return response  # type: ignore[return-value]

    def _note_start(self, run: Run, index: int, stored: Stored) -> None:
        if stored.size >= LARGE:
            self._parts.files.mark_started(stored.id)
            self._note_fetch(run, index, "started")

    def _note_parts(self, run: Run, index: int, stored: Stored, spans: Spans) -> None:
        if self._parts.runs.note_parts(run.id, index, spans, stored.size):
            self._note_complete(run, index, stored)

    def _note_complete(self, run: Run, index: int, stored: Stored) -> None:
        if stored.downloaded_at and run.fetched.get(str(index)) == "downloaded":
            return
        self._parts.files.mark_downloaded(stored.id)
        self._parts.buttons.mark_downloaded(run.btn_uid)
        self._note_fetch(run, index, "downloaded")
        self._parts.send(signals.file_downloaded, run=run, file=stored)

    def _note_all_started(self, run: Run, entries: list[Stored]) -> None:
        for index, stored in enumerate(entries):
            self._note_start(run, index, stored)

    def _note_all(self, run: Run, entries: list[Stored]) -> None:
        for index, stored in enumerate(entries):
            self._note_complete(run, index, stored)

    def _note_fetch(self, run: Run, index: int, what: str) -> None:
        if self._parts.runs.note_fetch(run.id, index, what):
            self._parts.pulse.announce(run.id)

    # -- answers ---------------------------------------------------------------------------------

    def _answer(self, run: Run) -> Response:
        picture = self._parts.pictures.of(run)
        if _wants_json():
            return _fresh(jsonify(picture))
        if request.method == "POST":
            return _fresh(redirect(picture["url"], 303))  # type: ignore[arg-type]
        return _fresh(self._page("run", snapshot=picture, back_url=None))

    def refuse(self, refusal: Refusal) -> Response:
        """Say why a door stays shut: a picture for a script, a page for a person."""
        message = refusal.message or self._words[refusal.key]
        picture = self._parts.pictures.of_no_run(message, refusal.reference)
        if _wants_json():
            response = jsonify(picture)
        else:
            title = self._words.get(f"error_{refusal.status}_title")
            response = self._page(
                "error",
                status=refusal.status,
                title=title or self._words["error_500_title"],
                sentence=message,
                back_url=_own_referrer() if request.method == "POST" else None,
            )
        response.status_code = refusal.status
        if refusal.retry_after:
            response.headers["Retry-After"] = str(refusal.retry_after)
        return _fresh(response)

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


class FormJob:
    """A button while its form functions run: its downloads may be set, but nothing is made yet."""

    run = None

    def __init__(self) -> None:
        self.meter = Meter()

    def create_file(self, name: str, **options: Any) -> Any:
        raise DownloadBtnError(
            f"A form function called 'create_file({name!r})'. A form function decides; a"
            " create-file function makes the file."
        )

    def keep(self, file: Any) -> Any:
        raise OutputRefused(
            f"A form function assigned the file {file.filename!r}. Hand it over in a create-file"
            " function, or assign a URL."
        )

    def may_hold_downloads(self) -> bool:
        return True


def _without_files(btn: Any) -> list[Any]:
    return [
        btn._job.keep(item) if hasattr(item, "filename") else item for item in btn.tmp_downloads
    ]


def _visit_text(visit: dict[str, Any]) -> str:
    try:
        return json.dumps(visit)
    except (TypeError, ValueError) as error:
        raise ReferenceRefused(
            f"'collect' returned {visit['collected']!r}, which is no JSON ({error}). Return what a"
            " run needs of the visitor as a dict of plain values."
        ) from error


def _own_referrer() -> str | None:
    referrer = request.referrer or ""
    return referrer if referrer.startswith(request.host_url) else None


def _wants_json() -> bool:
    accepted = request.accept_mimetypes
    return accepted["application/json"] > accepted["text/html"]


def _fresh(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
