"""Click on the same job's button in Flask-Download-Btn, its old namesake, and other frameworks.

Usage: python bench/pages.py [--rounds N] [--only NAME …]

The servers run at the same time, the clicks one after another, a round of everybody's and then the
next. The peers are installed into `bench/.environments` first; a peer that cannot be installed, or
that fails, gets dashes. Prints a table in Markdown; in brackets how many times ours a figure is.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent
APPS = BENCH / "apps"
# Not this folder itself: its `click.py` is not the one that others import.
sys.path[0] = str(BENCH.parent / "tests")
sys.path.insert(1, str(APPS))

import job  # noqa: E402
from browser import chromium  # noqa: E402
from environments import OLD_PACKAGE, environment  # noqa: E402
from playwright.sync_api import Browser, Error, Page, TimeoutError  # noqa: E402
from processes import Process, answers_http, app_server, free_port  # noqa: E402

DASH = "dash[diskcache,fastapi]==4.4.1"
GRADIO = "gradio==6.31.0"
STREAMLIT = "streamlit==1.67.0"
NICEGUI = "nicegui==3.18.0"

JOBS = {"trivial": len(job.DONE), "orders": job.SIZE}
REQUEST = re.compile(rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) /\S* HTTP/1\.1\r\n")
# Scripts go on after a page has loaded. Streamlit lost 2 of 10 clicks at 0.7 s, none of 10 at 2.5.
SETTLE = 1.5
PATIENCE = 10_000.0
FIND = """(words) => [...document.querySelectorAll("button")].find(
    (button) => button.checkVisibility() && button.textContent.includes(words)
)"""
CLICK = f"""(bar) => new Promise((resolve) => {{
    const find = {FIND};
    const read = () => {{
        const found = bar && document.querySelector(bar);
        return found && (found.getAttribute("aria-valuenow") ?? found.value ?? found.textContent);
    }};
    const before = read();
    let saving = false;
    window.valuesSeen = new Set();
    const look = () => {{
        const value = read();
        if (value && value !== before) window.valuesSeen.add(String(value));
        const second = find("Save it");
        if (second && !saving) {{ saving = true; second.click(); }}
        requestAnimationFrame(look);
    }};
    requestAnimationFrame(look);
    const button = find("Make it");
    button.addEventListener(
        "click", () => resolve(performance.timeOrigin + performance.now()), {{capture: true}}
    );
    button.click();
}})"""


@dataclass
class Contender:
    """A framework with the job written for it, and how it did."""

    name: str
    app: str
    packages: str = ""
    bar: str | None = None
    remark: str = ""
    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    values: list[int] = field(default_factory=list)
    page: Traffic | None = None
    run: Traffic | None = None
    strangers: set[str] = field(default_factory=set)
    clicks: int = 0
    lost: int = 0
    failure: str = ""


@dataclass
class Traffic:
    """What went over the wire both ways, headers and compression included."""

    bytes: int
    requests: int


def contenders() -> list[Contender]:
    return [
        Contender("Flask-Download-Btn", "pages_app", bar="[data-btn-bar]"),
        Contender(
            "Old flask-download-btn",
            "old_app",
            OLD_PACKAGE,
            "[id$=progress-txt]",
            "0.0.22 on what it was written for, without Bootstrap; the file travels as a data URL",
        ),
        Contender(
            "Dash",
            "dash_app",
            DASH,
            "progress",
            "a background callback that is asked every 100 ms; by default it is every 1,000 ms",
        ),
        Contender(
            "Dash, WebSocket",
            "dash_socket_app",
            DASH,
            "progress",
            "WebSocket callbacks on Dash's FastAPI back end",
        ),
        Contender(
            "Gradio",
            "gradio_app",
            GRADIO,
            ".progress-level-inner",
            "a line of our script clicks the hidden DownloadButton; without it it takes two clicks",
        ),
        Contender(
            "Streamlit",
            "streamlit_app",
            STREAMLIT,
            None,
            "deferred data, which cannot show progress",
        ),
        Contender(
            "Streamlit, two clicks",
            "streamlit_twice_app",
            STREAMLIT,
            "[data-testid=stProgress] [role=progressbar]",
            "st.progress, and then a second click, which the bench gives in the next frame",
        ),
        Contender(
            "NiceGUI",
            "nicegui_app",
            NICEGUI,
            ".q-linear-progress",
            "the file goes through the socket, and is in the browser's memory before it is saved",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", help="beginnings of names; ours always runs")
    options = parser.parse_args()
    # So that the servers are killed as well when this is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    ours, *peers = contenders()
    chosen = [ours, *(peer for peer in peers if is_chosen(peer.name, options.only))]
    for peer in chosen[1:]:
        if not environment(peer.packages):
            peer.failure = "could not be installed"
    bare: list[float] = []
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        for name in JOBS:
            measure(browser, name, chosen, options.rounds, Path(folder), bare)
        version = browser.version
    if ours.failure:
        sys.exit(f"{ours.name} {ours.failure}")
    print(f"medians of {options.rounds} clicks in Chromium {version}, {time.strftime('%Y-%m-%d')}")
    report(chosen, statistics.median(bare))


def is_chosen(name: str, only: list[str] | None) -> bool:
    return not only or any(name.startswith(beginning) for beginning in only)


def server_of(contender: Contender, name: str, folder: Path) -> Process:
    port = free_port()
    variables = {
        "BENCH_FOLDER": str(folder),
        "BENCH_JOB": name,
        "BENCH_DATABASE": f"sqlite:///{folder}/{port}.db",
        "PORT": str(port),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
    }
    log_file = folder / f"{contender.app}-{name}.log"
    if not contender.packages:
        app = APPS / f"{contender.app}.py"
        return app_server(app, "werkzeug", log_file=log_file, environment=variables, port=port)
    command = [str(environment(contender.packages)), str(APPS / "peers" / f"{contender.app}.py")]
    if contender.packages == STREAMLIT:
        command[1:1] = ["-m", "streamlit", "run", "--server.headless=true"]
        command[4:4] = [f"--server.port={port}", "--server.address=127.0.0.1"]
        command[4:4] = ["--browser.gatherUsageStats=false"]
    return Process(
        command,
        log_file=log_file,
        is_up=lambda: answers_http(port),
        url=f"http://127.0.0.1:{port}",
        directory=folder,
        environment={**variables, "PYTHONPATH": str(APPS), "PYTHONUNBUFFERED": "1"},
    )


# Measuring


def measure(
    browser: Browser,
    name: str,
    chosen: list[Contender],
    rounds: int,
    folder: Path,
    bare: list[float],
) -> None:
    with contextlib.ExitStack() as stack:
        servers = {}
        for contender in (contender for contender in chosen if not contender.failure):
            servers[contender.name] = server = server_of(contender, name, folder)
            stack.callback(server.kill)
            with noting(contender):
                server.start()
        pages = {key: browser.new_context(accept_downloads=True).new_page() for key in servers}
        # The first round fills caches, and is not counted.
        for number in range(rounds + 1):
            for contender in (contender for contender in chosen if not contender.failure):
                with noting(contender):
                    page, url = pages[contender.name], servers[contender.name].url
                    saved = one_click(page, url, contender, name)
                    if saved and number:
                        contender.milliseconds.setdefault(name, []).append(saved[0])
                        if name == "orders":
                            contender.values.append(saved[1])
            if number and name == "orders":
                bare.append(bare_job(folder))
        for page in pages.values():
            page.context.close()
        if name == "orders":
            for contender in (contender for contender in chosen if not contender.failure):
                with noting(contender):
                    weigh(browser, contender, servers[contender.name].url, name)


@contextlib.contextmanager
def noting(contender: Contender) -> Iterator[None]:
    """Have one that fails not keep the others from being measured."""
    try:
        yield
    except (Error, AssertionError) as error:
        contender.failure = f"failed: {str(error).strip().splitlines()[0]}"
        print(f"{contender.name}: {error}", file=sys.stderr)


def open_page(page: Page, url: str) -> None:
    page.goto(url, wait_until="load", timeout=PATIENCE)
    page.wait_for_function(f'() => ({FIND})("Make it")', timeout=PATIENCE)
    page.wait_for_timeout(SETTLE * 1000)


def one_click(
    page: Page,
    url: str,
    contender: Contender,
    name: str,
    loaded: Callable[[], Traffic] | None = None,
) -> tuple[float, int] | None:
    """Return the milliseconds until the browser gave the whole file its name, and values seen."""
    open_page(page, url)
    if loaded:
        # Fonts and icons may come late.
        page.wait_for_timeout(1500)
        contender.page = loaded()
    contender.clicks += 1
    try:
        with page.expect_download(timeout=PATIENCE) as downloading:
            clicked_at = page.evaluate(CLICK, contender.bar)
    except TimeoutError:
        contender.lost += 1
        return None
    saved = os.stat(downloading.value.path())
    assert saved.st_size == JOBS[name], f"{saved.st_size} bytes were saved, not {JOBS[name]}."
    values = page.evaluate("window.valuesSeen.size")
    downloading.value.delete()
    return saved.st_ctime_ns / 1e6 - clicked_at, values


def bare_job(folder: Path) -> float:
    started = time.perf_counter()
    parts = [job.step(number) for number in range(job.STEPS)]
    (folder / "bare.csv").write_text("".join(parts))
    return (time.perf_counter() - started) * 1000


def weigh(browser: Browser, contender: Contender, url: str, name: str) -> None:
    """Load the page and click, with nothing in the browser's cache."""
    saved = None
    while not saved:
        assert contender.lost < 5, "clicks are lost too often"
        with (
            Relay(int(url.rpartition(":")[2])) as relay,
            contextlib.closing(browser.new_context(accept_downloads=True)) as context,
        ):
            page = context.new_page()
            page.on("request", lambda request: note_stranger(contender, request.url))
            saved = one_click(page, relay.url, contender, name, loaded=relay.take)
            # What ends a run may come after its file.
            page.wait_for_timeout(1500)
            contender.run = relay.take()


