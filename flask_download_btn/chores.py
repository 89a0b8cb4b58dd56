"""Give a chore to one process of many, by the database's word."""

from __future__ import annotations

from sqlalchemy import Connection, Table, insert, update
from sqlalchemy.exc import IntegrityError

from .database import Database


class Chores:
    """The only writer of who did what chore last."""

    def __init__(self, database: Database, table: Table) -> None:
        self._database = database
        self._table = table

    def take(self, name: str, every: float) -> bool:
        """Tell whether the chore is this process's now: nobody took it for `every` seconds."""
        table, now = self._table, self._database.now
        # Two clocks are never quite alike; a chore that is nearly due is due.
        is_due = table.c.taken_at < now - 0.9 * every
        taken = update(table).where(table.c.name == name, is_due).values(taken_at=now)
        return self._wrote(taken) or self._wrote(insert(table).values(name=name, taken_at=now))

    def _wrote(self, statement: object) -> bool:
        def work(connection: Connection) -> int:
            return connection.execute(statement).rowcount  # type: ignore[call-overload, no-any-return]

        try:
            return self._database.write(work) == 1
        except IntegrityError:
            return False
