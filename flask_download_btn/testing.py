"""Click a button in an app's own tests: without a browser, without a socket."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import session as flask_session
from flask.testing import FlaskClient

from . import visitors
from .clicks import TOKEN_FIELD
from .parts import Parts

PATIENCE = 60.0
"""Seconds that `click` waits for a run."""


@dataclass(frozen=True)
class EndedFile:
    """A file of an ended run."""

    name: str
    type: str | None
    size: int | None
    read: Callable[[], bytes]
    """Fetch the file as a browser does, and return its bytes."""


@dataclass(frozen=True)
class EndedRun:
    """What a visitor has after a click."""

    state: str
    files: list[EndedFile]
    message: str | None
    snapshot: Mapping[str, Any]


def click(
    client: FlaskClient,
    btn_or_name: Any,
    /,
    form: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> EndedRun:
    """Click a button, by itself or by its name and arguments, and wait for the run's end."""
    parts: Parts = client.application.extensions["download_btn_manager"]
    token = _token(client, parts, btn_or_name, arguments)
    address = f"{parts.settings.url_prefix}/start"
    headers = {"Accept": "application/json"}
    picture = client.post(
        address, data={**(form or {}), TOKEN_FIELD: token}, headers=headers
    ).get_json()
    give_up_at = time.monotonic() + PATIENCE
    while picture["state"] in ("queued", "running"):
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"The run is still {picture['state']} after {PATIENCE:.0f} seconds.")
        time.sleep(0.02)
        picture = client.get(picture["url"], headers=headers).get_json()
    files = [_file(client, item) for item in picture["files"]]
    return EndedRun(picture["state"], files, picture["message"], picture)


def _token(client: FlaskClient, parts: Parts, btn: Any, arguments: Mapping[str, Any]) -> str:
    # The token that a page would carry; each client is a visitor with a session of their own.
    with client.session_transaction() as session:
        session.setdefault(visitors.SESSION_KEY, secrets.token_urlsafe(16))
        kept = dict(session)
    with parts.app.test_request_context():
        flask_session.update(kept)
        if isinstance(btn, str):
            btn = parts.html(btn, **arguments)
        return parts.html.token(btn, visitors.identity())  # type: ignore[no-any-return]


def _file(client: FlaskClient, item: Mapping[str, Any]) -> EndedFile:
    def read() -> bytes:
        with client.get(item["url"]) as answer:
            if answer.status_code != 200:
                raise AssertionError(f"{item['name']!r} was answered with {answer.status}.")
            return bytes(answer.data)

    return EndedFile(item["name"], item["type"], item["size"], read)
