"""Speak Socket.IO: let a page watch its run, and send it pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask_socketio import SocketIO, join_room
from socketio.pubsub_manager import PubSubManager

Snapshot = dict[str, Any]
Look = Callable[[Any], "tuple[str, Snapshot] | None"]
NAMESPACE = "/download-btn"
ROOM = "run:"

logger = logging.getLogger(__name__)


class Channel:
    """The rooms of runs: one for each, entered only by its owner."""

    def __init__(self, socketio: SocketIO) -> None:
        self._socketio = socketio
        self._look: Look = lambda token: None

    def open(self, look: Look) -> None:
        """Listen for pages; `look` checks a run's token and gives the run's id and its picture."""
        self._look = look
        _limit_messages(self._socketio.server)
        self._socketio.on_event("watch", self._watch, namespace=NAMESPACE)

    def is_watched(self, run_id: str) -> bool:
        """Tell whether a page listens; with a message queue it may listen to another process."""
        rooms = self._socketio.server.manager
        return isinstance(rooms, PubSubManager) or bool(
            rooms.rooms.get(NAMESPACE, {}).get(_room(run_id))
        )

    def publish(self, run_id: str, picture: Snapshot) -> None:
        """Send a picture to a run's watchers; the page asks again if it does not arrive."""
        try:
            self._socketio.emit("snapshot", picture, to=_room(run_id), namespace=NAMESPACE)
        except Exception:
            logger.warning("A picture of run %s could not be sent.", run_id, exc_info=True)

    def watched(self) -> list[str]:
        """Return the runs that pages of this process watch."""
        rooms = self._socketio.server.manager.rooms.get(NAMESPACE, {})
        return [str(room).removeprefix(ROOM) for room in list(rooms) if str(room).startswith(ROOM)]

    def close(self, run_id: str) -> None:
        """Send nobody here any more of a run."""
        self._socketio.close_room(_room(run_id), namespace=NAMESPACE)

    def _watch(self, token: Any = None) -> Any:
        allowed = self._look(token)
        if allowed is None:
            return None
        run_id, _ = allowed
        # Join first, look second: a run that ends in between is then seen either way.
        try:
            join_room(_room(run_id))
        except (KeyError, ValueError):
            # So Socket.IO says that the page has left meanwhile.
            return None
        again = self._look(token)
        return again[1] if again else None


def _limit_messages(server: Any) -> None:
    """Have the WebSocket driver refuse at once what Engine.IO refuses in the end.

    Without a limit it takes a message of any size into memory before anybody looks at it.
    """
    eio = server.eio
    driver = eio._async.get("websocket")

    def limited(*arguments: Any) -> Any:
        made = driver(*arguments)
        # That of threads and gevent is simple-websocket's; eventlet's has a limit of its own.
        options = getattr(made, "server_args", None)
        if options is not None:
            options["max_message_size"] = eio.max_http_buffer_size
        return made

    if driver:
        eio._async = {**eio._async, "websocket": limited}


def _room(run_id: str) -> str:
    return f"{ROOM}{run_id}"
