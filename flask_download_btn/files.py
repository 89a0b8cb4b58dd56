"""The registry of stored files: their only writer, and the one who deletes them in time."""

from __future__ import annotations

import asyncio
import hashlib
import io
import logging
import os
import secrets
import stat
import threading
import time
import zlib
from collections import Counter
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Float,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    case,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from .database import Database
from .errors import LimitReached, OutputRefused, StorageFailure
from .outputs import File
from .protocols import PART, Entry, Sink, Storage
from .texts import Size

CHUNK = 1 << 20
GATHER = 1 << 16
ORPHAN_AGE = 3600.0
"""Seconds after which bytes without a row are nobody's, if their run is not live."""
BATCH = 100
MANY_LOST = 10

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stored:
    """A file in a storage, as its row says; without a row yet, `made_at` is by our own clock."""

    id: str
    key: str
    name: str
    mimetype: str
    size: int
    checksum: str
    crc32: int | None
    inline: bool
    max_age: int | None
    cached: bool
    run_id: str | None
    btn_uid: str | None
    source: str | None
    made_at: float
    started_at: float | None = None
    downloaded_at: float | None = None
    expires_at: float | None = None


@dataclass
class PruneReport:
    """What one pruning deleted, or would delete."""

    expired: int = 0
    orphans: int = 0
    parts: int = 0
    lost: int = 0
    bytes: int = 0
    failures: int = 0

    @property
    def total(self) -> int:
        return self.expired + self.orphans + self.parts + self.lost


