"""The app and the create-file functions that `progress.py` measures: each measures itself."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from tqdm import tqdm

ITERATIONS = 200_000
ITEMS = [100.0 * number / ITERATIONS for number in range(ITERATIONS)]

db = SQLAlchemy()
seconds: dict[str, list[float]] = defaultdict(list)


def make_app(folder: str) -> Flask:
    app = Flask(__name__, instance_path=folder)
    app.config["SECRET_KEY"] = "a key for a bench, long enough"
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/bench.db"
    # The click must not poll while we measure.
    app.config["DOWNLOAD_BTN_WAIT"] = 600
    db.init_app(app)
    return app


def bare(btn: Any) -> None:
    start = perf_counter()
    for _ in ITEMS:
        pass
    seconds["bare loop"].append(perf_counter() - start)


def tqdm_iteration(btn: Any) -> None:
    with open(os.devnull, "w") as nowhere:
        start = perf_counter()
        for _ in tqdm(ITEMS, file=nowhere):
            pass
        seconds["tqdm iteration"].append(perf_counter() - start)


def tqdm_update(btn: Any) -> None:
    with open(os.devnull, "w") as nowhere, tqdm(total=ITERATIONS, file=nowhere) as bar:
        start = perf_counter()
        for _ in ITEMS:
            bar.update()
        seconds["tqdm update"].append(perf_counter() - start)


def track(btn: Any) -> None:
    start = perf_counter()
    for _ in btn.track(ITEMS, "Writing orders"):
        pass
    seconds["btn.track"].append(perf_counter() - start)


def report(btn: Any) -> None:
    stage = "Reporting"
    btn.reset(stage, 0)
    start = perf_counter()
    for percent in ITEMS:
        btn.report(stage, percent)
    seconds["btn.report"].append(perf_counter() - start)


def yield_report(btn: Any) -> Iterator[Any]:
    stage = "Yielding"
    yield btn.reset(stage, 0)
    start = perf_counter()
    for percent in ITEMS:
        yield btn.report(stage, percent)
    seconds["yield btn.report"].append(perf_counter() - start)


def yield_percent(btn: Any) -> Iterator[float]:
    start = perf_counter()
    yield from ITEMS
    seconds["yield percent"].append(perf_counter() - start)


SUBJECTS: tuple[Callable[[Any], Any], ...] = (
    bare,
    tqdm_iteration,
    tqdm_update,
    track,
    report,
    yield_report,
    yield_percent,
)
