"""Test what a create-file function may be, yield, return, call, and do wrong."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import zipfile
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy
import pytest
import sites
from flask import current_app, url_for
from flask_sqlalchemy import SQLAlchemy
from processes import wait_until
from shortages import small_disk
from sqlalchemy import select
from sqlalchemy.exc import InternalError

from flask_download_btn import (
    DownloadBtnManager,
    DownloadBtnMixin,
    DownloadError,
    File,
    FunctionMixin,
    run_cancelled,
    run_failed,
    run_ready,
    run_started,
)
from flask_download_btn.texts import progress_text

SORRY = "Something went wrong. Please try again."

db: Any = SQLAlchemy()


@DownloadBtnManager.register
class DownloadBtn(DownloadBtnMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Function(FunctionMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    words = db.Column(db.String(100))


SEEN: list[Any] = []
"""What functions have noted; each test begins with nothing."""

GATES: defaultdict[str, threading.Event] = defaultdict(threading.Event)
"""Where functions wait until a test lets them go on."""


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.Site]:
    with sites.site(
        tmp_path_factory.mktemp("inline"),
        db=db,
        declare=False,
        DOWNLOAD_BTN_RUNNER="inline",
        DOWNLOAD_BTN_MAX_LIVE=0,
    ) as site:
        yield site


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.Site]:
    manager = DownloadBtnManager(db=db)
    manager.collect(lambda: {"language": "nl"})
    with sites.site(
        tmp_path_factory.mktemp("background"), db=db, declare=False, manager=manager
    ) as site:
        site.app.add_url_rule("/orders/<int:number>", "order", lambda number: str(number))
        yield site


@pytest.fixture
def site(at_once: sites.Site) -> Iterator[sites.Site]:
    """A site whose runs end before the click is answered."""
    yield at_once
    with at_once.app.app_context():
        for table in reversed(db.metadata.sorted_tables):
            db.session.execute(table.delete())
        db.session.commit()
    for path in at_once.stored_bytes():
        path.unlink()


@pytest.fixture
def slow(beside: sites.Site) -> Iterator[sites.Site]:
    """A site whose runs go on beside the click."""
    yield beside
    for gate in GATES.values():
        gate.set()
    wait_until(lambda: not len(beside.parts.lives), "A run does not end")


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    SEEN.clear()
    GATES.clear()


def contents(ended: Any) -> dict[str, bytes]:
    return {file.name: file.read() for file in ended.files}


def shown(btn: Any) -> Any:
    """Note what a page is shown now."""
    live = current_app.extensions["download_btn_manager"].lives.get(btn.run.id)
    weather = live.weather()
    SEEN.append({**weather, "text": progress_text(weather["stage"], weather["percent"])})


def wait_at(gate: str) -> None:
    SEEN.append(f"at {gate}")
    assert GATES[gate].wait(20)


def arrived_at(gate: str) -> None:
    wait_until(lambda: f"at {gate}" in SEEN, f"No function arrives at {gate!r}")


# -- what a function may be ----------------------------------------------------------------------


def generator(btn: Any) -> Iterator[Any]:
    yield btn.reset("Writing", 0)
    yield File(b"generator", "file.txt")


def plain(btn: Any) -> File:
    return File(b"plain", "file.txt")


async def coroutine(btn: Any) -> File:
    await asyncio.sleep(0)
    return File(b"coroutine", "file.txt")


async def async_generator(btn: Any) -> AsyncIterator[Any]:
    yield btn.reset("Writing", 0)
    await asyncio.sleep(0)
    yield File(b"async_generator", "file.txt")


def giver_of_a_generator(btn: Any) -> Iterator[Any]:
    return (File(b"giver_of_a_generator", "file.txt") for _ in range(1))


def generator_with_an_end(btn: Any) -> Iterator[Any]:
    yield
    return File(b"generator_with_an_end", "file.txt")


def delegating(btn: Any) -> Iterator[Any]:
    yield from (btn.report("", number) for number in range(10))
    yield File(b"delegating", "file.txt")


@pytest.mark.parametrize(
    "function",
    [
        generator,
        plain,
        coroutine,
        async_generator,
        giver_of_a_generator,
        generator_with_an_end,
        delegating,
    ],
)
def test_every_kind_of_function_makes_its_file(function: Any, site: sites.Site):
    ended = site.run(function)

    assert (ended.state, ended.message) == ("ready", None)
    assert contents(ended) == {"file.txt": function.__name__.encode()}


def silent(btn: Any) -> None: ...


def empty(btn: Any) -> Iterator[Any]:
    return
    yield


@pytest.mark.parametrize("function", [silent, empty])
def test_a_function_may_make_nothing(function: Any, site: sites.Site):
    ended = site.run(function)

    assert (ended.state, ended.files) == ("ready", [])


def with_arguments(btn: Any, *words: str, end: str) -> File:
    return File(" ".join((*words, end)).encode(), "file.txt")


def test_a_function_gets_its_arguments(site: sites.Site):
    with site.app.app_context():
        btn = site.DownloadBtn(
            create_file_functions=site.Function(with_arguments, "a", "b", end="c")
        )
        db.session.commit()
        uid = btn.uid

    assert contents(site.visitor().click(uid)) == {"file.txt": b"a b c"}


def of_an_order(btn: Any, order: Any) -> File:
    assert order in db.session
    return File(order.words.encode(), "order.txt")


def test_a_model_is_loaded_in_the_functions_own_session(site: sites.Site):
    with site.app.app_context():
        order = Order(words="at the click")
        db.session.add(order)
        db.session.commit()
        uid = site.button((of_an_order, {"order": order}))
        order.words = "now"
        db.session.commit()

    assert contents(site.visitor().click(uid)) == {"order.txt": b"now"}


def test_a_model_that_is_gone_fails_the_run_and_says_which(
    site: sites.Site, caplog: pytest.LogCaptureFixture
):
    with site.app.app_context():
        order = Order(words="here")
        db.session.add(order)
        db.session.commit()
        uid = site.button((of_an_order, {"order": order}))
        db.session.delete(order)
        db.session.commit()

    ended = site.visitor().click(uid)

    assert (ended.state, ended.message) == ("failed", SORRY)
    assert "Order" in caplog.text


# -- what it may yield ---------------------------------------------------------------------------


def yields_everything(btn: Any) -> Iterator[Any]:
    yield btn.reset("First", 0)
    shown(btn)
    yield btn.report("First", 10)
    shown(btn)
    for output in (
        "Second",
        20,
        30.5,
        ("Second", 40),
        ("Third", None),
        None,
        Decimal("50"),
        numpy.float64(60),
        numpy.int8(70),
    ):
        yield output
        shown(btn)


def test_progress_may_be_yielded_in_many_ways(site: sites.Site):
    ended = site.run(yields_everything)

    assert ended.state == "ready"
    assert [(seen["stage_no"], seen["text"]) for seen in SEEN] == [
        (1, "First: 0%"),
        (1, "First: 10%"),
        (2, "Second"),
        (2, "Second: 20%"),
        (2, "Second: 30%"),
        (2, "Second: 40%"),
        (3, "Third"),
        (3, "Third"),
        (3, "Third: 50%"),
        (3, "Third: 60%"),
        (3, "Third: 70%"),
    ]


def odd_percents(btn: Any) -> Iterator[Any]:
    for number, percent in enumerate((-5, 250, float("nan"), float("inf"), Decimal("NaN"), 99.999)):
        yield btn.reset(f"Stage {number}", percent)
        shown(btn)


def test_odd_percents_become_what_can_be_shown(site: sites.Site):
    ended = site.run(odd_percents)

    assert ended.state == "ready"
    assert [seen["percent"] for seen in SEEN] == [0.0, 100.0, None, None, None, 99.999]
    assert SEEN[-1]["text"] == "Stage 5: 99%"


def goes_back(btn: Any) -> Iterator[Any]:
    yield btn.reset("Copying", 50)
    shown(btn)
    yield btn.report("Copying", 30)
    shown(btn)
    yield btn.reset("Copying", 10)
    shown(btn)


def test_within_a_stage_progress_never_goes_back(site: sites.Site):
    site.run(goes_back)

    assert [seen["percent"] for seen in SEEN] == [50, 50, 10]
    assert [seen["seq"] for seen in SEEN] == sorted(seen["seq"] for seen in SEEN)


def several(btn: Any) -> Iterator[Any]:
    yield File(b"1", "one.txt")
    yield btn.report("Writing", 50)
    yield File(b"2", "two.csv", mimetype="text/x-mine")
    return [File(b"3", "three.bin"), File(b"4", "four.pdf")]


def test_several_files_come_in_the_order_they_were_made(site: sites.Site):
    ended = site.run(several)

    assert list(contents(ended).items()) == [
        ("one.txt", b"1"),
        ("two.csv", b"2"),
        ("three.bin", b"3"),
        ("four.pdf", b"4"),
    ]
    assert [file.size for file in ended.files] == [1] * 4
    assert ended.files[1].type == "text/x-mine"
    assert "pdf" in str(ended.files[3].type)


def from_everywhere(btn: Any, folder: str) -> Iterator[Any]:
    path = Path(folder) / "source.bin"
    path.write_bytes(b"of a path")
    yield File(b"of bytes", "bytes.txt")
    yield File(path, "path.txt")
    with path.open("rb") as file:
        yield File(file, "object.txt")
    yield File((b"of ", b"chunks"), "chunks.txt")


def test_content_may_come_from_anywhere(site: sites.Site, tmp_path: Path):
    ended = site.run((from_everywhere, {"folder": str(tmp_path)}))

    assert contents(ended) == {
        "bytes.txt": b"of bytes",
        "path.txt": b"of a path",
        "object.txt": b"of a path",
        "chunks.txt": b"of chunks",
    }


# -- what it may call ----------------------------------------------------------------------------


def with_a_callback(btn: Any) -> File:
    def library(progress: Callable[[float], object]) -> bytes:
        for percent in (10, 20):
            progress(percent)
            shown(btn)
        return b"made"

    btn.reset("Converting")
    return File(library(lambda percent: btn.report(pct_complete=percent)), "file.txt")


def test_a_librarys_callback_can_report(site: sites.Site):
    ended = site.run(with_a_callback)

    assert [seen["text"] for seen in SEEN] == ["Converting: 10%", "Converting: 20%"]
    assert contents(ended) == {"file.txt": b"made"}


def created(btn: Any) -> None:
    with btn.create_file("words.csv") as file:
        for number in btn.track([1, 2], "Writing"):
            file.write(f"{number}é\n")
    with btn.create_file("all.zip") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inside.txt", "inside")


def test_files_are_written_straight_to_the_storage(site: sites.Site, tmp_path: Path):
    ended = site.run(created)

    assert ended.state == "ready", ended.message
    files = contents(ended)
    assert files["words.csv"] == "1é\n2é\n".encode()
    (tmp_path / "all.zip").write_bytes(files["all.zip"])
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert archive.read("inside.txt") == b"inside"


def created_badly(btn: Any) -> Iterator[Any]:
    try:
        with btn.create_file("bad.csv") as file:
            file.write("half")
            raise ValueError("midway")
    except ValueError:
        yield "Going on"
    yield File(b"good", "good.csv")


def test_a_file_counts_only_if_its_block_ends_well(site: sites.Site):
    ended = site.run(created_badly)

    assert contents(ended) == {"good.csv": b"good"}
    assert len(site.stored_bytes()) == 1


def of_the_visitor(btn: Any) -> File:
    run = btn.run
    words = [run.form["colour"], *run.form.getlist("size"), str(run.user_id), str(run.collected)]
    return File(" ".join(words).encode(), url_for("order", number=7).strip("/"))


def of_the_address(btn: Any) -> File:
    words = [url_for("order", number=7), url_for("order", number=7, _external=True)]
    return File(" ".join(words).encode(), "file.txt")


def test_what_a_run_needs_of_its_visitor_was_copied_at_the_click(slow: sites.Site):
    ended = slow.run(of_the_visitor, form={"colour": "red", "size": ["S", "M"]})

    assert list(contents(ended).values()) == [b"red S M None {'language': 'nl'}"]


def test_url_for_knows_the_address_of_the_click(slow: sites.Site):
    visitor = slow.visitor(base_url="https://shop.example/app")
    picture = visitor.start(visitor.token(slow.button(of_the_address))).get_json()

    (file,) = visitor.ended(picture)["files"]

    paths = {url.removeprefix(b"https://shop.example") for url in visitor.fetch(file).data.split()}
    assert paths == {b"/app/orders/7"}


# -- the database --------------------------------------------------------------------------------


def streams(btn: Any) -> Iterator[Any]:
    rows = db.session.scalars(select(Order).order_by(Order.id).execution_options(yield_per=10))
    with btn.create_file("orders.csv") as file:
        for row in btn.track(rows, "Writing"):
            btn._job.meter.interrupt()
            file.write(f"{row.words}\n")
            yield


def test_a_streaming_query_survives_every_yield(slow: sites.Site):
    with slow.app.app_context():
        db.session.add_all(Order(words=f"order {number}") for number in range(100))
        db.session.commit()

    ended = slow.run(streams)

    assert ended.state == "ready", ended.message
    assert contents(ended)["orders.csv"].count(b"\n") == 100


def holds_a_transaction(btn: Any, gate: str) -> Iterator[Any]:
    db.session.add(Order(words=gate))
    db.session.flush()
    transaction = db.session().get_transaction()
    for number in range(5):
        btn._job.meter.interrupt()
        yield ("Holding", number)
    wait_at(gate)
    yield
    SEEN.append(transaction is db.session().get_transaction() and transaction.is_active)
    db.session.commit()


def test_a_functions_own_transaction_is_left_alone(slow: sites.Site):
    visitor = slow.visitor()
    picture = visitor.start(
        visitor.token(slow.button((holds_a_transaction, {"gate": "held"})))
    ).get_json()
    arrived_at("held")

    with slow.app.app_context():
        query = select(Order).where(Order.words == "held")
        assert db.session.scalars(query).all() == []
        db.session.rollback()
        GATES["held"].set()
        assert visitor.ended(picture)["state"] == "ready"
        assert len(db.session.scalars(query).all()) == 1
    assert SEEN[-1] is True


def leaves_a_transaction_open(btn: Any) -> Iterator[Any]:
    db.session.add(Order(words="never committed"))
    db.session.flush()
    yield File(b"done", "file.txt")


def test_what_a_function_does_not_commit_is_rolled_back(site: sites.Site):
    ended = site.run(leaves_a_transaction_open)

    assert ended.state == "ready"
    with site.app.app_context():
        assert db.session.scalars(select(Order)).all() == []


def ends_its_session(btn: Any) -> Iterator[Any]:
    db.session.commit()
    db.session.remove()
    yield "Computing"
    btn.tmp_downloads = ["/orders.csv"]


def test_a_function_may_give_its_session_back(site: sites.Site):
    ended = site.run(ends_its_session)

    assert (ended.state, [file.name for file in ended.files]) == ("ready", ["orders.csv"])


def computes(btn: Any) -> Iterator[Any]:
    yield "Computing"
    SEEN.append(db.engine.pool.checkedout())


def test_no_connection_is_held_while_a_function_computes(slow: sites.Site):
    assert slow.run(computes).state == "ready"

    assert SEEN == [0]


def edits_the_row(btn: Any) -> Iterator[Any]:
    btn.btn_text = "Clicked"
    yield
    db.session.commit()


def test_a_function_may_change_its_button(site: sites.Site):
    uid = site.button(edits_the_row)

    site.visitor().click(uid)

    with site.row(uid) as btn:
        assert btn.btn_text == "Clicked"


def edits_in_place(btn: Any) -> Iterator[Any]:
    btn.btn_attrs["class"].append("clicked")
    btn.progress_attrs["data-made"] = "1"
    btn.downloads.append(("https://example.org/a", "a.txt"))
    yield
    db.session.commit()


def test_what_a_function_edits_in_place_is_saved(site: sites.Site):
    uid = site.button(edits_in_place, downloads=["https://example.org/b"])

    site.visitor().click(uid)

    with site.row(uid) as btn:
        assert btn.btn_attrs["class"][-1] == "clicked"
        assert btn.progress_attrs["data-made"] == "1"
        assert btn.downloads == ["https://example.org/b", ("https://example.org/a", "a.txt")]


def knows_its_functions(btn: Any) -> Iterator[Any]:
    SEEN.append([function.func for function in btn.create_file_functions])
    SEEN.append((btn.form_id, btn.btn_template, btn.stops_with_page))
    yield


def test_a_function_sees_all_of_its_button(site: sites.Site):
    site.run(knows_its_functions, form_id="choices")

    assert [[knows_its_functions], ("choices", None, False)] == SEEN


def decides_then_computes(btn: Any, gate: str) -> Iterator[Any]:
    btn.download_msg = "Made for you"
    btn.callback = "/thanks"
    btn.archive = "both.zip"
    btn.downloads.append(("data:text/plain,kept", "kept.txt"))
    SEEN.append(db.session.scalars(select(Order)).all())
    db.session.expire_all()
    SEEN.append((btn.download_msg, btn.archive, len(btn.downloads)))
    wait_at(gate)
    yield File(b"made", "made.txt")


def test_what_a_function_sets_for_its_run_locks_nobody_out(slow: sites.Site):
    """SQLite has one writer: a row that a query flushed would stay locked while it computes."""
    visitor = slow.visitor()
    uid = slow.button((decides_then_computes, {"gate": "decided"}))
    picture = visitor.start(visitor.token(uid)).get_json()
    arrived_at("decided")

    file = Path(slow.app.instance_path).parent / "app.db"
    with closing(sqlite3.connect(file, timeout=0)) as other, other:
        other.execute("DELETE FROM 'order'")
    GATES["decided"].set()

    ended = visitor.ended(picture)
    assert SEEN[1] == ("Made for you", "both.zip", 1)
    assert (ended["message"], ended["callback"]) == ("Made for you", "/thanks")
    assert ended["zip"]["name"] == "both.zip"
    assert [file["name"] for file in ended["files"]] == ["kept.txt", "made.txt"]
    with slow.row(uid) as btn:
        assert (btn.download_msg, btn.callback, btn.archive) == (None, None, None)
        assert btn.downloads == [("data:text/plain,kept", "kept.txt")]


def sets_and(btn: Any, what: str) -> Iterator[Any]:
    btn.download_msg = "Set"
    db.session.scalars(select(Order)).all()
    if what == "commit":
        db.session.commit()
    elif what == "roll back":
        db.session.rollback()
    elif what == "roll back and commit":
        db.session.rollback()
        db.session.commit()
    elif what == "use a savepoint":
        with db.session.begin_nested():
            db.session.add(Order(words="in a savepoint"))
    elif what == "roll a savepoint back":
        savepoint = db.session.begin_nested()
        btn.download_msg = "Set in vain"
        db.session.scalars(select(Order)).all()
        savepoint.rollback()
    elif what == "set again":
        with db.session.no_autoflush:
            btn.download_msg = "Set twice"
            assert btn.form_id is None
    yield


@pytest.mark.parametrize(
    ("what", "said", "saved"),
    [
        ("commit", "Set", "Set"),
        ("roll back", None, None),
        ("roll back and commit", None, None),
        ("use a savepoint", "Set", None),
        ("roll a savepoint back", "Set", None),
        ("set again", "Set twice", None),
    ],
)
def test_a_function_saves_what_it_sets_by_a_commit_alone(
    what: str, said: str | None, saved: str | None, site: sites.Site
):
    uid = site.button((sets_and, {"what": what}))

    ended = site.visitor().click(uid)

    assert (ended.state, ended.message) == ("ready", said)
    with site.row(uid) as btn:
        assert btn.download_msg == saved


# -- the buttons own downloads -------------------------------------------------------------------


def makes_once(btn: Any) -> Iterator[Any]:
    if btn.downloaded:
        return
    SEEN.append("made")
    yield "Making"
    btn.downloads = [("data:text/plain,cached", "cached.txt")]
    db.session.commit()


def makes_each_time(btn: Any) -> Iterator[Any]:
    yield "Making"
    btn.tmp_downloads = [("data:text/plain,temporary", "temporary.txt")]


def test_cached_downloads_come_again_and_temporary_ones_anew(site: sites.Site):
    uid = site.button(makes_once, makes_each_time)
    expected = {"cached.txt": b"cached", "temporary.txt": b"temporary"}

    assert contents(site.visitor().click(uid)) == expected
    assert contents(site.visitor().click(uid)) == expected
    assert SEEN == ["made"]
    with site.row(uid) as btn:
        assert list(btn.downloads) == [("data:text/plain,cached", "cached.txt")]
        assert btn.downloaded


def caches_a_file(btn: Any) -> Iterator[Any]:
    if not btn.downloads:
        SEEN.append("made")
        yield File(b"cached", "cached.txt", cached=True)


def assigns_a_file(btn: Any) -> Iterator[Any]:
    if not btn.downloads:
        SEEN.append("made")
        btn.downloads = File(b"cached", "cached.txt")
    yield


def appends_a_file(btn: Any) -> Iterator[Any]:
    if not btn.downloads:
        SEEN.append("made")
        btn.downloads.append(File(b"cached", "cached.txt"))
    yield


@pytest.mark.parametrize("function", [caches_a_file, assigns_a_file, appends_a_file])
def test_a_cached_file_stays_with_its_button(function: Any, site: sites.Site):
    uid = site.button(function)

    first, second = (site.visitor().click(uid) for _ in range(2))

    assert contents(first) == contents(second) == {"cached.txt": b"cached"}
    assert SEEN == ["made"]


def makes_a_list(btn: Any) -> Iterator[Any]:
    btn.tmp_downloads = ["/page"]
    btn.tmp_downloads.append(("https://example.org/a.pdf", "their.pdf"))
    btn.tmp_downloads += [File(b"mine", "mine.txt")]
    yield


def test_temporary_downloads_may_be_of_all_kinds(site: sites.Site):
    ended = site.run(makes_a_list)

    assert [file.name for file in ended.files] == ["page", "their.pdf", "mine.txt"]
    assert ended.files[2].read() == b"mine"


def refers_elsewhere(btn: Any, url: str) -> Iterator[Any]:
    yield "Making"
    btn.tmp_downloads = [url]


@pytest.mark.parametrize("url", ["javascript:alert(1)", "//elsewhere.example/x"])
def test_a_dangerous_download_fails_the_run(
    url: str, site: sites.Site, caplog: pytest.LogCaptureFixture
):
    ended = site.run((refers_elsewhere, {"url": url}))

    assert (ended.state, ended.message) == ("failed", SORRY)
    assert "LinkRefused" in caplog.text


# -- several functions ---------------------------------------------------------------------------


def notes(btn: Any, word: str) -> File:
    SEEN.append(word)
    return File(word.encode(), f"{word}.txt")


def fails(btn: Any) -> None:
    raise RuntimeError("as it should")


def test_functions_run_in_their_order(site: sites.Site):
    ended = site.run(*((notes, {"word": word}) for word in "bac"))

    assert list(SEEN) == ["b", "a", "c"]
    assert [file.name for file in ended.files] == ["b.txt", "a.txt", "c.txt"]


def test_a_failure_stops_the_chain_and_takes_the_files_before_it(site: sites.Site):
    ended = site.run((notes, {"word": "first"}), fails, (notes, {"word": "last"}))

    assert ended.state == "failed"
    assert ended.files == []
    assert SEEN == ["first"]
    assert site.stored_bytes() == []


# -- what goes wrong -----------------------------------------------------------------------------


def raises_at_once(btn: Any) -> None:
    raise ValueError("a secret detail")


def raises_before_its_first_yield(btn: Any) -> Iterator[Any]:
    raise ValueError("a secret detail")
    yield


def raises_midway(btn: Any) -> Iterator[Any]:
    yield File(b"half of it", "half.txt")
    yield ("Working", 50)
    raise ValueError("a secret detail")


def raises_in_finally(btn: Any) -> Iterator[Any]:
    try:
        yield File(b"half of it", "half.txt")
    finally:
        raise ValueError("a secret detail")


async def raises_in_a_coroutine(btn: Any) -> None:
    await asyncio.sleep(0)
    raise ValueError("a secret detail")


async def raises_in_an_async_generator(btn: Any) -> AsyncIterator[Any]:
    yield "Working"
    raise ValueError("a secret detail")


def raises_in_its_content(btn: Any) -> File:
    def chunks() -> Iterator[bytes]:
        yield b"half of it"
        raise ValueError("a secret detail")

    return File(chunks(), "half.txt")


def raises_in_a_created_file(btn: Any) -> None:
    with btn.create_file("half.txt") as file:
        file.write("half of it")
        raise ValueError("a secret detail")


def raises_stop_iteration(btn: Any) -> Iterator[Any]:
    yield "Working"
    next(iter(()))


def exits(btn: Any) -> Iterator[Any]:
    yield "Working"
    raise SystemExit(3)


def closes_itself(btn: Any) -> Iterator[Any]:
    yield "Working"
    raise GeneratorExit


def recurses(btn: Any) -> Any:
    return recurses(btn)


@pytest.mark.parametrize(
    "function",
    [
        raises_at_once,
        raises_before_its_first_yield,
        raises_midway,
        raises_in_finally,
        raises_in_a_coroutine,
        raises_in_an_async_generator,
        raises_in_its_content,
        raises_in_a_created_file,
        raises_stop_iteration,
        exits,
        closes_itself,
        recurses,
    ],
)
def test_an_error_fails_the_run_with_a_reference_to_the_log(
    function: Any, site: sites.Site, caplog: pytest.LogCaptureFixture
):
    ended = site.run(function)

    assert (ended.state, ended.message, ended.files) == ("failed", SORRY, [])
    reference = ended.snapshot["reference"]
    (record,) = [record for record in caplog.records if reference in record.getMessage()]
    assert record.exc_info is not None
    assert "test_engine.py" in caplog.text
    assert "secret" not in str(ended.snapshot)
    assert site.stored_bytes() == []


def test_the_traceback_is_logged_once(site: sites.Site, caplog: pytest.LogCaptureFixture):
    site.run(raises_midway)

    assert len([record for record in caplog.records if record.exc_info]) == 1


def test_an_end_that_the_database_refuses_is_a_failure_all_the_same(
    site: sites.Site, caplog: pytest.LogCaptureFixture
):
    uid = site.button(makes_each_time)
    refuse = (
        "CREATE TRIGGER refuse BEFORE UPDATE ON download_btn_run WHEN new.state = 'ready'"
        " BEGIN SELECT RAISE(ABORT, 'not this one'); END"
    )
    with site.app.app_context():
        db.session.execute(db.text(refuse))
        db.session.commit()
    try:
        refused = site.visitor().click(uid)
    finally:
        with site.app.app_context():
            db.session.execute(db.text("DROP TRIGGER refuse"))
            db.session.commit()

    assert (refused.state, refused.message) == ("failed", SORRY)
    assert f"(reference {refused.snapshot['reference']})" in caplog.text
    assert "not this one" in caplog.text
    assert site.stored_bytes() == []
    assert site.visitor().click(uid).state == "ready"


def test_an_error_after_the_end_was_written_costs_no_file(
    site: sites.Site, caplog: pytest.LogCaptureFixture
):
    database = site.parts.database
    write_once = database._write_once
    failures: list[str] = []

    def stumbles(work: Any) -> Any:
        result = write_once(work)
        if "Engine._commit" in work.__qualname__ and not failures:
            failures.append(work.__qualname__)
            raise InternalError("COMMIT", {}, Exception("packet sequence number wrong"))
        return result

    database._write_once = stumbles
    try:
        ended = site.run(plain)
    finally:
        del database._write_once

    assert failures
    assert ended.files[0].read() == b"plain"
    assert "has ended, but not without trouble" in caplog.text


def test_the_log_says_which_button_failed(site: sites.Site, caplog: pytest.LogCaptureFixture):
    uid = site.button(fails, btn_text="Export orders")

    ended = site.visitor().click(uid)

    reference = ended.snapshot["reference"]
    assert f"of the button 'Export orders' ({uid}) failed (reference {reference})" in caplog.text


def fills_the_disk(btn: Any, how: str) -> Any:
    if how == "create_file":
        with btn.create_file("large.bin") as file:
            for _ in range(100):
                file.write(b"x" * 100_000)
        return None
    return File((b"x" * 10_000 for _ in range(1000)), "large.bin")


@pytest.mark.parametrize("how", ["create_file", "iterable"])
def test_promise_17_a_full_disk_is_said_so_and_the_next_run_works(
    how: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    settings = {"DOWNLOAD_BTN_RUNNER": "inline", "DOWNLOAD_BTN_LANGUAGE": "de"}
    folder = tmp_path / "small"
    with (
        small_disk(folder, "size=512k"),
        sites.site(tmp_path, db=db, declare=False, DOWNLOAD_BTN_FOLDER=folder, **settings) as site,
    ):
        ended = site.run((fills_the_disk, {"how": how}))

        assert ended.state == "failed"
        assert ended.message.startswith("Die Datei konnte nicht gespeichert werden.")
        assert caplog.text.count("Traceback (most recent call last)") == 1
        assert "No space left on device" in caplog.text
        assert site.stored_bytes() == []
        assert site.run(plain).files[0].read() == b"plain"


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"DOWNLOAD_BTN_MAX_FILES": 1}, "Un clic peut créer 1 fichiers, pas davantage."),
        ({"DOWNLOAD_BTN_MAX_BYTES": 4}, "Un clic peut créer des fichiers de 4\u00a0o au total"),
    ],
)
def test_a_limit_is_said_in_the_visitors_language(
    limit: dict[str, Any], sentence: str, tmp_path: Path
):
    settings = {"DOWNLOAD_BTN_RUNNER": "inline", "DOWNLOAD_BTN_LANGUAGE": "fr", **limit}
    with sites.site(tmp_path, db=db, declare=False, **settings) as site:
        ended = site.run((notes, {"word": "one"}), (notes, {"word": "two"}))

    assert (ended.state, ended.message[: len(sentence)]) == ("failed", sentence)


def forgets_the_block(btn: Any) -> None:
    btn.create_file("orders.csv").write("never")


def test_a_file_that_is_written_without_its_block_says_how(
    site: sites.Site, caplog: pytest.LogCaptureFixture
):
    assert site.run(forgets_the_block).state == "failed"
    assert "Write 'with btn.create_file('orders.csv') as file:'" in caplog.text


def test_after_a_failure_the_button_works_again(site: sites.Site):
    uid = site.button(plain)
    with site.row(uid) as btn:
        btn.create_file_functions = fails
    visitor = site.visitor()
    assert visitor.click(uid).state == "failed"

    with site.row(uid) as btn:
        btn.create_file_functions = plain

    assert visitor.click(uid).state == "ready"


def tells_the_visitor(btn: Any, when: str) -> Iterator[Any]:
    if when == "midway":
        yield "Looking"
    raise DownloadError("Pick at least one <order>.")


@pytest.mark.parametrize("when", ["at once", "midway"])
def test_a_download_error_is_told_to_the_visitor_and_is_no_traceback(
    when: str, site: sites.Site, caplog: pytest.LogCaptureFixture
):
    ended = site.run((tells_the_visitor, {"when": when}))

    assert (ended.state, ended.message) == ("failed", "Pick at least one <order>.")
    assert ended.snapshot["reference"] is None
    assert not [record for record in caplog.records if record.exc_info]


def yields(btn: Any, number: int) -> Iterator[Any]:
    yield [3.5j, object(), {"a": 1}, [1], b"bytes", True, ("a", 1, 2), {1}, print][number]


@pytest.mark.parametrize("number", range(9))
def test_yielded_nonsense_is_refused_by_name(
    number: int, site: sites.Site, caplog: pytest.LogCaptureFixture
):
    ended = site.run((yields, {"number": number}))

    assert (ended.state, ended.message) == ("failed", SORRY)
    assert "'yields' yielded" in caplog.text
    assert "yields progress or a File" in caplog.text


def yields_a_bad_percent(btn: Any, percent: Any) -> Iterator[Any]:
    yield ("Working", percent)


@pytest.mark.parametrize("percent", ["50", b"50", True, [1]])
def test_a_percent_that_is_no_number_fails_the_run_clearly(
    percent: Any, site: sites.Site, caplog: pytest.LogCaptureFixture
):
    ended = site.run((yields_a_bad_percent, {"percent": percent}))

    assert (ended.state, ended.message) == ("failed", SORRY)
    assert f"{percent!r} is not a percent" in caplog.text


def returns(btn: Any, number: int) -> Any:
    return ["a str", 42, {"a": 1}, b"bytes", [File(b"", "a.txt"), "a str"], object()][number]


@pytest.mark.parametrize("number", range(6))
def test_returned_nonsense_is_refused_with_the_way_out(
    number: int, site: sites.Site, caplog: pytest.LogCaptureFixture
):
    ended = site.run((returns, {"number": number}))

    assert (ended.state, ended.files) == ("failed", [])
    assert "'returns' returned" in caplog.text
    assert "File(text.encode()" in caplog.text
    assert site.stored_bytes() == []


def text_for_bytes(btn: Any) -> File:
    return File("text", "file.txt")  # type: ignore[arg-type]


def test_a_file_of_text_is_refused_with_the_way_out(
    site: sites.Site, caplog: pytest.LogCaptureFixture
):
    assert site.run(text_for_bytes).state == "failed"

    assert "text.encode()" in caplog.text


def test_a_function_that_is_gone_fails_the_run(
    site: sites.Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    uid = site.button(plain)
    monkeypatch.delattr("test_engine.plain")

    for _ in range(2):
        ended = site.visitor().click(uid)
        assert (ended.state, ended.message) == ("failed", SORRY)
    assert "test_engine:plain" in caplog.text


def test_arguments_that_no_longer_fit_fail_the_run(
    site: sites.Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    uid = site.button((notes, {"word": "a"}))
    monkeypatch.setattr("test_engine.notes", with_arguments)

    assert site.visitor().click(uid).state == "failed"
    assert "with_arguments" in caplog.text


@pytest.mark.parametrize("column", ["reference", "arguments", "signature"])
def test_a_row_that_the_app_did_not_write_is_refused(
    column: str, site: sites.Site, caplog: pytest.LogCaptureFixture
):
    uid = site.button((notes, {"word": "a"}))
    table = Function.__table__
    change = {
        "reference": "test_engine:fails",
        "arguments": table.c.arguments + " ",
        "signature": "0" * 64,
    }
    with site.app.app_context():
        db.session.execute(table.update().values({column: change[column]}))
        db.session.commit()

    ended = site.visitor().click(uid)

    assert (ended.state, ended.files) == ("failed", [])
    assert "was not stored by this app" in caplog.text
    assert SEEN == []


def test_a_run_whose_plan_was_edited_is_refused(slow: sites.Site, caplog: pytest.LogCaptureFixture):
    from flask_download_btn.runs import Click

    plan = '{"steps": [], "downloads": null, "tmp_downloads": []}'
    visit = '{"form": [], "user_id": null, "collected": null, "root": "http://x/", "cache": null}'
    uid = slow.button(plain)
    with slow.app.app_context():
        click = Click(uid, None, "r", "ann", plan, visit, False, None, None, None, "")
        run, _ = slow.parts.runs.make(click)
        table = db.metadata.tables["download_btn_run"]
        db.session.execute(table.update().values(plan=plan + " ").where(table.c.id == run.id))
        db.session.commit()

    slow.parts.engine.carry_out(run.id)

    assert slow.parts.runs.find(run.id).state == "failed"
    assert "was not written by this app" in caplog.text


# -- stopping ------------------------------------------------------------------------------------


def stops_at(btn: Any, gate: str, how: str) -> Iterator[Any]:
    try:
        yield "Working"
        wait_at(gate)
        if how == "yield":
            while True:
                yield
        elif how == "report":
            while True:
                btn.report("Working")
        elif how == "track":
            for _ in btn.track(iter(int, 1)):
                pass
        else:
            with btn.create_file("endless.bin") as file:
                while True:
                    file.write(b"x" * 65536)
    except Exception:
        SEEN.append("swallowed")
    finally:
        SEEN.append("finally")


async def stops_asynchronously(btn: Any, gate: str) -> AsyncIterator[Any]:
    try:
        yield "Working"
        wait_at(gate)
        while True:
            yield None
    finally:
        await asyncio.sleep(0)
        SEEN.append("finally")


def started(site: sites.Site, function: Any, **arguments: Any) -> tuple[sites.Visitor, Any]:
    """Start a run that waits at its gate."""
    visitor = site.visitor()
    answer = visitor.start(visitor.token(site.button((function, arguments))))
    arrived_at(arguments["gate"])
    return visitor, answer.get_json()


@pytest.mark.parametrize("how", ["yield", "report", "track", "write"])
def test_a_cancelled_run_stops_and_cleans_up(how: str, slow: sites.Site):
    kept = slow.stored_bytes()
    visitor, picture = started(slow, stops_at, gate=how, how=how)

    visitor.cancel(picture)
    GATES[how].set()

    assert visitor.ended(picture)["state"] == "cancelled"
    assert SEEN[-1] == "finally"
    assert "swallowed" not in SEEN
    assert slow.stored_bytes() == kept


def test_a_cancelled_async_generator_cleans_up(slow: sites.Site):
    visitor, picture = started(slow, stops_asynchronously, gate="async")

    visitor.cancel(picture)
    GATES["async"].set()

    assert visitor.ended(picture)["state"] == "cancelled"
    assert SEEN[-1] == "finally"


def will_not_be_closed(btn: Any, gate: str) -> Iterator[Any]:
    try:
        yield "Working"
        wait_at(gate)
        yield
    finally:
        yield "One more"
        raise ValueError("in finally")


def test_a_function_that_fails_while_it_is_closed_is_cancelled_all_the_same(
    slow: sites.Site, caplog: pytest.LogCaptureFixture
):
    visitor, picture = started(slow, will_not_be_closed, gate="closed")

    visitor.cancel(picture)
    GATES["closed"].set()

    assert visitor.ended(picture)["state"] == "cancelled"
    assert "failed while it was closed" in caplog.text


def never_reports(btn: Any, gate: str) -> File:
    wait_at(gate)
    return File(b"too late", "late.txt")


def test_a_cancel_between_two_functions_stops_the_second(slow: sites.Site):
    visitor = slow.visitor()
    uid = slow.button((never_reports, {"gate": "first"}), (notes, {"word": "second"}))
    picture = visitor.start(visitor.token(uid)).get_json()
    arrived_at("first")

    visitor.cancel(picture)
    GATES["first"].set()

    assert visitor.ended(picture)["state"] == "cancelled"
    assert "second" not in SEEN


def test_a_run_is_carried_out_once_however_often_it_is_handed_over(slow: sites.Site):
    visitor, picture = started(slow, never_reports, gate="twice")
    (live,) = slow.parts.lives

    slow.parts.engine.carry_out(live.run.id)
    GATES["twice"].set()

    assert visitor.ended(picture)["state"] == "ready"
    assert SEEN == ["at twice"]
    slow.parts.engine.carry_out(live.run.id)
    assert SEEN == ["at twice"]


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[sites.Site]:
    """A site whose runs may not take long."""
    with sites.site(
        tmp_path,
        db=db,
        declare=False,
        DOWNLOAD_BTN_TIME_LIMIT=0.3,
        DOWNLOAD_BTN_HEARTBEAT=0.1,
        DOWNLOAD_BTN_REAP=0.1,
    ) as site:
        yield site
        for gate in GATES.values():
            gate.set()


def test_a_function_that_never_ends_is_timed_out(hasty: sites.Site):
    visitor, picture = started(hasty, stops_at, gate="ends", how="yield")
    GATES["ends"].set()

    ended = visitor.ended(picture)

    assert (ended["state"], ended["files"]) == ("failed", [])
    assert "too long" in ended["message"]
    wait_until(lambda: SEEN[-1] == "finally", "The function was not stopped")


def test_a_function_that_never_yields_is_timed_out_and_its_late_file_is_deleted(
    hasty: sites.Site,
):
    visitor, picture = started(hasty, never_reports, gate="late")

    ended = visitor.ended(picture)
    GATES["late"].set()
    wait_until(lambda: not len(hasty.parts.lives), "The function does not end")

    assert (ended["state"], visitor.look(picture).get_json()["state"]) == ("failed", "failed")
    assert hasty.stored_bytes() == []


# -- who is told ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "signal", "state"), [(plain, run_ready, "ready"), (fails, run_failed, "failed")]
)
def test_each_change_of_state_is_signalled_and_logged_once(
    function: Any, signal: Any, state: str, site: sites.Site, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "flask_download_btn")
    told: list[Any] = []

    def note_start(sender: Any, run: Any) -> None:
        told.append(("started", run.state))

    def note_end(sender: Any, run: Any) -> None:
        told.append(("ended", run.state))

    with run_started.connected_to(note_start, site.app), signal.connected_to(note_end, site.app):
        site.run(function)

    assert told == [("started", "running"), ("ended", state)]
    assert len([r for r in caplog.records if f"is {state} after" in r.getMessage()]) == 1


def test_a_cancel_is_signalled(slow: sites.Site):
    visitor, picture = started(slow, stops_at, gate="told", how="yield")
    told: list[str] = []

    with run_cancelled.connected_to(lambda sender, run: told.append(run.state), slow.app):
        visitor.cancel(picture)
        GATES["told"].set()
        wait_until(lambda: told, "Nobody was told")

    assert told == ["cancelled"]


def test_nothing_of_the_visitor_is_in_the_log(site: sites.Site, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    visitor = site.visitor()
    uid = site.button(plain)

    ended = visitor.click(uid, {"card": "4111-1111"})
    ended.files[0].read()

    assert "4111-1111" not in caplog.text
    assert ended.snapshot["run"] not in caplog.text


def own_message(btn: Any) -> Iterator[Any]:
    yield "Working"
    btn.download_msg = "Made for you"
    btn.callback = "/thanks"
    btn.archive = "both.zip"
    btn.tmp_downloads = [File(b"1", "a.txt"), File(b"2", "b.txt")]


def test_a_function_may_set_what_follows_for_its_own_run(site: sites.Site):
    uid = site.button(own_message, download_msg="Made", callback="/")

    ended = site.visitor().click(uid)

    assert (ended.message, ended.snapshot["callback"]) == ("Made for you", "/thanks")
    assert ended.snapshot["zip"]["name"] == "both.zip"
    with site.row(uid) as btn:
        assert (btn.download_msg, btn.callback, btn.archive) == ("Made", "/", None)
