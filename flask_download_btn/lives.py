"""Know the runs that this process carries out now, and how far they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .errors import RunCancelled, RunLost
from .progress import INTERVAL, Meter, Pace, as_percent, said
from .runs import SEQ_OF_ATTEMPT, Run


class Live:
    """One run while it runs: its meter, and what others want of it."""

    def __init__(self, run: Run, on_tick: Callable[[Live], None], time_limit: float) -> None:
        self.run = run
        self.meter = Meter(self._tick)
        self.is_cancelled = run.cancel_asked
        self.is_lost = False
        self.ended = threading.Event()
        self.began_at = time.monotonic()
        self.ends_by = self.began_at + time_limit if time_limit else float("inf")
        self._greedy_at = self.began_at + INTERVAL / 2
        self._on_tick = on_tick
        self._lock = threading.Lock()
        self._pace = Pace()
        self._seq = run.attempt * SEQ_OF_ATTEMPT
        self._shown: tuple[str, int, float | None] = ("", 0, None)

    def cancel(self) -> None:
        """Have the function stop at its next report."""
        self.is_cancelled = True
        self.meter.interrupt()

    def lose(self) -> None:
        """Have the function stop, its run being somebody else's, or over."""
        self.is_lost = True
        self.meter.interrupt()

    def is_greedy(self) -> bool:
        """Tell whether a run that need not wait should let others have their turn."""
        now = time.monotonic()
        if now < self._greedy_at:
            # It has only just begun: to queue up again behind all that begin would hold it up.
            return False
        self._greedy_at = now + INTERVAL / 2
        return True

    def last_seq(self) -> int:
        """Number the picture of the end, which is written while others still draw the run."""
        return self._seq + 1_000_000

    def weather(self) -> dict[str, Any]:
        """Tell the progress as of now; within a stage it never goes back."""
        with self._lock:
            stage_no, stage = self.meter.stage_no, said(self.meter.stage)
            percent = as_percent(self.meter.percent)
            _, shown_no, shown_percent = self._shown
            if stage_no == shown_no and percent is not None and shown_percent is not None:
                percent = max(percent, shown_percent)
            if (stage, stage_no, percent) != self._shown:
                self._shown = (stage, stage_no, percent)
                self._seq += 1
            eta = self._pace.eta(stage_no, percent, time.monotonic())
            return {
                "stage": stage,
                "stage_no": stage_no,
                "percent": percent,
                "eta": eta,
                "seq": self._seq,
            }

    def row_weather(self) -> dict[str, Any]:
        """Tell what a heartbeat writes of it."""
        weather = self.weather()
        return {name: weather[name] for name in ("stage", "stage_no", "percent", "seq")}

    def _tick(self) -> None:
        if self.is_lost:
            raise RunLost(self.run.id)
        if self.is_cancelled:
            raise RunCancelled(self.run.id)
        self._on_tick(self)


class Waiter:
    """Waits for a run's end; `ended` is the run as it then is, if that is known here."""

    def __init__(self) -> None:
        self.ended: Run | None = None
        self._event = threading.Event()

    def wait(self, seconds: float) -> None:
        self._event.wait(seconds)

    def tell(self, ended: Run | None) -> None:
        self.ended = ended
        self._event.set()


class Lives:
    """The runs that this process carries out, by id."""

    def __init__(self) -> None:
        self._lives: dict[str, Live] = {}
        self._waiters: dict[str, Waiter] = {}

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self._lives.values()))

    def __len__(self) -> int:
        return len(self._lives)

    def get(self, run_id: str) -> Live | None:
        return self._lives.get(run_id)

    @contextmanager
    def entered(self, live: Live) -> Iterator[Live]:
        """Hold a run as live for as long as the block lasts."""
        earlier = self._lives.get(live.run.id)
        if earlier:
            # An attempt that was given up while its function went on.
            earlier.lose()
        self._lives[live.run.id] = live
        try:
            yield live
        finally:
            if self._lives.get(live.run.id) is live:
                del self._lives[live.run.id]

    @contextmanager
    def awaited(self, run_id: str) -> Iterator[Waiter]:
        """Give what waits until this process has ended the run."""
        waiter = self._waiters.setdefault(run_id, Waiter())
        try:
            yield waiter
        finally:
            self._waiters.pop(run_id, None)

    def tell_ended(self, run_id: str, ended: Run | None = None) -> None:
        waiter = self._waiters.get(run_id)
        if waiter:
            waiter.tell(ended)
