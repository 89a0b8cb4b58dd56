"""Hold back what a function sets on its button, until a commit asks for it or the run ends.

An UPDATE that the function's next query flushes would lock SQLite for everybody else, for as long
as the function computes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import event, inspect
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.orm.attributes import flag_modified, set_committed_value

_COMMITS = "download_btn_commits"
_HELD = "download_btn_held"
_BEFORE = "download_btn_held_before"

Held = MutableMapping[Any, dict[str, Any]]


def watch(session_factory: Any) -> None:
    """Let the commits of these sessions write what is held back."""
    for name, listener in _LISTENERS.items():
        if not event.contains(session_factory, name, listener):
            event.listen(session_factory, name, listener)


def hold_back(btn: Any, names: Iterable[str]) -> None:
    """Keep these attributes, where they were changed, out of the flush that is under way."""
    state = inspect(btn)
    session = state.session
    if session is None or session.info.get(_COMMITS):
        return
    for name in names:
        if state.attrs[name].history.has_changes():
            value = state.dict[name]
            _held_in(session).setdefault(state, {})[name] = value
            set_committed_value(btn, name, value)


def put_back(btn: Any) -> None:
    """Put what is held back over what was just loaded from the row."""
    state = inspect(btn)
    held = _held_in(state.session).get(state, {}) if state.session else {}
    for name, value in held.items():
        # What was set since is newer, and waits for the next flush.
        if name not in state.committed_state:
            set_committed_value(btn, name, value)


def _held_in(session: Session) -> Held:
    # By the state of a button, which can be hashed whatever the app's model can.
    return session.info.setdefault(_HELD, WeakKeyDictionary())  # type: ignore[no-any-return]


def _before_commit(session: Session) -> None:
    if session.in_nested_transaction():
        return
    session.info[_COMMITS] = True
    for state, values in session.info.pop(_HELD, {}).items():
        btn = state.obj()
        for name, value in values.items() if state.session is session else ():
            set_committed_value(btn, name, value)
            flag_modified(btn, name)


def _after_commit(session: Session) -> None:
    session.info.pop(_COMMITS, None)


def _after_begin(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        held = WeakKeyDictionary({s: dict(v) for s, v in _held_in(session).items()})
        session.info.setdefault(_BEFORE, WeakKeyDictionary())[transaction] = held


def _after_rollback(session: Session, transaction: SessionTransaction) -> None:
    """Forget what is held back, as the session forgets all else; of a savepoint what came since."""
    session.info.pop(_COMMITS, None)
    if transaction.nested:
        since = session.info.pop(_HELD, {})
        before = session.info.get(_BEFORE, {})
        session.info[_HELD] = before.pop(transaction, WeakKeyDictionary())
        for state, values in since.items():
            # What was held back was not flushed, so the session has nothing to undo.
            if state.session is session:
                session.expire(state.obj(), list(values))
    elif transaction.parent is None:
        session.info.pop(_HELD, None)


_LISTENERS: dict[str, Callable[..., None]] = {
    "before_commit": _before_commit,
    "after_commit": _after_commit,
    "after_soft_rollback": _after_rollback,
    "after_transaction_create": _after_begin,
}