class Files:
    """Takes files in, finds them again, and deletes what has outlived its time.

    `retention` and `grace` are seconds, `max_files` and `max_bytes` belong to one run; 0 turns a
    limit off. Rows are written by Core statements on the extension's own connections.
    """

    def __init__(
        self,
        database: Database,
        table: Table,
        storage: Storage,
        *,
        retention: float = 24 * 3600,
        grace: float = 3600,
        max_files: int = 0,
        max_bytes: int = 0,
    ) -> None:
        self.storage = storage
        self._database = database
        self._table = table
        # Statements of every run are built once: that costs more than what they do.
        self._insertion = insert(table).values(
            made_at=database.now, expires_at=database.now + bindparam("seconds", type_=Float)
        )
        self._find_alive = self._selecting(
            table.c.id.in_(bindparam("file_ids", expanding=True)), self._is_alive()
        )
        self._retention = retention
        self._grace = grace
        ends = {"expires_at": self._sooner(database.now + grace)} if grace else {}
        self._start = self._noting("started_at")
        self._completion = self._noting("downloaded_at", **ends)
        self._limits = _Limits(max_files, max_bytes)

    # Files come in

    def receive(
        self,
        file: File,
        *,
        run_id: str,
        btn_uid: str | None = None,
        cached: bool = False,
        source: str | None = None,
        check: Callable[[], object] | None = None,
        wait: Callable[[Any], Any] | None = None,
    ) -> Stored:
        """Write a file's bytes to the storage; its row comes with `add`.

        `check` is called between chunks. `wait` awaits what an async content gives.
        """
        cached = cached or file.cached
        with (
            self._writing(file, run_id, btn_uid, cached, source, check) as writer,
            closing(_chunks(file, wait)) as chunks,
        ):
            for chunk in chunks:
                writer.write(chunk)
        return writer.stored

    @contextmanager
    def create(
        self,
        name: str,
        *,
        run_id: str,
        btn_uid: str | None = None,
        mimetype: str | None = None,
        inline: bool = False,
        max_age: int | None = None,
        cached: bool = False,
        source: str | None = None,
        check: Callable[[], object] | None = None,
    ) -> Iterator[FileWriter]:
        """Give a file to write text or bytes to; it is stored only if the block ends well."""
        file = File(b"", name, mimetype=mimetype, inline=inline, max_age=max_age, cached=cached)
        with self._writing(file, run_id, btn_uid, cached, source, check) as writer:
            yield writer

    @contextmanager
    def _writing(
        self,
        file: File,
        run_id: str,
        btn_uid: str | None,
        cached: bool,
        source: str | None,
        check: Callable[[], object] | None = None,
    ) -> Iterator[FileWriter]:
        key = f"{run_id}-{secrets.token_hex(8)}"
        with self._limits.place(run_id, key) as allow:
            opening = self.storage.writer(key, name=file.name, mimetype=file.mimetype)
            with _opened(opening, file.name) as sink:
                writer = FileWriter(sink, file.name, allow, check)
                try:
                    yield writer
                    writer.finish()
                except BaseException:
                    writer.abandon()
                    raise
            writer.stored = Stored(
                id=secrets.token_hex(16),
                key=key,
                name=file.name,
                mimetype=file.mimetype,
                size=writer.size,
                checksum=writer.checksum,
                crc32=writer.crc32,
                inline=file.inline,
                max_age=file.max_age,
                cached=cached,
                run_id=run_id,
                btn_uid=btn_uid,
                source=source,
                made_at=time.time(),
            )

    def add(self, connection: Connection, stored: Stored) -> None:
        """Insert a file's row in the caller's transaction: from its commit on it can be fetched."""
        row = {field.name: getattr(stored, field.name) for field in fields(Stored)}
        del row["made_at"], row["expires_at"]
        # NULL, if there is no limit: the sum is then NULL too.
        row["seconds"] = self._retention if self._retention and not stored.cached else None
        connection.execute(self._insertion, row)
        self._limits.forget(stored)

    def discard(self, stored: Stored) -> None:
        """Delete the bytes of a file that was never added."""
        self._limits.forget(stored)
        self._delete_bytes(stored.key)

    # Files are found

    def find(self, file_id: str) -> Stored | None:
        """Return a file that may still be fetched."""
        found = self.find_many([file_id])
        return found[0] if found else None

    def find_many(self, file_ids: Sequence[str]) -> list[Stored]:
        """Return those of these files that may still be fetched."""
        parameters = {"file_ids": list(file_ids)}
        rows = self._database.read(lambda c: c.execute(self._find_alive, parameters).all())
        return [Stored(*row) for row in rows]

    def of_run(self, run_id: str) -> list[Stored]:
        """Return the files of a run that may still be fetched, in the order they were made."""
        return self._select(self._table.c.run_id == run_id, self._is_alive())

    def cached_by(self, btn_uid: str) -> list[Stored]:
        """Return the files that live with a button, but for those that were released."""
        return self._select(*self._is_kept_by(btn_uid))

    def kept_in(self, connection: Connection, btn_uid: str) -> list[Stored]:
        """Return what `cached_by` returns, as the caller's transaction sees it."""
        return self._select_in(connection, *self._is_kept_by(btn_uid))

    def cached_of(self, btn_uid: str, source: str) -> Stored | None:
        """Return the file that a button's data: URL was decoded into."""
        found = [stored for stored in self.cached_by(btn_uid) if stored.source == source]
        return found[-1] if found else None

    def _select(self, *conditions: ColumnElement[bool]) -> list[Stored]:
        return self._database.read(lambda connection: self._select_in(connection, *conditions))

    def _select_in(self, connection: Connection, *conditions: ColumnElement[bool]) -> list[Stored]:
        return [Stored(*row) for row in connection.execute(self._selecting(*conditions))]

    def _selecting(self, *conditions: ColumnElement[bool]) -> Select[Any]:
        table = self._table
        columns = [table.c[field.name] for field in fields(Stored)]
        return select(*columns).where(*conditions).order_by(table.c.made_at, table.c.key)

    def _is_kept_by(self, btn_uid: str) -> list[ColumnElement[bool]]:
        table = self._table
        return [table.c.btn_uid == btn_uid, table.c.cached.is_(True), table.c.expires_at.is_(None)]

    def _is_alive(self) -> ColumnElement[bool]:
        expires_at = self._table.c.expires_at
        return expires_at.is_(None) | (expires_at > self._database.now)

    # Files leave

    def mark_started(self, file_id: str) -> None:
        """Note the first byte that somebody asked for."""
        self._note(self._start, file_id)

    def mark_downloaded(self, file_id: str) -> bool:
        """Note a complete download; True for the first one, from which the grace period counts."""
        return self._note(self._completion, file_id)

    def _note(self, statement: Update, file_id: str) -> bool:
        parameters = {"file_id": file_id}
        return self._database.write(lambda c: c.execute(statement, parameters).rowcount) == 1

    def _noting(self, column: str, **values: Any) -> Update:
        # The first time counts: whoever comes later changes no row.
        is_first = and_(self._table.c.id == bindparam("file_id"), self._table.c[column].is_(None))
        return update(self._table).where(is_first).values({column: self._database.now, **values})

    def _sooner(self, moment: Any) -> Any:
        table = self._table
        return case(
            (table.c.cached.is_(True), table.c.expires_at),
            (table.c.expires_at < moment, table.c.expires_at),
            else_=moment,
        )

    def release(self, connection: Connection, file_ids: Sequence[str]) -> None:
        """Let replaced files go after the grace period, in the caller's transaction."""
        # Somebody may be fetching them: a grace of 0, which is none at all, will not do.
        moment = self._database.now + (self._grace or ORPHAN_AGE)
        connection.execute(
            update(self._table).where(self._table.c.id.in_(file_ids)).values(expires_at=moment)
        )

    def forget(self, file_id: str) -> None:
        """Delete the row of a file whose bytes are gone."""
        self._delete_rows(self._table.c.id == file_id)

    def _delete_rows(self, *conditions: ColumnElement[bool]) -> None:
        statement = delete(self._table).where(*conditions)
        self._database.write(lambda connection: connection.execute(statement))

    # Files go

    def runs_with_files(self) -> Select[tuple[str | None]]:
        """Return what selects the runs that have files of their own which may still be fetched."""
        run_id = self._table.c.run_id
        is_own = self._table.c.cached.is_(False)
        return select(run_id).where(run_id.is_not(None), is_own, self._is_alive())

    def prune(
        self,
        is_live: Callable[[str], bool],
        *,
        buttons: Select[tuple[str]] | None = None,
        dry_run: bool = False,
    ) -> PruneReport:
        """Delete what has outlived its time; several processes may do so at once, or die midway.

        `buttons` selects the uids of those that are there: what others kept goes. The row goes
        first, so that nobody finds a file whose bytes are gone. If the process dies in between, the
        bytes are orphans, and a later pruning finds them. Nothing ever makes an expired file live
        again, so two processes that meet at one do each other no harm. Whoever is reading a file
        keeps it until the end: its name goes, not its bytes.
        """
        report = PruneReport()
        self._prune_expired(report, self._is_outlived(buttons), dry_run)
        known = self._known_keys()
        held = self._prune_orphans(report, known, is_live, dry_run)
        self._prune_lost(report, known, held, dry_run)
        return report

    def _is_outlived(self, buttons: Select[tuple[str]] | None) -> ColumnElement[bool]:
        table = self._table
        is_expired: ColumnElement[bool] = table.c.expires_at <= self._database.now
        if buttons is None:
            return is_expired
        is_left_behind = and_(
            table.c.cached.is_(True),
            table.c.expires_at.is_(None),
            table.c.btn_uid.is_not(None),
            table.c.btn_uid.not_in(buttons),
        )
        return is_expired | is_left_behind

    def _prune_expired(
        self, report: PruneReport, is_expired: ColumnElement[bool], dry_run: bool
    ) -> None:
        expired = self._select(is_expired)
        for start in range(0, len(expired), BATCH):
            batch = expired[start : start + BATCH]
            if not dry_run:
                self._delete_rows(self._table.c.id.in_([stored.id for stored in batch]), is_expired)
            for stored in batch:
                if dry_run or self._delete_bytes(stored.key, report):
                    report.expired += 1
                    report.bytes += stored.size

    def _known_keys(self) -> set[str]:
        query = select(self._table.c.key)
        rows = self._database.read(lambda connection: connection.execute(query).all())
        return {row.key for row in rows}

    def _prune_orphans(
        self,
        report: PruneReport,
        known: set[str],
        is_live: Callable[[str], bool],
        dry_run: bool,
    ) -> set[str]:
        held = set()
        for entry in self.storage.scan():
            held.add(entry.key)
            if entry.key in known or not self._is_orphan(entry, is_live):
                continue
            if not dry_run and not self._delete_bytes(entry.key, report):
                continue
            report.bytes += entry.size
            if entry.key.endswith(PART):
                report.parts += 1
            else:
                report.orphans += 1
        return held

    def _is_orphan(self, entry: Entry, is_live: Callable[[str], bool]) -> bool:
        if entry.modified > time.time() - ORPHAN_AGE:
            return False
        # In this order: a run's end and its files' rows are one commit, so a run that is no longer
        # live has its rows already. The other way round, a file could be deleted in between.
        return not is_live(entry.key.partition("-")[0]) and not self._has_row(entry.key)

    def _has_row(self, key: str) -> bool:
        query = select(self._table.c.id).where(self._table.c.key == key)
        return self._database.read(lambda connection: connection.execute(query).first()) is not None

    def _prune_lost(
        self, report: PruneReport, known: set[str], held: set[str], dry_run: bool
    ) -> None:
        lost = list(known - held)
        if lost and (not held or len(lost) > max(MANY_LOST, len(known) / 2)):
            # A disk that is not mounted, rather than so many lost files.
            logger.error("%d of %d stored files are not in the storage.", len(lost), len(known))
            return
        for start in range(0, len(lost), BATCH):
            batch = lost[start : start + BATCH]
            if not dry_run:
                self._delete_rows(self._table.c.key.in_(batch))
            report.lost += len(batch)

    def _delete_bytes(self, key: str, report: PruneReport | None = None) -> bool:
        try:
            self.storage.delete(key)
        except Exception:
            logger.exception("A stored file could not be deleted; a later pruning tries again.")
            if report:
                report.failures += 1
            return False
        return True


