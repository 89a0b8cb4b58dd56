"""Draw a run's snapshot: the one shape that answers, events and pages carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from . import runs
from .archive import size_of
from .files import Files, Stored
from .lives import Lives
from .outputs import clean_name
from .runs import Run, Runs
from .texts import progress_text, size_text, time_left_text
from .tokens import Tokens
from .words import Words

Snapshot = dict[str, Any]

LONGEST_QUEUE = 1_000_000
"""Places in a queue that a page can tell apart."""


class Pictures:
    """Knows how to draw any run, whichever process carries it out."""

    def __init__(
        self,
        runs: Runs,
        files: Files,
        lives: Lives,
        tokens: Tokens,
        words: Words,
        *,
        prefix: str,
    ) -> None:
        self._runs = runs
        self._files = files
        self._lives = lives
        self._tokens = tokens
        self._words = words
        self._prefix = prefix

    def of(self, run: Run) -> Snapshot:
        """Draw a run as it is now."""
        live = self._lives.get(run.id)
        weather = live.weather() if live and run.state == runs.RUNNING else _row_weather(run)
        token = self._tokens.for_run(run.id, run.owner)
        words = self._words.of(run.language)
        place = self._queue_position(run)
        stored = self.stored_files(run)
        files = self._drawn_files(run, stored, words)
        is_expired = bool(files) and all(file["gone"] for file in files)
        address = f"{self._path(run)}/runs/{token}"
        return {
            "run": token,
            "state": runs.EXPIRED if is_expired else run.state,
            "stage": weather["stage"],
            "stage_no": weather["stage_no"],
            "percent": weather["percent"],
            "text": progress_text(weather["stage"], weather["percent"], words),
            "eta": weather["eta"],
            "eta_text": None if weather["eta"] is None else time_left_text(weather["eta"], words),
            "queue_position": place,
            "message": None if is_expired else self._message(run),
            "reference": run.reference,
            "files": files,
            "zip": self._zip(run, stored, words),
            "callback": run.callback if run.state == runs.READY and not is_expired else None,
            "url": address,
            "cancel_url": f"{address}/cancel",
            # A run that waits is newer the nearer it is to its turn.
            "seq": weather["seq"] + (max(0, LONGEST_QUEUE - place) if place else 0),
        }

    def of_no_run(self, message: str, reference: str | None, errors: Mapping[str, str]) -> Snapshot:
        """Draw a click that started nothing, and what is wrong with which field."""
        return {
            "run": None,
            "state": runs.FAILED,
            "stage": "",
            "stage_no": 0,
            "percent": None,
            "text": "",
            "eta": None,
            "eta_text": None,
            "queue_position": None,
            "message": message,
            "reference": reference,
            "errors": dict(errors),
            "files": [],
            "zip": None,
            "callback": None,
            "url": None,
            "cancel_url": None,
            "seq": 0,
        }

    def _path(self, run: Run) -> str:
        # Without the host: a page may know the app by another name than the click did.
        return urlsplit(run.root).path.rstrip("/") + self._prefix

    def _queue_position(self, run: Run) -> int | None:
        return self._runs.place_in_queue(run) if run.state == runs.QUEUED else None

    def _message(self, run: Run) -> str | None:
        return run.message if run.state in runs.ENDED else None

    def _drawn_files(
        self, run: Run, stored: Mapping[str | None, Stored], words: Mapping[str, str]
    ) -> list[dict[str, Any]]:
        return [
            self._drawn_file(run, index, item, stored.get(item.get("file")), words)
            for index, item in enumerate(run.files)
        ]

    def stored_files(self, run: Run) -> dict[str | None, Stored]:
        """Find the stored files that a run has, those of them that are still there."""
        ids = [item["file"] for item in run.files if "file" in item]
        return {stored.id: stored for stored in self._files.find_many(ids)} if ids else {}

    def named_files(self, run: Run, stored: Mapping[str | None, Stored]) -> list[Stored]:
        """Return the run's files that are still there, by the names that its visitor reads."""
        return [
            replace(stored[item["file"]], name=item["name"])
            for item in run.files
            if item.get("file") in stored
        ]

    def _drawn_file(
        self,
        run: Run,
        index: int,
        item: dict[str, Any],
        stored: Stored | None,
        words: Mapping[str, str],
    ) -> dict[str, Any]:
        return {
            "name": item["name"],
            "size": stored.size if stored else None,
            "size_text": size_text(stored.size, words) if stored else None,
            "type": stored.mimetype if stored else None,
            "url": f"{self._path(run)}/files/{self._tokens.for_file(run.id, index, run.owner)}",
            "started": str(index) in run.fetched,
            "downloaded": run.is_downloaded(index),
            "cut": run.is_cut(index),
            "gone": "file" in item and stored is None,
            # Known here, so that the page need not ask another site: its policy may forbid that.
            "elsewhere": _is_elsewhere(item.get("url", ""), run.root),
        }

    def archive_name(self, run: Run) -> str:
        """Return what a visitor saves all files as."""
        return clean_name(run.archive or self._words.of(run.language)["archive_name"])

    def _zip(
        self, run: Run, stored: Mapping[str | None, Stored], words: Mapping[str, str]
    ) -> dict[str, Any] | None:
        if run.state != runs.READY or len(run.files) < 2 or len(stored) < len(run.files):
            return None
        return {
            "name": self.archive_name(run),
            "url": f"{self._path(run)}/files/{self._tokens.for_file(run.id, runs.ALL, run.owner)}",
            "size_text": size_text(size_of(self.named_files(run, stored)), words),
            "only": run.archive is not None,
        }


def _is_elsewhere(url: str, root: str) -> bool:
    return urlsplit(url).netloc not in ("", urlsplit(root).netloc)


def _row_weather(run: Run) -> dict[str, Any]:
    return {
        "stage": run.stage,
        "stage_no": run.stage_no,
        "percent": run.percent,
        "eta": None,
        "seq": run.seq,
    }
