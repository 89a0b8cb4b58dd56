"""Click in Chromium, and measure until the file is on the disk; what was sent; how pages freeze.

Usage: python bench/click.py [--clicks N]

A click is timed from the page's own event to the moment at which the browser gave the finished
file its name, so that the time it takes to steer the browser is not in it. Every click happens
on a page that was just loaded, as most clicks do. The old package's trivial file is clicked in
turns with ours: machines differ, and the aim is to take no longer than it does.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

BENCH = Path(__file__).resolve().parent
# Not this folder itself: its `click.py` is not the one that others import.
sys.path[0] = str(BENCH.parent / "tests")
sys.path.insert(1, str(BENCH / "apps"))

from browser import chromium  # noqa: E402
from environments import old_server  # noqa: E402
from playwright.sync_api import Browser, Page  # noqa: E402
from processes import app_server  # noqa: E402

CLICK = """() => new Promise((resolve) => {
    const button = document.querySelector("button");
    button.addEventListener(
        "click", () => resolve(performance.timeOrigin + performance.now()), {capture: true}
    );
    button.click();
})"""
IS_OVER = """() => {
    const state = document.querySelector("download-btn")?.dataset.state;
    return state ? ["done", "failed"].includes(state) : !document.querySelector("button").disabled;
}"""
WATCH_FRAMES = """() => {
    let before = performance.now();
    window.longestGap = 0;
    window.frames_seen = 0;
    const look = (now) => {
        window.longestGap = Math.max(window.longestGap, now - before);
        window.frames_seen += 1;
        before = now;
        requestAnimationFrame(look);
    };
    requestAnimationFrame((now) => { before = now; requestAnimationFrame(look); });
}"""
TARGET_TRIVIAL = 30.0
TARGET_GAP = 100.0


class Saved(NamedTuple):
    """One click, in milliseconds."""

    milliseconds: float
    longest_gap: float


class Traffic:
    """What a page sends for and gets, as the browser counts it on the wire."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        self.requests = 0
        self.frames = 0
        session = page.context.new_cdp_session(page)
        session.on("Network.requestWillBeSent", self._count_request)
        session.on("Network.webSocketCreated", self._count_request)
        session.on("Network.loadingFinished", self._count_bytes)
        session.on("Network.webSocketFrameReceived", self._count_frame)
        session.on("Network.webSocketFrameSent", self._count_frame)
        session.send("Network.enable")

    def take(self) -> str:
        text = f"{self.requests} requests, {self.frames} frames, {self.bytes / 1000:.1f} kB"
        self.bytes = self.requests = self.frames = 0
        return text

    def _count_request(self, event: Any) -> None:
        self.requests += 1

    def _count_bytes(self, event: Any) -> None:
        self.bytes += int(event["encodedDataLength"])

    def _count_frame(self, event: Any) -> None:
        self.frames += 1
        self.bytes += len(event["response"]["payloadData"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clicks", type=int, default=15)
    clicks = parser.parse_args().clicks
    with tempfile.TemporaryDirectory() as folder:
        server = app_server(
            BENCH / "apps" / "click_app.py",
            "werkzeug",
            log_file=Path(folder) / "server.log",
            environment={
                "BENCH_FOLDER": folder,
                "BENCH_DATABASE": f"sqlite:///{folder}/bench.db",
            },
        )
        server.start()
        try:
            with chromium() as browser:
                measure(browser, server.url, clicks)
                measure_old_package(browser, server.url, Path(folder), clicks)
        finally:
            server.kill()


def measure_old_package(browser: Browser, ours: str, folder: Path, clicks: int) -> None:
    server = old_server("old_app", folder, BENCH_JOB="trivial")
    if server is None:
        print("The old package could not be installed, and is left out.")
        return
    server.start()
    try:
        urls = {"the old package": f"{server.url}/", "ours in turns with it": f"{ours}/0"}
        pages = {name: browser.new_context(accept_downloads=True).new_page() for name in urls}
        rounds = [
            {name: one_click(pages[name], url).milliseconds for name, url in urls.items()}
            for _ in range(clicks + 1)
        ]
    finally:
        server.kill()
    old, new = (statistics.median(each[name] for each in rounds[1:]) for name in urls)
    verdict = "met" if new <= old else "MISSED"
    print(f"the old package  {old:6.1f} ms; ours in turns with it {new:.1f} ms,", end=" ")
    print(f"{new / old:.2f} of that  (target 1: {verdict})")


def measure(browser: Browser, url: str, clicks: int) -> None:
    print(f"click to saved file in Chromium {browser.version}, medians of {clicks}")
    for number, name in ((0, "a trivial file"), (100, "100 reports"), (1000, "1,000 reports")):
        saved = many_clicks(browser, f"{url}/{number}", clicks)
        times = [click.milliseconds for click in saved]
        verdict = verdict_of(statistics.median(times), TARGET_TRIVIAL) if not number else ""
        print(
            f"{name:16} {statistics.median(times):6.1f} ms (from {min(times):.1f} to"
            f" {max(times):.1f}){verdict}",
            flush=True,
        )
    saved = many_clicks(browser, f"{url}/100000", 3)
    gap = statistics.median(click.longest_gap for click in saved)
    seconds = statistics.median(click.milliseconds for click in saved) / 1000
    print(f"100,000 reports  {seconds:.2f} s, longest frame gap {gap:.0f} ms", end="")
    print(verdict_of(gap, TARGET_GAP), flush=True)
    for number in (0, 100):
        print_traffic(browser, f"{url}/{number}", number)


def many_clicks(browser: Browser, url: str, clicks: int) -> list[Saved]:
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    # The first click makes the button's row, and fills the browser's cache.
    saved = [one_click(page, url) for _ in range(clicks + 1)]
    context.close()
    return saved[1:]


def one_click(page: Page, url: str, before: Callable[[], None] = lambda: None) -> Saved:
    page.goto(url, wait_until="networkidle")
    page.evaluate(WATCH_FRAMES)
    before()
    with page.expect_download() as downloading:
        clicked_at = page.evaluate(CLICK)
    # The browser's last act is to rename the file, which is written in its change time.
    saved_at = os.stat(downloading.value.path()).st_ctime_ns / 1e6
    page.wait_for_function(IS_OVER)
    return Saved(saved_at - clicked_at, page.evaluate("window.longestGap"))


def print_traffic(browser: Browser, url: str, number: int) -> None:
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    traffic = Traffic(page)
    texts = []
    one_click(page, url, before=lambda: texts.append(traffic.take()))
    print(f"{number:>3} reports: the page {texts[0]}; the run {traffic.take()}", flush=True)
    context.close()


def verdict_of(figure: float, target: float) -> str:
    return f"  (target {target:g} ms: {'met' if figure <= target else 'MISSED'})"


if __name__ == "__main__":
    main()
