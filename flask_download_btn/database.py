"""The extension's own short transactions: begin, try again while the database is locked or away."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Float, create_engine, event
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.functions import FunctionElement

from .errors import ConfigurationError

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for which a fact is tried again before the database counts as lost."""

CLOSING = 5.0
"""Seconds for which we keep no connection after the app has closed all of its own."""

BUSY_MILLISECONDS = 20
"""How long SQLite itself waits for a lock.

Longer, and it would sleep inside of a lock of ours, or stop every greenlet: we try again ourselves.
Not at all, and a writer would starve: only while it waits does it keep new readers out.
"""

MISSING = re.compile(
    # SQLite, PostgreSQL, MySQL
    r"no such (table|column)|has no column|(relation|column) .+ does not exist"
    r"|table .+ doesn't exist|unknown column",
    re.IGNORECASE,
)
"""How databases say that a table or a column is not there."""

PASSING = (
    "locked",
    "busy",
    "connection",
    "server closed",
    "starting up",
    "deadlock",
    "lock wait timeout",
)
"""How databases say that it is worth trying again."""

logger = logging.getLogger(__name__)


class database_now(FunctionElement[float]):  # it reads as the SQL function it is
    """The database's clock in epoch seconds, so that no two processes disagree about a lease."""

    type = Float()
    inherit_cache = True


@compiles(database_now)
def _default_now(element: Any, compiler: Any, **options: Any) -> str:
    return "extract(epoch from clock_timestamp())"


@compiles(database_now, "sqlite")
def _sqlite_now(element: Any, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_now, "mysql")
@compiles(database_now, "mariadb")
def _mysql_now(element: Any, compiler: Any, **options: Any) -> str:
    return "unix_timestamp(now(6))"


class Database:
    """Short transactions on connections of our own, never on one that an app's function has.

    They come from a pool of our own too: functions that hold every connection of the app's pool
    must not keep their own runs from being ended.
    """

    now = database_now()

    def __init__(self, get_engine: Callable[[], Engine]) -> None:
        """Take what gives the app's engine; ours is made after it, anew in each process."""
        self._get_engine = get_engine
        self._own: Engine | None = None
        self._inherited: Engine | None = None
        self._let_go_at = -CLOSING
        self._forget_process()

    @property
    def engine(self) -> Engine:
        if self._pid != os.getpid():
            # Neither a connection nor a held lock may be shared with the process we came from.
            self._forget_process()
        if self._own is None:
            with self._making:
                self._own = self._own or self._own_engine()
        return self._own

    @property
    def is_one_connection(self) -> bool:
        """Tell whether every thread shares one connection, as an in-memory SQLite database does."""
        return isinstance(self.engine.pool, StaticPool)

    def _forget_process(self) -> None:
        self._pid = os.getpid()
        # Kept, but never used: closing them here would end them for the process they belong to.
        self._inherited, self._own = self._own, None
        self._making = threading.Lock()
        # SQLite has one writer at a time, and to queue here costs microseconds.
        self._one_writer = threading.Lock()

    def _own_engine(self) -> Engine:
        given = self._get_engine()
        if isinstance(given.pool, StaticPool):
            return given
        engine = create_engine(given.url, pool=given.pool.recreate())
        if engine.dialect.name == "sqlite":
            event.listen(engine, "connect", _wait_outside)
        # Who closes the app's connections means all of them.
        event.listen(given, "engine_disposed", lambda _: self._let_go(engine))
        return engine

    def _let_go(self, engine: Engine) -> None:
        self._let_go_at = time.monotonic()
        engine.dispose()

    @contextmanager
    def _lent(self) -> Iterator[Engine]:
        engine = self.engine
        pool = engine.pool
        try:
            yield engine
        finally:
            if time.monotonic() - self._let_go_at < CLOSING:
                # The app is closing; a run or a heartbeat that came late keeps nothing open. Its
                # connection went back to the pool that it came from.
                pool.dispose()

    def write(self, work: Callable[[Connection], T], *, patience: float = PATIENCE) -> T:
        """Run `work` in one transaction, again and again while the database is locked or away."""
        return self._insist(lambda: self._write_once(work), patience)

    def read(self, work: Callable[[Connection], T], *, patience: float = PATIENCE) -> T:
        """Run `work` on a connection that is given back at once."""
        return self._insist(lambda: self._read_once(work), patience)

    def _insist(self, attempt: Callable[[], T], patience: float) -> T:
        give_up_at = time.monotonic() + patience
        pause = 0.005
        while True:
            try:
                return attempt()
            except (OperationalError, InterfaceError, ProgrammingError, PoolTimeout) as error:
                self._refuse_missing_tables(error)
                if time.monotonic() + pause > give_up_at or not will_pass(error):
                    raise
                logger.debug("The database is busy or away; trying again in %.2f s.", pause)
            time.sleep(pause)
            pause = min(pause * 2, 0.5)

    def _write_once(self, work: Callable[[Connection], T]) -> T:
        with self._lent() as engine:
            if engine.dialect.name != "sqlite":
                with engine.begin() as connection:
                    return work(connection)
            with self._one_writer, engine.begin() as connection:
                self._begin_immediate(connection)
                return work(connection)

    def _read_once(self, work: Callable[[Connection], T]) -> T:
        with self._lent() as engine, engine.connect() as connection:
            return work(connection)

    def _begin_immediate(self, connection: Connection) -> None:
        # A plain BEGIN takes the lock at its first write, and fails if somebody wrote since.
        if not getattr(connection.connection.dbapi_connection, "in_transaction", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    @staticmethod
    def _refuse_missing_tables(error: SQLAlchemyError) -> None:
        if isinstance(error, DBAPIError) and MISSING.search(str(error.orig)):
            raise ConfigurationError(missing_tables(error)) from error


def will_pass(error: Exception) -> bool:
    """Tell whether an error says that the database is locked, away or overrun."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, (OperationalError, InterfaceError, ProgrammingError)):
        return False
    words = str(error.orig).lower()
    return error.connection_invalidated or any(sign in words for sign in PASSING)


def _wait_outside(connection: Any, record: Any) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")


def missing_tables(error: DBAPIError) -> str:
    """Say which table is missing and how it is made."""
    return (
        f"The tables of Flask-Download-Btn are missing, or those of another version ({error.orig})."
        " Call 'db.create_all()' after the manager was made, or add a migration: its tables are in"
        " 'db.metadata'."
    )
