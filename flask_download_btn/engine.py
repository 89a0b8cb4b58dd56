"""Carry out one run: call its functions in order, and act on what they yield."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.orm import object_session

from . import runs
from .buttons import Buttons
from .database import Database
from .errors import DownloadError, RunCancelled, RunLost
from .files import Files
from .links import own_page
from .lives import Live, Lives
from .runs import Outcome, Run, Runs
from .words import Words
from .work import Handover, Work

logger = logging.getLogger(__name__)


class Engine:
    """The one loop that carries out a run; it needs no request, only an app's context."""

    def __init__(
        self,
        runs: Runs,
        files: Files,
        buttons: Buttons,
        lives: Lives,
        database: Database,
        words: Words,
        *,
        resolve: Callable[[Mapping[str, str]], tuple[Callable[..., Any], tuple[Any, ...], Any]],
        context: Callable[[Run], AbstractContextManager[Any]],
        forget_session: Callable[[], None],
        on_tick: Callable[[Live], None],
        on_end: Callable[[Run], None],
        on_start: Callable[[Run], None],
        in_thread: Callable[[Callable[[], Any]], Any],
        time_limit: float,
        data_url_limit: int | None,
    ) -> None:
        self._runs = runs
        self._files = files
        self._buttons = buttons
        self._lives = lives
        self._database = database
        self._words = words
        self._resolve = resolve
        self._context = context
        self._forget_session = forget_session
        self._on_tick = on_tick
        self._on_end = on_end
        self._on_start = on_start
        self._in_thread = in_thread
        self._time_limit = time_limit
        self._data_url_limit = data_url_limit

    def carry_out(self, run_id: str) -> None:
        """Carry a queued run out, from its claim to its end; nothing if somebody else has it."""
        run = self._runs.claim(run_id)
        if run is None:
            return
        with self._lives.entered(Live(run, self._on_tick, self._time_limit)) as live:
            is_ended = self._carry_out(live)
        self._lives.tell_ended(run_id)
        if is_ended:
            self._tell_end(run_id)

    def time_out(self, live: Live) -> None:
        """End a run that takes too long; its function stops at its next report, if ever."""
        outcome = Outcome(runs.FAILED, message=self._words.of(live.run.language)["too_long"])
        seq = live.last_seq()
        if self._database.write(lambda c: self._runs.end(c, live.run, outcome, seq)):
            logger.warning("Run %s took too long.", live.run.id)
            live.lose()
            self._tell_end(live.run.id)

    def cancel_queued(self, run_id: str) -> bool:
        """End a run that has not begun."""
        is_ended = self._runs.end_queued(run_id, Outcome(runs.CANCELLED))
        if is_ended:
            self._lives.tell_ended(run_id)
            self._tell_end(run_id)
        return is_ended

    def fail_queued(self, run_id: str, message: str) -> None:
        """End a run that could not be handed to anybody."""
        if self._runs.end_queued(run_id, Outcome(runs.FAILED, message=message)):
            self._tell_end(run_id)

    def _tell_end(self, run_id: str) -> None:
        run = self._runs.find(run_id)
        if run:
            self._on_end(run)

    def _carry_out(self, live: Live) -> bool:
        run = live.run
        with self._context(run):
            self._on_start(run)
            work = Work(live, self._files, self._in_thread)
            try:
                outcome = self._outcome(work)
                # What the app's session still holds open would lock our own write out.
                self._forget_session()
                if not self._commit(work, outcome):
                    raise RunLost(run.id)
            except RunLost:
                logger.warning(
                    "Run %s is no longer this process's; what it made is deleted.", run.id
                )
                work.discard()
                return False
            except BaseException:
                work.discard()
                raise
            finally:
                self._forget_session()
        return True

    def _commit(self, work: Work, outcome: Outcome) -> bool:
        run, seq = work.run, work.live.last_seq()
        twins: dict[str, str] = {}

        def write(connection: Connection) -> bool:
            twins.clear()
            if outcome.state == runs.READY:
                twins.update(self._twins(connection, work))
            ended = replace(outcome, files=_by_twins(outcome.files, twins))
            if not self._runs.end(connection, run, ended, seq):
                # The connection may have broken after a commit that did arrive.
                return self._runs.is_ended_by(connection, run, seq)
            if outcome.state == runs.READY:
                self._add_files(connection, work, twins)
            return True

        is_ended = self._database.write(write)
        if is_ended:
            work.discard(only=None if outcome.state != runs.READY else twins)
        return is_ended

    def _add_files(self, connection: Connection, work: Work, twins: Mapping[str, str]) -> None:
        for stored in work.stored:
            if stored.id not in twins:
                self._files.add(connection, stored)
        if work.kept_downloads is not None:
            kept = _by_twins(work.kept_downloads, twins)
            self._buttons.keep_downloads(connection, work.run.btn_uid, kept)
            replaced = [file_id for file_id in work.replaced if file_id not in twins.values()]
            self._files.release(connection, replaced)

    def _twins(self, connection: Connection, work: Work) -> dict[str, str]:
        """Find what another run of the button has cached meanwhile: of two copies one is kept."""
        cached = [stored for stored in work.stored if stored.cached]
        if not cached:
            return {}
        self._buttons.lock(connection, work.run.btn_uid)
        theirs = self._files.kept_in(connection, work.run.btn_uid)
        since = work.run.claimed_at or 0.0
        return {
            mine.id: other.id
            for mine in cached
            for other in theirs
            if other.source == mine.source
            and (mine.source or (other.name == mine.name and other.made_at > since))
        }

    def _outcome(self, work: Work) -> Outcome:
        try:
            return self._perform(work)
        except RunLost:
            raise
        except RunCancelled:
            return Outcome(runs.CANCELLED)
        except DownloadError as error:
            logger.info("Run %s failed: %s", work.run.id, error)
            return Outcome(runs.FAILED, message=str(error))
        except BaseException as error:
            reference = secrets.token_hex(4)
            logger.exception("Run %s failed (reference %s).", work.run.id, reference)
            if isinstance(error, KeyboardInterrupt):
                raise
            return Outcome(
                runs.FAILED,
                message=self._words.of(work.run.language)["failed"],
                reference=reference,
            )

    def _perform(self, work: Work) -> Outcome:
        run = work.run
        self._runs.refuse_edited(run)
        btn = self._load(work)
        for step in run.steps:
            work.live.meter.check()
            with self._buttons.connection_given_back():
                function, args, kwargs = self._resolve(step)
            work.call(function, args, kwargs)
            if object_session(btn) is None:
                # The function has ended its session; what follows still needs the button.
                btn.__fsa__.session.add(btn)
        return self._ready(work, btn)

    def _load(self, work: Work) -> Any:
        run = work.run
        with self._buttons.connection_given_back():
            btn = self._buttons.find(run.btn_uid)
        if btn is None:
            raise DownloadError(self._words.of(run.language)["button_gone"])
        work.take_button(btn)
        return btn

    def _ready(self, work: Work, btn: Any) -> Outcome:
        downloads, temporary = work.final_downloads(), list(btn.tmp_downloads)
        handed_over = Handover(work, self._files, self._data_url_limit)
        files = [handed_over.entry(item, is_cached=True) for item in downloads]
        files += [handed_over.entry(item, is_cached=False) for item in temporary]
        files += [{"file": stored.id, "name": stored.name} for stored in work.temporaries]
        if work.run.downloads is None and downloads != work.row["downloads"]:
            work.kept_downloads = downloads
            work.replaced = handed_over.replaced_by(downloads)
        return Outcome(
            runs.READY,
            message=work.own_value("download_msg"),
            files=[entry for entry in files if entry],
            callback=own_page(work.own_value("callback"), work.run.root),
            archive=work.own_value("archive"),
        )


def _by_twins(items: Iterable[Any], twins: Mapping[str, str]) -> list[Any]:
    return [
        {**item, "file": twins.get(item["file"], item["file"])}
        if isinstance(item, Mapping) and "file" in item
        else item
        for item in items
    ]
