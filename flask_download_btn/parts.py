"""Put one app's parts together, each with those that it works with, and nothing global."""

from __future__ import annotations

import contextvars
import logging
import math
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from blinker import NamedSignal
from sqlalchemy import Engine as DatabaseEngine

from . import references, signals
from .buttons import Buttons
from .channel import Channel
from .chores import Chores
from .database import Database
from .engine import Engine
from .errors import ConfigurationError, ReferenceRefused
from .files import Files, PruneReport
from .lives import Live, Lives
from .models import new_id
from .pictures import Pictures
from .protocols import Runner, Storage
from .pulse import Pulse, Rhythm
from .runners.background import BackgroundRunner
from .runners.inline import InlineRunner
from .runs import Run, Runs
from .settings import Settings
from .storage.local import LocalStorage
from .tables import chore_table, file_table, run_table
from .tokens import Tokens
from .words import Words

if TYPE_CHECKING:
    from flask import Flask
    from flask_socketio import SocketIO

T = TypeVar("T")

SHORT_SECRET = 16
"""Characters below which a SECRET_KEY can be guessed."""

logger = logging.getLogger(__name__)


class part(Generic[T]):  # it reads as the decorator it is
    """A part that is made when it is first needed, and once, whoever asks at the same time."""

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self._name = name

    def __get__(self, parts: Any, owner: type[Any] | None = None) -> T:
        with parts.making:
            if self._name not in parts.__dict__:
                parts.__dict__[self._name] = self._make(parts)
            return parts.__dict__[self._name]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class NamedButton:
    """What `@manager.button` has been told."""

    name: str
    function: Callable[..., Any]
    form: Callable[..., Any] | None
    attributes: Mapping[str, Any]


