"""The extension object: what an app tells it, and what an app gets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from flask import Flask
from flask_socketio import SocketIO

from . import holding, models
from .center import Center
from .cli import make_commands
from .errors import ConfigurationError
from .html import Html
from .models import this_app
from .parts import NamedButton, Parts
from .protocols import Runner, Storage
from .settings import Settings
from .tables import chore_table, file_table, run_table
from .views import make_blueprint

F = TypeVar("F", bound=Callable[..., Any])
M = TypeVar("M", bound=type[Any])


class DownloadBtnManager:
    """Gives an app its download buttons: `DownloadBtnManager(app, db=db)`, or `init_app` later."""

    def __init__(
        self,
        app: Flask | None = None,
        db: Any = None,
        *,
        socketio: SocketIO | None = None,
        runner: Runner | None = None,
        storage: Storage | None = None,
        btn_template: str = "download_btn/btn.html",
        progress_template: str = "download_btn/progress.html",
    ) -> None:
        self.db = db
        self._given_socketio = socketio
        self.socketio = socketio
        self.runner = runner
        self.storage = storage
        self.btn_template = btn_template
        self.progress_template = progress_template
        self._named: dict[str, NamedButton] = {}
        # Until an app is there, its models may still be on their way: none are supplied.
        self._is_open = False
        self._authorize: Callable[[str, Any], Any] | None = None
        self._collect: Callable[[], Any] | None = None
        if db is not None:
            _prepare(db)
        if app is not None:
            self.init_app(app)

    # -- what an app tells it --------------------------------------------------------------------

    @staticmethod
    def register(model: M) -> M:
        """Make a model the app's button: `@DownloadBtnManager.register`."""
        # All of an app's inherit from the first, or the first from them.
        first = [known for known in models.registered_buttons if known.metadata is model.metadata]
        known = first[0] if first else model
        if not (issubclass(model, known) or issubclass(known, model)):
            raise ConfigurationError(
                f"Two models are registered as the button: {known.__name__!r} and"
                f" {model.__name__!r}. Register one, and let others inherit from it."
            )
        models.registered_buttons.append(model)
        return model

    def button(
        self,
        name: str | None = None,
        *,
        text: str = "Download",
        form: Callable[..., Any] | None = None,
        **attributes: Any,
    ) -> Callable[[F], F]:
        """Make a button of a function: `{{ download_btn("its_name", argument=…) }}`.

        `form` is a form function; `attributes` are the button's: `callback`, `archive`, `cache`, …
        The function stays as it is.
        """

        def add(function: F) -> F:
            button = NamedButton(
                name or function.__name__, function, form, {"btn_text": text, **attributes}
            )
            self._refuse_namesake(button)
            self._named[button.name] = button
            if self._is_open:
                _button_model(self.db)
            return function

        return add

    def authorize(self, function: F) -> F:
        """Set who may `start`, `watch`, `cancel` and `fetch`: `function(action, btn) -> bool`."""
        self._authorize = function
        return function

    def collect(self, function: F) -> F:
        """Set what a run keeps of the click, as `btn.run.collected`: `function() -> dict`."""
        self._collect = function
        return function

    def is_allowed(self, action: str, find_btn: Callable[[], Any]) -> bool:
        """Ask the app's `authorize` function, if there is one; only then is the button loaded."""
        return self._authorize is None or bool(self._authorize(action, find_btn()))

    def center(self) -> str:
        """Render the runs of this request's visitor."""
        return this_app().center.render()  # type: ignore[no-any-return]

    def collected(self) -> Any:
        """Ask the app's `collect` function, if there is one."""
        return self._collect() if self._collect else None

    # -- what an app gets ------------------------------------------------------------------------

    def init_app(
        self,
        app: Flask,
        db: Any = None,
        *,
        socketio: SocketIO | None = None,
        runner: Runner | None = None,
        storage: Storage | None = None,
        btn_template: str | None = None,
        progress_template: str | None = None,
    ) -> None:
        """Give an app its download buttons."""
        if "download_btn_manager" in app.extensions:
            raise ConfigurationError(
                f"The app {app.name!r} has a DownloadBtnManager already. Give it one, and call its"
                " 'init_app' once: 'DownloadBtnManager(app, …)' has done so itself."
            )
        db = self._take_database(app, db)
        self.btn_template = btn_template or self.btn_template
        self.progress_template = progress_template or self.progress_template
        settings = Settings.of(app.config)
        # An app without one gets its own: what another app of this manager was given is not its.
        self.socketio = _socketio_of(app, settings, socketio or self._given_socketio)
        parts = Parts(
            app,
            db,
            self.socketio,
            settings,
            button_model=partial(_button_model, db),
            named=self._named,
            runner=runner or self.runner,
            storage=storage or self.storage,
        )
        app.extensions["download_btn_manager"] = parts
        self._open_doors(app, parts)

    @property
    def DownloadBtn(self) -> Any:  # it is a class
        """The app's button model: its own, or the one that we supply."""
        return _button_model(self.db)

    @property
    def Function(self) -> Any:
        """The app's function model, likewise."""
        return models.function_model(_button_model(self.db))

    # -- how -------------------------------------------------------------------------------------

    def _take_database(self, app: Flask, db: Any) -> Any:
        db = db or self.db or app.extensions.get("sqlalchemy")
        _prepare(_known(db))
        self.db = db
        self._is_open = True
        if self._named:
            _button_model(db)
        return db

    def _open_doors(self, app: Flask, parts: Parts) -> None:
        blueprint, look = make_blueprint(parts, self)
        parts.html = Html(parts, self, self.is_allowed)
        parts.center = Center(parts, parts.html)
        parts.channel.open(look)
        app.register_blueprint(blueprint)
        app.cli.add_command(make_commands(parts))
        app.jinja_env.globals.setdefault("download_btn", parts.html)
        app.jinja_env.globals.setdefault("download_center", parts.center)
        # First of all: before the app's own, and before Flask-WTF looks for a token of its own.
        before = app.before_request_funcs.setdefault(None, [])
        before.insert(0, _first_request(app, parts, blueprint))

    def _refuse_namesake(self, button: NamedButton) -> None:
        known = self._named.get(button.name)
        if known and _place(known) != _place(button):
            raise ConfigurationError(
                f"Two functions are the button {button.name!r}: {_place(known)} and"
                f" {_place(button)}. Give one another name: @manager.button('name')."
            )


