"""Make the database ready: SQLite's settings, the tables, and some orders to export."""

import random
import sqlite3
from pathlib import PurePath

from sqlalchemy import event, func, inspect, select

from .extensions import db
from .models import Order

CUSTOMERS = ("Ada", "Barbara", "Edsger", "Grace", "Katherine", "Linus", "Margaret", "Tim")


def prepare(app):
    """Several processes prepare one database one after the other: `gunicorn --preload`."""
    with app.app_context():
        event.listen(db.engine, "connect", set_up_sqlite)
        db.create_all()
        if is_own_file() and is_outdated():
            # What is in it is made up, or made again by a click.
            db.drop_all()
            db.create_all()
        if not db.session.scalar(select(func.count(Order.id))):
            db.session.add_all(some_orders())
            db.session.commit()


def is_own_file():
    return PurePath(db.engine.url.database or "").name == "example_app.db"


def is_outdated():
    """Tell whether the tables are those of an earlier version: a real app has migrations."""
    found = inspect(db.engine)
    return any(
        {column.name for column in table.columns}
        != {column["name"] for column in found.get_columns(table.name)}
        for table in db.metadata.tables.values()
    )


def set_up_sqlite(connection, record):
    if isinstance(connection, sqlite3.Connection):
        # Readers do not wait for the writer, and writers wait for each other instead of failing.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA busy_timeout = 15000")


def some_orders():
    dice = random.Random(1)
    return [
        Order(year=year, customer=dice.choice(CUSTOMERS), cents=dice.randint(500, 50_000))
        for year in (2025, 2026)
        for _ in range(400)
    ]