class FileWriter(io.BufferedIOBase):
    """A file being made: takes text, which becomes UTF-8, and bytes.

    It can be handed to `csv.writer`, `json.dump`, `zipfile.ZipFile`, openpyxl or pandas.
    `stored` says what became of it once its block has ended.
    """

    stored: Stored

    def __init__(
        self,
        sink: Sink,
        name: str,
        allow: Callable[[int], None],
        check: Callable[[], object] | None,
    ) -> None:
        self.name = name
        self.size = 0
        self.crc32 = 0
        self._sink = sink
        self._allow = allow
        self._check = check
        self._sha256 = hashlib.sha256()
        self._waiting = bytearray()
        self._failure: BaseException | None = None

    def write(self, data: Any, /) -> int:
        """Write text or bytes."""
        if self.closed:
            raise ValueError(f"The file {self.name!r} is closed.")
        view = memoryview(data.encode() if isinstance(data, str) else data).cast("B")
        if len(view) >= GATHER:
            self.flush()
            self._put(view)
        else:
            self._waiting += view
            if len(self._waiting) >= GATHER:
                self.flush()
        return len(data)

    def flush(self) -> None:
        """Hand on what was gathered of small writes."""
        if self._waiting:
            waiting, self._waiting = self._waiting, bytearray()
            self._put(memoryview(waiting))

    def _put(self, view: memoryview) -> None:
        try:
            if self._check:
                self._check()
            self._allow(len(view))
            with _storage_failures(self.name):
                self._sink.write(view)  # type: ignore[arg-type]  # a view saves a copy
        except BaseException as error:
            self._failure = error
            raise
        self._sha256.update(view)
        self.crc32 = zlib.crc32(view, self.crc32)
        self.size += len(view)

    def finish(self) -> None:
        """Close it; a failure that the block swallowed counts all the same: the file has a hole."""
        self.close()
        self.flush()
        if self._failure:
            raise self._failure

    def abandon(self) -> None:
        """Forget what was gathered: nobody will write it, not even the garbage collector."""
        self._waiting.clear()

    @property
    def checksum(self) -> str:
        return self._sha256.hexdigest()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size + len(self._waiting)


