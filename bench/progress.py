"""Measure what one iteration of progress costs in a real run that nobody watches, beside tqdm's.

Every subject is a create-file function of one run, carried out by the engine in the background:
`yield btn.report(…)` goes through the engine's own loop. The subjects take turns in rounds.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from tqdm import tqdm

from flask_download_btn import DownloadBtnManager
from flask_download_btn.testing import click

ITERATIONS = 200_000
BATCHES = 5
ROUNDS = 3
TARGETS = {"btn.track": 1.0, "yield btn.report": 5.0}

ITEMS = [100.0 * number / ITERATIONS for number in range(ITERATIONS)]
seconds: dict[str, list[float]] = defaultdict(list)

db = SQLAlchemy()


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


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        carry_out(make_app(folder))
    print_figures()


def make_app(folder: str) -> Flask:
    app = Flask(__name__, instance_path=folder)
    app.config["SECRET_KEY"] = "a key for a bench, long enough"
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{folder}/bench.db"
    # The click must not poll while we measure.
    app.config["DOWNLOAD_BTN_WAIT"] = 600
    db.init_app(app)
    return app


def carry_out(app: Flask) -> None:
    manager = DownloadBtnManager(app, db=db)
    with app.app_context():
        button = manager.DownloadBtn()
        button.create_file_functions = list(SUBJECTS * ROUNDS * BATCHES)
        db.create_all()
        db.session.commit()
        run = click(app.test_client(), button)
        db.engine.dispose()
    assert run.state == "ready", run.message


def print_figures() -> None:
    costs = {name: best_median(times) for name, times in seconds.items()}
    empty, measure = costs["bare loop"], costs["tqdm iteration"] - costs["bare loop"]
    print(f"Python {sys.version.split()[0]}; nanoseconds an iteration, above the bare loop's own")
    for name, cost in costs.items():
        net = cost - empty
        ratio = f"{net / measure:6.2f} × tqdm's iteration" if name != "bare loop" else ""
        target = TARGETS.get(name)
        verdict = f"  (target {target:g}: {verdict_of(net / measure, target)})" if target else ""
        print(f"{name:18} {cost:7.1f} gross {net:7.1f} net {ratio}{verdict}")


def best_median(times: list[float]) -> float:
    batches = [times[start : start + ROUNDS] for start in range(0, len(times), ROUNDS)]
    return min(statistics.median(batch) for batch in batches) / ITERATIONS * 1e9


def verdict_of(figure: float, target: float) -> str:
    return "met" if figure <= target else "MISSED"


if __name__ == "__main__":
    main()
