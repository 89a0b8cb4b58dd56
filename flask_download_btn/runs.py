"""Write and read runs: one guarded UPDATE for each change of state, and nobody else writes them."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError
from werkzeug.datastructures import MultiDict

from .database import Database
from .errors import LimitReached, ReferenceRefused
from .outputs import clean_name
from .progress import said
from .tokens import Tokens

QUEUED, RUNNING = "queued", "running"
READY, FAILED, CANCELLED, EXPIRED = "ready", "failed", "cancelled", "expired"
LIVE = (QUEUED, RUNNING)
ENDED = (READY, FAILED, CANCELLED, EXPIRED)

DOWNLOADED = "downloaded"
"""What is noted of a file that has left; of one that has begun to, its spans, and if it was cut."""

ALL = -1
"""What stands for all files of a run, as one ZIP, where one of them has its index."""

MOST_ATTEMPTS = 3
"""Starts of a run whose process keeps dying, before it is taken for the cause."""

MOST_RACES = 100
"""Times that a click looks again because another one was quicker."""

MOST_IN_SPOT = 20
"""Runs that are looked at for one that a page has to show."""

MOST_SPANS = 100
"""Parts of a file that are remembered; a client that asks for more counts itself."""

SEQ_OF_ATTEMPT = 1_000_000_000
"""Pictures are numbered in order, and those of a later attempt come after all of an earlier one."""


@dataclass(frozen=True)
class Run:
    """One click's execution, as its row says; what a function sees as `btn.run`."""

    id: str
    btn_uid: str
    btn_name: str | None
    btn_revision: str
    owner: str
    state: str
    attempt: int
    restart: bool
    plan: str
    visit: str
    signature: str
    stage: str
    stage_no: int
    percent: float | None
    seq: int
    message: str | None
    reference: str | None
    files: Sequence[Any]
    fetched: dict[str, Any]
    callback: str | None
    archive: str | None
    cancel_asked: bool
    made_at: float
    claimed_at: float | None
    ended_at: float | None

    @cached_property
    def _visit(self) -> dict[str, Any]:
        return json.loads(self.visit)  # type: ignore[no-any-return]

    @cached_property
    def _plan(self) -> dict[str, Any]:
        return json.loads(self.plan)  # type: ignore[no-any-return]

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    def as_ended(self, outcome: Outcome, seq: int) -> Run:
        """Return the run as its row is now that it has ended so."""
        values = _last_values(outcome)
        return replace(self, **values, seq=seq, ended_at=time.time())

    @property
    def steps(self) -> list[dict[str, str]]:
        """The functions to call, in order."""
        return self._plan["steps"]  # type: ignore[no-any-return]

    @property
    def downloads(self) -> list[Any] | None:
        """The button's downloads as this visitor's form function left them, or None."""
        return self._plan["downloads"]  # type: ignore[no-any-return]

    @property
    def tmp_downloads(self) -> list[Any]:
        return self._plan["tmp_downloads"]  # type: ignore[no-any-return]

    @property
    def form(self) -> MultiDict[str, str]:
        """What the visitor submitted."""
        return MultiDict(tuple(pair) for pair in self._visit["form"])

    @property
    def user_id(self) -> str | None:
        """The logged-in user at the click."""
        return self._visit["user_id"]  # type: ignore[no-any-return]

    @property
    def collected(self) -> Any:
        """What the app's `collect` function returned at the click, as JSON."""
        return self._visit["collected"]

    @property
    def root(self) -> str:
        """The address of the app at the click: scheme, host, prefix."""
        return self._visit["root"]  # type: ignore[no-any-return]

    @property
    def language(self) -> str | None:
        """The language of the visitor's page, if the app knows it."""
        return self._visit.get("language")

    @property
    def page(self) -> str | None:
        """The page of the click, if a browser without scripts was sent away from it."""
        return self._visit.get("page")

    def is_downloaded(self, index: int) -> bool:
        return self.fetched.get(str(index)) == DOWNLOADED

    def is_cut(self, index: int) -> bool:
        """Tell whether a file's latest download was cut off before its end."""
        noted = (self.fetched.get(str(which)) for which in (index, ALL))
        return not self.is_downloaded(index) and any(
            isinstance(note, dict) and note["cut"] for note in noted
        )

    @property
    def cache(self) -> str:
        return self._visit["cache"] or "no-store"