def _prepare(db: Any) -> None:
    run_table(db.metadata)
    file_table(db.metadata)
    chore_table(db.metadata)
    holding.watch(db.session)
    models.watch(db.session)


def _button_model(db: Any) -> Any:
    return models.registered_button(_known(db).metadata) or models.supply(db)


def _known(db: Any) -> Any:
    if db is None:
        raise ConfigurationError(
            "DownloadBtnManager has no database. Give it the app's:"
            " 'DownloadBtnManager(app, db=db)', or call 'init_app' first."
        )
    return db


def _place(button: NamedButton) -> str:
    return f"{button.function.__module__}.{button.function.__qualname__}"


def _socketio_of(app: Flask, settings: Settings, given: SocketIO | None) -> SocketIO:
    found = given or app.extensions.get("socketio")
    if found is None:
        return SocketIO(
            app,
            async_mode=settings.async_mode,
            message_queue=settings.message_queue,
            max_http_buffer_size=64 * 1024,
            http_compression=False,
        )
    if found.server is None or "socketio" not in app.extensions:
        found.init_app(app, async_mode=settings.async_mode)
    return found


def _first_request(app: Flask, parts: Parts, blueprint: Any) -> Callable[[], None]:
    """Return what checks the app once, when it is complete."""
    is_checked = False
    server = parts.socketio.server

    def look() -> None:
        nonlocal is_checked
        if not is_checked:
            _refuse_second_socketio(app, parts)
            _refuse_second_binding(parts, server)
            if "csrf" in app.extensions:
                # A button's own token, which travels in the form, is the proof.
                app.extensions["csrf"].exempt(blueprint)
            is_checked = True

    return look


def _refuse_second_socketio(app: Flask, parts: Parts) -> None:
    if app.extensions.get("socketio") is not parts.socketio:
        raise ConfigurationError(
            "The app made a SocketIO of its own after DownloadBtnManager, and now has two. Make"
            " yours first, give it as 'socketio=…', or use 'manager.socketio'."
        )


def _refuse_second_binding(parts: Parts, server: Any) -> None:
    # The first server has our handlers; the second has nothing but those that a SocketIO got
    # while it had none.
    if parts.socketio.server is not server:
        raise ConfigurationError(
            "The app's SocketIO was given the app again after DownloadBtnManager, so that no page"
            " could watch its runs. Call 'socketio.init_app(app)' before the manager's 'init_app',"
            " or leave it to the manager."
        )