@contextmanager
def _opened(opening: AbstractContextManager[Sink], name: str) -> Iterator[Sink]:
    """Enter and leave a storage's writer; only its own failures are called so, not the block's."""
    with _storage_failures(name):
        sink = opening.__enter__()
    try:
        yield sink
    except BaseException as error:
        # What closing has to say, the disk being full, say, is no news.
        with suppress(OSError):
            opening.__exit__(type(error), error, error.__traceback__)
        raise
    with _storage_failures(name):
        opening.__exit__(None, None, None)


@contextmanager
def _storage_failures(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        logger.exception("The file %r could not be stored.", name)
        raise StorageFailure("not_stored") from error


class _Limits:
    """Counts the files and bytes of each run that are written but not yet added."""

    def __init__(self, max_files: int, max_bytes: int) -> None:
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._runs: dict[str, Counter[str]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def place(self, run_id: str, key: str) -> Iterator[Callable[[int], None]]:
        """Count one file more; the block's function counts its bytes."""
        self._open(run_id, key)
        try:
            yield lambda size: self._grow(run_id, key, size)
        except BaseException:
            self._close(run_id, key)
            raise

    def forget(self, stored: Stored) -> None:
        if stored.run_id:
            self._close(stored.run_id, stored.key)

    def _open(self, run_id: str, key: str) -> None:
        with self._lock:
            files = self._runs.setdefault(run_id, Counter())
            if self._max_files and len(files) >= self._max_files:
                raise LimitReached("too_many_files", limit=self._max_files)
            files[key] = 0

    def _grow(self, run_id: str, key: str, size: int) -> None:
        with self._lock:
            files = self._runs[run_id]
            files[key] += size
            if self._max_bytes and files.total() > self._max_bytes:
                raise LimitReached("too_large_files", limit=Size(self._max_bytes))

    def _close(self, run_id: str, key: str) -> None:
        with self._lock:
            files = self._runs.get(run_id, Counter())
            files.pop(key, None)
            if not files:
                self._runs.pop(run_id, None)


def _chunks(file: File, wait: Callable[[Any], Any] | None) -> Generator[bytes, None, None]:
    """Go through a file's content, whatever it is made of, in pieces that fit in memory."""
    content: Any = file.content
    if isinstance(content, (bytes, bytearray, memoryview)):
        return _checked([content], file.filename)
    if isinstance(content, os.PathLike):
        return _path_chunks(Path(content), file.filename)
    if callable(getattr(content, "read", None)):
        return _read_chunks(content, file.filename)
    if isinstance(content, AsyncIterable):
        return _checked(_awaited(content, wait), file.filename)
    return _checked(iter(content), file.filename)


def _path_chunks(path: Path, filename: str) -> Generator[bytes, None, None]:
    # Without O_NONBLOCK, a FIFO would hold the run for ever.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        raise OutputRefused(
            f"File({filename!r}) cannot read {str(path)!r}: {error.strerror}."
        ) from error
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OutputRefused(f"File({filename!r}) was given {str(path)!r}, which is no file.")
        while chunk := os.read(handle, CHUNK):
            yield chunk
    finally:
        os.close(handle)


def _read_chunks(source: Any, filename: str) -> Generator[bytes, None, None]:
    with suppress(AttributeError, OSError, ValueError):
        source.seek(0)
    return _checked(iter(lambda: source.read(CHUNK), b""), filename)


def _checked(chunks: Iterable[Any], filename: str) -> Generator[bytes, None, None]:
    try:
        for number, chunk in enumerate(chunks):
            if not isinstance(chunk, (bytes, bytearray, memoryview)):
                raise OutputRefused(
                    f"Item {number} of the content of File({filename!r}) is of type"
                    f" {type(chunk).__name__!r}. Every item must be bytes, as of text.encode()."
                )
            yield chunk  # type: ignore[misc]
    finally:
        # A generator's own `finally` runs now, not when the garbage is collected.
        if isinstance(chunks, Generator):
            chunks.close()


def _awaited(content: AsyncIterable[Any], wait: Callable[[Any], Any] | None) -> Iterator[Any]:
    if wait is None:
        with closing(asyncio.new_event_loop()) as own:
            yield from _awaited(content, own.run_until_complete)
        return
    iterator: AsyncIterator[Any] = aiter(content)
    try:
        while True:
            try:
                yield wait(_next(iterator))
            except StopAsyncIteration:
                return
    finally:
        if hasattr(iterator, "aclose"):
            wait(iterator.aclose())


async def _next(iterator: AsyncIterator[Any]) -> Any:
    return await anext(iterator)
