"""Make a click of a POST: which button, what its form function says, what the run will need."""

from __future__ import annotations

import json
import logging
import secrets
from contextlib import suppress
from typing import Any

from flask import request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge

from . import visitors
from .buttons import Facts
from .doors import Door, Refusal
from .errors import DownloadBtnError, DownloadError, OutputRefused, ReferenceRefused, TokenRefused
from .links import own_page
from .progress import Meter
from .runs import Click

TOKEN_FIELD = "download_btn_token"  # a form field's name, not a secret
PROOFS = frozenset((TOKEN_FIELD, "csrf_token"))
"""Fields that prove where a form comes from; no run keeps them."""

logger = logging.getLogger(__name__)


class Clicks(Door):
    """Reads what a page submits."""

    def read(self) -> tuple[Click, Facts]:
        """Return what this request asks for, with what its form functions made of it.

        The facts are its button's, as its row says them.
        """
        self._limit_form()
        btn, facts, spot = self._clicked_button()
        self.refuse_forbidden("start", lambda: btn)
        return self._click(btn, spot), facts

    def _limit_form(self) -> None:
        most = self._parts.settings.max_form_bytes
        if not most:
            return
        if (request.content_length or 0) > most:
            raise RequestEntityTooLarge
        with suppress(AttributeError):  # Flask 3.0 knows the app's own limit alone
            # Whoever sends in chunks does not say how much is to come.
            request.max_content_length = min(most, request.max_content_length or most)

    def _clicked_button(self) -> tuple[Any, Facts, str]:
        self._refuse_cross_site()
        try:
            token = request.form.get(TOKEN_FIELD, "")
            revision, spot, *which = self._parts.tokens.read_button(token, visitors.identity())
        except TokenRefused as error:
            logger.info("A click was refused: its token is %s.", error)
            raise Refusal(403, "stale_page") from error
        found = self._named_button(*which) if len(which) == 2 else self._row_button(*which)
        if found is None:
            raise Refusal(404, "button_gone")
        if found[1]["revision"] != revision:
            raise Refusal(403, "stale_page")
        return *found, spot

    @staticmethod
    def _refuse_cross_site() -> None:
        # The token is the proof; this only spares a stolen one.
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise Refusal(403, "error_403")

    def _row_button(self, uid: str) -> tuple[Any, Facts] | None:
        buttons = self._parts.buttons
        facts = buttons.facts_of([uid]).get(uid)
        return (buttons.put_in_session(facts), facts) if facts else None

    def _named_button(self, name: str, arguments: str) -> tuple[Any, Facts] | None:
        named = self._parts.named.get(name)
        if named is None:
            logger.error(
                "A page shows the button %r, which this app no longer has. Its visitor was told to"
                " load the page again.",
                name,
            )
            return None
        return self._parts.buttons.named(name, arguments, **named.attributes)

    def _click(self, btn: Any, spot: str) -> Click:
        # Asked now: whatever a form function does to the session, its log line names the button.
        uid, name, reference = btn.uid, btn.btn_text or btn.name, secrets.token_hex(4)
        try:
            return self._click_of(btn, spot)
        except DownloadError as error:
            raise Refusal(422, "failed", message=str(error), errors=error.errors) from error
        except (Refusal, HTTPException):
            raise
        except Exception as error:
            logger.exception(
                "A click on the button %r (%s) failed (reference %s).", name, uid, reference
            )
            raise Refusal(500, "failed", reference=reference) from error
        finally:
            # What a form function changed is this visitor's own; the row that all share stays.
            self._parts.db.session.rollback()

    def _click_of(self, btn: Any, spot: str) -> Click:
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
            # Without scripts, a run is a page of its own, from which one wants to go back.
            "page": None if visitors.wants_json() else visitors.page(),
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
            spot=spot,
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


class FormResponse(MultiDict[str, str]):
    """The submitted form, as a form function gets it; uploads are in `files`."""

    def __init__(self, form: MultiDict[str, str], files: MultiDict[str, Any]) -> None:
        super().__init__(
            (name, value) for name, value in form.items(multi=True) if name != TOKEN_FIELD
        )
        self.files = files


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
