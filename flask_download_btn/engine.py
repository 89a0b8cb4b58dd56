"""Carry out one run: call its functions in order, and act on what they yield."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.orm import object_session

from . import runs
from .buttons import Buttons, Facts
from .database import Database, will_pass
from .errors import DownloadError, OwnSentence, RunCancelled, RunLost
from .files import Files
from .links import own_page
from .lives import Live, Lives
from .runs import Outcome, Run, Runs
from .shelf import Shelf, by_twins
from .words import Words
from .work import Handover, Work

logger = logging.getLogger(__name__)


class Claim(NamedTuple):
    """A run that is this process's, and what is known of its button; None if it is gone."""

    run: Run
    facts: Facts | None

    @property
    def id(self) -> str:
        return self.run.id


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
        self._shelf = Shelf(buttons, files)
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
        for claim in self.claim([run_id]):
            self.carry_out_claimed(claim)

    def claim(self, run_ids: Sequence[str]) -> list[Claim]:
        """Take those of these queued runs that nobody else has."""
        claimed = self._runs.claim(run_ids)
        facts = self._buttons.facts_of({run.btn_uid for run in claimed}) if claimed else {}
        return [Claim(run, facts.get(run.btn_uid)) for run in claimed]

    def carry_out_claimed(self, claim: Claim) -> None:
        """Carry a run out that is this process's."""
        run = claim.run
        with self._lives.entered(Live(run, self._on_tick, self._time_limit)) as live:
            ended = self._carry_out(live, claim.facts)
        self._lives.tell_ended(run.id, ended)
        if ended:
            self._on_end(ended)

    def time_out(self, live: Live) -> None:
        """End a run that takes too long; its function stops at its next report, if ever."""
        outcome = Outcome(runs.FAILED, message=self._words.of(live.run.language)["too_long"])
        # Not the number that the run's own end would have: the two must be told apart.
        seq = live.last_seq() + 1
        is_ended = self._database.write(
            lambda c: self._runs.end(c, live.run, outcome, seq), patience=0.0
        )
        if is_ended:
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

    def fail_unstarted(self, run: Run, message: str) -> None:
        """End a run that could not be handed to anybody."""
        outcome = Outcome(runs.FAILED, message=message)
        if run.state == runs.QUEUED:
            is_ended = self._runs.end_queued(run.id, outcome)
        else:
            is_ended = self._database.write(lambda c: self._runs.end(c, run, outcome, run.seq + 1))
        if is_ended:
            self._tell_end(run.id)

    def _tell_end(self, run_id: str) -> None:
        run = self._runs.find(run_id)
        if run:
            self._on_end(run)

    def _carry_out(self, live: Live, facts: Facts | None) -> Run | None:
        run = live.run
        with self._context(run):
            self._on_start(run)
            work = Work(live, self._files, self._in_thread)
            try:
                return self._finish(work, facts)
            except RunLost:
                logger.warning(
                    "Run %s is no longer this process's; what it made is deleted.", run.id
                )
                work.discard()
                return None
            finally:
                self._forget_session()

    def _finish(self, work: Work, facts: Facts | None) -> Run:
        outcome = self._outcome(work, facts)
        # What the app's session still holds open would lock our own write out.
        self._forget_session()
        ended = None if work.live.is_lost else self._end(work, outcome)
        if ended is None:
            raise RunLost(work.run.id)
        return ended

    def _end(self, work: Work, outcome: Outcome) -> Run | None:
        seq = work.live.last_seq()
        try:
            return self._commit(work, outcome, seq)
        except Exception as error:
            if will_pass(error):
                raise
            if self._database.read(lambda c: self._runs.is_ended_by(c, work.run, seq)):
                # What failed came after the commit.
                logger.exception("Run %s has ended, but not without trouble.", work.run.id)
                return self._runs.find(work.run.id)
            # The database refuses what the run has made. It ends all the same, and with a number
            # of its own: no two ends must be taken for one another.
            failure = self._failure(work.run, "could not be ended as it did")
            ended = self._commit(work, failure, seq + 2)
            if ended is None:
                # Nobody knows whose the files are: a pruning will.
                raise
            return ended

    def _commit(self, work: Work, outcome: Outcome, seq: int) -> Run | None:
        run = work.run
        twins: dict[str, str] = {}
        ended = outcome

        def write(connection: Connection) -> bool:
            nonlocal twins, ended
            if outcome.state == runs.READY:
                twins = self._shelf.twins(connection, work)
                files = by_twins(outcome.files, twins)
                ended = replace(outcome, files=files) if twins else outcome
            if not self._runs.end(connection, run, ended, seq):
                # The connection may have broken after a commit that did arrive.
                return self._runs.is_ended_by(connection, run, seq)
            if outcome.state == runs.READY:
                self._shelf.put(connection, work, twins)
            return True

        if not self._database.write(write):
            return None
        work.discard(only=None if outcome.state != runs.READY else twins)
        return run.as_ended(ended, seq)

    def _outcome(self, work: Work, facts: Facts | None) -> Outcome:
        try:
            return self._perform(work, facts)
        except RunLost:
            raise
        except RunCancelled:
            return Outcome(runs.CANCELLED)
        except OwnSentence as error:
            logger.info("Run %s failed: %s", work.run.id, error)
            words = self._words.of(work.run.language)
            return Outcome(runs.FAILED, message=error.in_words(words))
        except DownloadError as error:
            logger.info("Run %s failed: %s", work.run.id, error)
            return Outcome(runs.FAILED, message=str(error))
        except BaseException as error:
            outcome = self._failure(work.run, "failed")
            if isinstance(error, KeyboardInterrupt):
                raise
            return outcome

    def _failure(self, run: Run, what: str) -> Outcome:
        """Log the exception under way with a reference, which the visitor reads too."""
        reference = secrets.token_hex(4)
        logger.exception(
            "Run %s of the button %r (%s) %s (reference %s).",
            *(run.id, run.btn_name, run.btn_uid, what, reference),
        )
        message = self._words.of(run.language)["failed"]
        return Outcome(runs.FAILED, message=message, reference=reference)

    def _perform(self, work: Work, facts: Facts | None) -> Outcome:
        run = work.run
        self._runs.refuse_edited(run)
        if facts is None:
            raise DownloadError(self._words.of(run.language)["button_gone"])
        btn = self._buttons.put_in_session(facts)
        work.take_button(btn)
        for step in run.steps:
            work.live.meter.check()
            with self._buttons.connection_given_back():
                function, args, kwargs = self._resolve(step)
            work.call(function, args, kwargs)
            if object_session(btn) is None:
                # The function has ended its session; what follows still needs the button.
                btn.__fsa__.session.add(btn)
        return self._ready(work, btn)

    def _ready(self, work: Work, btn: Any) -> Outcome:
        downloads, temporary = work.final_downloads(), work.final_tmp_downloads()
        own = {name: work.own_value(name) for name in ("callback", "download_msg", "archive")}
        # From here on our own connections are used: a lock that the app's session holds, and never
        # lets go, would keep them waiting.
        self._forget_session()
        handover = Handover(work, self._files, self._data_url_limit)
        files = [handover.entry(item, is_cached=work.may_cache) for item in downloads]
        files += [handover.entry(item, is_cached=False) for item in temporary]
        files += [{"file": stored.id, "name": stored.name} for stored in work.temporaries]
        if work.may_cache and downloads != work.row["downloads"]:
            work.kept_downloads = downloads
        return Outcome(
            runs.READY,
            message=own["download_msg"],
            files=[entry for entry in files if entry],
            callback=own_page(own["callback"], work.run.root),
            archive=own["archive"],
        )
