"""Check a deployment, and say of each thing that is wrong what to do about it."""

from __future__ import annotations

import importlib.util
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import inspect

from .errors import ConfigurationError
from .parts import SHORT_SECRET, Parts
from .storage.local import LocalStorage

OLDEST_ENGINEIO = (4, 13, 2)


class Finding(NamedTuple):
    """One thing that was looked at: `is_wrong` means that something will not work."""

    is_wrong: bool
    sentence: str


def findings(parts: Parts) -> Iterator[Finding]:
    """Look at everything that can be looked at from inside; nothing found is a good sign."""
    checks: tuple[Callable[[Parts], Iterator[Finding]], ...] = (
        _secret_key,
        _tables,
        _sqlite,
        _pool,
        _folder,
        _socketio,
        _greenlets,
        _cookies,
    )
    for check in checks:
        yield from check(parts)


def _wrong(sentence: str) -> Finding:
    return Finding(True, sentence)


def _advice(sentence: str) -> Finding:
    return Finding(False, sentence)


def _secret_key(parts: Parts) -> Iterator[Finding]:
    try:
        parts.tokens  # noqa: B018  # it refuses to be made without a key
    except ConfigurationError as error:
        yield _wrong(str(error))
        return
    if len(parts.app.secret_key or "") < SHORT_SECRET:
        yield _wrong("SECRET_KEY is short enough to be guessed. Use secrets.token_hex().")


def _tables(parts: Parts) -> Iterator[Finding]:
    there = set(inspect(parts.database.engine).get_table_names())
    model = parts.buttons.model
    wanted = {model.__tablename__, *(t for t in parts.db.metadata.tables if "download_btn" in t)}
    missing = sorted(wanted - there)
    if missing:
        yield _wrong(
            f"The database has no {', '.join(missing)}. Call 'db.create_all()' or migrate."
        )


def _sqlite(parts: Parts) -> Iterator[Finding]:
    engine = parts.database.engine
    if engine.dialect.name != "sqlite":
        return
    if parts.database.is_one_connection:
        if parts.settings.runner == "background":
            yield _wrong(
                "The SQLite database is in memory: one connection for all threads. Use a file."
            )
        return
    mode = parts.database.read(lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar())
    if mode != "wal":
        yield _advice(
            f"SQLite's journal mode is {mode!r}: a function that reads for long keeps everybody"
            " from writing. 'PRAGMA journal_mode=WAL', once, lets both go on."
        )


def _pool(parts: Parts) -> Iterator[Finding]:
    pool: Any = parts.database.engine.pool
    size = getattr(pool, "_max_overflow", None), getattr(pool, "size", None)
    if size[0] is None or size[1] is None or size[0] < 0:
        return
    connections = size[1]() + size[0]
    if parts.settings.max_running > connections:
        yield _advice(
            f"DOWNLOAD_BTN_MAX_RUNNING is {parts.settings.max_running}, but the database pool has"
            f" {connections} connections. If your functions hold one while they work, raise"
            " SQLALCHEMY_ENGINE_OPTIONS['pool_size'] or lower the setting."
        )


def _folder(parts: Parts) -> Iterator[Finding]:
    if not isinstance(parts.storage, LocalStorage):
        return
    folder = Path(parts.storage.root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        yield _wrong(f"Files cannot be kept in {folder}: {error}. Set DOWNLOAD_BTN_FOLDER.")


def _socketio(parts: Parts) -> Iterator[Finding]:
    if parts.app.extensions.get("socketio") is not parts.socketio:
        yield _wrong("The app made a second SocketIO after DownloadBtnManager. Make it first.")
    origins = parts.socketio.server.eio.cors_allowed_origins
    if origins == "*" or "*" in (origins or ()):
        yield _wrong("Socket.IO accepts every origin ('*'). Name the origins that are yours.")
    engineio = tuple(int(part) for part in version("python-engineio").split(".")[:3])
    if engineio < OLDEST_ENGINEIO:
        yield _wrong(f"python-engineio is {version('python-engineio')}; use 4.13.2 or newer.")
    if not parts.settings.message_queue and int(os.environ.get("WEB_CONCURRENCY", "1")) > 1:
        yield _advice(
            "WEB_CONCURRENCY says several processes, but DOWNLOAD_BTN_MESSAGE_QUEUE is not set:"
            " a page whose socket ends in another process polls instead of watching."
        )


def _greenlets(parts: Parts) -> Iterator[Finding]:
    mode = parts.socketio.async_mode
    if mode == "threading":
        if _is_patched():
            yield _wrong("threading is patched, but Socket.IO's mode is 'threading'. Choose one.")
        return
    if not _is_patched():
        yield _wrong(
            f"Socket.IO's mode is {mode!r}, but nothing is patched: every wait stops everybody."
            f" Call {mode}'s monkey patch before any other import."
        )
    if mode == "gevent" and importlib.util.find_spec("geventwebsocket"):
        yield _wrong("gevent-websocket is installed: plain gevent servers then lose WebSocket.")
    if mode == "eventlet":
        yield _advice("eventlet is deprecated by its authors. gevent does the same.")
        is_psycopg = parts.database.engine.driver == "psycopg"
        if is_psycopg and os.environ.get("PSYCOPG_WAIT_FUNC") != "wait_selector":
            yield _wrong("psycopg under eventlet needs PSYCOPG_WAIT_FUNC=wait_selector.")


def _cookies(parts: Parts) -> Iterator[Finding]:
    config = parts.app.config
    if parts.app.debug:
        return
    if not config["SESSION_COOKIE_SECURE"]:
        yield _advice("SESSION_COOKIE_SECURE is off: the session travels over plain HTTP too.")
    if not config.get("TRUSTED_HOSTS"):
        yield _advice("TRUSTED_HOSTS is not set: any Host header is believed.")


def _is_patched() -> bool:
    return type(threading.Lock()).__module__ != "_thread"
