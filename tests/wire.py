"""Visit an app over real HTTP and a real Socket.IO connection, as the page's script does."""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Any

import requests
import socketio
from processes import wait_until
from sites import JSON, token_in

NAMESPACE = "/download-btn"
LIVE = ("queued", "running")


class WireVisitor:
    """A browser without a window: a cookie jar, and a socket for each run that is watched."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = requests.Session()
        self._watches: list[Watch] = []

    def load(self, path: str) -> str:
        """Load a page, and return the token of its button."""
        answer = self.http.get(self.url + path, timeout=30)
        assert answer.status_code == 200, answer.text
        return token_in(answer.text)

    def start(self, token: str, **form: Any) -> dict[str, Any]:
        """Click; return the picture that answers it."""
        data = {**form, "download_btn_token": token}
        answer = self.http.post(
            f"{self.url}/download-btn/start", data=data, headers=JSON, timeout=30
        )
        return answer.json()  # type: ignore[no-any-return]

    def look(self, picture: dict[str, Any]) -> dict[str, Any]:
        """Poll."""
        answer = self.http.get(self.url + picture["url"], headers=JSON, timeout=30)
        return answer.json()  # type: ignore[no-any-return]

    def cancel(self, picture: dict[str, Any]) -> dict[str, Any]:
        answer = self.http.post(self.url + picture["cancel_url"], headers=JSON, timeout=30)
        return answer.json()  # type: ignore[no-any-return]

    def fetch(self, file: dict[str, Any]) -> bytes:
        answer = self.http.get(self.url + file["url"], timeout=30)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.content

    def watch(self, run: Any) -> Watch:
        """Connect a socket and watch a run with it; the answer is its first picture."""
        watch = Watch(self)
        self._watches.append(watch)
        watch.begin(run)
        return watch

    def save(self, token: str, **form: Any) -> tuple[Watch | None, dict[str, bytes]]:
        """Click, watch until the end, fetch every file; as the page does."""
        picture = self.start(token, **form)
        watch = None
        if picture["state"] in LIVE:
            watch = self.watch(picture["run"])
            picture = watch.until_ended()
        assert picture["state"] == "ready", picture
        return watch, {file["name"]: self.fetch(file) for file in picture["files"]}

    def __enter__(self) -> WireVisitor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for watch in self._watches:
            watch.end()
        self.http.close()


class Watch:
    """What one socket has been told of a run, with the moment of each picture."""

    def __init__(self, visitor: WireVisitor) -> None:
        self.answer: Any = None
        self.events: list[dict[str, Any]] = []
        self.moments: list[float] = []
        self._visitor = visitor
        self._client = socketio.Client(reconnection=False)
        self._client.on("snapshot", self._note, namespace=NAMESPACE)

    def begin(self, run: Any) -> None:
        cookies = "; ".join(f"{c.name}={c.value}" for c in self._visitor.http.cookies)
        self._client.connect(
            self._visitor.url,
            headers={"Cookie": cookies},
            transports=["websocket"],
            namespaces=[NAMESPACE],
            wait_timeout=20,
        )
        self.answer = self._client.call("watch", run, namespace=NAMESPACE, timeout=20)

    @property
    def pictures(self) -> list[dict[str, Any]]:
        """All pictures, the answer among them, in the order in which they were drawn."""
        told = [*([self.answer] if self.answer else []), *self.events]
        return sorted(told, key=lambda picture: picture["seq"])

    def until_ended(self) -> dict[str, Any]:
        """Return the picture of the end."""
        wait_until(
            lambda: self.pictures and self.pictures[-1]["state"] not in LIVE,
            "No picture of an end comes",
        )
        return self.pictures[-1]

    def end(self) -> None:
        """Go without a word, as a closed tab does; a polite end would wait three seconds."""
        engine = self._client.eio
        if engine.state == "connected":
            tab = engine.ws
            engine.queue.put(None)
            tab.sock.shutdown(socket.SHUT_RDWR)
            engine.read_loop_task.join(5)
            tab.shutdown()

    def _note(self, picture: dict[str, Any]) -> None:
        self.moments.append(time.monotonic())
        self.events.append(picture)
