"""Measure what one iteration of progress costs in a real run that nobody watches, beside tqdm's.

Every subject is a create-file function of one run, carried out by the engine in the background:
`yield btn.report(…)` goes through the engine's own loop. The subjects take turns in rounds.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

# In the place of this folder: it has a click.py of its own, and Flask needs the other one.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).resolve().parent / "apps"))

from flask import Flask
from progress_app import ITERATIONS, SUBJECTS, db, make_app, seconds

from flask_download_btn import DownloadBtnManager
from flask_download_btn.testing import click

BATCHES = 5
ROUNDS = 3
TARGETS = {"btn.track": 1.0, "yield btn.report": 5.0}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        carry_out(make_app(folder))
    print_figures()


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
