"""Test that a token is good for one purpose, one visitor and its time."""

from __future__ import annotations

import string
import time
from collections.abc import Callable
from typing import Any

import pytest

from flask_download_btn.errors import TokenRefused
from flask_download_btn.tokens import LONGEST, SKEW, Tokens

MAX_AGE = 3600.0
OLD, NEW = "the old secret key", "the new secret key"


@pytest.fixture
def tokens() -> Tokens:
    return Tokens([NEW], button_max_age=MAX_AGE)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Move the clock that tokens are signed and read by."""
    now = time.time()
    return lambda seconds: monkeypatch.setattr(time, "time", lambda: now + seconds)


def read(tokens: Tokens, kind: str, token: Any, *owners: str) -> Any:
    """Read a token as one visitor, who may be a session and a user at once."""
    if kind == "button":
        return tokens.read_button(token, owners[0] if owners else None)
    return getattr(tokens, f"read_{kind}")(token, owners)


def made(tokens: Tokens) -> dict[str, str]:
    return {
        "button": tokens.for_button("ann", ["revision", "uid"]),
        "run": tokens.for_run("run-id", "ann"),
        "file": tokens.for_file("run-id", 3, "ann"),
    }


def test_each_token_says_what_was_signed(tokens: Tokens):
    signed = made(tokens)

    assert read(tokens, "button", signed["button"], "ann") == ["revision", "uid"]
    assert read(tokens, "run", signed["run"], "ann") == "run-id"
    assert read(tokens, "file", signed["file"], "ann") == ("run-id", 3)


@pytest.mark.parametrize("kind", ["button", "run", "file"])
def test_another_visitor_cannot_use_it(kind: str, tokens: Tokens):
    token = made(tokens)[kind]

    for other in (["bob"], ["ANN"], ["ann "], [""], []):
        with pytest.raises(TokenRefused, match="foreign"):
            read(tokens, kind, token, *other)


def test_a_visitor_who_logged_in_keeps_what_was_started_before(tokens: Tokens):
    signed = made(tokens)

    assert read(tokens, "run", signed["run"], "user:7", "ann") == "run-id"
    assert read(tokens, "file", signed["file"], "user:7", "ann") == ("run-id", 3)


@pytest.mark.parametrize("kind", ["button", "run", "file"])
def test_no_token_serves_another_purpose(kind: str, tokens: Tokens):
    signed = made(tokens)

    for other in signed.keys() - {kind}:
        with pytest.raises(TokenRefused, match="forged"):
            read(tokens, kind, signed[other], "ann")


@pytest.mark.parametrize("kind", ["button", "run", "file"])
def test_no_changed_character_passes(kind: str, tokens: Tokens):
    token = made(tokens)[kind]

    # The last character of a signature in base64 has bits that mean nothing.
    for place in range(len(token) - 1):
        changed = "A" if token[place] != "A" else "B"
        with pytest.raises(TokenRefused):
            read(tokens, kind, token[:place] + changed + token[place + 1 :], "ann")


@pytest.mark.parametrize("kind", ["button", "run", "file"])
@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b.c", "\x00", "é", "x" * (LONGEST + 1), None, 17, b"bytes", {}, [1]],
    ids=lambda token: repr(token)[:12],
)
def test_nonsense_is_refused_and_nothing_else(kind: str, token: Any, tokens: Tokens):
    with pytest.raises(TokenRefused):
        read(tokens, kind, token, "ann")


def test_a_token_of_another_app_is_refused(tokens: Tokens):
    other = Tokens([OLD], button_max_age=MAX_AGE)

    for kind, token in made(other).items():
        with pytest.raises(TokenRefused, match="forged"):
            read(tokens, kind, token, "ann")


def test_tokens_survive_the_rotation_of_keys():
    before = Tokens([OLD], button_max_age=MAX_AGE)
    after = Tokens([OLD, NEW], button_max_age=MAX_AGE)

    for kind, token in made(before).items():
        read(after, kind, token, "ann")
    for kind, token in made(after).items():
        with pytest.raises(TokenRefused):
            read(before, kind, token, "ann")
    assert after.is_row_signed(before.sign_row("a", "b"), "a", "b")


def test_a_button_expires_with_its_page(tokens: Tokens, at: Callable[[float], None]):
    token = tokens.for_button("ann", ["uid"])

    at(MAX_AGE - 5)
    tokens.read_button(token, "ann")
    at(MAX_AGE + 5)
    with pytest.raises(TokenRefused, match="expired"):
        tokens.read_button(token, "ann")


def test_two_servers_clocks_may_differ_a_little(tokens: Tokens, at: Callable[[float], None]):
    token = tokens.for_button("ann", ["uid"])

    at(-SKEW + 5)
    tokens.read_button(token, "ann")
    at(-SKEW - 5)
    with pytest.raises(TokenRefused, match="expired"):
        tokens.read_button(token, "ann")


def test_a_run_has_the_same_token_in_every_picture(tokens: Tokens, at: Callable[[float], None]):
    first = tokens.for_run("run-id", "ann"), tokens.for_file("run-id", 0, "ann")
    at(100)

    assert first == (tokens.for_run("run-id", "ann"), tokens.for_file("run-id", 0, "ann"))


def test_a_token_does_not_say_who_its_owner_is(tokens: Tokens):
    import base64

    token = tokens.for_run("run-id", "user:ann@example.org")

    payload = token.rpartition(".")[0]
    assert b"ann" not in base64.urlsafe_b64decode(payload + "==")


def test_tokens_can_stand_in_a_path(tokens: Tokens):
    allowed = set(string.ascii_letters + string.digits + "-_.")

    assert all(set(token) <= allowed for token in made(tokens).values())


# -- rows ----------------------------------------------------------------------------------------


def test_a_row_is_signed_as_a_whole(tokens: Tokens):
    signature = tokens.sign_row("module:function", '{"year": 2026}')

    assert tokens.is_row_signed(signature, "module:function", '{"year": 2026}')
    assert not tokens.is_row_signed(signature, "os:system", '{"year": 2026}')
    assert not tokens.is_row_signed(signature, "module:function", '{"year": 2025}')
    assert not tokens.is_row_signed(signature, "module:function")


def test_where_one_value_ends_and_the_next_begins_is_signed_too(tokens: Tokens):
    assert tokens.sign_row("ab", "c") != tokens.sign_row("a", "bc")
    assert tokens.sign_row("abc") != tokens.sign_row("abc", "")


@pytest.mark.parametrize("signature", [None, "", "0" * 64])
def test_a_row_without_a_signature_is_not_the_apps(signature: str | None, tokens: Tokens):
    assert not tokens.is_row_signed(signature, "module:function", "{}")
