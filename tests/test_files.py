"""Test how files are taken in, found, counted as downloaded, and forgotten in time."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import os
import random
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, create_engine, select, update

from flask_download_btn.database import Database
from flask_download_btn.errors import DownloadError, LimitReached, OutputRefused, RunCancelled
from flask_download_btn.files import Files, PruneReport, Stored
from flask_download_btn.outputs import File
from flask_download_btn.protocols import PART, Sink
from flask_download_btn.storage import LocalStorage, MemoryStorage
from flask_download_btn.tables import file_table

RUN = "0123456789abcdef" * 2
BTN = "fedcba9876543210" * 2
HOUR = 3600.0


class Setup:
    """A registry with its database and storage."""

    def __init__(self, engine: Engine, storage: Any, **options: Any) -> None:
        self.engine = engine
        self.storage = storage
        self.table = file_table(MetaData())
        self.table.metadata.create_all(engine)
        self.database = Database(lambda: engine)
        self.files = Files(self.database, self.table, storage, **options)

    def with_options(self, **options: Any) -> Setup:
        return Setup(self.engine, self.storage, **options)

    def store(self, content: Any = b"content", name: str = "a.txt", **options: Any) -> Stored:
        """Take a file in, add it, and return it as its row says."""
        options = {"run_id": RUN, **options}
        stored = self.files.receive(File(content, name), **options)
        self.add(stored)
        found = self.files.find(stored.id)
        return found or stored

    def add(self, stored: Stored) -> None:
        self.database.write(lambda connection: self.files.add(connection, stored))

    def change(self, stored: Stored, **values: Any) -> None:
        statement = update(self.table).where(self.table.c.id == stored.id).values(**values)
        self.database.write(lambda connection: connection.execute(statement))

    def now(self) -> float:
        return self.database.read(lambda connection: connection.scalar(select(self.database.now)))

    def read(self, stored: Stored) -> bytes:
        with self.storage.open(stored.key) as file:
            return file.read()

    def held(self) -> set[str]:
        return {entry.key for entry in self.storage.scan()}

    def age(self, seconds: float = 2 * HOUR) -> None:
        """Let all that is on the disk seem to have been written so long ago."""
        for path in self.storage.root.rglob("*-*"):
            then = path.stat().st_mtime_ns - int(seconds) * 10**9
            os.utime(path, ns=(then, then))


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'files.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    engine = create_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def setup(engine: Engine, tmp_path: Path) -> Setup:
    return Setup(engine, LocalStorage(tmp_path / "stored"))


def dead(run_id: str) -> bool:
    return False


def live(run_id: str) -> bool:
    return True


async def async_chunks() -> Any:
    for number in range(3):
        await asyncio.sleep(0)
        yield b"%d" % number


class AsyncRange:
    """Async, and no generator."""

    def __init__(self) -> None:
        self.left = 3

    def __aiter__(self) -> AsyncRange:
        return self

    async def __anext__(self) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise StopAsyncIteration
        return b"x"


def rewound(content: bytes) -> io.BytesIO:
    buffer = io.BytesIO()
    buffer.write(content)
    return buffer


# Files come in


@pytest.mark.parametrize(
    ("make", "content"),
    [
        (lambda folder: b"abc", b"abc"),
        (lambda folder: b"", b""),
        (lambda folder: bytearray(b"abc"), b"abc"),
        (lambda folder: memoryview(b"abc"), b"abc"),
        (lambda folder: memoryview(b"aXbX")[::2].tobytes(), b"ab"),
        (lambda folder: folder / "given.bin", b"given" * 1000),
        (lambda folder: io.BytesIO(b"abc"), b"abc"),
        (lambda folder: rewound(b"written before"), b"written before"),
        (lambda folder: [b"a", bytearray(b"b"), b"", b"c"], b"abc"),
        (lambda folder: (b"%d" % number for number in range(5)), b"01234"),
        (lambda folder: iter([]), b""),
        (lambda folder: async_chunks(), b"012"),
        (lambda folder: AsyncRange(), b"xxx"),
        (lambda folder: [b"x" * 70_000] * 50 + [b"y"], b"x" * 3_500_000 + b"y"),
    ],
)
def test_a_file_is_taken_in_whatever_it_is_made_of(
    setup: Setup, tmp_path: Path, make: Callable[[Path], Any], content: bytes
):
    (tmp_path / "given.bin").write_bytes(b"given" * 1000)

    stored = setup.store(make(tmp_path), "a.bin")

    assert setup.read(stored) == content


def test_a_pipe_is_read_to_its_end(setup: Setup):
    with subprocess.Popen(["printf", "from a pipe"], stdout=subprocess.PIPE) as process:
        stored = setup.store(process.stdout)

    assert setup.read(stored) == b"from a pipe"


def test_an_async_content_runs_in_the_loop_it_belongs_to(setup: Setup):
    loop = asyncio.new_event_loop()
    seen = []

    async def chunks() -> Any:
        seen.append(asyncio.get_running_loop())
        yield b"x"

    try:
        setup.files.receive(File(chunks(), "a"), run_id=RUN, wait=loop.run_until_complete)
    finally:
        loop.close()

    assert seen == [loop]


def test_promise_18_size_and_checksums_are_recorded_while_writing(setup: Setup):
    content = os.urandom(3_000_001)

    stored = setup.store(iter([content[:5], content[5:2_000_000], content[2_000_000:]]))

    assert stored.size == len(content)
    assert stored.checksum == hashlib.sha256(content).hexdigest()
    assert stored.crc32 == zlib.crc32(content)


def test_a_key_tells_whose_file_it_is_and_nothing_else(setup: Setup):
    stored = setup.store(name="../../secret name.csv")

    assert re.fullmatch(rf"{RUN}-[0-9a-f]{{16}}", stored.key)
    assert stored.name == "secret name.csv"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (lambda: ["text"], "Item 0 .* 'str'"),
        (lambda: [b"a", 3], "Item 1 .* 'int'"),
        (lambda: (word for word in ["text"]), "Item 0 .* 'str'"),
        (lambda: Path("/does/not/exist"), "No such file"),
        (lambda: Path("/"), "is no file"),
        (lambda: Path("/dev/zero"), "is no file"),
    ],
)
def test_a_content_that_is_no_file_is_refused_and_leaves_nothing(
    setup: Setup, content: Callable[[], Any], complaint: str
):
    with pytest.raises(OutputRefused, match=complaint):
        setup.files.receive(File(content(), "a.csv"), run_id=RUN)

    assert setup.held() == set()


def test_a_fifo_does_not_hold_a_run_for_ever(setup: Setup, tmp_path: Path):
    os.mkfifo(tmp_path / "fifo")

    with pytest.raises(OutputRefused, match="is no file"):
        setup.files.receive(File(tmp_path / "fifo", "a.csv"), run_id=RUN)


def test_a_content_that_fails_fails_as_itself_and_is_closed(setup: Setup):
    closed = []

    def chunks() -> Iterator[bytes]:
        try:
            yield b"x" * 100_000
            raise OSError("their own")
        finally:
            closed.append(True)

    with pytest.raises(OSError, match="their own"):
        setup.files.receive(File(chunks(), "a"), run_id=RUN)

    assert closed == [True]
    assert setup.held() == set()


def test_a_cancelled_run_stops_between_chunks(setup: Setup):
    closed = []

    def chunks() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
        finally:
            closed.append(True)

    calls = iter(range(3))

    def check() -> None:
        if next(calls, None) is None:
            raise RunCancelled

    with pytest.raises(RunCancelled):
        setup.files.receive(File(chunks(), "a"), run_id=RUN, check=check)

    assert closed == [True]
    assert setup.held() == set()


class FailingStorage(MemoryStorage):
    """A store that fails where it is told to."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def writer(self, key: str, *, name: str, mimetype: str) -> Any:
        return FailingWriter(super().writer(key, name=name, mimetype=mimetype), self.where)


