"""Test how progress is measured, told and said in words."""

from __future__ import annotations

import math
import time
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest

from flask_download_btn import OutputRefused
from flask_download_btn.errors import RunCancelled
from flask_download_btn.progress import INTERVAL, STAGE_BURST, Meter, Pace, as_percent
from flask_download_btn.texts import progress_text

# -- percents ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "percent"),
    [
        (42, 42.0),
        (42.5, 42.5),
        (Decimal("42.5"), 42.5),
        (Fraction(1, 2), 0.5),
        (numpy.float32(42.5), 42.5),
        (numpy.int64(42), 42.0),
        (numpy.array(42), 42.0),
        (-5, 0.0),
        (250, 100.0),
        (10**400, 100.0),
        (-(10**400), 0.0),
        (None, None),
        (math.nan, None),
        (math.inf, None),
        (Decimal("NaN"), None),
        (numpy.float64("nan"), None),
    ],
    ids=repr,
)
def test_any_number_is_a_percent(value: Any, percent: float | None):
    assert as_percent(value) == percent
    assert type(as_percent(value)) in (float, type(None))


@pytest.mark.parametrize(
    "value", ["50", b"50", True, 3.5j, [50], {"percent": 50}, object(), Decimal("sNaN")], ids=repr
)
def test_what_is_no_number_is_refused_where_it_is_reported(value: Any):
    for report in (Meter().report, Meter().reset):
        with pytest.raises(OutputRefused, match="is not a percent"):
            report("Reading", value)


@pytest.mark.parametrize("stage", [17, b"Reading", ["Reading"]], ids=repr)
def test_a_stage_is_words(stage: Any):
    for report in (Meter().report, Meter().reset):
        with pytest.raises(OutputRefused, match="is not a stage"):
            report(stage, 1)


# -- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stage", "percent", "text"),
    [
        ("Reading", 42, "Reading: 42%"),
        ("Reading", None, "Reading"),
        ("", 42, "42%"),
        ("", None, ""),
        ("Reading", math.nan, "Reading"),
        ("Reading", 0, "Reading: 0%"),
        ("Reading", 99.99, "Reading: 99%"),
        ("Reading", 100, "Reading: 100%"),
        ("Reading", -5, "Reading: 0%"),
        ("Reading", 250, "Reading: 100%"),
    ],
)
def test_the_text_says_stage_and_percent(stage: str, percent: Any, text: str):
    for progress in (Meter().reset(stage, percent), Meter().report(stage, percent)):
        assert progress_text(progress.stage, as_percent(progress.percent)) == text


# -- stages --------------------------------------------------------------------------------------


def test_a_reset_begins_a_stage():
    meter = Meter()

    meter.reset("Reading", 10)
    meter.reset("Reading", 0)

    assert (meter.stage_no, meter.stage, meter.percent) == (2, "Reading", 0)


def test_a_report_goes_on_in_its_stage():
    meter = Meter()
    meter.reset("Reading")

    meter.report("Reading", 10)
    meter.report("", 20)
    meter.report(percent=30)

    assert (meter.stage_no, meter.stage, meter.percent) == (1, "Reading", 30)


def test_other_words_begin_another_stage():
    meter = Meter()
    meter.report("Reading", 90)

    meter.report("Writing", 5)

    assert (meter.stage_no, meter.stage, meter.percent) == (2, "Writing", 5)


def test_no_stage_at_all_is_no_new_stage():
    meter = Meter()
    meter.reset("Reading")

    meter.report(None, 10)  # type: ignore[arg-type]
    meter.report(None, 20)  # type: ignore[arg-type]

    assert (meter.stage_no, meter.stage, meter.percent) == (1, "Reading", 20)


# -- who is told ---------------------------------------------------------------------------------


class Listener:
    """Counts how often a meter tells, and what it shows then."""

    def __init__(self) -> None:
        self.meter = Meter(self.note)
        self.told: list[tuple[str, Any]] = []

    def note(self) -> None:
        self.told.append((self.meter.stage, self.meter.percent))