def note_stranger(contender: Contender, url: str) -> None:
    if url.startswith("http") and not url.startswith("http://127.0.0.1:"):
        contender.strangers.add(url.split("/")[2])


class Relay:
    """Stand between the browser and a server, and count.

    The browser's own figures lack downloads, workers and what is compressed in a socket.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._lock = threading.Lock()
        self._bytes = self._requests = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = [self._listener]

    def __enter__(self) -> Relay:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def take(self) -> Traffic:
        with self._lock:
            traffic = Traffic(self._bytes, self._requests)
            self._bytes = self._requests = 0
        return traffic

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._sockets += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    self._bytes += len(data)
                    self._requests += bool(REQUEST.match(data))
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


# Telling


def report(chosen: list[Contender], bare: float) -> None:
    ours = chosen[0]
    for contender in chosen:
        if not contender.failure and set(contender.milliseconds) != set(JOBS):
            contender.failure = "failed: no file came of any click"
    print()
    print(
        "| | trivial file, ms | 100 steps and 1 MB, ms | values seen"
        " | page, kB | requests | run, kB | requests |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    print(f"| the bare job | – | {beside(bare, middle(ours, 'orders'))} | – | – | – | – | – |")
    for contender in chosen:
        print(f"| {' | '.join(row(contender, ours))} |")
    print()
    print(f"The file has {job.SIZE / 1000:,.0f} kB; runs of less sent it compressed.")
    print()
    for contender in chosen:
        for remark in remarks(contender):
            print(f"- {contender.name}: {remark}.")


def row(contender: Contender, ours: Contender) -> list[str]:
    if contender.failure:
        return [contender.name, *"–––––––"]
    assert contender.page
    assert contender.run
    assert ours.page
    assert ours.run
    return [
        contender.name,
        beside(middle(contender, "trivial"), middle(ours, "trivial")),
        beside(middle(contender, "orders"), middle(ours, "orders")),
        f"{statistics.median(contender.values):.0f}" if contender.bar else "–",
        beside(contender.page.bytes / 1000, ours.page.bytes / 1000),
        beside(contender.page.requests, ours.page.requests),
        beside(contender.run.bytes / 1000, ours.run.bytes / 1000),
        beside(contender.run.requests, ours.run.requests),
    ]


def middle(contender: Contender, name: str) -> float:
    return statistics.median(contender.milliseconds[name])


def beside(figure: float, ours: float) -> str:
    text = f"{figure:,.0f}" if figure >= 100 or figure == int(figure) else f"{figure:,.1f}"
    return f"{text} ({figure / ours:.2f})"


def remarks(contender: Contender) -> Iterator[str]:
    if contender.failure:
        yield contender.failure
    if contender.lost:
        seconds = PATIENCE / 1000
        yield f"{contender.lost} of {contender.clicks} clicks brought no file within {seconds:g} s"
    if contender.remark:
        yield contender.remark
    if contender.strangers:
        yield f"its page also asks {', '.join(sorted(contender.strangers))}, which is not counted"


if __name__ == "__main__":
    main()
