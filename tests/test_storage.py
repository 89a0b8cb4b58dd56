"""Test what every storage must do, and what the one on disk must withstand."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from shortages import no_more_files, small_disk

from flask_download_btn.protocols import PART, Storage
from flask_download_btn.storage import LocalStorage, MemoryStorage

KEY = "0123456789abcdef0123456789abcdef-0011223344556677"
OTHER_KEY = "fedcba98765432100123456789abcdef-0011223344556677"
BAD_KEYS = [
    *("", "a", "abc", "../../etc/passwd", "/etc/passwd", "ab/cd", "ab\\cd", "..", "....", "abcd\0"),
    *("abcd\n", "ABCD", "ab.cd", "éèçà", "a" * 81, "-abc", "_abc", "abcd.part.part", ".part"),
]


@pytest.fixture(params=["local", "memory"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    return LocalStorage(tmp_path / "stored") if request.param == "local" else MemoryStorage()


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "stored")


def put(storage: Storage, key: str = KEY, content: bytes = b"content") -> None:
    with storage.writer(key, name="a.txt", mimetype="text/plain") as sink:
        sink.write(content)


def get(storage: Storage, key: str = KEY) -> bytes:
    with storage.open(key) as file:
        return file.read()


def keys(storage: Storage) -> set[str]:
    return {entry.key for entry in storage.scan()}


# Every storage


def test_what_is_written_is_read_again(storage: Storage):
    with storage.writer(KEY, name="a.txt", mimetype="text/plain") as sink:
        sink.write(b"one ")
        sink.write(memoryview(b"two "))
        sink.write(b"")
        sink.write(b"x" * 3_000_000)

    assert get(storage) == b"one two " + b"x" * 3_000_000


def test_an_empty_file_is_a_file(storage: Storage):
    put(storage, content=b"")

    assert get(storage) == b""


def test_a_reader_can_go_to_any_place(storage: Storage):
    put(storage, content=bytes(range(100)))

    with storage.open(KEY) as file:
        file.seek(40)
        assert file.read(3) == bytes([40, 41, 42])
        assert file.seek(0, os.SEEK_END) == 100


def test_a_file_is_seen_only_when_it_is_whole(storage: Storage):
    with storage.writer(KEY, name="a.txt", mimetype="text/plain") as sink:
        sink.write(b"x" * 1_000_000)
        with pytest.raises(FileNotFoundError):
            storage.open(KEY)

    assert len(get(storage)) == 1_000_000


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_nothing_is_left_of_a_block_that_failed(storage: Storage, error: type[BaseException]):
    def fail() -> None:
        with storage.writer(KEY, name="a", mimetype="text/plain") as sink:
            sink.write(b"x" * 1_000_000)
            raise error

    with pytest.raises(error):
        fail()

    assert keys(storage) == set()
    with pytest.raises(FileNotFoundError):
        storage.open(KEY)


def test_what_was_never_stored_is_not_found(storage: Storage):
    put(storage, OTHER_KEY)

    with pytest.raises(FileNotFoundError):
        storage.open(KEY)


def test_a_deleted_file_is_gone(storage: Storage):
    put(storage)

    storage.delete(KEY)

    with pytest.raises(FileNotFoundError):
        storage.open(KEY)


def test_deleting_what_is_gone_is_no_error(storage: Storage):
    put(storage)
    storage.delete(KEY)

    storage.delete(KEY)
    storage.delete(OTHER_KEY)


def test_a_file_that_is_being_read_is_read_to_its_end_though_it_is_deleted(storage: Storage):
    put(storage, content=b"x" * 1_000_000)

    with storage.open(KEY) as file:
        file.read(1)
        storage.delete(KEY)
        assert len(file.read()) == 999_999


def test_a_scan_tells_of_all_files(storage: Storage):
    before = time.time() - 2
    put(storage, KEY, b"12345")
    put(storage, OTHER_KEY, b"123")

    entries = {entry.key: entry for entry in storage.scan()}

    assert {key: entry.size for key, entry in entries.items()} == {KEY: 5, OTHER_KEY: 3}
    assert all(before < entry.modified < time.time() + 2 for entry in entries.values())


def test_a_scan_of_an_unused_storage_is_empty(storage: Storage):
    assert keys(storage) == set()


def test_files_do_not_mix_when_many_write_at_once(storage: Storage):
    def write(number: int) -> None:
        put(storage, f"{number:032x}-0011223344556677", bytes([number]) * 300_000)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for number in range(16):
        assert get(storage, f"{number:032x}-0011223344556677") == bytes([number]) * 300_000


def test_a_storage_of_this_machine_gives_no_link(storage: Storage):
    put(storage)

    assert storage.url(KEY, name="a", mimetype="text/plain", inline=False, seconds=60) is None


# On disk


def test_files_lie_in_two_levels_of_folders(local: LocalStorage):
    put(local)

    assert local.path(KEY) == local.root / KEY[:2] / KEY[2:4] / KEY
    assert local.path(KEY).read_bytes() == b"content"


def test_nobody_else_may_read_the_files(local: LocalStorage):
    put(local)

    path = local.path(KEY)
    assert path.stat().st_mode & 0o777 == 0o600
    assert {folder.stat().st_mode & 0o777 for folder in list(path.parents)[:3]} == {0o700}


def test_a_server_of_the_same_group_may_be_let_in(tmp_path: Path):
    storage = LocalStorage(tmp_path / "stored", mode=0o640)

    put(storage)

    assert storage.path(KEY).stat().st_mode & 0o777 == 0o640
    assert storage.path(KEY).parent.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
def test_no_path_is_made_of_what_is_no_key(local: LocalStorage, key: str):
    calls: list[Callable[[], object]] = [
        lambda: local.open(key),
        lambda: local.path(key),
        lambda: put(local, key),
    ]
    for call in calls:
        with pytest.raises(FileNotFoundError):
            call()
    with pytest.raises(FileNotFoundError):
        local.delete(key)
    assert not local.root.exists()


def test_a_planted_link_is_not_followed(local: LocalStorage, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    put(local)
    local.path(KEY).unlink()
    local.path(KEY).symlink_to(secret)

    assert keys(local) == set()
    with pytest.raises(FileNotFoundError):
        local.open(KEY)
    put(local)
    assert get(local) == b"content"
    local.path(KEY).unlink()
    local.path(KEY).symlink_to(secret)
    local.delete(KEY)
    assert secret.read_bytes() == b"secret"


def test_a_planted_part_is_not_written_through(local: LocalStorage, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    put(local)
    local.delete(KEY)
    local.path(KEY).with_name(KEY + PART).symlink_to(secret)

    with pytest.raises(FileExistsError):
        put(local)

    assert secret.read_bytes() == b"secret"


@pytest.mark.parametrize("level", [1, 2])
def test_a_planted_folder_link_is_not_followed(local: LocalStorage, tmp_path: Path, level: int):
    put(local)
    elsewhere = tmp_path / "elsewhere"
    folder = local.path(KEY).parent if level == 2 else local.path(KEY).parent.parent
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    there = sorted(elsewhere.rglob("*"))

    assert keys(local) == set()
    with pytest.raises(FileNotFoundError):
        local.open(KEY)
    with pytest.raises(OSError, match="link"):
        put(local)
    local.delete(KEY)
    assert sorted(elsewhere.rglob("*")) == there


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_what_is_no_file_is_not_served(local: LocalStorage, kind: str):
    put(local)
    local.delete(KEY)
    if kind == "fifo":
        os.mkfifo(local.path(KEY))
    elif kind == "folder":
        local.path(KEY).mkdir()
    else:
        try:
            os.mknod(local.path(KEY), 0o20666, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("Only root can make a device.")

    with pytest.raises(FileNotFoundError):
        local.open(KEY)
    assert keys(local) == set()


def test_a_scan_passes_over_what_others_put_there(local: LocalStorage):
    put(local)
    (local.root / "README").write_text("keep")
    (local.root / "zz").mkdir()
    (local.root / "zz" / "note.txt").write_text("keep")
    (local.path(KEY).parent / "note.txt").write_text("keep")
    (local.path(KEY).parent / OTHER_KEY).write_text("at the wrong place")
    (local.path(KEY).parent / f"{KEY}.bak").write_text("keep")

    assert keys(local) == {KEY}


def test_a_file_knows_whether_it_was_touched(local: LocalStorage):
    put(local)
    with local.open(KEY) as file:
        assert file.is_as_written

    with local.path(KEY).open("r+b") as file:
        file.write(b"C")

    with local.open(KEY) as file:
        assert not file.is_as_written


def test_a_folder_that_is_away_is_not_a_file_that_is_gone(local: LocalStorage):
    put(local)
    local.root.rename(local.root.with_name("away"))

    with pytest.raises(OSError, match="is not there") as caught:
        local.open(KEY)

    assert not isinstance(caught.value, FileNotFoundError)


def test_a_folder_that_vanishes_meanwhile_fails_the_writing_and_not_the_next(local: LocalStorage):
    def write_into_nothing() -> None:
        with local.writer(KEY, name="a", mimetype="a/b") as sink:
            sink.write(b"x" * 1_000_000)
            shutil.rmtree(local.root)

    with pytest.raises(FileNotFoundError):
        write_into_nothing()

    put(local)
    assert get(local) == b"content"


def test_a_full_table_of_files_is_no_reason_to_call_a_file_gone(local: LocalStorage):
    put(local)

    with no_more_files(), pytest.raises(OSError, match=os.strerror(errno.EMFILE)) as caught:
        local.open(KEY)

    assert not isinstance(caught.value, FileNotFoundError)
    assert get(local) == b"content"


@pytest.mark.parametrize("size", [300_000, 5_000_000])
def test_nothing_is_left_when_the_disk_is_full(local: LocalStorage, size: int):
    with small_disk(local.root, "size=256k"):
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            put(local, content=b"x" * size)

        assert keys(local) == set()
        put(local, content=b"x" * 100_000)
        assert len(get(local)) == 100_000


def test_nothing_is_left_when_there_are_no_more_inodes(local: LocalStorage):
    with small_disk(local.root, "nr_inodes=4"):
        put(local)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            put(local, OTHER_KEY)

        assert keys(local) == {KEY}


def test_a_disk_that_became_read_only_fails_the_writing(local: LocalStorage):
    with small_disk(local.root, "size=1m"):
        put(local)
        subprocess.run(["mount", "-o", "remount,ro", str(local.root)], check=True)

        with pytest.raises(OSError, match=os.strerror(errno.EROFS)):
            put(local, OTHER_KEY)

        assert get(local) == b"content"


WRITER = """
import sys
from flask_download_btn.storage import LocalStorage
storage = LocalStorage(sys.argv[1])
with storage.writer(sys.argv[2], name="a", mimetype="a/b") as sink:
    print("writing", flush=True)
    for _ in range(64):
        sink.write(b"x" * 1_000_000)
print("written", flush=True)
"""


@contextmanager
def writing(storage: LocalStorage, key: str) -> Iterator[subprocess.Popen[str]]:
    command: list[Any] = [sys.executable, "-c", WRITER, storage.root, key]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        try:
            yield process
        finally:
            process.kill()


def test_promise_15_a_reader_in_a_loop_sees_the_whole_file_or_none(local: LocalStorage):
    sizes = set()
    with writing(local, KEY) as process:
        while process.poll() is None:
            try:
                with local.open(KEY) as file:
                    sizes.add(file.seek(0, os.SEEK_END))
            except (FileNotFoundError, OSError):
                sizes.add(0)

    assert sizes <= {0, 64_000_000}
    assert len(get(local)) == 64_000_000


def test_promise_16_a_writer_killed_at_any_byte_leaves_only_a_part(local: LocalStorage):
    for number in range(5):
        key = f"{number:032x}-0011223344556677"
        with writing(local, key) as process:
            time.sleep(random.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            process.wait()

        found = {entry.key: entry.size for entry in local.scan() if entry.key.startswith(key)}
        assert found.get(key) in (None, 64_000_000)
        assert set(found) in ({key}, {key + PART})
        local.delete(key + PART)
        assert key + PART not in keys(local)
