"""Carry runs out in this process, beside its requests."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)


class BackgroundRunner:
    """A queue in memory, and as many workers as there is work, up to a limit.

    A worker is whatever `spawn` makes: a thread, or a greenlet. It ends when the queue is empty,
    so that a process that has nothing to do holds nothing.
    """

    def __init__(
        self,
        carry_out: Callable[[str], None],
        spawn: Callable[[Callable[[], None]], object],
        *,
        limit: int,
    ) -> None:
        self._carry_out = carry_out
        self._spawn = spawn
        self._limit = limit
        self._queue: deque[str] = deque()
        self._workers = 0
        self._lock = threading.Lock()

    def start(self, run_id: str) -> None:
        """Queue a run, and see that somebody works."""
        with self._lock:
            self._queue.append(run_id)
            if self._workers >= self._limit:
                return
            self._workers += 1
        try:
            self._spawn(self._work)
        except BaseException:
            self._take_back(run_id)
            raise

    def queued(self) -> Iterable[str]:
        """Return the runs that wait here for a worker."""
        return list(self._queue)

    def _take_back(self, run_id: str) -> None:
        with self._lock:
            self._workers -= 1
            if run_id in self._queue:
                self._queue.remove(run_id)

    def _work(self) -> None:
        while (run_id := self._next()) is not None:
            try:
                self._carry_out(run_id)
            except BaseException:
                # A worker that went away would keep its place for ever.
                logger.exception("Run %s could not be carried out.", run_id)

    def _next(self) -> str | None:
        with self._lock:
            if self._queue:
                return self._queue.popleft()
            self._workers -= 1
            return None
