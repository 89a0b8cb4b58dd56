"""Test every runner alike: what is started is carried out, once, and one failure stops nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from processes import wait_until

from flask_download_btn.runners.background import BackgroundRunner
from flask_download_btn.runners.inline import InlineRunner


def spawn(work: Callable[[], None]) -> None:
    threading.Thread(target=work, daemon=True).start()


class Claimed(NamedTuple):
    id: str


def new_background(
    carry_out: Callable[[str], None], spawn: Callable[[Any], None] = spawn, *, limit: int
) -> BackgroundRunner[Claimed]:
    return BackgroundRunner(
        lambda run_ids: [Claimed(run_id) for run_id in run_ids],
        lambda run: carry_out(run.id),
        spawn,
        limit=limit,
    )


RUNNERS: dict[str, Callable[[Callable[[str], None]], Any]] = {
    "inline": InlineRunner,
    "background": lambda carry_out: new_background(carry_out, limit=4),
}


@pytest.fixture(params=sorted(RUNNERS))
def new_runner(request: pytest.FixtureRequest) -> Callable[[Callable[[str], None]], Any]:
    """Makes a runner of each kind; a new kind has to pass all that follows."""
    return RUNNERS[request.param]


def test_what_is_started_is_carried_out(new_runner: Any):
    done: list[str] = []
    runner = new_runner(done.append)

    for number in range(100):
        runner.start(str(number))

    wait_until(lambda: len(done) == 100, "Not all were carried out")
    assert sorted(done, key=int) == [str(number) for number in range(100)]


def test_nothing_waits_when_all_is_done(new_runner: Any):
    done: list[str] = []
    runner = new_runner(done.append)

    runner.start("a")

    wait_until(lambda: done, "It was not carried out")
    assert list(runner.queued()) == []


def test_many_may_start_runs_at_once(new_runner: Any):
    done: list[str] = []
    runner = new_runner(done.append)
    starters = [
        threading.Thread(target=lambda n=n: [runner.start(f"{n}-{m}") for m in range(20)])
        for n in range(20)
    ]

    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()

    wait_until(lambda: len(done) == 400, "Not all were carried out")
    assert len(set(done)) == 400


# -- in the background ---------------------------------------------------------------------------


def test_a_click_does_not_wait_for_its_run():
    gate = threading.Event()
    done: list[str] = []

    def carry_out(run_id: str) -> None:
        assert gate.wait(20)
        done.append(run_id)

    runner = new_background(carry_out, limit=1)
    began_at = time.monotonic()
    runner.start("a")

    assert time.monotonic() - began_at < 1
    assert done == []
    gate.set()
    wait_until(lambda: done == ["a"], "It was not carried out")


def test_no_more_run_at_once_than_may():
    gate = threading.Event()
    lock = threading.Lock()
    running, most = 0, 0
    done: list[str] = []

    def carry_out(run_id: str) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(20)
        with lock:
            running -= 1
        done.append(run_id)

    runner = new_background(carry_out, limit=3)
    for number in range(10):
        runner.start(str(number))
    wait_until(lambda: running == 3, "Three do not begin")

    assert list(runner.queued()) == [str(number) for number in range(3, 10)]
    gate.set()
    wait_until(lambda: len(done) == 10, "Not all were carried out")
    assert most == 3


def test_what_waits_is_carried_out_in_its_order():
    done: list[str] = []
    gate = threading.Event()

    def carry_out(run_id: str) -> None:
        gate.wait(20)
        done.append(run_id)

    runner = new_background(carry_out, limit=1)
    for run_id in "abcd":
        runner.start(run_id)
    gate.set()

    wait_until(lambda: len(done) == 4, "Not all were carried out")
    assert done == list("abcd")


def test_an_engine_that_fails_does_not_stop_the_next_run(caplog: pytest.LogCaptureFixture):
    done: list[str] = []

    def carry_out(run_id: str) -> None:
        if run_id == "bad":
            raise RuntimeError("the database is gone")
        done.append(run_id)

    runner = new_background(carry_out, limit=1)
    runner.start("bad")
    runner.start("good")

    wait_until(lambda: done == ["good"], "The next run was not carried out")
    assert "bad could not be carried out" in caplog.text


def test_a_runner_with_nothing_to_do_holds_no_thread():
    threads: list[threading.Thread] = []

    def spawn_and_note(work: Callable[[], None]) -> None:
        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()

    runner = new_background(lambda run_id: None, spawn_and_note, limit=4)
    for number in range(50):
        runner.start(str(number))

    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_burst_is_claimed_at_once_and_each_run_has_a_worker():
    claims: list[list[str]] = []
    gate, done = threading.Event(), []

    def claim(run_ids: Any) -> list[Claimed]:
        claims.append(list(run_ids))
        gate.wait(20)
        return [Claimed(run_id) for run_id in run_ids]

    runner = BackgroundRunner(claim, lambda run: done.append(run.id), spawn, limit=30)
    for number in range(21):
        runner.start(str(number))
    wait_until(lambda: claims, "Nobody claims")
    gate.set()

    wait_until(lambda: len(done) == 21, "Not all were carried out")
    assert claims == [["0"], [str(number) for number in range(1, 21)]]


def test_what_another_process_has_claimed_leaves_its_place_to_the_next():
    done: list[str] = []
    runner = BackgroundRunner(
        lambda run_ids: [Claimed(run_id) for run_id in run_ids if run_id != "theirs"],
        lambda run: done.append(run.id),
        spawn,
        limit=1,
    )

    for _ in range(5):
        runner.start("theirs")
        runner.start("ours")

    wait_until(lambda: len(done) == 5, "Places were lost")


def test_a_claim_that_fails_leaves_its_places_and_says_which(caplog: pytest.LogCaptureFixture):
    done: list[str] = []

    def claim(run_ids: Any) -> list[Claimed]:
        if "bad" in run_ids:
            raise RuntimeError("the database is gone")
        return [Claimed(run_id) for run_id in run_ids]

    runner = BackgroundRunner(claim, lambda run: done.append(run.id), spawn, limit=1)
    runner.start("bad")
    wait_until(lambda: "bad" in caplog.text, "Nothing is said")
    runner.start("good")

    wait_until(lambda: done == ["good"], "The next run was not carried out")


def test_where_no_more_workers_are_to_be_had_one_carries_out_all(caplog: pytest.LogCaptureFixture):
    done: list[str] = []
    threads: list[threading.Thread] = []
    gate = threading.Event()

    def spawn_one(work: Callable[[], None]) -> None:
        if threads:
            raise RuntimeError("can't start new thread")
        threads.append(threading.Thread(target=lambda: (gate.wait(20), work()), daemon=True))
        threads[0].start()

    runner = new_background(done.append, spawn_one, limit=8)
    for number in range(5):
        runner.start(str(number))
    gate.set()

    wait_until(lambda: len(done) == 5, "Not all were carried out")
    assert "no other worker to be had" in caplog.text


def test_a_place_that_is_kept_is_nobody_elses():
    done: list[str] = []
    runner = new_background(done.append, limit=1)

    with runner.place() as begin:
        assert begin
        runner.start("later")
        with runner.place() as second:
            assert second is None
        assert done == []
        begin(Claimed("first"))

    wait_until(lambda: len(done) == 2, "Not all were carried out")
    assert done == ["first", "later"]


def test_a_place_that_is_not_used_is_taken_by_who_waits():
    done: list[str] = []
    runner = new_background(done.append, limit=1)

    with runner.place() as begin:
        assert begin
        runner.start("waiting")

    wait_until(lambda: done == ["waiting"], "The place was lost")


def test_a_worker_that_cannot_be_had_leaves_its_place():
    def fail(work: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    def begin_one() -> None:
        with runner.place() as begin:
            assert begin, "The place was lost."
            begin(Claimed("a"))

    runner = new_background(lambda run_id: None, fail, limit=1)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            begin_one()
