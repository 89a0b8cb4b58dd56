"""Carry runs out in this process, beside its requests."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Claimed(Protocol):
    """What a claim gives: a run that is this process's."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Claimed)

logger = logging.getLogger(__name__)


class BackgroundRunner(Generic[T]):
    """A queue in memory, and as many workers as there is work, up to a limit.

    A worker is whatever `spawn` makes: a thread, or a greenlet. It ends when the queue is empty,
    so that a process that has nothing to do holds nothing. One of them at a time takes from the
    queue, and then all that may begin: a burst of clicks is claimed in one transaction.
    """

    def __init__(
        self,
        claim: Callable[[Sequence[str]], Sequence[T]],
        carry_out: Callable[[T], None],
        spawn: Callable[[Callable[[], None]], object],
        *,
        limit: int,
    ) -> None:
        self._claim = claim
        self._carry_out = carry_out
        self._spawn = spawn
        self._limit = limit
        self._queue: deque[str] = deque()
        self._busy = 0
        self._is_taking = False
        self._lock = threading.Lock()

    def start(self, run_id: str) -> None:
        """Queue a run, and see that somebody takes it."""
        with self._lock:
            self._queue.append(run_id)
        if self._may_take():
            try:
                self._spawn(self._begin)
            except BaseException:
                self._take_back(run_id)
                raise

    def queued(self) -> Iterable[str]:
        """Return the runs that wait here for a worker."""
        return list(self._queue)

    @contextmanager
    def place(self) -> Iterator[Callable[[T], None] | None]:
        """Keep a place for a run that may begin at once, before those who come later."""
        with self._lock:
            is_free = not self._queue and self._busy < self._limit
            self._busy += is_free
        given: list[T] = []

        def begin(run: T) -> None:
            self._spawn(self._worker(run))
            given.append(run)

        try:
            yield begin if is_free else None
        finally:
            if is_free and not given:
                self._give_back_place()
                # Somebody may have been queued for want of it.
                self._see_that_one_takes()

    def _begin(self) -> None:
        self._work(self._take())

    def _work(self, runs: Iterable[T]) -> None:
        for run in runs:
            self._carry(run)
        while self._may_take():
            for run in self._take():
                self._carry(run)

    def _may_take(self) -> bool:
        """Tell whether the caller has to take from the queue; nobody else may until it has."""
        with self._lock:
            if self._is_taking or not self._queue or self._busy >= self._limit:
                return False
            self._is_taking = True
            return True

    def _take(self) -> Sequence[T]:
        """Claim all that may begin; return what no other worker could be had for, and the first."""
        with self._lock:
            number = min(len(self._queue), self._limit - self._busy)
            run_ids = [self._queue.popleft() for _ in range(number)]
            self._busy += number
        runs = self._claimed(run_ids)
        with self._lock:
            self._busy -= number - len(runs)
            self._is_taking = False
        # More may have come meanwhile.
        self._see_that_one_takes()
        return [*runs[:1], *(run for run in runs[1:] if not self._is_spawned(self._worker(run)))]

    def _see_that_one_takes(self) -> None:
        if self._may_take() and not self._is_spawned(self._begin):
            self._is_taking = False

    def _claimed(self, run_ids: Sequence[str]) -> Sequence[T]:
        try:
            return self._claim(run_ids)
        except BaseException:
            # A worker that went away would keep its place for ever.
            logger.exception("Runs could not be carried out: %s.", ", ".join(run_ids))
            return ()

    def _worker(self, run: T) -> Callable[[], None]:
        return lambda: self._work([run])

    def _is_spawned(self, work: Callable[[], None]) -> bool:
        try:
            self._spawn(work)
        except Exception:
            logger.exception("There is no other worker to be had; one does the work of two.")
            return False
        return True

    def _carry(self, run: T) -> None:
        try:
            self._carry_out(run)
        except BaseException:
            logger.exception("Run %s could not be carried out.", run.id)
        finally:
            self._give_back_place()

    def _give_back_place(self) -> None:
        with self._lock:
            self._busy -= 1

    def _take_back(self, run_id: str) -> None:
        with self._lock:
            self._is_taking = False
            if run_id in self._queue:
                self._queue.remove(run_id)
