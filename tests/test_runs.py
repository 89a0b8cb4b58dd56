"""Test the rows of runs: who gets one, who ends one, and what becomes of a dead process's."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apps.clicks import BUTTONS, SECRET, a_click, runs_in
from processes import TESTS, wait_until
from sqlalchemy import MetaData, create_engine

from flask_download_btn import ConfigurationError, ReferenceRefused
from flask_download_btn.database import Database
from flask_download_btn.errors import LimitReached
from flask_download_btn.runs import (
    CANCELLED,
    FAILED,
    LIVE,
    MOST_ATTEMPTS,
    QUEUED,
    READY,
    RUNNING,
    SEQ_OF_ATTEMPT,
    Outcome,
    Run,
    Runs,
    is_dead_here,
    this_node,
)
from flask_download_btn.tables import run_table
from flask_download_btn.tokens import Tokens

DIED = "The server was interrupted."


class Book:
    """The runs of one database, and the table itself."""

    def __init__(self, uri: str, **options: Any) -> None:
        self.uri = uri
        self.engine = create_engine(uri, pool_size=50, **options)
        self.database = Database(lambda: self.engine)
        self.table = run_table(MetaData())
        self.numbers = iter(range(10_000))

    def runs(self, **options: Any) -> Runs:
        defaults: dict[str, Any] = {
            "lease": 2.0,
            "live_limit": 20,
            "new_id": lambda: f"run-{next(self.numbers)}",
        }
        tokens = Tokens([SECRET], button_max_age=3600)
        return Runs(self.database, self.table, BUTTONS, tokens, **{**defaults, **options})

    def change(self, **values: Any) -> None:
        """Edit all rows, as nobody but a test may."""
        self.database.write(lambda c: c.execute(self.table.update().values(**values)))

    def add_button(self, uid: str = "button", revision: str = "revision") -> None:
        """Make a button in its table; a click itself does not look for it."""
        BUTTONS.create(self.engine, checkfirst=True)
        values = {"uid": uid, "revision": revision}
        self.database.write(lambda c: c.execute(BUTTONS.insert().values(values)))

    def let_leases_lapse(self) -> None:
        self.change(beat_at=self.table.c.beat_at - 1000)


@pytest.fixture(params=["sqlite", "postgresql"])
def book(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Book]:
    if request.param == "sqlite":
        uri = f"sqlite:///{tmp_path / 'runs.db'}"
    else:
        uri = request.getfixturevalue("postgres_url")
    book = Book(uri)
    book.table.metadata.create_all(book.engine)
    yield book
    book.engine.dispose()


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[Book]:
    """A book on SQLite, whose own wait for a lock is short."""
    book = Book(f"sqlite:///{tmp_path / 'runs.db'}", connect_args={"timeout": 0.05})
    book.table.metadata.create_all(book.engine)
    yield book
    book.engine.dispose()


@pytest.fixture
def runs(book: Book) -> Runs:
    return book.runs()


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Do a work in so many threads at the same moment; return what each got."""
    together = threading.Barrier(count)
    answers: list[Any] = [None] * count

    def begin(number: int) -> None:
        together.wait()
        try:
            answers[number] = work(number)
        except Exception as error:
            answers[number] = error

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def end(book: Book, runs: Runs, run: Run, state: str = READY, seq: int = 7) -> bool:
    return book.database.write(lambda c: runs.end(c, run, Outcome(state), seq))


def state_of(runs: Runs, run: Run) -> str:
    found = runs.find(run.id)
    assert found is not None
    return found.state


def claimed(runs: Runs, **changes: Any) -> Run:
    run, _ = runs.make(a_click(**changes))
    (found,) = runs.claim([run.id])
    return found


# -- made ----------------------------------------------------------------------------------------


def test_a_click_makes_a_queued_run(runs: Runs):
    run, is_new = runs.make(a_click(message="Thank you", callback="/done"))

    assert is_new
    assert (run.state, run.attempt, run.message, run.callback) == (QUEUED, 0, "Thank you", "/done")
    assert runs.find(run.id) == run