@dataclass(frozen=True)
class Click:
    """All that a run is made of; nothing of it changes afterwards."""

    btn_uid: str
    btn_name: str | None
    btn_revision: str
    owner: str
    plan: str
    visit: str
    restart: bool
    callback: str | None
    archive: str | None
    message: str | None
    sameness: str
    spot: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    state: str
    message: str | None = None
    reference: str | None = None
    files: Sequence[Any] = ()
    callback: str | None = None
    archive: str | None = None


class Runs:
    """The only writer of runs."""

    def __init__(
        self,
        database: Database,
        table: Table,
        button_table: FromClause,
        tokens: Tokens,
        *,
        lease: float,
        live_limit: int,
        new_id: Callable[[], str],
    ) -> None:
        self._database = database
        self._table = table
        self._tokens = tokens
        self._lease = lease
        self._live_limit = live_limit
        self._new_id = new_id
        self._columns = [table.c[field.name] for field in fields(Run)]
        is_honoured = and_(
            button_table.c.uid == table.c.btn_uid, button_table.c.revision == table.c.btn_revision
        )
        self._is_honoured = is_honoured
        self._statements = _Statements(table, is_honoured, self._columns, database.now)

    # -- made, claimed, ended ------------------------------------------------------------------

    def make(self, click: Click, *, claimed: bool = False) -> tuple[Run, bool]:
        """Make a run, or find the live one of the same click; tell which.

        It is queued, or claimed at once by a process that has a place for it.
        """
        # One id for all tries: a commit whose answer was lost is then found as our own.
        run_id = self._new_id()

        def work(connection: Connection) -> tuple[Run, bool]:
            return self._found_or_inserted(connection, run_id, click, claimed)

        for _ in range(MOST_RACES):
            # Another click may take the place, or be the same click: then look again.
            with suppress(IntegrityError):
                return self._database.write(work)
        return self._database.write(work)

    def claim(self, run_ids: Sequence[str]) -> list[Run]:
        """Take queued runs for this process, in the order asked for; each is got by one alone."""
        tries = 0

        def work(connection: Connection) -> list[Run]:
            nonlocal tries
            tries += 1
            # The answer to an earlier try may have been lost, though the claim was not.
            before = self._claimed_before(connection, run_ids) if tries > 1 else []
            return before + self._claimed(connection, run_ids)

        places = {run_id: place for place, run_id in enumerate(run_ids)}
        return sorted(self._database.write(work), key=lambda run: places[run.id])

    def _claimed(self, connection: Connection, run_ids: Sequence[str]) -> list[Run]:
        statement, node = self._statements.claim, this_node()
        if connection.dialect.update_returning:
            parameters = {"our_node": node, "run_ids": list(run_ids)}
            rows = connection.execute(self._statements.returning(statement), parameters)
            return [Run(*row) for row in rows]
        tries = (
            self._changed(connection, statement, one, {"our_node": node, "run_ids": [one]})
            for one in run_ids
        )
        return [run for run in tries if run]

    def _claimed_before(self, connection: Connection, run_ids: Sequence[str]) -> list[Run]:
        table = self._table
        are_ours = (table.c.id.in_(run_ids), table.c.state == RUNNING, table.c.node == this_node())
        return self._select(connection, and_(*are_ours), limit=len(run_ids))

    def end(self, connection: Connection, run: Run, outcome: Outcome, seq: int) -> bool:
        """End a claimed run inside the caller's transaction; False if it is no longer ours."""
        values = _last_values(outcome) | {"seq": seq}
        parameters = {"run_id": run.id, "our_attempt": run.attempt, **values}
        return bool(connection.execute(self._statements.end, parameters).rowcount)

    def is_ended_by(self, connection: Connection, run: Run, seq: int) -> bool:
        """Tell whether it was this attempt, in this process, that ended the run."""
        table = self._table
        query = select(table.c.id).where(
            table.c.id == run.id,
            table.c.attempt == run.attempt,
            table.c.seq == seq,
            table.c.state.in_(ENDED),
        )
        return connection.execute(query).first() is not None

    def end_queued(self, run_id: str, outcome: Outcome) -> bool:
        """End a run that nobody has claimed."""
        guard = [self._table.c.id == run_id, self._table.c.state == QUEUED]
        seq = self._table.c.seq + 1
        return self._database.write(
            lambda connection: self._update(connection, guard, seq=seq, **self._ended(outcome))
        )

    # -- while it is live ----------------------------------------------------------------------

    def beat(self, lives: Iterable[tuple[Run, dict[str, Any]]], queued: Iterable[str]) -> None:
        """Renew the leases of this process, best effort: a locked database is not waited for."""
        table, now = self._table, self._database.now

        def work(connection: Connection) -> None:
            for run, weather in lives:
                guard = [
                    table.c.id == run.id,
                    table.c.state == RUNNING,
                    table.c.attempt == run.attempt,
                ]
                self._update(connection, guard, beat_at=now, **weather)
            waiting = list(queued)
            if waiting:
                guard = [table.c.id.in_(waiting), table.c.state == QUEUED]
                self._update(connection, guard, beat_at=now)

        self._database.write(work, patience=0.0)

    def ask_to_cancel(self, run_id: str) -> None:
        """Leave word for whichever process carries the run out."""
        guard = [self._table.c.id == run_id, self._table.c.state == RUNNING]
        self._database.write(lambda c: self._update(c, guard, cancel_asked=True))

    def not_ours(self, runs: Sequence[Run]) -> dict[str, str]:
        """Tell which of our runs were asked to stop ("cancel") or taken from us ("lost")."""
        table = self._table
        rows = self._database.read(
            lambda connection: connection.execute(
                select(table.c.id, table.c.state, table.c.attempt, table.c.cancel_asked).where(
                    table.c.id.in_([run.id for run in runs])
                )
            ).all(),
            patience=0.0,
        )
        attempts = {run.id: run.attempt for run in runs}
        answer = {}
        for run_id, state, attempt, cancel_asked in rows:
            if state != RUNNING or attempt != attempts[run_id]:
                answer[run_id] = "lost"
            elif cancel_asked:
                answer[run_id] = "cancel"
        return answer

    def note_started(self, run_id: str, index: int) -> bool:
        """Note that a run's file begins to leave, or goes on; tell whether that is news."""

        def begun(known: Any) -> Any:
            if known is None:
                return {"spans": [], "cut": False}
            return {**known, "cut": False} if known["cut"] else None

        return self._note(run_id, index, begun)

    def note_downloaded(self, run_id: str, index: int) -> bool:
        """Note that a run's file has left; tell whether that is news."""
        return self._note(run_id, index, lambda known: DOWNLOADED)

    def note_parts(
        self,
        run_id: str,
        index: int,
        spans: Iterable[tuple[int, int]],
        size: int,
        *,
        is_cut: bool = False,
    ) -> bool:
        """Note which bytes of a file have left; tell whether that makes the file whole."""
        given = list(spans)
        is_whole = False

        def with_spans(known: Any) -> Any:
            nonlocal is_whole
            before = known["spans"] if known else []
            joined = _joined([*before, *given])
            is_whole = joined == [[0, size]]
            noted = {"spans": joined[:MOST_SPANS], "cut": is_cut and not is_whole}
            return None if noted == known else noted

        return self._note(run_id, index, with_spans) and is_whole

    def _note(self, run_id: str, index: int, change: Callable[[Any], Any]) -> bool:
        table = self._table

        def work(connection: Connection) -> bool:
            query = select(table.c.fetched).where(table.c.id == run_id).with_for_update()
            fetched = connection.execute(query).scalar()
            if fetched is None or fetched.get(str(index)) == DOWNLOADED:
                return False
            known = fetched.get(str(index))
            value = change(known if isinstance(known, dict) else None)
            if value is None:
                return False
            fetched = {**fetched, str(index): value}
            return self._update(
                connection, [table.c.id == run_id], fetched=fetched, seq=table.c.seq + 1
            )

        return self._database.write(work)

    # -- whose process died --------------------------------------------------------------------

    def can_write(self) -> bool:
        """Try a write that changes nothing, without waiting; raises where that cannot be."""
        nothing = self._table.delete().where(self._table.c.id == "")
        self._database.write(lambda connection: connection.execute(nothing), patience=0.0)
        return True

    def settle_lapsed(self, sentence: Callable[[Run], str], ours: Iterable[str] = ()) -> list[Run]:
        """Fail, or queue again, the runs whose lease has lapsed; return those that changed.

        `ours` live in this process, whatever their rows say.
        """
        table = self._table
        too_old = and_(
            table.c.beat_at < self._database.now - self._lease, table.c.id.not_in(list(ours))
        )
        return self._settle(self._find_live(too_old), sentence, [too_old])

    def settle_dead_processes(self, sentence: Callable[[Run], str]) -> list[Run]:
        """Settle at once what processes of this host left behind that are no longer there."""
        nodes = {node for node in self._live_nodes() if is_dead_here(node)}
        if not nodes:
            return []
        theirs = self._table.c.node.in_(nodes)
        return self._settle(self._find_live(theirs), sentence, [theirs])

    def _settle(
        self, lapsed: Sequence[Run], sentence: Callable[[Run], str], guard: list[Any]
    ) -> list[Run]:
        changed = (self._settle_one(run, sentence, guard) for run in lapsed)
        return [run for run in changed if run]

    def _settle_one(self, run: Run, sentence: Callable[[Run], str], guard: list[Any]) -> Run | None:
        same = [
            self._table.c.state == run.state,
            self._table.c.attempt == run.attempt,
            *guard,
        ]
        starts_again = run.state == QUEUED or (run.restart and run.attempt < MOST_ATTEMPTS)
        if starts_again and not run.cancel_asked:
            return self._change(
                run.id, same, state=QUEUED, node=this_node(), beat_at=self._database.now
            )
        state = CANCELLED if run.cancel_asked else FAILED
        outcome = Outcome(state, message=None if run.cancel_asked else sentence(run))
        seq = (run.attempt + 1) * SEQ_OF_ATTEMPT - 1
        return self._change(run.id, same, seq=seq, **self._ended(outcome))

    def _live_nodes(self) -> list[str]:
        table = self._table
        query = select(table.c.node).where(table.c.state.in_(LIVE)).distinct()
        return [node for (node,) in self._database.read(lambda c: c.execute(query).all()) if node]

    # -- looked at -----------------------------------------------------------------------------

    def find(self, run_id: str) -> Run | None:
        """Return a run by its id."""
        return self._database.read(lambda c: self._found(c, self._statements.find, run_id=run_id))

    def find_honoured(self, run_id: str) -> Run | None:
        """Return a run by its id, unless its button is gone, or has revoked what it gave out."""
        statement = self._statements.find_honoured
        return self._database.read(lambda c: self._found(c, statement, run_id=run_id))

    def is_live(self, run_id: str) -> bool:
        run = self.find(run_id)
        return bool(run and run.is_live)

    def latest_of(
        self,
        owners: Sequence[str],
        btn_uid: str,
        spot: str = "",
        *,
        ended_within: float,
        late_after: float,
    ) -> list[tuple[Run, bool]]:
        """Return a visitor's latest run of a button, and whether it ended well long ago.

        One that is live comes first, then one that has just ended. Where its view makes a button
        anew, those are the runs of all in its spot, one of each.
        """
        table, now = self._table, self._database.now
        is_its = table.c.spot == spot if spot else table.c.btn_uid == btn_uid
        is_live = table.c.state.in_(LIVE)
        rank = case((is_live, 0), (table.c.ended_at > now - late_after, 1), else_=2)
        is_recent = table.c.ended_at > now - max(ended_within, late_after)
        is_shown = and_(table.c.state == READY, is_recent if ended_within else true())
        query = (
            select(*self._columns, rank)
            .where(table.c.owner.in_(owners), is_its, self._is_honoured, or_(is_live, is_shown))
            .order_by(rank, table.c.made_at.desc())
            .limit(MOST_IN_SPOT if spot else 1)
        )
        rows = self._database.read(lambda connection: connection.execute(query).all())
        latest: dict[str, tuple[Run, bool]] = {}
        for row in rows:
            run = Run(*row[:-1])
            latest.setdefault(run.btn_uid, (run, row[-1] == 2))
        return list(latest.values())

    def of(self, owners: Sequence[str], *, ended_within: float, limit: int) -> list[Run]:
        """Return a visitor's runs, newest first: the live ones, and those that ended lately."""
        table = self._table
        is_recent = table.c.ended_at > self._database.now - ended_within
        is_shown = or_(table.c.state.in_(LIVE), is_recent) if ended_within else true()
        return self._many(and_(table.c.owner.in_(owners), is_shown), limit)

    def place_in_queue(self, run: Run) -> int:
        """Count the queued runs that came before, and this one."""
        query, parameters = self._statements.place_in_queue, {"our_time": run.made_at}
        return self._database.read(lambda c: c.execute(query, parameters).scalar_one())

    def recent(self, limit: int) -> list[Run]:
        """Return the newest runs, for a person to read."""
        return self._many(None, limit)

    def counts(self) -> dict[str, int]:
        """Count the runs in each state."""
        table = self._table
        query = select(table.c.state, func.count().label("number")).group_by(table.c.state)
        rows = self._database.read(lambda c: c.execute(query).all())
        return {row.state: row.number for row in rows}

    def prune(
        self,
        older_than: float,
        *,
        keep: Select[tuple[str | None]] | None = None,
        dry_run: bool = False,
    ) -> int:
        """Delete ended runs that outlived their time; return how many.

        `keep` selects the ids of those that stay all the same.
        """
        table = self._table
        old = and_(table.c.state.in_(ENDED), table.c.ended_at < self._database.now - older_than)
        if keep is not None:
            old = and_(old, table.c.id.not_in(keep))
        if dry_run:
            query = select(func.count()).where(old)
            return self._database.read(lambda c: c.execute(query).scalar_one())
        return self._database.write(lambda c: c.execute(table.delete().where(old)).rowcount)

    def refuse_edited(self, run: Run) -> None:
        """Refuse a row that somebody other than the app has written."""
        if not self._tokens.is_row_signed(
            run.signature, run.id, run.owner, run.btn_uid, run.plan, run.visit
        ):
            raise ReferenceRefused(
                f"Run {run.id} was not written by this app, or its SECRET_KEY has changed: its"
                " row's signature is wrong. Let the visitor click again."
            )

    # -- how -----------------------------------------------------------------------------------

    def _found_or_inserted(
        self, connection: Connection, run_id: str, click: Click, claimed: bool
    ) -> tuple[Run, bool]:
        live = connection.execute(self._statements.live_of, {"whose": click.owner}).all()
        live_key, found = self._same(connection, click, {row.live_key for row in live})
        if found:
            return found, found.id == run_id
        place_key = self._free_place(click.owner, {row.place_key for row in live})
        values = self._first_values(run_id, click, live_key=live_key, place_key=place_key)
        statement = self._statements.insert_claimed if claimed else self._statements.insert
        run = self._changed(connection, statement, run_id, values)
        assert run is not None, "A row is there for the transaction that has inserted it."
        return run, True

    def _same(
        self, connection: Connection, click: Click, taken: set[str | None]
    ) -> tuple[str, Run | None]:
        """Return the live run of the same click, and the key that one has while it is live."""
        own_key = _hash(click.owner, click.btn_uid, click.sameness)
        if click.spot:
            key = _hash(click.owner, click.spot, click.sameness)
            found = self._found_live(connection, key, taken)
            # One that was revoked would answer nobody.
            if not found or self._found(
                connection, self._statements.find_honoured, run_id=found.id
            ):
                return key, found
        return own_key, self._found_live(connection, own_key, taken)

    def _found_live(self, connection: Connection, key: str, taken: set[str | None]) -> Run | None:
        if key not in taken:
            return None
        return self._found(connection, self._statements.find_live, which=key)

    def _first_values(self, run_id: str, click: Click, **keys: str | None) -> dict[str, Any]:
        return {
            "id": run_id,
            "btn_uid": click.btn_uid,
            "btn_name": said(click.btn_name, 255) if click.btn_name else None,
            "btn_revision": click.btn_revision,
            "spot": click.spot or None,
            "owner": click.owner,
            "node": this_node(),
            "restart": click.restart,
            "plan": click.plan,
            "visit": click.visit,
            "signature": self._tokens.sign_row(
                run_id, click.owner, click.btn_uid, click.plan, click.visit
            ),
            "message": _message(click.message),
            "files": [],
            "fetched": {},
            "callback": click.callback,
            "archive": _archive_name(click.archive),
            **keys,
        }

    def _free_place(self, owner: str, taken: set[str | None]) -> str | None:
        if not self._live_limit:
            return None
        for place in range(self._live_limit):
            key = _hash(owner, "place", str(place))
            if key not in taken:
                return key
        raise LimitReached("too_many", retry_after=10)

    def _ended(self, outcome: Outcome) -> dict[str, Any]:
        return {
            **_last_values(outcome),
            "live_key": None,
            "place_key": None,
            "ended_at": self._database.now,
        }

    def _change(self, run_id: str, guard: list[Any], **values: Any) -> Run | None:
        def work(connection: Connection) -> Run | None:
            if not self._update(connection, [self._table.c.id == run_id, *guard], **values):
                return None
            return self._select(connection, self._table.c.id == run_id)[0]

        return self._database.write(work)

    def _update(self, connection: Connection, guard: list[Any], **values: Any) -> bool:
        statement = update(self._table).where(*guard).values(**values)
        return bool(connection.execute(statement).rowcount)

    def _changed(
        self, connection: Connection, statement: Any, run_id: str, parameters: dict[str, Any]
    ) -> Run | None:
        """Write a run; return it as it then is, None if the guard of an UPDATE held."""
        dialect = connection.dialect
        if dialect.insert_returning if statement.is_insert else dialect.update_returning:
            statement = self._statements.returning(statement)
            return self._found(connection, statement, **parameters)
        if not connection.execute(statement, parameters).rowcount:
            return None
        return self._found(connection, self._statements.find, run_id=run_id)

    @staticmethod
    def _found(connection: Connection, statement: Any, **parameters: Any) -> Run | None:
        row = connection.execute(statement, parameters).first()
        return Run(*row) if row else None

    def _find_live(self, which: Any) -> list[Run]:
        return self._many(and_(self._table.c.state.in_(LIVE), which), 1000)

    def _one(self, which: Any) -> Run | None:
        found = self._many(which, 1)
        return found[0] if found else None

    def _many(self, which: Any, limit: int) -> list[Run]:
        return self._database.read(lambda connection: self._select(connection, which, limit))

    def _select(self, connection: Connection, which: Any, limit: int = 1) -> list[Run]:
        query = select(*self._columns).order_by(self._table.c.made_at.desc()).limit(limit)
        if which is not None:
            query = query.where(which)
        return [Run(*row) for row in connection.execute(query)]