class Parts:
    """One app's parts; `app.extensions["download_btn_manager"]`."""

    html: Any
    center: Any
    """What templates call; the manager puts them in."""

    def __init__(
        self,
        app: Flask,
        db: Any,
        socketio: SocketIO,
        settings: Settings,
        *,
        button_model: Callable[[], type[Any]],
        named: Mapping[str, NamedButton],
        runner: Runner | None,
        storage: Storage | None,
    ) -> None:
        self.making = threading.RLock()
        self.app = app
        self.db = db
        self.socketio = socketio
        self.settings = settings
        self.named = named
        self.words = Words(settings.texts, settings.language)
        self.database = Database(self._database_engine)
        self.storage = storage or LocalStorage(_folder_of(app, settings))
        self.lives = Lives()
        self.channel = Channel(socketio)
        self._button_model = button_model
        self._given_runner = runner

    # Each part is made when it is first needed: by then the app has all its configuration.

    @part
    def tokens(self) -> Tokens:
        secret_key = self.app.secret_key
        if not secret_key:
            raise ConfigurationError(
                f"The app {self.app.name!r} has no SECRET_KEY. Download buttons sign what they"
                " send: set app.config['SECRET_KEY'] to a long random value, such as"
                " secrets.token_hex()."
            )
        if len(secret_key) < SHORT_SECRET:
            logger.warning("The app's SECRET_KEY is short enough to be guessed; use a long one.")
        keys = [*(self.app.config.get("SECRET_KEY_FALLBACKS") or ()), secret_key]
        return Tokens(keys, button_max_age=self.settings.token_max_age or math.inf)

    @part
    def runs(self) -> Runs:
        return Runs(
            self.database,
            run_table(self.db.metadata),
            self.buttons.table,
            self.tokens,
            lease=self.settings.lease,
            live_limit=self.settings.max_live,
            new_id=new_id,
        )

    @part
    def files(self) -> Files:
        return Files(
            self.database,
            file_table(self.db.metadata),
            self.storage,
            retention=self.settings.retention,
            grace=self.settings.grace,
            max_files=self.settings.max_files,
            max_bytes=self.settings.max_bytes,
        )

    @part
    def chores(self) -> Chores:
        return Chores(self.database, chore_table(self.db.metadata))

    @part
    def buttons(self) -> Buttons:
        return Buttons(self.database, self.db, self._button_model())

    @part
    def pictures(self) -> Pictures:
        return Pictures(
            self.runs,
            self.files,
            self.lives,
            self.tokens,
            self.words,
            prefix=self.settings.url_prefix,
        )

    @part
    def engine(self) -> Engine:
        return Engine(
            self.runs,
            self.files,
            self.buttons,
            self.lives,
            self.database,
            self.words,
            resolve=self.resolve,
            context=self._context,
            forget_session=self.db.session.remove,
            on_start=self._tell_start,
            on_tick=self._tell_tick,
            on_end=self._tell_end,
            in_thread=_native_caller(self.socketio.async_mode),
            time_limit=self.settings.time_limit,
            data_url_limit=self.settings.data_url_limit or None,
        )

    @part
    def runner(self) -> Runner:
        if self._given_runner:
            return self._given_runner
        if self.settings.runner == "inline":
            return InlineRunner(self.engine.carry_out)
        if self.database.is_one_connection:
            raise ConfigurationError(
                "An in-memory SQLite database is one connection, which a run in the background and"
                " a click would share. Use a file, such as 'sqlite:///app.db', or, in tests, set"
                " DOWNLOAD_BTN_RUNNER = 'inline'."
            )
        return BackgroundRunner(
            self.engine.claim,
            self.engine.carry_out_claimed,
            self.socketio.start_background_task,
            limit=self.settings.max_running or sys.maxsize,
        )

    @part
    def pulse(self) -> Pulse:
        settings = self.settings
        return Pulse(
            self.runs,
            self.lives,
            self.pictures,
            self.channel,
            Rhythm(
                heartbeat=settings.heartbeat,
                lease=settings.lease,
                look=min(1.0, settings.heartbeat),
                reap=settings.reap,
                prune=settings.prune,
            ),
            queued=self.runner.queued,
            start_again=self.runner.start,
            on_end=self._tell_end,
            out_of_time=self.engine.time_out,
            is_revoked=self._is_revoked,
            prune=self.prune,
            spawn=None if self.database.is_one_connection else self.socketio.start_background_task,
            died_sentence=lambda run: self.words.of(run.language)["lost"],
        )

    # -- what several parts need -----------------------------------------------------------------

    def resolve(self, step: Mapping[str, str]) -> tuple[Callable[..., Any], tuple[Any, ...], Any]:
        """Find the function of a plan's step, and read its arguments; only what the app signed."""
        name = f"button {step['button']}" if "button" in step else step["function"]
        if not self.tokens.is_row_signed(step["signature"], name, step["arguments"]):
            raise ReferenceRefused(
                f"The function {name!r} was not stored by this app, or its SECRET_KEY has changed:"
                " its row's signature is wrong. Make the button anew."
            )
        args, kwargs = references.load(step["arguments"], self._load_model)
        return self._function_of(step), tuple(args), kwargs

    def prune(self) -> None:
        """Delete what has outlived its time, unless another process has just done so."""
        if self.chores.take("prune", self.settings.prune):
            self.prune_now()

    def prune_now(self, *, dry_run: bool = False) -> tuple[PruneReport, int]:
        """Delete what has outlived its time; tell of the files, and how many runs."""
        report = self.files.prune(self.runs.is_live, buttons=self.buttons.uids(), dry_run=dry_run)
        kept_for = self.settings.run_retention
        if not kept_for:
            return report, 0
        # Without its run, nobody could fetch a file any more.
        keep = self.files.runs_with_files()
        return report, self.runs.prune(kept_for, keep=keep, dry_run=dry_run)

    def _function_of(self, step: Mapping[str, str]) -> Callable[..., Any]:
        if "button" not in step:
            return references.resolve(step["function"])
        named = self.named.get(step["button"])
        if named is None:
            raise ReferenceRefused(
                f"The button {step['button']!r} is no longer in the app. Its visitor has to load"
                " the page again."
            )
        return named.function

    def _load_model(self, model: type[Any], identity: Any) -> Any:
        return self.db.session.get(model, identity)

    def _database_engine(self) -> DatabaseEngine:
        try:
            return self.__dict__["_engine"]  # type: ignore[no-any-return]
        except KeyError:
            with self.app.app_context():
                return self.__dict__.setdefault("_engine", self.db.engine)  # type: ignore[no-any-return]

    @contextmanager
    def _context(self, run: Run) -> Iterator[None]:
        root = urlsplit(run.root)
        with self.app.app_context() as context:
            context.url_adapter = self.app.url_map.bind(
                root.netloc, script_name=root.path or "/", url_scheme=root.scheme
            )
            yield

    def send(self, signal: NamedSignal, **what: Any) -> None:
        """Send a signal; a receiver that fails harms no run."""
        if not signal.receivers:
            return
        try:
            with self.app.app_context():
                signal.send(self.app, **what)
        except Exception:
            logger.exception("A receiver of '%s' failed.", signal.name)

    def _is_revoked(self, run_id: str) -> bool:
        return self.runs.find_honoured(run_id) is None

    def _tell_start(self, run: Run) -> None:
        self.pulse.begin()
        self.send(signals.run_started, run=run)

    def _tell_tick(self, live: Live) -> None:
        is_watched = self.pulse.tell(live)
        if self.socketio.async_mode != "threading" and (is_watched or live.is_greedy()):
            # Greenlets take turns only where they wait: without this nobody else is served.
            self.socketio.sleep(0)

    def _tell_end(self, run: Run) -> None:
        self.pulse.announce(run.id)
        logger.info("Run %s is %s after attempt %d.", run.id, run.state, run.attempt)
        self.send(signals.ENDS[run.state], run=run)


def _folder_of(app: Flask, settings: Settings) -> Path:
    return Path(settings.folder or Path(app.instance_path) / "download_btn")


def _native_caller(async_mode: str) -> Callable[[Callable[[], Any]], Any]:
    """Return what calls an asyncio step: a loop needs a thread that runs no other greenlet."""
    if async_mode == "threading":
        return lambda call: call()

    def in_native_thread(call: Callable[[], Any]) -> Any:
        context = contextvars.copy_context()
        if async_mode == "gevent":
            import gevent

            return gevent.get_hub().threadpool.apply(context.run, (call,))
        import eventlet.tpool

        return eventlet.tpool.execute(context.run, call)

    return in_native_thread
