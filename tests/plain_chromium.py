"""Drive a Chromium with its default settings: under Playwright it allows every download unasked."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from browser import FLAGS, find_chromium
from processes import wait_until
from websocket import create_connection


class PlainPage:
    """The one page of a plain Chromium."""

    def __init__(self, address: str, home: Path) -> None:
        self._connection = create_connection(address, timeout=10)
        self._number = 0
        self._home = home
        self._other = ""

    def call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        question = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(json.dumps(question))
        while True:
            answer = json.loads(self._connection.recv())
            if answer.get("id") == self._number:
                return answer["result"]

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression)
        return answer["result"].get("value")

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)
        ready = "document.readyState === 'complete' && customElements.get('download-btn') && true"
        wait_until(lambda: self.evaluate(ready), f"{url} is not loaded")

    def click(self, selector: str, index: int = 0) -> None:
        """Press the mouse there: a click by script does not count as the visitor's wish."""
        node = f"document.querySelectorAll({json.dumps(selector)})[{index}]"
        self.evaluate(f"{node}.scrollIntoView()")
        box = json.loads(self.evaluate(f"JSON.stringify({node}.getBoundingClientRect())"))
        place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def hide(self) -> None:
        """Open another tab before this one."""
        self._other = self.call("Target.createTarget", url="about:blank")["targetId"]
        wait_until(lambda: self.evaluate("document.hidden"), "The tab is not hidden")

    def show(self) -> None:
        self.call("Target.closeTarget", targetId=self._other)
        self.call("Page.bringToFront")

    def sleep(self) -> None:
        """Lose the network and stand still, as a hidden tab does when a phone is put away."""
        self.hide()
        self._cut(True)
        self.call("Page.setWebLifecycleState", state="frozen")

    def wake(self) -> None:
        self._cut(False)
        self.call("Page.setWebLifecycleState", state="active")
        self.show()

    def _cut(self, is_cut: bool) -> None:
        self.call("Network.enable")
        speeds = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.call("Network.emulateNetworkConditions", offline=is_cut, **speeds)

    def saved(self) -> list[str]:
        return sorted(path.name for path in (self._home / "Downloads").iterdir())

    def close(self) -> None:
        self._connection.close()


@contextmanager
def plain_chromium(folder: Path) -> Iterator[PlainPage]:
    home, profile = folder / "home", folder / "profile"
    (home / "Downloads").mkdir(parents=True)
    process = subprocess.Popen(
        [
            str(find_chromium()),
            "--headless=new",
            "--remote-debugging-port=0",
            "--remote-allow-origins=*",
            f"--user-data-dir={profile}",
            *FLAGS,
            "about:blank",
        ],
        env={**os.environ, "HOME": str(home)},
        stderr=subprocess.DEVNULL,
    )
    try:
        port_file = profile / "DevToolsActivePort"
        wait_until(lambda: port_file.exists() and port_file.read_text(), "Chromium does not start")
        page = PlainPage(_page_address(port_file.read_text().split()[0]), home)
        try:
            yield page
        finally:
            page.close()
    finally:
        process.terminate()
        process.wait(30)


def _page_address(port: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=10) as answer:
        targets = json.load(answer)
    return next(str(t["webSocketDebuggerUrl"]) for t in targets if t["type"] == "page")
