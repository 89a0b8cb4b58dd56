"""Test what happens when luck runs out: lasting locks, lost answers, words that poison."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import sites
from sqlalchemy.exc import OperationalError

from flask_download_btn import File
from flask_download_btn.lives import Live, Lives
from flask_download_btn.runners.background import BackgroundRunner


@pytest.fixture
def site(tmp_path: Path) -> Iterator[sites.Site]:
    with sites.site(tmp_path, declare=False) as site:
        yield site


def add_button(site: sites.Site, function: Callable[..., Any], **attributes: Any) -> str:
    site.manager.button(**attributes)(function)
    return function.__name__


def lose_the_answer(site: sites.Site, to: str) -> list[str]:
    """Break the connection once, after a commit that did arrive; return where that was."""
    database, lost = site.parts.database, []
    write_once = database._write_once

    def unlucky(work: Callable[..., Any]) -> Any:
        result = write_once(work)
        if to in work.__qualname__ and not lost:
            lost.append(work.__qualname__)
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"))
        return result

    database._write_once = unlucky
    return lost


def test_a_run_that_holds_the_databases_lock_longer_than_its_lease_is_not_declared_dead(
    site: sites.Site,
):
    clock = threading.Event()

    def holds_the_lock(btn):
        site.db.session.execute(site.db.text("CREATE TABLE IF NOT EXISTS held (id INTEGER)"))
        site.db.session.execute(site.db.text("INSERT INTO held VALUES (1)"))
        for _ in range(12):
            clock.wait(0.25)  # three seconds in all, of which nothing can be seen from outside
            yield
        site.db.session.commit()
        yield File(b"held", "held.txt")

    ended = site.visitor().click(add_button(site, holds_the_lock))

    assert (ended.state, ended.message) == ("ready", None)


def test_one_runs_words_stop_no_other_runs_heart(site: sites.Site):
    poisoned = threading.Event()

    def poisons(btn):
        yield "half a \ud800 pair, and a \0"
        poisoned.set()
        for _ in range(12):
            clock.wait(0.25)
            yield

    def goes_on(btn):
        poisoned.wait(10)
        for percent in range(12):
            clock.wait(0.25)
            yield "fine", percent
        yield File(b"fine", "fine.txt")

    clock = threading.Event()
    names = [add_button(site, function) for function in (poisons, goes_on)]
    ended: dict[str, str] = {}

    def visit(name: str) -> None:
        ended[name] = site.visitor().click(name).state

    visits = [threading.Thread(target=visit, args=(name,)) for name in names]
    for thread in visits:
        thread.start()
    for thread in visits:
        thread.join(30)

    assert ended == {"poisons": "ready", "goes_on": "ready"}


@pytest.mark.parametrize("where", ["Runs.make", "Runs.claim", "Engine._commit"])
def test_an_answer_of_the_database_that_is_lost_loses_no_run_and_no_file(
    site: sites.Site, where: str
):
    def makes(btn):
        yield File(b"made", "made.txt", cached=True)

    name = add_button(site, makes)
    lost = lose_the_answer(site, where)
    if where == "Runs.claim":
        # Where a place is free, a run is claimed as it is made.
        site.parts.runner.place = nullcontext

    ended = site.visitor().click(name)

    assert lost
    assert ended.state == "ready"
    assert ended.files[0].read() == b"made"
    assert [run.attempt for run in site.runs()] == [1]


def test_a_worker_that_cannot_be_started_leaves_its_place_to_others():
    done: list[str] = []
    fails = [True]

    def spawn(work: Callable[[], None]) -> None:
        if fails.pop() if fails else False:
            raise RuntimeError("can't start new thread")
        work()

    runner = BackgroundRunner(lambda run_ids: run_ids, done.append, spawn, limit=1)
    with pytest.raises(RuntimeError, match="new thread"):
        runner.start("first")
    runner.start("second")

    assert done == ["second"]


def test_an_attempt_that_was_given_up_is_told_so_by_the_next(site: sites.Site):
    def makes(btn):
        yield File(b"made", "made.txt")

    site.visitor().click(add_button(site, makes))
    [run] = site.runs()
    lives = Lives()
    first, second = (Live(run, lambda live: None, 0.0) for _ in range(2))

    with lives.entered(first):
        with lives.entered(second):
            assert first.is_lost
            assert not second.is_lost
        assert len(lives) == 0


def test_what_a_form_function_adds_to_a_named_button_is_one_visitors_alone(site: sites.Site):
    def add_choice(response, btn):
        btn.tmp_downloads.append((f"data:text/plain,{response['who']}", "mine.txt"))
        btn.btn_attrs["class"].append(response["who"])

    def shows(btn):
        yield File(repr(btn.btn_attrs["class"]).encode(), "classes.txt")

    name = add_button(site, shows, form=add_choice, btn_attrs={"class": ["plain"]})

    contents = [
        [file.read() for file in site.visitor().click(name, form={"who": who}).files]
        for who in ("ann", "bob")
    ]

    assert [own for own, _ in contents] == [b"ann", b"bob"]
    assert contents[0][1] == contents[1][1] == b"['plain']"
