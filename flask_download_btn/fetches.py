"""Hand over a run's files, and note what has left."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flask import Response, redirect, request

from . import delivery, signals, visitors
from .doors import Door, Refusal
from .errors import FileGone, TokenRefused
from .files import Stored
from .runs import ALL, Run

LARGE = 100_000
"""Bytes from which the page is told that a download has begun, before it has ended."""

logger = logging.getLogger(__name__)

Spans = Iterable[tuple[int, int]]


class Fetches(Door):
    """The door of files: whole, in parts, as one ZIP, or as a link that leads on."""

    def fetch(self, token: str) -> Response:
        """Send a file of a run, or all of them as a ZIP."""
        try:
            run_id, index = self._parts.tokens.read_file(token, visitors.owners())
        except TokenRefused as error:
            raise Refusal(404, "error_404") from error
        run = self.allowed_run("fetch", run_id)
        if index >= len(run.files):
            raise Refusal(404, "error_404")
        try:
            return self._fetch_all(run) if index == ALL else self._fetch_one(run, index)
        except FileGone as error:
            # The row heals itself: the next click makes the file again.
            if error.file_id:
                self._parts.files.forget(error.file_id)
            raise Refusal(410, "error_410") from error
        except OSError as error:
            # A disk that is away, or too many open files: it will pass, and the file is still ours.
            logger.exception("A file of run %s could not be read.", run.id)
            raise Refusal(503, "not_read", retry_after=30) from error

    def _fetch_one(self, run: Run, index: int) -> Response:
        item = run.files[index]
        return self._fetch_stored(run, index, item) if "file" in item else self._lead(run, index)

    def _fetch_stored(self, run: Run, index: int, item: Mapping[str, Any]) -> Response:
        stored = self._parts.files.find(item["file"])
        if stored is None:
            raise Refusal(410, "error_410")
        return delivery.respond(
            replace(stored, name=item["name"]),
            self._parts.storage,
            request,
            on_started=lambda: self._note_start(run, index, stored),
            on_complete=lambda: self._note_complete(run, index, stored),
            on_part=lambda *what: self._note_parts(run, index, [stored], *what),
            cache=run.cache,
            accel=self._parts.settings.accel,
            compress_up_to=self._parts.settings.compress_up_to,
        )

    def _fetch_all(self, run: Run) -> Response:
        pictures = self._parts.pictures
        entries = pictures.named_files(run, pictures.stored_files(run))
        if not entries or len(entries) < len(run.files):
            raise Refusal(410, "error_410")
        return delivery.stream_zip(
            entries,
            pictures.archive_name(run),
            self._parts.storage,
            request,
            on_started=lambda: self._note_all_started(run, entries),
            on_complete=lambda: self._note_all(run, entries),
            on_part=lambda *what: self._note_parts(run, ALL, entries, *what),
        )

    def _lead(self, run: Run, index: int) -> Response:
        if request.method == "GET":
            self._note_downloaded(run, index)
            self._parts.buttons.mark_downloaded(run.btn_uid)
        response = redirect(run.files[index]["url"], 302)
        response.headers["Cache-Control"] = "no-store"
        return response  # type: ignore[return-value]

    def _note_start(self, run: Run, index: int, stored: Stored) -> None:
        if stored.size >= LARGE or run.is_cut(index):
            self._parts.files.mark_started(stored.id)
            if self._parts.runs.note_started(run.id, index):
                self._parts.pulse.announce(run.id)

    def _note_parts(
        self, run: Run, index: int, entries: list[Stored], spans: Spans, size: int, is_cut: bool
    ) -> None:
        if not self._parts.runs.note_parts(run.id, index, spans, size, is_cut=is_cut):
            self._parts.pulse.announce(run.id)
        elif index == ALL:
            self._note_all(run, entries)
        else:
            self._note_complete(run, index, entries[0])

    def _note_complete(self, run: Run, index: int, stored: Stored) -> None:
        if stored.downloaded_at and run.is_downloaded(index):
            return
        self._parts.files.mark_downloaded(stored.id)
        self._parts.buttons.mark_downloaded(run.btn_uid)
        self._note_downloaded(run, index)
        self._parts.send(signals.file_downloaded, run=run, file=stored)

    def _note_all_started(self, run: Run, entries: list[Stored]) -> None:
        self._parts.runs.note_started(run.id, ALL)
        for index, stored in enumerate(entries):
            self._note_start(run, index, stored)

    def _note_all(self, run: Run, entries: list[Stored]) -> None:
        for index, stored in enumerate(entries):
            self._note_complete(run, index, stored)

    def _note_downloaded(self, run: Run, index: int) -> None:
        if self._parts.runs.note_downloaded(run.id, index):
            self._parts.pulse.announce(run.id)