def test_ten_reports_a_second_are_told_however_many_there_are():
    listener = Listener()
    ends_at = time.monotonic() + 0.55

    count = 0
    while time.monotonic() < ends_at:
        listener.meter.report("", count % 100)
        count += 1

    assert count > 10_000
    assert 4 <= len(listener.told) <= 0.55 / INTERVAL + 2


def test_every_change_of_stage_is_told_at_once():
    listener = Listener()

    for number in range(STAGE_BURST):
        listener.meter.report(f"Stage {number}", 0)
        listener.meter.report(f"Stage {number}", 50)

    assert [stage for stage, _ in listener.told] == [f"Stage {n}" for n in range(STAGE_BURST)]


def test_a_flood_of_stages_is_told_at_the_pace_of_reports():
    listener = Listener()

    for number in range(100_000):
        listener.meter.reset(f"Stage {number}")

    assert len(listener.told) < STAGE_BURST + 30
    assert listener.meter.stage_no == 100_000


def test_an_interrupt_makes_the_next_report_tell_at_once():
    listener = Listener()
    listener.meter.report("", 1)
    told = len(listener.told)
    listener.meter.report("", 2)
    assert len(listener.told) == told

    listener.meter.interrupt()
    listener.meter.report("", 3)

    assert listener.told[-1] == ("", 3)


def test_who_is_told_may_stop_the_function():
    def stop() -> None:
        raise RunCancelled

    with pytest.raises(RunCancelled):
        Meter(stop).report("", 1)


# -- track ---------------------------------------------------------------------------------------


def test_track_gives_the_items_as_they_are():
    items = [object(), object()]

    assert list(Meter().track(items, "Reading")) == items


def test_track_counts_what_is_done_not_what_is_given():
    meter = Meter()
    seen = []

    for _ in meter.track("abcd", "Reading"):
        seen.append(meter.percent)
        meter.interrupt()

    assert seen == [0.0, 25.0, 50.0, 75.0]
    assert meter.percent == 100.0


def test_track_of_something_without_a_length_knows_no_percent():
    meter = Meter()
    seen = []

    for _ in meter.track(iter("abcd"), "Reading"):
        seen.append(meter.percent)
        meter.interrupt()

    assert seen == [None] * 4


def test_track_is_told_a_total():
    meter = Meter()
    seen = []

    for _ in meter.track(iter("ab"), "Reading", total=4):
        seen.append(meter.percent)
        meter.interrupt()

    assert seen == [0.0, 25.0]


@pytest.mark.parametrize("items", [[], (), iter(())], ids=["list", "tuple", "iterator"])
def test_track_of_nothing_is_done_at_once(items: Any):
    meter = Meter()

    assert list(meter.track(items, "Reading")) == []
    assert (meter.stage, meter.percent) == ("Reading", 100.0)


def test_more_items_than_the_total_stay_within_a_hundred():
    meter = Meter()

    for _ in meter.track(range(10), total=5):
        meter.interrupt()
        assert as_percent(meter.percent) <= 100


def test_track_within_track_goes_on():
    meter = Meter()

    for _ in meter.track(range(2), "Outer"):
        for _ in meter.track(range(2), "Inner"):
            meter.interrupt()

    assert meter.percent == 100.0


# -- time left -----------------------------------------------------------------------------------


def test_the_time_left_follows_the_pace():
    pace = Pace()
    assert pace.eta(1, 0.0, now=100.0) is None

    assert pace.eta(1, 25.0, now=110.0) == pytest.approx(30.0)
    assert pace.eta(1, 50.0, now=120.0) == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("percent", "seconds"), [(50.0, 1.0), (0.5, 10.0), (None, 10.0), (100.0, 10.0)]
)
def test_no_time_is_told_while_it_would_be_a_lie(percent: float | None, seconds: float):
    pace = Pace()
    pace.eta(1, 0.0, now=0.0)

    assert pace.eta(1, percent, now=seconds) is None


def test_a_new_stage_has_a_pace_of_its_own():
    pace = Pace()
    pace.eta(1, 0.0, now=0.0)
    pace.eta(1, 90.0, now=10.0)

    assert pace.eta(2, 0.0, now=11.0) is None
    assert pace.eta(2, 50.0, now=21.0) == pytest.approx(10.0)