def test_the_same_click_again_is_the_same_run(runs: Runs):
    first, _ = runs.make(a_click())

    for _ in range(2):
        again, is_new = runs.make(a_click())
        assert (again.id, is_new) == (first.id, False)
        runs.claim([first.id])


@pytest.mark.parametrize(
    "change", [{"owner": "session:bob"}, {"btn_uid": "another"}, {"sameness": "another form"}]
)
def test_another_visitor_button_or_form_is_another_run(change: dict[str, str], runs: Runs):
    first, _ = runs.make(a_click())

    other, is_new = runs.make(a_click(**change))

    assert is_new
    assert other.id != first.id


def test_after_its_end_a_click_makes_a_new_run(book: Book, runs: Runs):
    first = claimed(runs)
    end(book, runs, first)

    second, is_new = runs.make(a_click())

    assert is_new
    assert second.id != first.id


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_hundred_clicks_in_four_processes_are_one_run(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
):
    uri = f"sqlite:///{tmp_path / 'runs.db'}"
    if kind == "postgresql":
        uri = request.getfixturevalue("postgres_url")
    book = Book(uri)
    book.table.metadata.create_all(book.engine)
    clickers = [child(uri, "make", "50", stdin=subprocess.PIPE) for _ in range(4)]
    for clicker in clickers:
        assert clicker.stdout.readline() == "ready\n"

    for clicker in clickers:
        clicker.stdin.write("go\n")
        clicker.stdin.flush()
    found = [item for clicker in clickers for item in json.loads(clicker.communicate()[0])]

    assert len(found) == 200
    assert len({run_id for run_id, _ in found}) == 1
    assert sum(is_new for _, is_new in found) == 1
    assert book.runs().counts() == {QUEUED: 1}
    book.engine.dispose()


