"""One run's button at work: call a function, take what it yields, gather what it has made."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import logging
import mimetypes
from collections.abc import Callable, Container, Coroutine, Generator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy.orm.attributes import set_committed_value

from . import references
from .columns import DownloadsList
from .errors import OutputRefused, RunCancelled, RunLost
from .files import Files, Stored
from .links import decode_data_url
from .lives import Live
from .models import OWN_ATTRIBUTES
from .outputs import File, clean_name
from .progress import Meter, Progress
from .runs import Run

NUMBERS = frozenset((float, int))
"""What is looked for first, being what an inner loop yields."""

logger = logging.getLogger(__name__)


class Work:
    """What a button can do while it belongs to a run, and what came of it."""

    def __init__(
        self, live: Live, files: Files, in_thread: Callable[[Callable[[], Any]], Any]
    ) -> None:
        self.live = live
        self.meter: Meter = live.meter
        self.stored: list[Stored] = []
        self.temporaries: list[Stored] = []
        self.cached: list[Stored] = []
        self.row: dict[str, Any] = {}
        self.kept_downloads: list[Any] | None = None
        self._at_click: dict[str, Any] = {}
        self._files = files
        self._in_thread = in_thread
        self._loop: asyncio.AbstractEventLoop | None = None
        self._called = ""

    # -- what a button asks of it: see `models.Job` ----------------------------------------------

    @property
    def run(self) -> Run:
        return self.live.run

    @property
    def may_cache(self) -> bool:
        """Tell whether the button keeps what is made: never what one visitor's form chose."""
        return self.run.downloads is None

    def may_hold_downloads(self) -> bool:
        return True

    def keep(self, file: File) -> dict[str, str]:
        """Store a file that was assigned to the button's `downloads`."""
        return {"file": self.receive(file, cached=self.may_cache).id}

    def create_file(self, name: str, *, cached: bool = False, **options: Any) -> _CreatedFile:
        return _CreatedFile(self, name, {**options, "cached": cached and self.may_cache})

    # -- what the engine asks of it --------------------------------------------------------------

    def take_button(self, btn: Any) -> None:
        """Put the run's own values over the row that every visitor shares."""
        run = self.run
        self.btn = btn
        self.row = {name: _plain(getattr(btn, name)) for name in OWN_ATTRIBUTES}
        there = self._still_there(self.row["downloads"])
        if len(there) < len(self.row["downloads"]):
            # A cached file is gone: the function shall see that it has to make it again.
            set_committed_value(btn, "downloaded", False)
        self._at_click = {
            "downloads": there if run.downloads is None else run.downloads,
            "callback": run.callback,
            "download_msg": run.message,
            "archive": run.archive,
        }
        for name, value in self._at_click.items():
            if value != self.row[name]:
                value = DownloadsList(value) if name == "downloads" else value
                set_committed_value(btn, name, value)
        btn._job = self
        if run.tmp_downloads:
            btn.tmp_downloads = run.tmp_downloads

    def _still_there(self, downloads: list[Any]) -> list[Any]:
        ids = [item["file"] for item in downloads if isinstance(item, Mapping)]
        found = {stored.id for stored in self._files.find_many(ids)} if ids else set()
        return [
            item for item in downloads if not isinstance(item, Mapping) or item["file"] in found
        ]

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Any) -> None:
        """Call one function, whatever kind it is, and take all that it hands over."""
        self._called = getattr(function, "__qualname__", repr(function))
        references.check_call(function, args, kwargs)
        try:
            self._take_returned(self._finish(function(self.btn, *args, **kwargs)))
        finally:
            self._close_loop()

    def receive(self, file: File, *, cached: bool = False, source: str | None = None) -> Stored:
        """Write a file's bytes to the storage; its row comes with the run's end."""
        stored = self._files.receive(
            file,
            run_id=self.run.id,
            btn_uid=self.run.btn_uid,
            cached=cached,
            source=source,
            check=self.meter.check,
            wait=self._await,
        )
        self.stored.append(stored)
        return stored

    def gather(self, stored: Stored) -> None:
        """Count a file among what the visitor gets."""
        if stored not in self.stored:
            self.stored.append(stored)
        (self.cached if stored.cached else self.temporaries).append(stored)

    def final_downloads(self) -> list[Any]:
        """Return the button's downloads as this run leaves them."""
        downloads = [
            self.keep(item) if isinstance(item, File) else item
            for item in self.own_value("downloads") or ()
        ]
        return self._with_cached(downloads)

    def final_tmp_downloads(self) -> list[Any]:
        """Return this run's own downloads, with the bytes of its files stored."""
        return [
            {"file": self.receive(item).id} if isinstance(item, File) else item
            for item in self.btn.tmp_downloads
        ]

    def own_value(self, name: str) -> Any:
        """Return an attribute as the function left it, or else as it was at the click."""
        now = _plain(getattr(self.btn, name))
        return self._at_click[name] if now == self.row[name] else now

    def find(self, file_id: str) -> Stored | None:
        """Return a file that this run, or an earlier one, has stored."""
        mine = (stored for stored in self.stored if stored.id == file_id)
        return next(mine, None) or self._files.find(file_id)

    def discard(self, only: Container[str] | None = None) -> None:
        """Delete what was made, or only the files with these ids."""
        for stored in self.stored:
            if only is None or stored.id in only:
                self._files.discard(stored)
        self.stored = []

    def _with_cached(self, downloads: list[Any]) -> list[Any]:
        # A file that is made again takes the place of the one with its name.
        names = {stored.name for stored in self.cached}
        kept = [item for item in downloads if self._stored_name(item) not in names]
        return [*kept, *({"file": stored.id} for stored in self.cached)]

    def _stored_name(self, item: Any) -> str | None:
        if not (self.cached and isinstance(item, Mapping)):
            return None
        stored = self.find(item["file"])
        return stored.name if stored else None

    # -- one function ----------------------------------------------------------------------------

    def _finish(self, output: Any) -> Any:
        """Take what a call gave to its end; return what the function returned."""
        if inspect.isgenerator(output):
            return self._drive(output)
        if inspect.isasyncgen(output):
            return self._drive(self._stepwise(output))
        if inspect.iscoroutine(output):
            return self._await(output)
        return output

    def _drive(self, generator: Generator[Any, Any, Any]) -> Any:
        meter = self.meter
        try:
            while True:
                try:
                    output = next(generator)
                except StopIteration as stop:
                    return stop.value
                if output.__class__ is not Progress:
                    self._take(output)
                elif not meter.due:
                    meter.tick()
        finally:
            self._close(generator)

    def _stepwise(self, outputs: Any) -> Generator[Any, None, None]:
        try:
            while True:
                try:
                    yield self._await(outputs.__anext__())
                except StopAsyncIteration:
                    return
        finally:
            self._await(outputs.aclose())

    def _await(self, awaitable: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        loop = self._loop
        return self._in_thread(lambda: loop.run_until_complete(awaitable))

    def _close(self, generator: Generator[Any, Any, Any]) -> None:
        try:
            generator.close()
        except (RunCancelled, RunLost):
            # It reported once more from its `finally`; it is stopped all the same.
            pass
        except Exception:
            logger.exception(
                "'%s' of run %s failed while it was closed.", self._called, self.run.id
            )

    def _close_loop(self) -> None:
        loop, self._loop = self._loop, None
        if loop:
            self._in_thread(lambda: loop.run_until_complete(loop.shutdown_asyncgens()))
            loop.close()

    def _take(self, output: Any) -> None:
        meter = self.meter
        if output.__class__ in NUMBERS:
            meter.report("", output)
        elif output is None:
            meter.check()
        elif isinstance(output, File):
            self.gather(self.receive(output, cached=output.cached and self.may_cache))
        elif isinstance(output, str):
            meter.report(output)
        elif isinstance(output, tuple) and len(output) == 2:
            meter.report(*output)
        elif hasattr(type(output), "__float__") and not isinstance(output, bool):
            meter.report("", output)
        else:
            raise OutputRefused(
                f"'{self._called}' yielded {_short(output)}. A create-file function yields progress"
                " or a File."
            )

    def _take_returned(self, returned: Any) -> None:
        files = returned if isinstance(returned, (list, tuple)) else [returned]
        for file in files:
            if isinstance(file, File):
                self.gather(self.receive(file, cached=file.cached and self.may_cache))
            elif file is not None:
                raise OutputRefused(
                    f"'{self._called}' returned {_short(returned)}. A create-file function returns"
                    " None, a File or a list of Files, such as File(text.encode(), 'report.txt')."
                )


class _CreatedFile:
    """The `with` block of `btn.create_file`: the file counts if the block ends well."""

    def __init__(self, work: Work, name: str, options: Mapping[str, Any]) -> None:
        self._work = work
        self._name = name
        self._block = work._files.create(
            name,
            run_id=work.run.id,
            btn_uid=work.run.btn_uid,
            check=work.meter.check,
            **options,
        )

    def __enter__(self) -> Any:
        self._writer = self._block.__enter__()
        return self._writer

    def __getattr__(self, name: str) -> Any:
        file = self._name
        raise AttributeError(
            f"'create_file({file!r})' has no {name!r} before it is opened. Write"
            f" 'with btn.create_file({file!r}) as file:', and use that file inside of the block."
        )

    def __exit__(self, *error: Any) -> Any:
        is_swallowed = self._block.__exit__(*error)
        if error[0] is None:
            self._work.gather(self._writer.stored)
        return is_swallowed


class Handover:
    """Turn what a button's download lists hold into the files of a run."""

    def __init__(self, work: Work, files: Files, data_url_limit: int | None) -> None:
        self._work = work
        self._files = files
        self._data_url_limit = data_url_limit

    def entry(self, item: Any, *, is_cached: bool) -> dict[str, Any] | None:
        """Say where one download lies; None if it is no longer there."""
        if isinstance(item, Mapping):
            return self._stored_entry(item["file"])
        url, name = item if isinstance(item, (tuple, list)) else (item, "")
        name = clean_name(name) if name else ""
        if url.startswith("data:"):
            return self._decoded_entry(url, name, is_cached)
        return {"url": url, "name": name or clean_name(_last_part(url))}

    def _stored_entry(self, file_id: str) -> dict[str, Any] | None:
        stored = self._work.find(file_id)
        if stored is None:
            logger.warning("A cached download of button %s is gone.", self._work.run.btn_uid)
        return _entry_of(stored) if stored else None

    def _decoded_entry(self, url: str, name: str, is_cached: bool) -> dict[str, Any]:
        source = source_of(url)
        stored = self._files.cached_of(self._work.run.btn_uid, source) if is_cached else None
        if stored is None:
            mimetype, content = decode_data_url(url, self._data_url_limit)
            name = name or f"download{mimetypes.guess_extension(mimetype.partition(';')[0]) or ''}"
            file = File(content, name, mimetype=mimetype)
            stored = self._work.receive(file, cached=is_cached, source=source)
        return {"file": stored.id, "name": name or stored.name}


def source_of(url: str) -> str:
    """Shorten a `data:` URL to what its decoded file remembers of it."""
    return hashlib.sha256(url.encode()).hexdigest()


def _entry_of(stored: Stored) -> dict[str, Any]:
    return {"file": stored.id, "name": stored.name}


def _last_part(url: str) -> str:
    return unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2]) or "download"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