def _last_values(outcome: Outcome) -> dict[str, Any]:
    values: dict[str, Any] = {
        "state": outcome.state,
        "message": _message(outcome.message),
        "reference": outcome.reference,
        "files": list(outcome.files),
    }
    if outcome.state == READY:
        values |= {"callback": outcome.callback, "archive": _archive_name(outcome.archive)}
    return values


def _message(text: str | None) -> str | None:
    return said(text, 2000) if text else text


def _archive_name(name: str | None) -> str | None:
    return clean_name(name) if name else None


def _joined(spans: Iterable[Sequence[int]]) -> list[list[int]]:
    """Join spans that touch or overlap."""
    joined: list[list[int]] = []
    for start, stop in sorted(map(tuple, spans)):
        if joined and start <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], stop)
        else:
            joined.append([start, stop])
    return joined


class _Statements:
    """What every click says to the database, built once: that costs ten times what running does."""

    def __init__(
        self, table: Table, is_honoured: ColumnElement[bool], columns: Sequence[Any], now: Any
    ) -> None:
        is_it = table.c.id == bindparam("run_id")
        next_attempt = table.c.attempt + 1
        self._columns = columns
        self._returning: dict[Any, Any] = {}
        self.find = select(*columns).where(is_it)
        self.find_honoured = self.find.where(is_honoured)
        self.find_live = select(*columns).where(table.c.live_key == bindparam("which"))
        self.live_of = select(table.c.live_key, table.c.place_key).where(
            table.c.owner == bindparam("whose"), table.c.state.in_(LIVE)
        )
        self.place_in_queue = select(func.count()).where(
            table.c.state == QUEUED, table.c.made_at <= bindparam("our_time")
        )
        first = table.insert().values(made_at=now, beat_at=now)
        self.insert = first.values(state=QUEUED, attempt=0)
        self.insert_claimed = first.values(
            state=RUNNING, attempt=1, seq=SEQ_OF_ATTEMPT, claimed_at=now
        )
        self.claim = (
            update(table)
            .where(table.c.id.in_(bindparam("run_ids", expanding=True)), table.c.state == QUEUED)
            .values(
                state=RUNNING,
                attempt=next_attempt,
                # PostgreSQL would multiply in 32 bits.
                seq=next_attempt * literal(SEQ_OF_ATTEMPT, BigInteger),
                node=bindparam("our_node"),
                claimed_at=now,
                beat_at=now,
            )
        )
        self.end = (
            update(table)
            .where(is_it, table.c.state == RUNNING, table.c.attempt == bindparam("our_attempt"))
            .values(live_key=None, place_key=None, ended_at=now)
        )

    def returning(self, statement: Any) -> Any:
        """Have a statement return the row that it has written."""
        if statement not in self._returning:
            self._returning[statement] = statement.returning(*self._columns)
        return self._returning[statement]


def this_node() -> str:
    """Name this process so that another on the same host can tell whether it lives."""
    return _node_of(os.getpid())


@cache
def _node_of(pid: int) -> str:
    return f"{_host()}/{pid}/{_started_at(pid)}"


def is_dead_here(node: str) -> bool:
    """Tell for certain that a process of this host is gone; of another host nobody knows."""
    host, _, rest = node.partition("/")
    pid, _, started_at = rest.partition("/")
    if host != _host() or not pid.isdigit() or not started_at:
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return _started_at(int(pid)) not in ("", started_at)


def _host() -> str:
    # Two containers may have one host name; they do not see each other's processes.
    try:
        return f"{socket.gethostname()}|{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _started_at(pid: int) -> str:
    # Linux tells when a process started, in ticks since boot: a reused pid is another process.
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