class FailingWriter:
    def __init__(self, inner: Any, where: str) -> None:
        self.inner, self.where = inner, where

    def __enter__(self) -> Sink:
        if self.where == "opening":
            raise OSError("the store is away")
        self.sink = self.inner.__enter__()
        return self

    def write(self, data: bytes) -> None:
        if self.where == "writing":
            raise OSError("the store is away")
        self.sink.write(data)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
        if self.where == "closing" and kind is None:
            error = OSError("the store is away")
            self.inner.__exit__(OSError, error, None)
            raise error
        return self.inner.__exit__(kind, error, trace)


@pytest.mark.parametrize("where", ["opening", "writing", "closing"])
def test_promise_17_a_storage_that_fails_is_told_apart_and_leaves_nothing(
    engine: Engine, where: str, caplog: pytest.LogCaptureFixture
):
    setup = Setup(engine, FailingStorage(where))

    with pytest.raises(DownloadError, match="could not be stored") as caught:
        setup.files.receive(File(b"x" * 100_000, "a.csv"), run_id=RUN)

    assert "away" not in str(caught.value)
    assert "the store is away" in caplog.text
    assert setup.held() == set()
    setup.storage.where = ""
    assert setup.read(setup.store(b"the next one")) == b"the next one"


def test_memory_does_not_grow_with_the_file(setup: Setup):
    chunk = b"x" * 100_000
    tracemalloc.start()
    try:
        setup.store(chunk for _ in range(2_000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 5_000_000


# A file to write to


def test_a_created_file_takes_text_and_bytes(setup: Setup):
    with setup.files.create("a.csv", run_id=RUN) as file:
        csv.writer(file).writerow(["é", 1])
        file.write(b"\x00raw")
        json.dump({"a": 1}, file)

    assert file.stored.mimetype == "text/csv"
    assert setup.read(file.stored) == 'é,1\r\n\x00raw{"a": 1}'.encode()
    assert file.stored.size == len(setup.read(file.stored))
    assert file.stored.checksum == hashlib.sha256(setup.read(file.stored)).hexdigest()


def test_a_created_file_can_become_an_archive(setup: Setup):
    with (
        setup.files.create("a.zip", run_id=RUN) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        archive.writestr("a.txt", "hello" * 100_000)

    with setup.storage.open(file.stored.key) as stored, zipfile.ZipFile(stored) as archive:
        assert archive.read("a.txt") == b"hello" * 100_000


def test_a_created_file_can_be_wrapped_and_closed_by_a_library(setup: Setup):
    with setup.files.create("a.txt", run_id=RUN) as file:
        with io.TextIOWrapper(file, encoding="latin-1") as text:
            text.write("é" * 100_000)
        assert file.closed
        with pytest.raises(ValueError, match="closed"):
            file.write(b"more")

    assert setup.read(file.stored) == b"\xe9" * 100_000


def test_a_created_file_says_where_it_is_and_cannot_be_rewound(setup: Setup):
    with setup.files.create("a.txt", run_id=RUN) as file:
        assert file.write("é") == 1
        assert file.write(b"x" * 100_000) == 100_000
        assert file.tell() == 100_002
        assert not file.seekable()
        assert not file.readable()
        with pytest.raises(OSError, match="seek"):
            file.seek(0)


def test_a_million_small_writes_are_one_file(setup: Setup):
    with setup.files.create("a.txt", run_id=RUN) as file:
        for _ in range(200_000):
            file.write("12345")

    assert setup.read(file.stored) == b"12345" * 200_000


def test_a_created_file_of_a_failed_block_never_appears(setup: Setup):
    def fail() -> None:
        with setup.files.create("a.txt", run_id=RUN) as file:
            file.write(b"x" * 1_000_000)
            raise ValueError("midway")

    with pytest.raises(ValueError, match="midway"):
        fail()

    assert setup.held() == set()


def test_a_file_with_a_hole_never_appears_though_the_block_shrugged_it_off(engine: Engine):
    setup = Setup(engine, MemoryStorage(), max_bytes=150_000)

    def write() -> None:
        with setup.files.create("a.txt", run_id=RUN) as file:
            for _ in range(2):
                with suppress(LimitReached):
                    file.write(b"x" * 100_000)

    with pytest.raises(LimitReached):
        write()

    assert setup.held() == set()


# Limits


def test_a_run_makes_so_many_files_and_not_more(setup: Setup):
    files = setup.with_options(max_files=2).files
    made = [files.receive(File(b"", "a"), run_id=RUN) for _ in range(2)]

    with pytest.raises(LimitReached, match="2 files"):
        files.receive(File(b"", "a"), run_id=RUN)

    files.receive(File(b"", "a"), run_id=BTN)
    files.discard(made[0])
    files.receive(File(b"", "a"), run_id=RUN)


def test_a_run_makes_so_many_bytes_and_not_more(setup: Setup):
    setup = setup.with_options(max_bytes=1_000_000)
    setup.files.receive(File(b"x" * 600_000, "a"), run_id=RUN)

    with pytest.raises(LimitReached, match=r"1\.0 MB"):
        setup.files.receive(File((b"x" * 1000 for _ in range(10**9)), "b"), run_id=RUN)

    assert len(setup.held()) == 1
    setup.files.receive(File(b"x" * 400_000, "c"), run_id=RUN)


def test_limits_remember_nothing_of_a_run_that_is_over(setup: Setup):
    files = setup.with_options(max_files=5).files
    made = [files.receive(File(b"", "a"), run_id=RUN) for _ in range(3)]
    for stored in made[:2]:
        setup.database.write(lambda connection, stored=stored: files.add(connection, stored))
    files.discard(made[2])

    assert files._limits._runs == {}


# Files are found


def test_a_file_is_found_from_its_commit_on(setup: Setup):
    stored = setup.files.receive(File(b"abc", "a.csv"), run_id=RUN, btn_uid=BTN, source="f" * 64)
    assert setup.files.find(stored.id) is None
    assert setup.files.of_run(RUN) == []

    setup.add(stored)

    found = setup.files.find(stored.id)
    assert found is not None
    assert (found.name, found.mimetype, found.size, found.run_id, found.btn_uid, found.source) == (
        *("a.csv", "text/csv", 3, RUN, BTN, "f" * 64),
    )
    assert found.started_at is None
    assert found.downloaded_at is None
    assert setup.files.of_run(RUN) == [found]
    assert setup.files.find_many([found.id, "other"]) == [found]


def test_a_rolled_back_file_is_not_found_and_can_be_discarded(setup: Setup):
    stored = setup.files.receive(File(b"abc", "a.csv"), run_id=RUN)

    def fail(connection: Any) -> None:
        setup.files.add(connection, stored)
        raise ValueError("rolled back")

    with pytest.raises(ValueError, match="rolled back"):
        setup.database.write(fail)

    assert setup.files.find(stored.id) is None
    setup.files.discard(stored)
    assert setup.held() == set()


def test_files_of_a_run_come_in_the_order_they_were_added(setup: Setup):
    made = [setup.store(name=f"{number}.txt") for number in range(10)]

    assert [stored.name for stored in setup.files.of_run(RUN)] == [stored.name for stored in made]


def test_a_cached_file_is_found_by_its_source_until_it_is_replaced(setup: Setup):
    stored = setup.store(btn_uid=BTN, cached=True, source="a" * 64)
    setup.store(btn_uid=BTN, cached=False, source="b" * 64)

    assert setup.files.cached_of(BTN, "a" * 64) == stored
    assert setup.files.cached_of(BTN, "b" * 64) is None
    assert setup.files.cached_by(BTN) == [stored]

    setup.database.write(lambda connection: setup.files.release(connection, [stored.id]))

    assert setup.files.cached_by(BTN) == []
    assert setup.files.cached_of(BTN, "a" * 64) is None
    # A page that shows it still can fetch it, for the grace period.
    assert setup.files.find(stored.id) is not None


# How long they live


def test_promise_22_a_temporary_file_goes_after_its_time_though_never_fetched(setup: Setup):
    setup = setup.with_options(retention=100)

    stored = setup.store()

    assert stored.expires_at is not None
    assert stored.expires_at - stored.made_at == pytest.approx(100, abs=5)


def test_a_cached_file_lives_with_its_button(setup: Setup):
    stored = setup.store(cached=True)
    setup.files.mark_downloaded(stored.id)

    found = setup.files.find(stored.id)

    assert found is not None
    assert found.downloaded_at is not None
    assert found.expires_at is None


def test_the_grace_period_counts_from_the_first_complete_download(setup: Setup):
    setup = setup.with_options(retention=24 * HOUR, grace=HOUR)
    stored = setup.store()
    started = setup.now()

    assert setup.files.mark_downloaded(stored.id)
    first = setup.files.find(stored.id)
    assert not setup.files.mark_downloaded(stored.id)

    assert first is not None
    assert first == setup.files.find(stored.id)
    assert first.expires_at == pytest.approx(started + HOUR, abs=5)


def test_the_grace_period_does_not_lengthen_a_life(setup: Setup):
    setup = setup.with_options(retention=100, grace=HOUR)
    stored = setup.store()

    setup.files.mark_downloaded(stored.id)

    found = setup.files.find(stored.id)
    assert found is not None
    assert found.expires_at == stored.expires_at


@pytest.mark.parametrize(
    ("options", "lives", "lives_downloaded"),
    [
        ({"retention": 0, "grace": 0}, None, None),
        ({"retention": 0, "grace": 50}, None, 50),
        ({"retention": 100, "grace": 0}, 100, 100),
    ],
)
def test_zero_turns_a_limit_off(
    setup: Setup, options: dict[str, float], lives: float | None, lives_downloaded: float | None
):
    setup = setup.with_options(**options)
    stored = setup.store()
    assert stored.expires_at == (lives and pytest.approx(stored.made_at + lives, abs=5))

    setup.files.mark_downloaded(stored.id)

    found = setup.files.find(stored.id)
    assert found is not None
    if lives_downloaded is None:
        assert found.expires_at is None
    else:
        assert found.expires_at == pytest.approx(stored.made_at + lives_downloaded, abs=5)


def test_an_expired_file_is_not_found_even_before_it_is_pruned(setup: Setup):
    stored = setup.store()

    setup.change(stored, expires_at=setup.now() - 1)

    assert setup.files.find(stored.id) is None
    assert setup.files.of_run(RUN) == []
    assert setup.files.find_many([stored.id]) == []


def test_the_first_byte_is_noted_once(setup: Setup):
    stored = setup.store()
    setup.files.mark_started(stored.id)
    first = setup.files.find(stored.id)
    setup.files.mark_started(stored.id)

    assert first is not None
    assert first.started_at is not None
    assert setup.files.find(stored.id) == first


def test_of_many_that_end_at_once_one_is_the_first(setup: Setup):
    stored = setup.store()
    results = []

    def mark() -> None:
        results.append(setup.files.mark_downloaded(stored.id))

    run_all([mark] * 10)

    assert sorted(results) == [False] * 9 + [True]


def test_a_file_that_is_gone_is_not_downloaded(setup: Setup):
    assert not setup.files.mark_downloaded("nobody")


def run_all(calls: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Files go


def test_pruning_deletes_what_has_expired_and_nothing_else(setup: Setup):
    old, new = setup.store(b"12345"), setup.store()
    setup.change(old, expires_at=setup.now() - 1)

    report = setup.files.prune(dead)

    assert report == PruneReport(expired=1, bytes=5)
    assert setup.held() == {new.key}
    assert setup.files.find(new.id) == new
    assert setup.files.prune(dead) == PruneReport()


def test_more_than_a_batch_is_pruned_at_once(setup: Setup):
    made = [setup.files.receive(File(b"x", "a"), run_id=RUN) for _ in range(250)]
    setup = setup.with_options(retention=0.001)
    setup.database.write(
        lambda connection: [setup.files.add(connection, stored) for stored in made]
    )
    time.sleep(0.01)

    report = setup.files.prune(dead)

    assert report.expired == 250
    assert setup.held() == set()


def test_a_dry_run_says_the_same_and_deletes_nothing(setup: Setup):
    expired, lost, orphan = setup.store(), setup.store(), setup.store()
    setup.store()
    setup.files.forget(orphan.id)
    setup.storage.delete(lost.key)
    setup.change(expired, expires_at=setup.now() - 1)
    setup.age()
    before = setup.held()

    planned = setup.files.prune(dead, dry_run=True)

    assert (planned.expired, planned.orphans, planned.lost, planned.total) == (1, 1, 1, 3)
    assert setup.held() == before
    assert setup.files.prune(dead) == planned


def test_promise_16_bytes_without_a_row_go_after_an_hour(setup: Setup):
    stored = setup.files.receive(File(b"12345", "a"), run_id=RUN)

    assert setup.files.prune(dead) == PruneReport()
    setup.age()

    assert setup.files.prune(dead) == PruneReport(orphans=1, bytes=5)
    assert stored.key not in setup.held()


def test_bytes_of_a_live_run_stay_however_old_they_are(setup: Setup):
    setup.files.receive(File(b"12345", "a"), run_id=RUN)
    setup.age()
    asked = []

    def is_live(run_id: str) -> bool:
        asked.append(run_id)
        return True

    assert setup.files.prune(is_live) == PruneReport()
    assert asked == [RUN]


def test_a_file_that_is_added_while_pruning_looks_stays(setup: Setup):
    stored = setup.files.receive(File(b"12345", "a"), run_id=RUN)
    setup.age()

    def ends_just_now(run_id: str) -> bool:
        setup.add(stored)
        return False

    assert setup.files.prune(ends_just_now) == PruneReport()
    assert setup.read(stored) == b"12345"


def test_unfinished_parts_go_after_an_hour(setup: Setup):
    stored = setup.store()
    part = setup.storage.path(stored.key).with_name(f"{RUN}-0000000000000000{PART}")
    part.write_bytes(b"123")

    assert setup.files.prune(dead) == PruneReport()
    setup.age()

    assert setup.files.prune(live) == PruneReport()
    assert setup.files.prune(dead) == PruneReport(parts=1, bytes=3)
    assert setup.held() == {stored.key}


def test_rows_without_bytes_go(setup: Setup):
    stored, other = setup.store(), setup.store()
    setup.storage.delete(stored.key)

    assert setup.files.prune(dead) == PruneReport(lost=1)

    assert setup.files.find(stored.id) is None
    assert setup.files.find(other.id) == other


@pytest.mark.parametrize(("made", "left"), [(20, 0), (20, 1), (2, 0)])
def test_a_disk_that_is_not_mounted_costs_no_rows(
    setup: Setup, made: int, left: int, caplog: pytest.LogCaptureFixture
):
    stored = [setup.store() for _ in range(made)]
    setup.storage.root.rename(setup.storage.root.with_name("away"))
    for _ in range(left):
        setup.store()

    report = setup.files.prune(dead)

    assert report == PruneReport()
    assert all(setup.files.find(each.id) for each in stored)
    assert f"{made} of {made + left} stored files are not in the storage" in caplog.text


def test_promise_19_pruning_touches_nothing_that_it_did_not_make(setup: Setup, tmp_path: Path):
    stored = setup.store()
    secret = tmp_path / "secret"
    secret.write_text("keep")
    foreign = [setup.storage.root / "README", setup.storage.root / "zz" / "yy" / "photo-album.jpg"]
    foreign.append(setup.storage.path(stored.key).with_name("note-book.txt"))
    for path in foreign:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("keep")
    setup.storage.path(f"{RUN}-1111111111111111").symlink_to(secret)
    (setup.storage.root / "xx").symlink_to(tmp_path)
    setup.age()

    assert setup.files.prune(dead) == PruneReport()

    assert all(path.read_text() == "keep" for path in [*foreign, secret])


def test_promise_19_pruning_never_breaks_a_running_download(setup: Setup):
    stored = setup.store(b"x" * 1_000_000)
    setup.change(stored, expires_at=setup.now() - 1)

    with setup.storage.open(stored.key) as file:
        file.read(10)
        setup.files.prune(dead)
        assert len(file.read()) == 999_990


def test_a_file_that_cannot_be_deleted_is_counted_and_tried_again(setup: Setup):
    stored = setup.store()
    setup.change(stored, expires_at=setup.now() - 1)
    path = setup.storage.path(stored.key)
    path.unlink()
    path.mkdir()

    assert setup.files.prune(dead) == PruneReport(failures=1)

    path.rmdir()
    path.write_bytes(b"123")
    setup.age()
    assert setup.files.prune(dead) == PruneReport(orphans=1, bytes=3)


PRUNER = """
import os, sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from sqlalchemy import create_engine
from test_files import Setup, dead
from flask_download_btn.storage import LocalStorage
setup = Setup(create_engine(sys.argv[1]), LocalStorage(sys.argv[2]))
print("ready", flush=True)
sys.stdin.readline()
print(setup.files.prune(dead), flush=True)
"""


@contextmanager
def pruners(setup: Setup, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Start processes that prune once a line is written to them."""
    url = setup.engine.url.render_as_string(hide_password=False)
    arguments = [url, str(setup.storage.root), str(Path(__file__).parent)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PRUNER, *arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(count)
        ]
        for process in processes:
            stack.callback(process.kill)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", process.stderr and process.stderr.read()
        yield processes


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def fill(setup: Setup, count: int) -> tuple[list[Stored], list[Stored]]:
    """Store files of which half have expired, and as many that have no row."""
    made = [setup.files.receive(File(b"x" * 100, "a"), run_id=RUN) for _ in range(2 * count)]
    for _ in range(count):
        setup.files.receive(File(b"x" * 100, "a"), run_id=secrets.token_hex(16))
    setup.age()
    setup.database.write(
        lambda connection: [setup.files.add(connection, stored) for stored in made]
    )
    expired = setup.table.c.id.in_([stored.id for stored in made[:count]])
    statement = update(setup.table).where(expired).values(expires_at=0.0)
    setup.database.write(lambda connection: connection.execute(statement))
    return made[:count], made[count:]


@pytest.mark.parametrize("hours", [1, -1])
def test_promise_19_a_clock_that_is_an_hour_off_costs_nothing(
    hours: int, setup: Setup, monkeypatch: pytest.MonkeyPatch
):
    stored = setup.store()
    unadded = setup.files.receive(File(b"of a live run", "a"), run_id=RUN)
    true_time = time.time
    monkeypatch.setattr(time, "time", lambda: true_time() + hours * HOUR)

    assert setup.files.prune(live) == PruneReport()

    assert setup.read(stored) == b"content"
    assert setup.read(unadded) == b"of a live run"
    assert setup.files.find(stored.id) == stored


def test_promise_19_four_processes_prune_at_once(setup: Setup):
    _, kept = fill(setup, 100)
    with pruners(setup, 4) as processes:
        for process in processes:
            go(process)
        outcomes = [process.communicate() for process in processes]

    assert all("failures=0" in out for out, _ in outcomes), outcomes
    assert not any(error for _, error in outcomes), outcomes
    assert setup.held() == {stored.key for stored in kept}
    assert len(setup.files.find_many([stored.id for stored in kept])) == 100


def test_promise_19_a_pruning_killed_in_the_middle_loses_nothing(setup: Setup):
    _, kept = fill(setup, 100)

    with pruners(setup, 3) as processes:
        for process in processes:
            go(process)
            time.sleep(random.uniform(0, 0.03))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            # Whatever is found can be read.
            for stored in setup.files.of_run(RUN):
                assert len(setup.read(stored)) == 100

    setup.age()
    setup.files.prune(dead)
    assert setup.held() == {stored.key for stored in kept}
