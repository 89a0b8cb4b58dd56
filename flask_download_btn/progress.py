"""Measure a run's progress at the price of a clock reading, and say it in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from time import monotonic
from typing import Any, NamedTuple, TypeVar

from .errors import OutputRefused

T = TypeVar("T")

INTERVAL = 0.1
"""Seconds between two pictures of a run: ten a second is all that an eye can use."""

STAGE_BURST = 10
"""Changes of stage that may be told at once before they, too, wait for the interval."""

FAST_PERCENTS = frozenset((float, int, type(None)))


class Progress(NamedTuple):
    """What `btn.reset` and `btn.report` return, for a function to yield."""

    stage: str = ""
    percent: float | None = None


# What `Progress(…)` calls in its turn: in an inner loop the detour is half of the price.
_new_progress: Callable[[type[Progress], tuple[str, Any]], Progress] = tuple.__new__


def as_percent(value: Any) -> float | None:
    """Turn any number into 0–100, or into None if nothing is known; refuse what is no number."""
    if value is None:
        return None
    if isinstance(value, (str, bytes, bool)):
        raise OutputRefused(_no_percent(value))
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise OutputRefused(_no_percent(value)) from error
    except OverflowError:
        return 100.0 if value > 0 else 0.0
    return min(max(number, 0.0), 100.0) if math.isfinite(number) else None


def _no_percent(value: Any) -> str:
    return f"{value!r} is not a percent. Give a number from 0 to 100, or None for unknown."


def said(words: str, most: int = 500) -> str:
    """Return words as every database and page can take them."""
    if len(words) <= most and words.isascii() and "\0" not in words:
        return words
    return words.encode("utf-8", "replace").decode().replace("\0", "")[:most]


class Pace:
    """Guess how long a stage will still take, from how long it took so far."""

    def __init__(self) -> None:
        self._stage_no = -1
        self._began = (0.0, 0.0)

    def eta(self, stage_no: int, percent: float | None, now: float) -> float | None:
        """Return the seconds left, or None while a guess would be a lie."""
        if stage_no != self._stage_no or percent is None:
            self._stage_no, self._began = stage_no, (now, percent or 0.0)
            return None
        began_at, began_percent = self._began
        gained = percent - began_percent
        if now - began_at < 2.0 or gained < 1.0 or percent >= 100:
            return None
        return (now - began_at) * (100.0 - percent) / gained


class Burst:
    """Lets so many changes of stage pass at once, and then one for each interval."""

    __slots__ = ("_at", "_left")

    def __init__(self) -> None:
        self._left = float(STAGE_BURST)
        self._at = monotonic()

    def spend(self, now: float) -> bool:
        """Tell whether one more may pass."""
        self._left = min(STAGE_BURST, self._left + (now - self._at) / INTERVAL)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class Meter:
    """The latest progress of one run: written by its function, read by whoever tells the page.

    `report` runs in an app's inner loop. It stores two values and reads the clock; only every
    `INTERVAL` does it call `on_tick`, which tells, and raises `RunCancelled` where one is wanted.
    """

    __slots__ = ("_burst", "due", "on_tick", "percent", "stage", "stage_no")

    def __init__(self, on_tick: Callable[[], None] = lambda: None) -> None:
        self.on_tick = on_tick
        self.stage = ""
        self.stage_no = 0
        self.percent: Any = None
        self.due = 0.0
        self._burst = Burst()

    def reset(self, stage: str = "", percent: Any = None) -> Progress:
        """Begin a stage."""
        if percent.__class__ not in FAST_PERCENTS:
            percent = as_percent(percent)
        self.percent = None
        self.stage = stage if stage.__class__ is str else _stage_words(stage)
        self.stage_no += 1
        self.percent = percent
        self._tell_stage()
        return Progress(self.stage, percent)

    def report(self, stage: str = "", percent: Any = None) -> Progress:
        """Go on in a stage; other words for it begin another."""
        if percent.__class__ not in FAST_PERCENTS:
            percent = as_percent(percent)
        if stage != self.stage and stage:
            return self.reset(stage, percent)
        self.percent = percent
        if monotonic() >= self.due:
            self.tick()
        return _new_progress(Progress, (stage, percent))

    def track(
        self, iterable: Iterable[T], stage: str = "", total: int | None = None
    ) -> Iterator[T]:
        """Yield the items of any iterable, reporting how many are done."""
        if total is None:
            total = _length(iterable)
        self.reset(stage, 0.0 if total else None)
        done = 0
        for item in iterable:
            yield item
            done += 1  # noqa: SIM113  # an item counts when it is done, not when it is given
            if monotonic() >= self.due:
                if total:
                    self.percent = 100.0 * done / total
                self.tick()
        self.report(self.stage, 100.0)

    def check(self) -> None:
        """Let a function that reports nothing be told and stopped all the same."""
        if monotonic() >= self.due:
            self.tick()

    def tick(self) -> None:
        self.due = monotonic() + INTERVAL
        self.on_tick()

    def interrupt(self) -> None:
        """Have the next report call `on_tick`, however soon it comes."""
        self.due = 0.0

    def _tell_stage(self) -> None:
        now = monotonic()
        if self._burst.spend(now) or now >= self.due:
            self.tick()


def _stage_words(stage: Any) -> str:
    if isinstance(stage, str):
        return str(stage)
    if stage is None:
        return ""
    raise OutputRefused(f"{stage!r} is not a stage. Give words for people, as a str.")


def _length(iterable: Iterable[Any]) -> int | None:
    try:
        return len(iterable)  # type: ignore[arg-type]
    except TypeError:
        return None
