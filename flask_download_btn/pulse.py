"""Beat for this process: tell watchers, renew leases, notice cancels, settle what died."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from sqlalchemy.exc import DBAPIError

from .lives import Live, Lives
from .pictures import Pictures
from .progress import INTERVAL, Burst
from .protocols import Publisher
from .runs import Run, Runs

logger = logging.getLogger(__name__)


class Rhythm:
    """Seconds between two of each thing that the pulse does."""

    def __init__(
        self, *, heartbeat: float, lease: float, look: float, reap: float, prune: float
    ) -> None:
        self.recheck = 30.0
        self.heartbeat = heartbeat
        self.lease = lease
        self.look = look
        self.reap = reap
        self.prune = prune


class Pulse:
    """Two threads of its own in each process, so that no busy function stops a heartbeat.

    Under gevent and eventlet they are greenlets, and a function that never waits stops them too.
    """

    def __init__(
        self,
        runs: Runs,
        lives: Lives,
        pictures: Pictures,
        publisher: Publisher,
        rhythm: Rhythm,
        *,
        queued: Callable[[], Iterable[str]],
        start_again: Callable[[str], None],
        on_end: Callable[[Run], None],
        out_of_time: Callable[[Live], None],
        is_revoked: Callable[[str], bool],
        prune: Callable[[], None],
        spawn: Callable[[Callable[[], None]], object] | None,
        died_sentence: Callable[[Run], str],
    ) -> None:
        self._runs = runs
        self._lives = lives
        self._pictures = pictures
        self._publisher = publisher
        self._rhythm = rhythm
        self._queued = queued
        self._start_again = start_again
        self._on_end = on_end
        self._out_of_time = out_of_time
        self._is_revoked = is_revoked
        self._prune = prune
        self._spawn = spawn
        self._died_sentence = died_sentence
        self._wake = threading.Event()
        self._tick = threading.Event()
        self._calm_at = 0.0
        self._pid: int | None = None
        self._starting = threading.Lock()
        self._told: dict[str, Teller] = {}
        self._ended: deque[str] = deque()
        self._next: dict[str, float] = {}

    def start(self) -> None:
        """Begin in this process, and settle first what its predecessor left; once, cheaply."""
        if self._pid == os.getpid():
            return
        with self._starting:
            if self._pid != os.getpid():
                self._wake, self._tick = threading.Event(), threading.Event()
                self._settle(self._runs.settle_dead_processes(self._died_sentence))
                self._pid = os.getpid()
                if self._spawn:
                    self._spawn(self._tell_loop)
                    self._spawn(self._time_loop)

    def stop(self) -> None:
        """End the beat in this process; the next request begins it again."""
        self._pid = None
        self._wake.set()
        self._tick.set()

    def begin(self) -> None:
        """Beat for a run that begins now: whatever was waited for comes sooner."""
        self._tick.set()

    def tell(self, live: Live) -> bool:
        """Have a run's watchers, if any, told of its progress soon; nobody costs this look."""
        is_watched = self._publisher.is_watched(live.run.id)
        if is_watched:
            self._wake.set()
        return is_watched

    def announce(self, run_id: str) -> None:
        """Have watchers told of what has just been committed; who comes later looks by himself."""
        if self._publisher.is_watched(run_id):
            self._ended.append(run_id)
            self._wake.set()

    # Whoever tells may be held up by a page or a broker. That must not stop the heart.

    def _tell_loop(self) -> None:
        wake = self._wake
        while self._pid and self._wake is wake:
            later = any(teller.has_news_later for teller in self._told.values())
            wake.wait(INTERVAL / 2 if later else None)
            wake.clear()
            self._carefully(self._tell_all)

    def _time_loop(self) -> None:
        tick = self._tick
        while self._pid and self._tick is tick:
            tick.wait(self._patience())
            tick.clear()
            self._on_time()

    def _carefully(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:
            logger.exception("The pulse missed a beat; the next one comes.")

    def _patience(self) -> float:
        """Return how long nothing is due: a run that begins wakes the pulse itself."""
        rhythm = self._rhythm
        return rhythm.look if len(self._lives) else min(rhythm.heartbeat, rhythm.reap)

    def _tell_all(self) -> None:
        while self._ended:
            self._tell_committed(self._ended.popleft())
        # Only now: a run that was told to have ended is no longer among them.
        lives = {live.run.id: live for live in self._lives if self._is_worth_telling(live)}
        # A run that nobody watches has no teller, so that it costs the others nothing.
        self._told = {
            run_id: self._told.get(run_id) or Teller(live) for run_id, live in lives.items()
        }
        for teller in self._told.values():
            teller.tell(self._publisher, self._pictures)

    def _is_worth_telling(self, live: Live) -> bool:
        return not live.is_lost and self._publisher.is_watched(live.run.id)

    def _tell_committed(self, run_id: str) -> None:
        if self._publisher.is_watched(run_id):
            self._told.pop(run_id, None)
            run = self._runs.find(run_id)
            if run:
                self._publisher.publish(run_id, self._pictures.of(run))

    def _on_time(self) -> None:
        now = time.monotonic()
        for name, work in (
            ("heartbeat", self._beat),
            ("look", self._look),
            ("reap", self._reap),
            ("recheck", self._recheck),
            ("prune", self._prune_apart),
        ):
            if self._is_time(name, now):
                self._carefully(work)

    def _recheck(self) -> None:
        # Who was let in stays in a room; what has been revoked since is closed here.
        for run_id in self._publisher.watched():
            if self._is_revoked(run_id):
                self._publisher.close(run_id)

    def _prune_apart(self) -> None:
        if self._spawn:
            self._spawn(lambda: self._carefully(self._prune))

    def _is_time(self, name: str, now: float) -> bool:
        seconds = getattr(self._rhythm, name)
        due = self._next.setdefault(name, now + (seconds if name != "prune" else 1.0))
        if not seconds or now < due:
            return False
        self._next[name] = now + seconds
        return True

    def _look(self) -> None:
        lives = {live.run.id: live for live in self._lives}
        if not lives:
            return
        try:
            wishes = self._runs.not_ours([live.run for live in lives.values()])
            self._stop_overdue(lives.values())
        except DBAPIError:
            self._note_trouble("cancels are looked for")
            return
        for run_id, wish in wishes.items():
            lives[run_id].cancel() if wish == "cancel" else lives[run_id].lose()

    def _beat(self) -> None:
        lives = [(live.run, live.row_weather()) for live in self._lives]
        queued = list(self._queued())
        if lives or queued:
            try:
                self._runs.beat(lives, queued)
            except DBAPIError:
                self._note_trouble("the lease is renewed")
                self._next["heartbeat"] = time.monotonic() + min(1.0, self._rhythm.heartbeat)

    def _stop_overdue(self, lives: Iterable[Live]) -> None:
        now = time.monotonic()
        for live in lives:
            if now > live.ends_by and not live.is_lost:
                self._out_of_time(live)

    def _reap(self) -> None:
        ours = {live.run.id for live in self._lives} | set(self._queued())
        try:
            is_calm = self._runs.can_write() and time.monotonic() > self._calm_at
            if is_calm:
                self._settle(self._runs.settle_lapsed(self._died_sentence, ours))
        except DBAPIError:
            self._note_trouble("dead runs are looked for")

    def _note_trouble(self, what: str) -> None:
        # While the database was away nobody could beat: give everybody a whole lease to do so.
        logger.debug("The database is busy or away; %s at the next beat.", what)
        self._calm_at = time.monotonic() + self._rhythm.lease

    def _settle(self, settled: Iterable[Run]) -> None:
        for run in settled:
            logger.warning("Run %s lost its process; it is now %s.", run.id, run.state)
            if run.is_live:
                self._start_again(run.id)
                self.announce(run.id)
            else:
                self._on_end(run)


class Teller:
    """Tells one run's watchers of it: ten times a second at most, changes of stage at once."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._last: tuple[Any, ...] = ()
        self._due = 0.0
        self._burst = Burst()
        self.has_news_later = False

    def tell(self, publisher: Publisher, pictures: Pictures) -> None:
        self.has_news_later = False
        meter = self._live.meter
        seen = (meter.stage_no, meter.stage, meter.percent)
        if seen == self._last:
            # A function that went silent may still have something half told.
            return
        now = time.monotonic()
        if now < self._due and not self._may_tell_stage(seen, now):
            self.has_news_later = True
            return
        self._last, self._due = seen, now + INTERVAL
        publisher.publish(self._live.run.id, pictures.of(self._live.run))
        self.has_news_later = True

    def _may_tell_stage(self, seen: tuple[Any, ...], now: float) -> bool:
        if self._last[:1] == seen[:1]:
            return False
        return self._burst.spend(now)
