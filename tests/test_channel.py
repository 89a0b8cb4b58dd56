"""Test the channel with real sockets: no end is missed, nobody is flooded or listens in."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import sites
import websocket
from flask_socketio import SocketIO
from processes import TESTS, Process, memory_of, wait_until
from wire import LIVE, WireVisitor

from flask_download_btn import File
from flask_download_btn.channel import NAMESPACE

GATES: defaultdict[str, threading.Event] = defaultdict(threading.Event)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.Site]:
    with sites.site(
        tmp_path_factory.mktemp("channel"), DOWNLOAD_BTN_MAX_LIVE=0, DOWNLOAD_BTN_WAIT=0
    ) as site:
        yield site


@pytest.fixture(scope="module")
def url(site: sites.Site) -> Iterator[str]:
    with site.served() as url:
        yield url


@pytest.fixture
def new_visitor(url: str) -> Iterator[Callable[[], WireVisitor]]:
    visitors: list[WireVisitor] = []

    def arrive() -> WireVisitor:
        visitors.append(WireVisitor(url))
        return visitors[-1]

    yield arrive
    for gate in GATES.values():
        gate.set()
    for visitor in visitors:
        visitor.__exit__(None, None, None)
    GATES.clear()


@pytest.fixture
def visitor(new_visitor: Callable[[], WireVisitor]) -> WireVisitor:
    return new_visitor()


def token_of(site: sites.Site, visitor: WireVisitor, function: Any, **arguments: Any) -> str:
    return visitor.load(f"/a-page-with/{site.button((function, arguments))}")


# -- what a watcher sees -------------------------------------------------------------------------


def waits(btn: Any, gate: str) -> Iterator[Any]:
    yield btn.reset("Waiting", 10)
    assert GATES[gate].wait(20)
    yield btn.report("Waiting", 90)
    yield File(b"done", "done.txt")


def test_a_watcher_has_the_current_picture_at_once(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, waits, gate="current"))
    wait_until(lambda: visitor.look(picture)["stage"] == "Waiting", "It does not begin")

    watch = visitor.watch(picture["run"])

    assert watch.answer["text"] == "Waiting: 10%"
    assert watch.answer["run"] == picture["run"]


def test_a_watcher_is_told_of_the_end(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, waits, gate="end"))
    watch = visitor.watch(picture["run"])

    GATES["end"].set()
    ended = watch.until_ended()

    assert ended["state"] == "ready"
    assert [file["name"] for file in ended["files"]] == ["done.txt"]
    assert visitor.fetch(ended["files"][0]) == b"done"


def test_who_comes_after_the_end_sees_it(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, waits, gate="after"))
    GATES["after"].set()
    wait_until(lambda: visitor.look(picture)["state"] == "ready", "It does not end")

    assert visitor.watch(picture["run"]).answer["state"] == "ready"


def test_a_second_tab_sees_the_same(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, waits, gate="tabs"))
    watches = [visitor.watch(picture["run"]) for _ in range(2)]

    GATES["tabs"].set()

    assert watches[0].until_ended() == watches[1].until_ended()


def test_a_finished_download_is_told(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, waits, gate="told"))
    watch = visitor.watch(picture["run"])
    GATES["told"].set()
    (file,) = watch.until_ended()["files"]
    assert not file["downloaded"]

    visitor.fetch(file)

    wait_until(
        lambda: watch.pictures[-1]["files"][0]["downloaded"], "The page is not told of its download"
    )
    assert watch.pictures[-1]["state"] == "ready"


def ends_soon(btn: Any, milliseconds: int) -> Iterator[Any]:
    yield btn.reset("Soon", 0)
    time.sleep(milliseconds / 1000)
    yield btn.report("Soon", 100)


def test_nobody_misses_an_end_between_looking_and_joining(
    site: sites.Site, new_visitor: Callable[[], WireVisitor], monkeypatch: pytest.MonkeyPatch
):
    """The channel looks, joins, looks: each gap is made 20 ms wide, and ends fall into all."""
    look = site.parts.channel._look

    def slow_look(token: Any) -> Any:
        found = look(token)
        time.sleep(0.02)
        return found

    monkeypatch.setattr(site.parts.channel, "_look", slow_look)
    missed = []
    outcomes: Counter[str] = Counter()

    def watch_one(visitor: WireVisitor, token: str) -> None:
        picture = visitor.start(token)
        watch = visitor.watch(picture["run"])
        at_join = watch.answer["state"]
        outcomes["told later" if at_join in LIVE else "seen at once"] += 1
        try:
            watch.until_ended()
        except AssertionError:
            missed.append(watch.pictures)
        watch.end()

    visitor = new_visitor()
    for milliseconds in range(0, 100, 2):
        watch_one(visitor, token_of(site, visitor, ends_soon, milliseconds=milliseconds))

    assert not missed
    assert len(outcomes) == 2, outcomes


def reports_much(btn: Any, count: int) -> Iterator[Any]:
    for number in range(count):
        yield btn.report("Counting", 100.0 * number / count)


def stages_and_percents(btn: Any) -> Iterator[Any]:
    for stage in range(20):
        yield btn.reset(f"Stage {stage}", 0)
        for number in range(20):
            yield btn.report(f"Stage {stage}", 5.0 * number)
            time.sleep(0.002)


def test_pictures_come_in_order_and_none_after_the_end(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, stages_and_percents))
    watch = visitor.watch(picture["run"])

    ended = watch.until_ended()
    # One more round trip: what was sent before has then arrived.
    visitor.watch(picture["run"])

    numbers = [event["seq"] for event in watch.events]
    assert numbers == sorted(set(numbers))
    assert watch.events[-1] == ended
    shown = [(event["stage_no"], event["percent"] or 0) for event in watch.events[:-1]]
    assert shown == sorted(shown)
    assert len(shown) > 5


def test_a_hundred_thousand_reports_are_ten_events_a_second(site: sites.Site, visitor: WireVisitor):
    began_at = time.monotonic()
    picture = visitor.start(token_of(site, visitor, reports_much, count=100_000))
    watch = visitor.watch(picture["run"])

    watch.until_ended()
    seconds = time.monotonic() - began_at

    assert len(watch.events) <= 10 * seconds + 3


def a_second_of_reports(btn: Any) -> Iterator[Any]:
    assert GATES["second"].wait(20)
    ends_at = time.monotonic() + 1.0
    number = 0
    while time.monotonic() < ends_at:
        number += 1
        yield btn.report("Counting", number / 1_000_000)


def test_a_watcher_is_told_several_times_a_second(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, a_second_of_reports))
    watch = visitor.watch(picture["run"])

    GATES["second"].set()
    watch.until_ended()

    gaps = [
        later - earlier for earlier, later in zip(watch.moments, watch.moments[1:], strict=False)
    ]
    assert 5 <= len(watch.events) <= 14
    assert max(gaps) < 0.5


def changes_stage_at_once(btn: Any) -> Iterator[Any]:
    assert GATES["stages"].wait(20)
    for stage in ("Reading", "Sorting", "Writing"):
        yield btn.reset(stage, 0)
        time.sleep(0.03)


def test_every_change_of_stage_is_told_at_once(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, changes_stage_at_once))
    watch = visitor.watch(picture["run"])

    GATES["stages"].set()
    watch.until_ended()

    seen = [event["stage"] for event in watch.events if event["state"] == "running"]
    assert list(dict.fromkeys(stage for stage in seen if stage)) == [
        "Reading",
        "Sorting",
        "Writing",
    ]


def goes_silent(btn: Any) -> Iterator[Any]:
    assert GATES["silent"].wait(20)
    for number in range(10):
        yield btn.report("Counting", number)
    assert GATES["silence ends"].wait(20)


def test_the_last_report_before_a_silence_is_told(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, goes_silent))
    watch = visitor.watch(picture["run"])

    GATES["silent"].set()

    wait_until(
        lambda: watch.pictures[-1]["percent"] == 9, "The last report is never told", patience=2
    )


# -- who may watch -------------------------------------------------------------------------------


def test_a_run_of_somebody_else_cannot_be_watched(
    site: sites.Site, new_visitor: Callable[[], WireVisitor]
):
    ann, bob = new_visitor(), new_visitor()
    picture = ann.start(token_of(site, ann, waits, gate="mine"))
    token_of(site, bob, waits, gate="mine")

    watch = bob.watch(picture["run"])
    GATES["mine"].set()
    ann.watch(picture["run"]).until_ended()

    assert watch.answer is None
    assert watch.events == []


@pytest.mark.parametrize(
    "run",
    [None, "", "nonsense", 17, {}, [], "x" * 10_000, {"run": "x"}],
    ids=lambda run: repr(run)[:9],
)
def test_nonsense_is_answered_with_nothing(run: Any, visitor: WireVisitor):
    assert visitor.watch(run).answer is None


def test_a_visitor_without_a_session_sees_nothing(
    site: sites.Site, new_visitor: Callable[[], WireVisitor]
):
    ann, stranger = new_visitor(), new_visitor()
    picture = ann.start(token_of(site, ann, waits, gate="stranger"))

    assert stranger.watch(picture["run"]).answer is None


def test_a_revoked_button_cannot_be_watched(site: sites.Site, visitor: WireVisitor):
    uid = site.button((waits, {"gate": "revoked"}))
    picture = visitor.start(visitor.load(f"/a-page-with/{uid}"))

    with site.row(uid) as btn:
        btn.clear_csrf()

    assert visitor.watch(picture["run"]).answer is None


# -- what it costs -------------------------------------------------------------------------------


def test_a_run_that_nobody_watches_sends_nothing(
    site: sites.Site, visitor: WireVisitor, monkeypatch: pytest.MonkeyPatch
):
    sent: list[Any] = []
    emit = SocketIO.emit

    def counted(self: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(arguments)
        return emit(self, *arguments, **options)

    monkeypatch.setattr(SocketIO, "emit", counted)
    picture = visitor.start(token_of(site, visitor, stages_and_percents))
    wait_until(lambda: visitor.look(picture)["state"] == "ready", "It does not end")

    assert sent == []


def test_rooms_go_with_their_watchers(site: sites.Site, visitor: WireVisitor):
    def rooms() -> list[str]:
        of_all = site.parts.socketio.server.manager.rooms.get(NAMESPACE, {})
        return [room for room in of_all if room and str(room).startswith("run:")]

    wait_until(lambda: not rooms(), "A room of another test is left")
    picture = visitor.start(token_of(site, visitor, waits, gate="rooms"))
    watch = visitor.watch(picture["run"])
    assert len(rooms()) == 1

    watch.end()

    wait_until(lambda: not rooms(), "The room is left")
    GATES["rooms"].set()


def test_a_page_that_went_away_does_not_stop_its_run(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, waits, gate="away"))
    visitor.watch(picture["run"]).end()

    GATES["away"].set()

    wait_until(lambda: visitor.look(picture)["state"] == "ready", "It does not end")
    assert visitor.watch(picture["run"]).answer["state"] == "ready"


def test_a_cancel_is_told_and_nothing_follows(site: sites.Site, visitor: WireVisitor):
    picture = visitor.start(token_of(site, visitor, a_second_of_reports))
    watch = visitor.watch(picture["run"])
    GATES["second"].set()
    wait_until(lambda: watch.events, "Nothing is told")

    asked_at = time.monotonic()
    visitor.cancel(picture)
    ended = watch.until_ended()
    visitor.watch(picture["run"])

    assert ended["state"] == "cancelled"
    assert time.monotonic() - asked_at < 1
    assert watch.events[-1] == ended


@pytest.mark.parametrize("server", ["werkzeug", "gunicorn", "gevent", "eventlet"])
def test_promise_30_a_huge_message_is_refused_before_it_is_in_memory(
    server: str, serve: Callable[..., Process], tmp_path: Path
):
    app = TESTS / "apps" / "scenario_app.py"
    mode = server if server in ("gevent", "eventlet") else "threading"
    serving = serve(app, server, environment={"FOLDER": str(tmp_path), "ASYNC_MODE": mode})
    address = serving.url.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket"
    before = memory_of(serving)
    connection = websocket.create_connection(address, timeout=20)

    def send() -> None:
        with suppress(OSError, websocket.WebSocketException), closing(connection):
            connection.send("4" + "x" * 60_000_000)
            while connection.recv():
                pass

    sender = threading.Thread(target=send)
    sender.start()
    most = 0
    while sender.is_alive():
        most = max(most, memory_of(serving) - before)
    assert most < 20_000_000
    assert WireVisitor(serving.url).load("/?b=cached")
