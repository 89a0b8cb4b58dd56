"""The extension's own short transactions: begin, try again while the database is locked or away."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Float
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.functions import FunctionElement

from .errors import ConfigurationError

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds for which a fact is tried again before the database counts as lost."""

MISSING = re.compile(
    # SQLite, PostgreSQL, MySQL
    r"no such (table|column)|has no column|(relation|column) .+ does not exist"
    r"|table .+ doesn't exist|unknown column",
    re.IGNORECASE,
)
"""How databases say that a table or a column is not there."""

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
    """Short transactions on connections of our own, never on one that an app's function has."""

    now = database_now()

    def __init__(self, get_engine: Callable[[], Engine]) -> None:
        self._get_engine = get_engine
        # SQLite has one writer at a time. To queue here costs microseconds; its own wait sleeps.
        self._one_writer = threading.Lock()

    @property
    def engine(self) -> Engine:
        return self._get_engine()

    @property
    def is_one_connection(self) -> bool:
        """Tell whether every thread shares one connection, as an in-memory SQLite database does."""
        return isinstance(self.engine.pool, StaticPool)

    def write(self, work: Callable[[Connection], T], *, patience: float = PATIENCE) -> T:
        """Run `work` in one transaction, again and again while the database is locked or away."""
        return self._insist(lambda: self._write_once(work), patience)

    def read(self, work: Callable[[Connection], T], *, patience: float = PATIENCE) -> T:
        """Run `work` on a connection that is given back at once."""
        return self._insist(lambda: self._read_once(work), patience)

    def _insist(self, attempt: Callable[[], T], patience: float) -> T:
        give_up_at = time.monotonic() + patience
        pause = 0.02
        while True:
            try:
                return attempt()
            except (OperationalError, InterfaceError, ProgrammingError) as error:
                self._refuse_missing_tables(error)
                if time.monotonic() + pause > give_up_at or not self._will_pass(error):
                    raise
                logger.debug("The database is busy or away; trying again in %.2f s.", pause)
            time.sleep(pause)
            pause = min(pause * 2, 2.0)

    def _write_once(self, work: Callable[[Connection], T]) -> T:
        engine = self.engine
        if engine.dialect.name != "sqlite":
            with engine.begin() as connection:
                return work(connection)
        with self._one_writer, engine.begin() as connection:
            self._begin_immediate(connection)
            return work(connection)

    def _read_once(self, work: Callable[[Connection], T]) -> T:
        with self.engine.connect() as connection:
            return work(connection)

    def _begin_immediate(self, connection: Connection) -> None:
        # A plain BEGIN takes the lock at its first write, and fails if somebody wrote since.
        if not getattr(connection.connection.dbapi_connection, "in_transaction", False):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    @staticmethod
    def _will_pass(error: DBAPIError) -> bool:
        words = str(error.orig).lower()
        return error.connection_invalidated or any(
            sign in words
            for sign in ("locked", "busy", "connection", "server closed", "starting up", "deadlock")
        )

    @staticmethod
    def _refuse_missing_tables(error: DBAPIError) -> None:
        if MISSING.search(str(error.orig)):
            raise ConfigurationError(missing_tables(error)) from error


def missing_tables(error: DBAPIError) -> str:
    """Say which table is missing and how it is made."""
    return (
        f"The tables of Flask-Download-Btn are missing, or those of another version ({error.orig})."
        " Call 'db.create_all()' after the manager was made, or add a migration: its tables are in"
        " 'db.metadata'."
    )
