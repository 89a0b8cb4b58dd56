"""The job that `pages.py` gives to everybody: a hundred steps of 5 ms, which make a CSV of 1 MB."""

import os
import time

TRIVIAL = os.environ.get("BENCH_JOB") == "trivial"
DONE = b"done\n"
STEPS = 100
SECONDS = 0.005
ROWS = [
    f"{number:06d},{number * 2654435761 % 2**32:010d},{number * 40503 % 65536:05d}"
    f",2026-01-{number % 28 + 1:02d},Order shipped,\n"
    for number in range(20_000)
]
SIZE = sum(map(len, ROWS))


def step(number: int) -> str:
    """Do one step, and return what it adds to the file."""
    time.sleep(SECONDS)
    rows = len(ROWS) // STEPS
    return "".join(ROWS[number * rows : (number + 1) * rows])
