"""Sign and read every reference that leaves the server: the only place that knows the secret."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Sequence
from typing import Any

from itsdangerous import BadData, URLSafeSerializer, URLSafeTimedSerializer

from .errors import ReferenceRefused, TokenRefused

LONGEST = 8192
"""Characters of a token; a longer one is refused before anything is computed."""

SKEW = 30.0
"""Seconds by which the clocks of two servers may differ."""


class Tokens:
    """One signer for each purpose, so that no token can be used for another."""

    def __init__(self, secret_keys: Sequence[str | bytes], *, button_max_age: float) -> None:
        """Take the secret keys, the one that signs last."""
        keys: Any = list(secret_keys)
        self._button_max_age = button_max_age
        self._button = URLSafeTimedSerializer(keys, salt="download-btn/button")
        self._run = URLSafeSerializer(keys, salt="download-btn/run")
        self._file = URLSafeSerializer(keys, salt="download-btn/file")
        self._row_keys = [_row_key(key) for key in keys]

    def for_button(self, identity: str, payload: Any) -> str:
        """Sign what a page may start, bound to its visitor: it is the CSRF proof."""
        token = _text(self._button.dumps([digest(identity), payload]))
        if len(token) > LONGEST:
            raise ReferenceRefused(
                f"The button's arguments make a token of {len(token)} characters; a page carries"
                f" {LONGEST} at most. Give it an id, and let its function look the rest up."
            )
        return token

    def read_button(self, token: str, identity: str | None) -> Any:
        payload, signed_at = self._load_timed(token)
        _refuse_foreign(payload, [identity] if identity else [])
        age = time.time() - signed_at
        if age > self._button_max_age or age < -SKEW:
            raise TokenRefused("expired")
        return payload[1]

    def for_run(self, run_id: str, owner: str) -> str:
        """Sign a run for its owner. The run's row says how long, so every picture has the same."""
        return _text(self._run.dumps([digest(owner), run_id]))

    def read_run(self, token: str, owners: Sequence[str]) -> str:
        payload = _load(self._run, token)
        _refuse_foreign(payload, owners)
        return str(payload[1])

    def for_file(self, run_id: str, index: int, owner: str) -> str:
        """Sign one file of a run for the run's owner; `index` -1 is all of them, as a ZIP."""
        return _text(self._file.dumps([digest(owner), run_id, index]))

    def read_file(self, token: str, owners: Sequence[str]) -> tuple[str, int]:
        payload = _load(self._file, token)
        _refuse_foreign(payload, owners)
        return str(payload[1]), int(payload[2])

    def sign_row(self, *values: str) -> str:
        """Sign what a row says, so that only the app's own rows are carried out."""
        return _row_signature(self._row_keys[-1], values)

    def is_row_signed(self, signature: str | None, *values: str) -> bool:
        given = signature or ""
        return any(
            hmac.compare_digest(_row_signature(key, values), given) for key in self._row_keys
        )

    def _load_timed(self, token: str) -> tuple[Any, float]:
        _refuse_length(token)
        try:
            payload, signed_at = self._button.loads(token, return_timestamp=True)
        except BadData as error:
            raise TokenRefused("forged") from error
        return payload, signed_at.timestamp()


def digest(owner: str) -> str:
    """Shorten who somebody is to what a token carries of it."""
    return hashlib.sha256(owner.encode()).hexdigest()[:24]


def _load(serializer: URLSafeSerializer, token: str) -> Any:
    _refuse_length(token)
    try:
        return serializer.loads(token)
    except BadData as error:
        raise TokenRefused("forged") from error


def _refuse_length(token: Any) -> None:
    if not isinstance(token, str) or len(token) > LONGEST:
        raise TokenRefused("too long")


def _refuse_foreign(payload: Any, owners: Sequence[str]) -> None:
    if not any(hmac.compare_digest(str(payload[0]), digest(owner)) for owner in owners):
        raise TokenRefused("foreign")


def _row_key(secret_key: str | bytes) -> bytes:
    secret = secret_key.encode() if isinstance(secret_key, str) else secret_key
    return hmac.new(secret, b"download-btn/row", hashlib.sha256).digest()


def _row_signature(key: bytes, values: Sequence[str]) -> str:
    # The lengths keep ("ab", "c") and ("a", "bc") apart.
    message = b"".join(b"%d:%b" % (len(value.encode()), value.encode()) for value in values)
    return hmac.new(key, message, hashlib.sha256).hexdigest()


def _text(token: str | bytes) -> str:
    return token if isinstance(token, str) else token.decode()
