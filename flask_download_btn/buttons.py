"""Find buttons, make the named ones at their first click, and write what runs leave on them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any

from sqlalchemy import Connection, Select, Table, bindparam, inspect, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, class_mapper, make_transient_to_detached
from sqlalchemy.orm.attributes import set_committed_value

from .database import Database

NO_FUNCTIONS: dict[str, Any] = {"create_file_functions": (), "handle_form_functions": ()}
"""What a named button has in the database: its functions are in the code."""

Facts = dict[str, Any]

FACTS = (
    "uid",
    "name",
    "name_key",
    "arguments",
    "revision",
    "btn_text",
    "callback",
    "download_msg",
    "archive",
    "cache",
    "restart",
    "downloads",
    "downloaded",
)
"""What is read of a button before its functions are called."""


class Buttons:
    """The rows of one app's button model."""

    def __init__(self, database: Database, db: Any, model: type[Any]) -> None:
        self._database = database
        self._db = db
        self.model = model
        # Built once: that costs more than what it asks for.
        self._of_uid = select(model).where(model.uid == bindparam("uid"))
        table = self.table
        self._identity = select(table.c.uid, table.c.revision).where(
            table.c.name_key == bindparam("key")
        )
        # Configured, as the ORM does at its first use: a click may well be that.
        self._mapper = class_mapper(model)
        self._facts = _facts_of(self._mapper)
        facts = select(*self._facts.values())
        self._facts_of = facts.where(table.c.uid.in_(bindparam("uids", expanding=True)))
        self._facts_of_key = facts.where(table.c.name_key == bindparam("key"))

    @property
    def table(self) -> Table:
        return self.model.__table__  # type: ignore[no-any-return]

    def find(self, uid: str) -> Any | None:
        """Load a button in the app's session."""
        found = self._db.session.execute(self._of_uid, {"uid": uid})
        return found.scalar_one_or_none()

    def facts_of(self, uids: Iterable[str]) -> dict[str, Facts]:
        """Read what clicks and runs need to know of their buttons, by uid."""
        found = self._read_facts(self._facts_of, uids=sorted(uids))
        return {facts["uid"]: facts for facts in found}

    def _read_facts(self, statement: Select[Any], **parameters: Any) -> list[Facts]:
        # On a connection of our own: it costs a fraction of what the session's own load does.
        rows = self._database.read(lambda c: c.execute(statement, parameters).all())
        return [dict(zip(self._facts, row, strict=True)) for row in rows]

    def put_in_session(self, facts: Facts) -> Any:
        """Make a button of its facts, for a function that may compute for an hour.

        The app's session has it then, and holds no connection. What else its row has is loaded when
        it is first asked for.
        """
        session = self._db.session()
        if self._mapper.polymorphic_map or self._mapper.inherits:
            # Only the session knows of which class a row is, and in which tables it lies.
            with self.connection_given_back():
                return self.find(facts["uid"])
        btn = self._mapper.class_manager.new_instance()
        for name, value in facts.items():
            set_committed_value(btn, name, value)
        # An event that a value set so does not fire has a list watched for changes inside it.
        # Past what looks at what people assign: this was looked at when it was.
        object.__setattr__(btn, "downloads", list(facts["downloads"]))
        make_transient_to_detached(btn)
        known = session.identity_map.get(inspect(btn).key)
        if known is None:
            session.add(btn)
        return btn if known is None else known

    @contextmanager
    def connection_given_back(self) -> Iterator[None]:
        """Give back the connection that the block took; what it has loaded stays in the session.

        A function that computes for an hour must hold none.
        """
        session = self._db.session
        was_idle = not session().in_transaction()
        yield
        if was_idle and session().in_transaction():
            loaded = list(session)
            session.close()
            session.add_all(loaded)

    def draft(self, name: str, arguments: str, **attributes: Any) -> Any:
        """Build a named button that is in no session: a page view writes nothing."""
        key = name_key(name, arguments)
        return self.model(
            add=False,
            name=name,
            name_key=key,
            arguments=arguments,
            revision=key[:32],
            **attributes,
        )

    def named(self, name: str, arguments: str, **attributes: Any) -> tuple[Any, Facts]:
        """Return the button of a name and its arguments, made if this is the first click."""
        key = name_key(name, arguments)
        facts = self._found(key) or self._made(
            name=name, name_key=key, arguments=arguments, revision=key[:32], **attributes
        )
        btn = self.put_in_session(facts)
        # The code says how a named button is; its row only remembers what it has made.
        for attribute, value in (attributes | NO_FUNCTIONS).items():
            if attribute != "downloads":
                # A copy: what a form function does with it is one visitor's alone.
                set_committed_value(btn, attribute, btn.cleaned(attribute, deepcopy(value)))
        return btn, facts

    def _found(self, key: str) -> Facts | None:
        found = self._read_facts(self._facts_of_key, key=key)
        return found[0] if found else None

    def _made(self, *, name_key: str, **attributes: Any) -> Facts:
        # The app's session must not hold a lock that our own connection then waits for.
        self._db.session.rollback()
        # Somebody else's first click may be quicker.
        with suppress(IntegrityError):
            self._database.write(lambda c: self._insert(c, name_key=name_key, **attributes))
        facts = self._found(name_key)
        assert facts is not None, "A row is there for everybody once it is committed."
        return facts

    def _insert(self, connection: Connection, **attributes: Any) -> None:
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            session.add(self.model(add=False, **attributes))
            session.commit()

    def identity_of(self, key: str) -> tuple[str | None, str]:
        """Return a named button's uid, None if nobody has clicked it yet, and its revision."""
        row = self._database.read(lambda c: c.execute(self._identity, {"key": key}).first())
        return (row.uid, row.revision) if row else (None, key[:32])

    def uids(self) -> Select[tuple[str]]:
        """Return what selects every button's uid."""
        return select(self.table.c.uid)

    def lock(self, connection: Connection, uid: str) -> list[Any]:
        """Have other runs of the button wait for the caller's transaction; return its downloads."""
        table = self.table
        query = select(table.c.downloads).where(table.c.uid == uid).with_for_update()
        return list(connection.execute(query).scalar_one_or_none() or ())

    def keep_downloads(self, connection: Connection, uid: str, downloads: list[Any]) -> None:
        """Write a button's cached downloads in the caller's transaction."""
        table = self.table
        connection.execute(update(table).where(table.c.uid == uid).values(downloads=downloads))

    def mark_downloaded(self, uid: str) -> None:
        """Remember that files of this button have been downloaded."""
        table = self.table
        statement = (
            update(table)
            .where(table.c.uid == uid, table.c.downloaded.is_(False))
            .values(downloaded=True)
        )
        self._database.write(lambda connection: connection.execute(statement))


def _facts_of(mapper: Any) -> dict[str, Any]:
    """Return the columns that a run needs, by their attributes: how a button looks is not one."""
    keys = {mapper.get_property_by_column(column).key for column in mapper.primary_key}
    names = sorted(keys.union(FACTS))
    return {name: mapper.columns[name] for name in names}


def name_key(name: str, arguments: str) -> str:
    """Shorten a name and its arguments to the key of their row."""
    return hashlib.sha256(f"{name}\0{arguments}".encode()).hexdigest()