def child(uri: str, *arguments: str, **options: Any) -> Any:
    return subprocess.Popen(
        [sys.executable, str(TESTS / "apps" / "clicks.py"), uri, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=TESTS.parent,
        env={"PYTHONPATH": str(TESTS.parent), "PATH": ""},
        **options,
    )


# -- limits --------------------------------------------------------------------------------------


def test_a_visitor_has_so_many_live_runs_and_no_more(book: Book):
    runs = book.runs(live_limit=3)
    made = [runs.make(a_click(sameness=str(number)))[0] for number in range(3)]

    with pytest.raises(LimitReached) as refused:
        runs.make(a_click(sameness="one too many"))

    assert refused.value.retry_after
    assert runs.make(a_click(owner="session:bob", sameness="3"))[1]
    assert runs.make(a_click(sameness="0")) == (made[0], False)


def test_a_run_that_ended_makes_room(book: Book):
    runs = book.runs(live_limit=1)
    end(book, runs, claimed(runs, sameness="first"))

    assert runs.make(a_click(sameness="second"))[1]


def test_the_limit_holds_against_clicks_at_the_same_moment(book: Book):
    runs = book.runs(live_limit=3)

    answers = at_once(30, lambda number: runs.make(a_click(sameness=str(number))))

    refused = [answer for answer in answers if isinstance(answer, LimitReached)]
    assert len(refused) == 27
    assert runs.counts() == {QUEUED: 3}


def test_a_limit_of_nothing_is_none(book: Book):
    runs = book.runs(live_limit=0)

    for number in range(40):
        runs.make(a_click(sameness=str(number)))

    assert runs.counts() == {QUEUED: 40}


# -- claimed and ended ---------------------------------------------------------------------------


def test_only_one_of_fifty_gets_a_run(runs: Runs):
    run, _ = runs.make(a_click())

    answers = at_once(50, lambda _: runs.claim([run.id]))

    ((winner,),) = [answer for answer in answers if answer]
    assert (winner.state, winner.attempt) == (RUNNING, 1)
    assert answers.count([]) == 49


def test_a_run_that_is_claimed_as_it_is_made_is_nobody_elses(book: Book, runs: Runs):
    run, is_new = runs.make(a_click(), claimed=True)

    assert is_new
    assert (run.state, run.attempt, run.seq) == (RUNNING, 1, SEQ_OF_ATTEMPT)
    assert run.claimed_at == pytest.approx(run.made_at, abs=1)
    assert runs.claim([run.id]) == []
    assert runs.make(a_click(), claimed=True) == (run, False)
    assert end(book, runs, run)


def test_those_that_are_still_queued_are_got_in_the_order_asked_for(book: Book, runs: Runs):
    made = [runs.make(a_click(owner=f"session:{number}"))[0] for number in range(5)]
    runs.claim([made[1].id])
    runs.end_queued(made[3].id, Outcome(CANCELLED))

    got = runs.claim([made[number].id for number in (4, 3, 0, 1, 2)])

    assert [run.id for run in got] == [made[number].id for number in (4, 0, 2)]
    assert {run.state for run in got} == {RUNNING}


def test_fifty_who_race_to_end_a_run_end_it_once(book: Book, runs: Runs):
    run = claimed(runs)
    book.let_leases_lapse()
    ways: list[Callable[[], Any]] = [
        lambda: end(book, runs, run, READY),
        lambda: end(book, runs, run, FAILED),
        lambda: end(book, runs, run, CANCELLED),
        lambda: bool(runs.settle_lapsed(lambda run: DIED)),
        lambda: runs.end_queued(run.id, Outcome(CANCELLED)),
    ]

    answers = at_once(50, lambda number: ways[number % 5]())

    assert answers.count(True) == 1
    assert answers.count(False) == 49
    assert state_of(runs, run) not in LIVE


@pytest.mark.parametrize("state", [READY, FAILED, CANCELLED])
def test_an_end_is_the_end(state: str, book: Book, runs: Runs):
    run = claimed(runs)
    assert end(book, runs, run, state)

    assert not end(book, runs, run, READY)
    assert not end(book, runs, run, FAILED)
    assert not runs.end_queued(run.id, Outcome(CANCELLED))
    assert runs.claim([run.id]) == []
    book.let_leases_lapse()
    assert runs.settle_lapsed(lambda run: DIED) == []
    assert state_of(runs, run) == state


def test_a_queued_run_is_cancelled_or_claimed_never_both(runs: Runs):
    made = [runs.make(a_click(sameness=str(number)))[0] for number in range(10)]

    def race(number: int) -> bool:
        run = made[number // 2]
        if number % 2:
            return bool(runs.claim([run.id]))
        return runs.end_queued(run.id, Outcome(CANCELLED))

    answers = at_once(20, race)

    for number in range(0, 20, 2):
        assert sorted(answers[number : number + 2]) == [False, True]


def test_an_end_is_undone_with_its_transaction(book: Book, runs: Runs):
    run = claimed(runs)

    def end_and_fail(connection: Any) -> None:
        assert runs.end(connection, run, Outcome(READY), 7)
        raise ValueError("the files could not be added")

    with pytest.raises(ValueError, match="could not be added"):
        book.database.write(end_and_fail)

    assert state_of(runs, run) == RUNNING


# -- leases --------------------------------------------------------------------------------------


def test_a_run_whose_process_was_killed_is_settled_at_once(book: Book, runs: Runs):
    run, _ = runs.make(a_click())
    claimer = child(book.uri, "claim", run.id)
    assert json.loads(claimer.stdout.readline()) is True
    assert runs.settle_dead_processes(lambda run: DIED) == []

    claimer.send_signal(signal.SIGKILL)
    claimer.communicate()

    (settled,) = runs.settle_dead_processes(lambda run: DIED)
    assert (settled.id, settled.state, settled.message) == (run.id, FAILED, DIED)


def test_a_process_knows_its_dead_from_the_living():
    host, pid, started_at = this_node().split("/")

    assert not is_dead_here(this_node())
    assert is_dead_here(f"{host}/{pid}/{int(started_at) - 1}")
    assert is_dead_here(f"{host}/{2**22 - 1}/{started_at}")
    for unknown in (f"elsewhere/{pid}/1", "", "nonsense", f"{host}/{pid}", f"{host}/x/1"):
        assert not is_dead_here(unknown)


def test_a_lapsed_lease_fails_the_run(book: Book, runs: Runs):
    run = claimed(runs)
    assert runs.settle_lapsed(lambda run: DIED) == []

    book.let_leases_lapse()

    (settled,) = runs.settle_lapsed(lambda run: DIED)
    assert (settled.state, settled.message) == (FAILED, DIED)
    assert settled.seq > run.seq
    assert runs.settle_lapsed(lambda run: DIED) == []


def test_a_lapsed_lease_is_settled_by_one_of_many(book: Book, runs: Runs):
    claimed(runs)
    book.let_leases_lapse()

    answers = at_once(20, lambda _: len(runs.settle_lapsed(lambda run: DIED)))

    assert sorted(answers) == [0] * 19 + [1]


def test_a_run_that_may_restart_is_queued_again_so_many_times(book: Book, runs: Runs):
    run = claimed(runs, restart=True)

    for attempt in range(2, MOST_ATTEMPTS + 1):
        book.let_leases_lapse()
        (settled,) = runs.settle_lapsed(lambda run: DIED)
        assert settled.state == QUEUED
        (again,) = runs.claim([run.id])
        assert again.attempt == attempt
        assert again.seq > settled.seq
    book.let_leases_lapse()

    (settled,) = runs.settle_lapsed(lambda run: DIED)
    assert (settled.state, settled.message) == (FAILED, DIED)


def test_who_lost_a_run_can_neither_end_it_nor_beat(book: Book, runs: Runs):
    lost = claimed(runs, restart=True)
    book.let_leases_lapse()
    runs.settle_lapsed(lambda run: DIED)
    (ours,) = runs.claim([lost.id])

    weather = {"stage": "Stale", "stage_no": 9, "percent": 99.0, "seq": 1}
    runs.beat([(lost, weather)], [])
    assert not end(book, runs, lost)

    assert runs.not_ours([lost]) == {lost.id: "lost"}
    assert runs.not_ours([ours]) == {}
    assert runs.find(lost.id) == ours
    assert end(book, runs, ours)


def test_a_queued_run_whose_process_died_waits_for_another(book: Book, runs: Runs):
    run, _ = runs.make(a_click())
    book.let_leases_lapse()

    (settled,) = runs.settle_lapsed(lambda run: DIED)

    assert (settled.id, settled.state) == (run.id, QUEUED)
    assert runs.settle_lapsed(lambda run: DIED) == []


def test_a_cancel_that_nobody_could_honour_ends_as_one(book: Book, runs: Runs):
    run = claimed(runs, restart=True)
    runs.ask_to_cancel(run.id)
    assert runs.not_ours([run]) == {run.id: "cancel"}
    book.let_leases_lapse()

    (settled,) = runs.settle_lapsed(lambda run: DIED)

    assert (settled.state, settled.message) == (CANCELLED, None)


def test_a_beat_renews_what_runs_and_what_waits(book: Book, runs: Runs):
    running = claimed(runs)
    waiting, _ = runs.make(a_click(sameness="waits"))
    book.let_leases_lapse()

    weather = {"stage": "Reading", "stage_no": 2, "percent": 42.0, "seq": running.seq + 5}
    runs.beat([(running, weather)], [waiting.id])

    assert runs.settle_lapsed(lambda run: DIED) == []
    found = runs.find(running.id)
    assert found is not None
    assert (found.stage, found.stage_no, found.percent, found.seq) == tuple(weather.values())


# -- a busy database -----------------------------------------------------------------------------


def test_a_locked_database_is_waited_for(lite: Book):
    runs = lite.runs()
    other = sqlite3.connect(lite.engine.url.database or "", check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    answers: list[Any] = []
    click = threading.Thread(target=lambda: answers.append(runs.make(a_click())))

    click.start()
    # Longer than SQLite itself waits: it is our own patience that is needed.
    click.join(0.5)
    assert not answers
    other.rollback()
    other.close()
    click.join(10)

    assert answers[0][1] is True


def test_a_beat_does_not_wait_for_a_locked_database(lite: Book):
    runs = lite.runs()
    run = claimed(runs)
    other = sqlite3.connect(lite.engine.url.database or "")
    other.execute("BEGIN IMMEDIATE")
    began_at = time.monotonic()

    with pytest.raises(Exception, match="locked"):
        runs.beat([(run, {})], [])

    assert time.monotonic() - began_at < 1
    other.close()


def test_eight_who_write_at_once_are_all_served(lite: Book):
    runs = lite.runs(live_limit=0)

    def work(number: int) -> bool:
        run = claimed(runs, sameness=str(number))
        for percent in range(10):
            weather = {"stage": "", "stage_no": 0, "percent": percent, "seq": run.seq + percent}
            runs.beat([(run, weather)], [])
        return end(lite, runs, run)

    assert at_once(8, work) == [True] * 8


def test_missing_tables_are_named_with_what_to_do(book: Book, runs: Runs):
    book.table.metadata.drop_all(book.engine)

    with pytest.raises(ConfigurationError, match=r"(?s)download_btn_run.*db\.create_all"):
        runs.make(a_click())


def test_tables_of_another_version_are_named_with_what_to_do(book: Book, runs: Runs):
    with book.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE download_btn_run DROP COLUMN archive")

    with pytest.raises(ConfigurationError, match=r"(?s)another version.*archive.*migration"):
        runs.make(a_click())


# -- looked at -----------------------------------------------------------------------------------


def test_a_run_knows_its_place_in_the_queue(runs: Runs):
    first, second, third = (runs.make(a_click(sameness=str(n)))[0] for n in range(3))

    assert [runs.place_in_queue(run) for run in (first, second, third)] == [1, 2, 3]
    runs.claim([first.id])
    assert [runs.place_in_queue(run) for run in (second, third)] == [1, 2]


def test_a_visitor_finds_a_live_run_again_and_one_that_just_ended_well(book: Book, runs: Runs):
    book.add_button()
    run = claimed(runs)

    def latest(owner: str = "session:ann", ended_within: float = 60) -> list[tuple[Run, bool]]:
        return runs.latest_of(["user:1", owner], "button", ended_within=ended_within, late_after=30)

    assert latest() == [(run, False)]
    assert latest("session:bob") == []
    end(book, runs, run)
    assert [is_late for _, is_late in latest()] == [False]
    book.change(ended_at=book.table.c.ended_at - 40)
    assert [is_late for _, is_late in latest()] == [True]
    assert latest(ended_within=0)[0][1]
    book.change(ended_at=book.table.c.ended_at - 60)
    assert latest() == []
    assert latest(ended_within=0)


def test_a_run_is_found_by_the_spot_of_its_button(book: Book, runs: Runs):
    book.add_button()
    run = claimed(runs, spot="here")

    def latest(owner: str, spot: str) -> list[Run]:
        found = runs.latest_of([owner], "another", spot, ended_within=60, late_after=30)
        return [run for run, _ in found]

    assert latest("session:ann", "here") == [run]
    assert latest("session:ann", "there") == []
    assert latest("session:bob", "here") == []


def test_of_all_buttons_in_a_spot_the_latest_run_is_found(book: Book, runs: Runs):
    for uid in ("old", "button"):
        book.add_button(uid)
    first = claimed(runs, btn_uid="old", spot="here", sameness="first")
    for sameness in ("second", "third"):
        last = claimed(runs, spot="here", sameness=sameness)
        end(book, runs, last)
    found = runs.latest_of(["session:ann"], "another", "here", ended_within=60, late_after=30)

    assert [run.id for run, _ in found] == [first.id, last.id]


def test_the_same_click_on_two_buttons_in_a_spot_is_one_run(book: Book, runs: Runs):
    for uid in ("old", "button"):
        book.add_button(uid)
    run = claimed(runs, btn_uid="old", spot="here")
    again, is_new = runs.make(a_click(spot="here"))

    assert (again.id, is_new) == (run.id, False)
    assert runs.make(a_click(spot="there"))[1]
    assert runs.make(a_click(spot="here", sameness="another form"))[1]


def test_a_click_joins_no_run_of_a_button_that_was_revoked(book: Book, runs: Runs):
    book.add_button()
    revoked = claimed(runs, btn_uid="old", spot="here")
    run, is_new = runs.make(a_click(spot="here"))
    assert is_new
    assert run.id != revoked.id

    assert runs.make(a_click(spot="here"))[0].id == run.id


def test_a_run_whose_button_was_revoked_is_not_found(book: Book, runs: Runs):
    book.add_button(revision="another")
    claimed(runs, spot="here")

    for spot in ("", "here"):
        found = runs.latest_of(["session:ann"], "button", spot, ended_within=60, late_after=30)
        assert found == []


def test_a_live_run_is_found_before_a_newer_one_that_has_ended(book: Book, runs: Runs):
    book.add_button()
    live, _ = runs.make(a_click(sameness="slow"))
    quick, _ = runs.make(a_click(sameness="quick"))
    runs.claim([live.id])
    (claim,) = runs.claim([quick.id])
    end(book, runs, claim)

    ((found, is_late),) = runs.latest_of(
        [live.owner], live.btn_uid, ended_within=3600, late_after=60
    )
    assert found
    assert found.id == live.id
    assert not is_late


def test_each_fetch_is_news_once(runs: Runs):
    run = claimed(runs)

    assert runs.note_started(run.id, 0)
    assert not runs.note_started(run.id, 0)
    assert runs.note_downloaded(run.id, 0)
    assert not runs.note_downloaded(run.id, 0)
    assert not runs.note_started(run.id, 0)
    assert runs.note_downloaded(run.id, 1)
    assert not runs.note_downloaded("no such run", 0)
    found = runs.find(run.id)
    assert found is not None
    assert found.fetched == {"0": "downloaded", "1": "downloaded"}
    assert found.seq == run.seq + 3


def test_a_download_that_goes_on_forgets_no_part_of_it(runs: Runs):
    run = claimed(runs)

    def noted() -> Any:
        found = runs.find(run.id)
        assert found is not None
        return found.fetched["0"]

    runs.note_started(run.id, 0)
    assert not runs.note_parts(run.id, 0, [(0, 10)], 30, is_cut=True)
    assert noted() == {"spans": [[0, 10]], "cut": True}
    assert runs.note_started(run.id, 0)
    assert noted() == {"spans": [[0, 10]], "cut": False}
    assert not runs.note_parts(run.id, 0, [(20, 30)], 30)
    assert runs.note_parts(run.id, 0, [(8, 22)], 30)


def test_fetches_at_the_same_moment_are_all_noted(runs: Runs):
    run = claimed(runs)

    answers = at_once(20, lambda number: runs.note_downloaded(run.id, number % 10))

    assert answers.count(True) == 10
    found = runs.find(run.id)
    assert found is not None
    assert len(found.fetched) == 10


def test_what_has_ended_long_ago_is_pruned(book: Book, runs: Runs):
    end(book, runs, claimed(runs, sameness="old"))
    book.change(ended_at=book.table.c.ended_at - 1000)
    end(book, runs, claimed(runs, sameness="new"))
    claimed(runs, sameness="live")

    assert runs.prune(500, dry_run=True) == 1
    assert runs.counts() == {READY: 2, RUNNING: 1}
    assert runs.prune(500) == 1
    assert runs.counts() == {READY: 1, RUNNING: 1}


@pytest.mark.parametrize("column", ["owner", "plan", "signature"])
def test_a_run_that_the_app_did_not_write_is_refused(column: str, book: Book, runs: Runs):
    run = claimed(runs)
    runs.refuse_edited(run)

    book.change(**{column: getattr(run, column)[:-1] + "?"})
    edited = runs.find(run.id)

    assert edited is not None
    with pytest.raises(ReferenceRefused, match="was not written by this app"):
        runs.refuse_edited(edited)


def test_what_a_child_process_uses_is_what_we_use(lite: Book):
    childs = runs_in(lite.uri)
    assert childs.make(a_click())[1]
    childs._database.engine.dispose()
    assert not lite.runs().make(a_click())[1]
    wait_until(lambda: lite.runs().counts() == {QUEUED: 1}, "The run is not there")
