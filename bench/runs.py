"""Start 300 runs at once, of 100 reports in a second each, and measure until the last has ended.

Usage: python bench/runs.py [--mode threading|gevent|gunicorn] [--rounds N] [--postgres]

The old package does the same in its own environment, in SQLite, by as many clicks: machines differ,
and our aims were set beside its figures.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import sqlalchemy

sys.path.insert(0, str(Path(__file__).resolve().parent / "apps"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import databases
from environments import old_server
from processes import app_server

BENCH = Path(__file__).resolve().parent
SERVERS = {"threading": "werkzeug", "gevent": "gevent", "gunicorn": "gunicorn"}
TARGETS = {"threading": 1.5, "gunicorn": 1.5, "gevent": 1.2}
OLD_SECONDS = {"threading": 3.4, "gevent": 2.1}
"""What the old package took where the targets were set."""

PATIENCE = 60.0


class Figures(NamedTuple):
    """What one round of runs came to."""

    seconds: float
    cpu: float
    failures: int
    answers: list[float]


class OldRound(NamedTuple):
    """What one round of the old package's runs came to."""

    seconds: float
    failures: int


def main() -> None:
    options = parse()
    print(f"{options.runs} runs at once, each of 100 reports in 1.0 s and a file; best of rounds")
    for mode in options.mode or ("threading", "gevent"):
        with tempfile.TemporaryDirectory() as folder, database(options, folder) as url:
            measure(mode, url, Path(folder), options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mode", action="append", choices=SERVERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--postgres", action="store_true", help="instead of an SQLite file")
    return parser.parse_args()


@contextlib.contextmanager
def database(options: argparse.Namespace, folder: str) -> Iterator[str]:
    if not options.postgres:
        yield f"sqlite:///{folder}/bench.db"
        return
    with databases.postgres(Path(folder) / "postgres.log") as server:
        yield server.new_database()


def measure(mode: str, url: str, folder: Path, options: argparse.Namespace) -> None:
    environment = {
        "BENCH_FOLDER": str(folder),
        "BENCH_DATABASE": url,
        "BENCH_MODE": mode.replace("gunicorn", "threading"),
        "BENCH_RUNS": str(options.runs),
    }
    server = app_server(
        BENCH / "apps" / "runs_app.py",
        SERVERS[mode],
        log_file=folder / "server.log",
        environment=environment,
        threads=options.runs + 20,
    )
    engine = sqlalchemy.create_engine(url)
    best = {}
    server.start()
    try:
        for name, start in (("clicks", by_clicks), ("runner", by_runner)):
            rounds = [one_round(engine, server, start, options) for _ in range(options.rounds)]
            print_figures(f"{mode} {engine.dialect.name} {name}", rounds, TARGETS[mode])
            best[name] = min(figures.seconds for figures in rounds)
        bare = [asyncio.run(bare_job(server.url, options.runs)) for _ in range(options.rounds)]
        print(f"{mode} the bare job".ljust(28), f"best {min(bare):.2f} s,", end=" ")
        print(f"median {statistics.median(bare):.2f} s", flush=True)
    finally:
        engine.dispose()
        server.kill()
        errors = [line for line in server.log().splitlines() if "Traceback" in line]
        if errors:
            print(
                f"the server's log has {len(errors)} tracebacks; its end:\n{server.log()[-3000:]}"
            )
    measure_old_package(mode, folder, options, best)


def measure_old_package(
    mode: str, folder: Path, options: argparse.Namespace, ours: dict[str, float]
) -> None:
    known = mode in OLD_SECONDS
    server = old_server("old_runs_app", folder, BENCH_MODE=mode) if known else None
    if server is None:
        return
    server.start()
    try:
        rounds = [
            asyncio.run(by_old_clicks(server.url, options.runs)) for _ in range(options.rounds)
        ]
    finally:
        server.kill()
    seconds = min(each.seconds for each in rounds)
    text = f"{mode} the old package".ljust(28) + f" best {seconds:.2f} s, failures"
    text += f" {sum(each.failures for each in rounds)}; of that ours take "
    text += ", ".join(f"{each / seconds:.2f} ({name})" for name, each in ours.items())
    target = TARGETS[mode] / OLD_SECONDS[mode]
    verdict = "met" if ours["runner"] / seconds <= target else "MISSED"
    print(f"{text}  (target {target:.2f}: {verdict})", flush=True)


def one_round(engine: Any, server: Any, start: Any, options: argparse.Namespace) -> Figures:
    before, cpu = ended(engine).total, cpu_seconds(server.pid)
    started_at, answers = asyncio.run(start(server.url, options.runs))
    give_up_at = time.monotonic() + PATIENCE
    time.sleep(1.0)
    while (now := ended(engine)).total < before + options.runs:
        if time.monotonic() > give_up_at:
            break
        time.sleep(0.1)
    failures = options.runs - ended(engine, since=started_at).ready
    return Figures(now.last - started_at, cpu_seconds(server.pid) - cpu, failures, answers)


