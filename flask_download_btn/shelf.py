"""Keep a button's cached files, in the transaction that ends a run: others bring theirs too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from .buttons import Buttons
from .files import Files, Stored
from .work import Work, source_of


class Shelf:
    """Where the files of a run find their place beside those of other runs of the button."""

    def __init__(self, buttons: Buttons, files: Files) -> None:
        self._buttons = buttons
        self._files = files

    def twins(self, connection: Connection, work: Work) -> dict[str, str]:
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
            if mine.id != other.id and _is_twin(mine, other, since)
        }

    def put(self, connection: Connection, work: Work, twins: Mapping[str, str]) -> None:
        """Add a run's files, and let go of those that its button no longer names."""
        for stored in work.stored:
            if stored.id not in twins:
                self._files.add(connection, stored)
        if work.kept_downloads is not None:
            uid = work.run.btn_uid
            downloads = self._merged(connection, work, twins)
            self._buttons.keep_downloads(connection, uid, downloads)
            kept = self._files.kept_in(connection, uid)
            self._files.release(connection, _unnamed(kept, downloads))

    def _merged(self, connection: Connection, work: Work, twins: Mapping[str, str]) -> list[Any]:
        mine = by_twins(work.kept_downloads or (), twins)
        before = work.row["downloads"]
        # What others have added since this run looked stays.
        now = self._buttons.lock(connection, work.run.btn_uid)
        return [*mine, *(item for item in now if item not in before and item not in mine)]


def by_twins(items: Iterable[Any], twins: Mapping[str, str]) -> list[Any]:
    """Name the files that are kept, where items name their twins."""
    return [
        {**item, "file": twins.get(item["file"], item["file"])}
        if isinstance(item, Mapping) and "file" in item
        else item
        for item in items
    ]


def _is_twin(mine: Stored, other: Stored, since: float) -> bool:
    if mine.source or other.source:
        return mine.source == other.source
    return mine.name == other.name and other.made_at > since


def _unnamed(kept: Iterable[Stored], downloads: Iterable[Any]) -> list[str]:
    items = list(downloads)
    urls = [item[0] if isinstance(item, (tuple, list)) else item for item in items]
    sources = {source_of(url) for url in urls if isinstance(url, str)}
    ids = {item["file"] for item in items if isinstance(item, Mapping)}
    return [stored.id for stored in kept if stored.id not in ids and stored.source not in sources]
