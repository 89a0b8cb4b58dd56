"""Test the extension's own transactions: they wait for a database that is locked or away."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from databases import Postgres
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, create_engine, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.pool import StaticPool

from flask_download_btn.database import Database, database_now
from flask_download_btn.errors import ConfigurationError

metadata = MetaData()
counters = Table(
    "counter",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("value", Integer, nullable=False),
)


@pytest.fixture
def new_engine() -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def make(url: str, **options: object) -> Engine:
        engines.append(create_engine(url, **options))  # type: ignore[arg-type]
        return engines[-1]

    yield make
    for engine in engines:
        engine.dispose()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/test.db"


@pytest.fixture
def engine(new_engine: Callable[..., Engine], sqlite_url: str) -> Engine:
    """An SQLite file with one counter, whose own patience is short."""
    return with_counter(new_engine(sqlite_url, connect_args={"timeout": 0.01}))


@pytest.fixture
def database(engine: Engine) -> Database:
    return Database(lambda: engine)


def with_counter(engine: Engine) -> Engine:
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(counters.insert().values(id=1, value=0))
    return engine


def value(connection: Connection) -> int:
    return connection.execute(select(counters.c.value).where(counters.c.id == 1)).scalar_one()


def count_one(connection: Connection) -> None:
    """Read, then write what was read: the way in which counts are lost."""
    counters_value = value(connection)
    connection.execute(counters.update().values(value=counters_value + 1))


def set_to_seven(connection: Connection) -> None:
    connection.execute(counters.update().values(value=7))


class LockedBySomebodyElse:
    """Hold the database's lock as another process would, until told to let go."""

    def __init__(self, engine: Engine) -> None:
        self.connection = engine.connect()
        self.connection.exec_driver_sql("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        self.connection.rollback()
        self.connection.close()


def test_a_locked_database_is_waited_out(database: Database, engine: Engine):
    locked = LockedBySomebodyElse(engine)
    writing = threading.Thread(target=database.write, args=(set_to_seven,))

    writing.start()
    writing.join(0.3)
    waited = writing.is_alive()
    locked.let_go()
    writing.join(10)

    assert waited
    assert database.read(value) == 7


def test_a_writer_gets_its_turn_among_readers_that_never_pause(database: Database, tmp_path: Path):
    is_over = threading.Event()

    def read_on_and_on() -> None:
        path = tmp_path / "test.db"
        with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as connection:
            while not is_over.is_set():
                connection.execute("BEGIN")
                connection.execute("SELECT value FROM counter").fetchall()
                time.sleep(0.005)
                connection.execute("COMMIT")

    readers = [threading.Thread(target=read_on_and_on) for _ in range(8)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(10):
            database.write(count_one, patience=3.0)
    finally:
        is_over.set()
        for reader in readers:
            reader.join()
    assert database.read(value) == 10


def test_a_write_without_patience_does_not_wait(database: Database, engine: Engine):
    locked = LockedBySomebodyElse(engine)

    with pytest.raises(OperationalError, match="locked"):
        database.write(set_to_seven, patience=0.0)

    locked.let_go()
    assert database.read(value) == 0


def test_work_that_is_done_again_is_done_once(database: Database):
    attempts: list[int] = []

    def work(connection: Connection) -> str:
        attempts.append(1)
        count_one(connection)
        if len(attempts) < 3:
            raise OperationalError("COMMIT", {}, Exception("database is locked"))
        return "done"

    assert database.write(work) == "done"
    assert (len(attempts), database.read(value)) == (3, 1)


def test_work_that_fails_leaves_nothing_and_is_not_tried_again(database: Database):
    attempts: list[int] = []

    def work(connection: Connection) -> None:
        attempts.append(1)
        count_one(connection)
        connection.execute(counters.insert().values(id=1, value=1))

    with pytest.raises(IntegrityError):
        database.write(work)

    assert (len(attempts), database.read(value)) == (1, 0)


def test_a_write_after_one_that_failed_finds_no_lock(database: Database):
    def fail(connection: Connection) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        database.write(fail)

    database.write(set_to_seven, patience=0.0)
    assert database.read(value) == 7


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_writers_of_several_processes_lose_nothing(
    new_engine: Callable[..., Engine], sqlite_url: str, journal: str
):
    first = with_counter(new_engine(sqlite_url))
    with first.connect() as connection:
        connection.exec_driver_sql(f"PRAGMA journal_mode={journal}")
    second = new_engine(sqlite_url)
    databases = [Database(lambda: first), Database(lambda: second)]

    count_in_threads(databases * 4, times=20)

    assert databases[0].read(value) == 160


def count_in_threads(databases: list[Database], *, times: int) -> None:
    failures: list[BaseException] = []

    def work(database: Database) -> None:
        try:
            for _ in range(times):
                database.write(count_one)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_the_clock_is_the_databases_own_on_sqlite(database: Database):
    assert_clock_goes(database)


def test_the_clock_is_the_databases_own_on_postgresql(
    new_engine: Callable[..., Engine], postgres_url: str
):
    engine = new_engine(postgres_url)

    assert_clock_goes(Database(lambda: engine))


def assert_clock_goes(database: Database) -> None:
    def twice(connection: Connection) -> tuple[float, float]:
        first = connection.execute(select(database_now())).scalar_one()
        time.sleep(0.05)
        return first, connection.execute(select(database_now())).scalar_one()

    first, second = database.write(twice)

    assert isinstance(first, float)
    assert abs(first - time.time()) < 5
    # Within one transaction too, or a long one would renew leases with an old time.
    assert 0.03 < second - first < 5


def test_a_postgresql_that_restarts_is_waited_for(
    new_engine: Callable[..., Engine], postgres_server: Postgres
):
    engine = with_counter(new_engine(postgres_server.new_database()))
    database = Database(lambda: engine)
    database.write(count_one)
    postgres_server.kill()
    writing = threading.Thread(target=database.write, args=(count_one,))

    writing.start()
    writing.join(0.5)
    waited = writing.is_alive()
    postgres_server.start()
    writing.join(30)

    assert waited
    assert database.read(value) == 2


def test_missing_tables_are_named_with_the_way_out(new_engine: Callable[..., Engine]):
    engine = new_engine("sqlite://")

    with pytest.raises(ConfigurationError, match=r"counter.*db\.create_all\(\)"):
        Database(lambda: engine).read(value)


def test_a_database_in_memory_is_known_as_one_connection(
    new_engine: Callable[..., Engine], database: Database
):
    in_memory = new_engine("sqlite://", poolclass=StaticPool)

    assert Database(lambda: in_memory).is_one_connection
    assert not database.is_one_connection