def cpu_seconds(group: int) -> float:
    """Return what a server's processes have worked: it says more than a clock where others work."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12]) if int(fields[2]) == group else 0
    return ticks / os.sysconf("SC_CLK_TCK")


def ended(engine: Any, since: float = 0.0) -> Any:
    query = sqlalchemy.text(
        "SELECT count(*) AS total, max(ended_at) AS last,"
        " sum(CASE WHEN state = 'ready' AND made_at > :since - 60 AND ended_at > :since"
        " THEN 1 ELSE 0 END) AS ready FROM download_btn_run WHERE ended_at IS NOT NULL"
    )
    with engine.connect() as connection:
        return connection.execute(query, {"since": since}).one()


def print_figures(name: str, rounds: list[Figures], target: float) -> None:
    seconds = [figures.seconds for figures in rounds]
    answers = sorted(answer for figures in rounds for answer in figures.answers)
    cpu = min(figures.cpu for figures in rounds)
    text = f"{name:28} best {min(seconds):.2f} s, median {statistics.median(seconds):.2f} s"
    text += f", server's CPU {cpu:.2f} s"
    if answers:
        middle, late = answers[len(answers) // 2], answers[int(len(answers) * 0.99)]
        text += f", answers p50 {middle * 1e3:.0f} ms, p99 {late * 1e3:.0f} ms"
    failures = sum(figures.failures for figures in rounds)
    verdict = "met" if min(seconds) <= target and not failures else "MISSED"
    print(f"{text}, failures {failures}  (target {target} s: {verdict})", flush=True)


async def bare_job(url: str, runs: int) -> float:
    visitor = Visitor(url)
    await visitor.connect()
    return float(json.loads(await visitor.ask("POST", f"/bare/{runs}"))["seconds"])


async def by_runner(url: str, runs: int) -> tuple[float, list[float]]:
    visitor = Visitor(url)
    await visitor.connect()
    answer = await visitor.ask("POST", f"/start/{runs}")
    return json.loads(answer)["started_at"], []


async def by_old_clicks(url: str, runs: int) -> OldRound:
    visitors = [OldVisitor(url) for _ in range(runs)]
    for visitor in visitors:
        await visitor.load()
    started_at = time.perf_counter()
    ends = await asyncio.gather(*(visitor.click() for visitor in visitors))
    return OldRound(time.perf_counter() - started_at, ends.count(False))


async def by_clicks(url: str, runs: int) -> tuple[float, list[float]]:
    visitors = [Visitor(url) for _ in range(runs)]
    for visitor in visitors:
        await visitor.load()
    started_at = time.time()
    answers = await asyncio.gather(*(visitor.click() for visitor in visitors))
    return started_at, list(answers)


class Visitor:
    """Somebody with a session of their own, and an open connection, as a browser has one ready."""

    def __init__(self, url: str) -> None:
        self.host = url.removeprefix("http://")
        self.cookie = self.token = ""
        self.writer: Any = None

    async def load(self) -> None:
        await self.connect()
        self.token = await self.ask("GET", "/")
        await self.connect()

    async def connect(self) -> None:
        # Werkzeug's server closes a connection after each answer; the others need not be spared.
        if self.writer:
            self.writer.close()
        host, _, port = self.host.partition(":")
        self.reader, self.writer = await asyncio.open_connection(host, int(port))

    async def click(self) -> float:
        start = time.perf_counter()
        body = urlencode({"download_btn_token": self.token})
        picture = json.loads(await self.ask("POST", "/download-btn/start", body))
        if picture["state"] == "failed":
            print(f"a click failed: {picture['message']}")
        seconds = time.perf_counter() - start
        self.writer.close()
        return seconds

    async def ask(self, method: str, path: str, body: str = "") -> str:
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}\r\nAccept: application/json\r\n"
            f"Cookie: {self.cookie}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.writer.write((head + body).encode())
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        for line in lines[1:]:
            if line.lower().startswith("set-cookie: "):
                self.cookie = line.partition(": ")[2].partition(";")[0]
        return (await self.reader.readexactly(int(headers["content-length"]))).decode()


class OldVisitor:
    """Somebody on a page of the old package, which follows its run in the answer to a GET."""

    def __init__(self, url: str) -> None:
        self.host = url.removeprefix("http://")
        self.cookie = ""

    async def load(self) -> None:
        page = await self.ask("GET", "/")
        self.cookie = find(r"Set-Cookie: ([^;]+)", page)
        self.form, self.stream = (
            find(rf'"(/download-btn/{door}/[^"]+)"', page).replace("&amp;", "&")
            for door in ("form", "create_files")
        )

    async def click(self) -> bool:
        await self.ask("POST", self.form)
        return "event: download_ready" in await self.ask("GET", self.stream)

    async def ask(self, method: str, path: str) -> str:
        host, _, port = self.host.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            f"{method} {path} HTTP/1.0\r\nHost: {self.host}\r\nCookie: {self.cookie}\r\n"
            "Content-Length: 0\r\n\r\n".encode()
        )
        answer = (await reader.read()).decode()
        writer.close()
        return answer


def find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found, text
    return found[1]


if __name__ == "__main__":
    main()
