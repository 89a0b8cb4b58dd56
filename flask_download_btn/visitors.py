"""Know who is clicking: the session's key, or the logged-in user; where, and in which language."""

from __future__ import annotations

import hashlib
import secrets
from typing import Any

from flask import current_app, request, session

SESSION_KEY = "_download_btn"


def session_key() -> str | None:
    """Return this visitor's key, if the session has one."""
    key = session.get(SESSION_KEY)
    return key if isinstance(key, str) else None


def made_session_key() -> str:
    """Return this visitor's key; the first page with a button puts one in the session."""
    key = session_key()
    if key is None:
        key = session[SESSION_KEY] = secrets.token_urlsafe(16)
    return key


def user_id() -> str | None:
    """Return the id of the user that Flask-Login knows, if the app uses it."""
    if not hasattr(current_app, "login_manager"):
        return None
    from flask_login import current_user  # type: ignore[import-untyped]  # only an app that uses it has it installed

    user: Any = current_user
    if user is None or not user.is_authenticated:
        return None
    return str(user.get_id())


def identity() -> str:
    """Return what a page's tokens are bound to: the session, and who is logged in."""
    return f"{made_session_key()} {user_id() or ''}"


def owners() -> list[str]:
    """Return all that this visitor is: the logged-in user first, and the session's key.

    What somebody started before logging in is still theirs; what a user started is not the next
    user's of the same browser.
    """
    user, key = user_id(), session_key()
    found = [f"user:{user}"] if user is not None else []
    if key:
        found.append(f"session:{key}")
    return [_short(name) for name in found]


def _short(name: str) -> str:
    # Cut off, the names of two users might become one.
    return name if len(name) <= 160 else hashlib.sha256(name.encode()).hexdigest()


def owner() -> str:
    """Return whose a run is that is started now."""
    return owners()[0]


def wants_json() -> bool:
    """Tell whether a script asks, and not a person who reads a page."""
    accepted = request.accept_mimetypes
    # A browser that leaves a page can name no more than the type of what it sends.
    return request.is_json or accepted["application/json"] > accepted["text/html"]


def page() -> str | None:
    """Return the address of this app's page on which the visitor was, if the browser says it."""
    referrer = request.referrer or ""
    return referrer if referrer.startswith(request.host_url) else None


def language() -> str | None:
    """Return the visitor's language, if Flask-Babel says one."""
    if "babel" not in current_app.extensions:
        return None
    from flask_babel import get_locale  # only an app that uses it has it installed

    locale = get_locale()
    return str(locale) if locale else None
