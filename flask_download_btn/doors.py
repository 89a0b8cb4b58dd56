"""What every door has: the app's parts, a visitor's words, and the checks before it opens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from . import visitors
from .parts import Parts
from .runs import Run


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
        errors: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message or key)
        self.status = status
        self.key = key
        self.message = message
        self.reference = reference
        self.retry_after = retry_after
        self.errors = errors or {}


class Door:
    """Opens to a run's owner alone, if the app's `authorize` agrees."""

    def __init__(self, parts: Parts, asks: Asks) -> None:
        self._parts = parts
        self._asks = asks

    @property
    def _words(self) -> Mapping[str, str]:
        return self._parts.words.of(visitors.language())

    def allowed_run(self, action: str, run_id: str) -> Run:
        run = self._parts.runs.find_honoured(run_id)
        if run is None:
            raise Refusal(404, "error_404")
        self.refuse_forbidden(action, lambda: self._parts.buttons.find(run.btn_uid))
        # We write on connections of our own, which a lock that this request holds would stop.
        self._parts.db.session.rollback()
        return run

    def refuse_forbidden(self, action: str, find_btn: Callable[[], Any]) -> None:
        if not self._asks.is_allowed(action, find_btn):
            raise Refusal(403, "error_403")
