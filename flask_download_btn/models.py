"""The mixins of an app's two models: a button, and the functions that make its files."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, ClassVar, Protocol, TypeVar

from flask import current_app, has_app_context
from markupsafe import Markup
from sqlalchemy import Boolean, ForeignKey, Integer, MetaData, String, Text, event, inspect
from sqlalchemy.ext.orderinglist import OrderingList
from sqlalchemy.orm import (
    Mapped,
    Relationship,
    Session,
    declared_attr,
    mapped_column,
    object_session,
    relationship,
    validates,
)

from . import holding, references
from .columns import Attrs, Downloads, DownloadsList
from .errors import ConfigurationError, ReferenceRefused
from .links import check_url, refuse_oversized
from .outputs import clean_name
from .progress import Meter, Progress
from .tables import LONG_TEXT

T = TypeVar("T")


CACHE_MODES = ("no-store", "default", "no-cache", "reload", "force-cache")
LEADING_ARGUMENTS = {
    "create_file_functions": ("btn",),
    "handle_form_functions": ("response", "btn"),
}
FUNCTION_LISTS = tuple(LEADING_ARGUMENTS)
BUTTON_KEYS = ("create_file_id", "handle_form_id")
"""What of a function says in which of its button's lists it is."""
_REMOVED = "download_btn_removed"
OWN_ATTRIBUTES = ("downloads", "callback", "download_msg", "archive")
"""What a function may change for its own visitor's run."""
TEXTS = ("btn_text", "download_msg", "form_id", "archive")
LOOKS = (
    "btn_text",
    "btn_attrs",
    "btn_template",
    "form_id",
    "progress_attrs",
    "progress_bar_attrs",
    "progress_text_attrs",
    "progress_template",
)
NOT_IN_RECIPE = frozenset((*LOOKS, "uid", "revision")) - {"btn_text", "form_id"}
"""What of a button does not tell what it does, or is another for each row."""
MOST_TELLING = 100
"""Characters of an argument that says which; a longer one is content, and may change."""

registered_buttons: list[Any] = []
"""Every model that `DownloadBtnManager.register` has seen, of all apps in this process."""

declared_functions: list[Any] = []
"""Every function model. SQLAlchemy holds models weakly, and a button knows this one by its name."""


def new_id() -> str:
    """Make an id of 128 bits that nobody guesses."""
    return secrets.token_hex(16)


def registered_button(metadata: MetaData) -> Any:
    """Find the button model that was registered among these tables."""
    for model in reversed(registered_buttons):
        if model.metadata is metadata:
            return model
    return None


def this_app() -> Any:
    """Return the current app's parts of this extension."""
    try:
        return current_app.extensions["download_btn_manager"]
    except KeyError as error:
        raise ConfigurationError(
            f"The app {current_app.name!r} has no DownloadBtnManager. Did you forget to call"
            " 'init_app'?"
        ) from error
    except RuntimeError as error:
        raise ConfigurationError(
            "Download buttons work inside an app's context. Use them in a view, or below"
            " 'with app.app_context():'."
        ) from error


class Job(Protocol):
    """What a button can do while it belongs to a run; the engine supplies the real one."""

    @property
    def meter(self) -> Meter: ...
    @property
    def run(self) -> Any: ...
    def create_file(self, name: str, **options: Any) -> Any: ...
    def keep(self, file: Any) -> dict[str, str]: ...
    def may_hold_downloads(self) -> bool: ...


class NoJob:
    """A button outside of any run: progress goes nowhere, and files have no place to go."""

    run = None

    @property
    def meter(self) -> Meter:
        return Meter()

    def create_file(self, name: str, **options: Any) -> Any:
        raise ConfigurationError(
            f"'create_file({name!r})' was called outside of a run. Call it in a create-file"
            " function."
        )

    def keep(self, file: Any) -> Any:
        raise ConfigurationError(
            f"The file {file.filename!r} was assigned outside of a run. Hand it over in a"
            " create-file function, or assign a URL."
        )

    def may_hold_downloads(self) -> bool:
        return False


NO_JOB: Job = NoJob()


class DownloadBtnMixin:
    """A button: how it looks, its functions in order, its cached downloads."""

    uid: Mapped[str] = mapped_column(String(32), unique=True)
    name: Mapped[str | None] = mapped_column(String(255))
    name_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    arguments: Mapped[str | None] = mapped_column(LONG_TEXT)
    revision: Mapped[str] = mapped_column(String(32))
    btn_text: Mapped[str | None] = mapped_column(Text)
    btn_attrs: Mapped[Any] = mapped_column(Attrs())
    progress_attrs: Mapped[Any] = mapped_column(Attrs())
    progress_bar_attrs: Mapped[Any] = mapped_column(Attrs())
    progress_text_attrs: Mapped[Any] = mapped_column(Attrs())
    btn_template: Mapped[str | None] = mapped_column(String(255))
    progress_template: Mapped[str | None] = mapped_column(String(255))
    callback: Mapped[str | None] = mapped_column(Text)
    download_msg: Mapped[str | None] = mapped_column(Text)
    form_id: Mapped[str | None] = mapped_column(String(255))
    cache: Mapped[str | None] = mapped_column(String(16))
    archive: Mapped[str | None] = mapped_column(String(255))
    restart: Mapped[bool] = mapped_column(Boolean)
    stops_with_page: Mapped[bool] = mapped_column(Boolean)
    downloads: Mapped[Any] = mapped_column(Downloads())
    downloaded: Mapped[bool] = mapped_column(Boolean)

    _job: ClassVar[Job] = NO_JOB
    copy_number: ClassVar[int] = 1
    """Which of the buttons of this name and arguments it is in its page."""
    recipe: ClassVar[str] = ""
    """What a button was made of, if it was made here and not loaded: the same at every view."""
    _defaults: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {
            "btn_text": "Download",
            "cache": "no-store",
            "downloaded": False,
            "restart": False,
            "stops_with_page": False,
        }
    )

    def __init__(self, *, add: bool = True, **attributes: Any) -> None:
        values = {
            **self._defaults,
            "uid": new_id(),
            "revision": new_id(),
            "downloads": [],
            "btn_attrs": {"class": ["btn", "btn-primary"]},
            "progress_attrs": {"class": ["progress"]},
            "progress_bar_attrs": {"class": ["progress-bar"]},
            "progress_text_attrs": {},
            **attributes,
        }
        super().__init__(**values)
        if add:
            self.__fsa__.session.add(self)  # type: ignore[attr-defined]

    @declared_attr
    def create_file_functions(cls) -> Mapped[list[Any]]:  # SQLAlchemy calls it with the class
        return _functions_relationship("create_file_id")

    @declared_attr
    def handle_form_functions(cls) -> Mapped[list[Any]]:
        return _functions_relationship("handle_form_id")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FUNCTION_LISTS:
            value = self._as_functions(name, value)
        elif name == "downloads" and value is not None:
            value = self._without_files(value)
        super().__setattr__(name, self.cleaned(name, value))

    @staticmethod
    def cleaned(name: str, value: Any) -> Any:
        """Return an attribute's value as a row can hold it."""
        is_text = isinstance(value, str)
        if name not in TEXTS or value is None or (is_text and name != "archive"):
            return value
        if isinstance(value, (bytes, bytearray)):
            raise TypeError(f"'{name}' takes a str, not {type(value).__name__} {value!r}.")
        # What Flask-Babel translates late is translated now.
        text = str(value)
        return clean_name(text) if name == "archive" and text else text

    def _as_functions(self, name: str, value: Any) -> list[Any]:
        if not isinstance(value, Iterable):
            value = [value]
        functions = [as_function(self, name, item) for item in value]
        # A list that keeps its own order (`ordering_list`) does not look again at rows it knows.
        for index, function in enumerate(functions):
            function.index = index
        return functions

    def _without_files(self, value: Any) -> list[Any]:
        items = _download_items(value)
        return [self._job.keep(item) if hasattr(item, "filename") else item for item in items]

    @validates(*FUNCTION_LISTS)
    def _validate_function(self, name: str, item: Any) -> Any:
        function = as_function(self, name, item)
        session = object_session(function)
        if session and function in session.deleted:
            # Taken out of a list, and put back before that was saved.
            session.add(function)
        with _naming(self, name):
            references.check_call(
                function.func, function.args, function.kwargs, leading=LEADING_ARGUMENTS[name]
            )
        return function

    @validates("callback")
    def _validate_callback(self, name: str, value: str | None) -> str | None:
        return check_url(value, what="callback") if value else None

    @validates("cache")
    def _validate_cache(self, name: str, value: str | None) -> str | None:
        if value is not None and value not in CACHE_MODES:
            raise ValueError(f"{value!r} is no cache mode. Use one of {', '.join(CACHE_MODES)}.")
        return value

    @property
    def run(self) -> Any:
        """The run that this button's functions are working for: `form`, `user_id`, `collected`."""
        return self._job.run

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The arguments of a named button, as `authorize` may want to know them."""
        if self.arguments is None:
            return MappingProxyType({})
        return MappingProxyType(references.load(self.arguments, self.__fsa__.session.get)[1])  # type: ignore[attr-defined]

    @property
    def tmp_downloads(self) -> Any:
        """Downloads of this run alone: URLs, `(url, name)` or `File`s."""
        if not self._job.may_hold_downloads():
            raise ConfigurationError(
                "'tmp_downloads' belong to one run: use them in a form or create-file function."
                " 'downloads' belong to the button."
            )
        if "_tmp_downloads" not in self.__dict__:
            self.__dict__["_tmp_downloads"] = DownloadsList()
        return self.__dict__["_tmp_downloads"]

    @tmp_downloads.setter
    def tmp_downloads(self, value: Any) -> None:
        self.tmp_downloads[:] = _download_items(value or ())

    def reset(self, stage: str = "", pct_complete: Any = None) -> Progress:
        """Begin a stage."""
        return self._job.meter.reset(stage, pct_complete)

    def report(self, stage: str = "", pct_complete: Any = None) -> Progress:
        """Go on in a stage."""
        return self._job.meter.report(stage, pct_complete)

    def track(
        self, iterable: Iterable[T], stage: str = "", total: int | None = None
    ) -> Iterator[T]:
        """Yield the items of `iterable` and report how many are done."""
        return self._job.meter.track(iterable, stage, total)

    def create_file(
        self,
        name: str,
        *,
        mimetype: str | None = None,
        inline: bool = False,
        max_age: int | None = None,
        cached: bool = False,
    ) -> Any:
        """Open a file of this run for writing; it counts if the `with` block ends well."""
        return self._job.create_file(
            name, mimetype=mimetype, inline=inline, max_age=max_age, cached=cached
        )

    def using(self, **attributes: Any) -> DownloadBtnMixin:
        """Set how this page shows the button: `{{ download_btn("x").using(form_id="f") }}`."""
        for name, value in attributes.items():
            if name not in LOOKS:
                raise ValueError(
                    f"{name!r} says nothing of how a button looks. Give it to '@manager.button', or"
                    f" use one of {', '.join(LOOKS)}."
                )
            setattr(self, name, value)
        return self

    def get_id(self, suffix: str = "btn") -> str:
        """Return the id of one of this button's elements in a page."""
        which = self.name_key[:16] if self.name_key else self.uid
        copy = f"-{self.copy_number}" if self.copy_number > 1 else ""
        return f"download-btn-{which}-{suffix}{copy}"

    def clear_csrf(self) -> None:
        """Revoke every token of this button: pages that show it must be loaded again."""
        self.revision = new_id()

    def render_btn(self) -> Markup:
        """Return the button's HTML."""
        return Markup(this_app().html.render_btn(self))

    def render_progress(self) -> Markup:
        """Return the HTML that shows progress, files and messages."""
        return Markup(this_app().html.render_progress(self))

    def render_script(self, nonce: str | None = None) -> Markup:
        """Return the script and style that a page needs once."""
        return Markup(this_app().html.render_script(nonce))

    # Pages written for the first release call these.
    render = render_btn
    script = render_script

    def __html__(self) -> Markup:
        return Markup(this_app().html.render_all(self))


@event.listens_for(DownloadBtnMixin, "before_update", propagate=True)
def _hold_back(mapper: Any, connection: Any, btn: DownloadBtnMixin) -> None:
    if btn._job is not NO_JOB:
        holding.hold_back(btn, OWN_ATTRIBUTES)


@event.listens_for(DownloadBtnMixin, "refresh", propagate=True)
def _put_back(btn: DownloadBtnMixin, context: Any, names: Any) -> None:
    if btn._job is not NO_JOB:
        holding.put_back(btn)


class FunctionMixin:
    """A function: one callable with its arguments, stored by name and signed."""

    index: Mapped[int | None] = mapped_column(Integer)
    reference: Mapped[str] = mapped_column(String(255))
    arguments: Mapped[str] = mapped_column(LONG_TEXT)
    signature: Mapped[str] = mapped_column(String(64))

    _is_new = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        declared_functions.append(cls)

    def __init__(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.func = func
        self._set_arguments(args, kwargs)

    @declared_attr
    def create_file_id(cls) -> Mapped[Any]:
        return mapped_column(ForeignKey(_button_key(cls)), nullable=True)

    @declared_attr
    def handle_form_id(cls) -> Mapped[Any]:
        return mapped_column(ForeignKey(_button_key(cls)), nullable=True)

    @property
    def func(self) -> Callable[..., Any]:
        """The callable itself."""
        return references.resolve(self.reference)

    @func.setter
    def func(self, func: Callable[..., Any]) -> None:
        self.reference = references.name_of(func)
        self._is_new = True

    @property
    def args(self) -> tuple[Any, ...]:
        """The positional arguments; assign a new tuple to change them."""
        return tuple(self._load_arguments()[0])

    @args.setter
    def args(self, args: Sequence[Any]) -> None:
        self._set_arguments(tuple(args), self.kwargs)

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The keyword arguments; assign a new dict to change them."""
        return MappingProxyType(self._load_arguments()[1])

    @kwargs.setter
    def kwargs(self, kwargs: Mapping[str, Any]) -> None:
        self._set_arguments(self.args, kwargs)

    def step(self) -> dict[str, str]:
        """Return what a run's plan keeps of this function, with its row's own signature."""
        tokens = this_app().tokens
        if self._is_new:
            self.signature = tokens.sign_row(self.reference, self.arguments)
        return {
            "function": self.reference,
            "arguments": self.arguments,
            "signature": self.signature,
        }

    def _load_arguments(self) -> Any:
        return references.load(self.arguments, self._get_model)

    def _get_model(self, model: type[Any], identity: Any) -> Any:
        return self.__fsa__.session.get(model, identity)  # type: ignore[attr-defined]

    def _set_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.arguments = references.dump_arguments(args, kwargs, self.reference)
        self._is_new = True


@event.listens_for(DownloadBtnMixin, "before_insert", propagate=True)
def _note_recipe(mapper: Any, connection: Any, btn: DownloadBtnMixin) -> None:
    """Note what a view has given a button, before the database adds defaults of its own."""
    if btn.name_key:
        return
    own = {mapper.get_property_by_column(column).key for column in mapper.primary_key}
    names = set(mapper.column_attrs.keys()) - own - NOT_IN_RECIPE
    given = {name: str(value) for name, value in btn.__dict__.items() if name in names}
    functions = [
        [_telling(each) for each in btn.__dict__.get(name) or ()]
        for name in ("handle_form_functions", "create_file_functions")
    ]
    text = json.dumps([mapper.class_.__name__, given, functions], sort_keys=True)
    btn.__dict__["recipe"] = hashlib.sha256(text.encode()).hexdigest()


def _telling(function: FunctionMixin) -> list[Any]:
    """Name a function with those of its arguments that say which, and are no content."""
    positional, named = json.loads(function.arguments)
    arguments = [*enumerate(positional), *named.items()]
    short = [pair for pair in arguments if len(json.dumps(pair[1])) <= MOST_TELLING]
    return [function.reference, short]


@event.listens_for(FunctionMixin, "before_insert", propagate=True)
@event.listens_for(FunctionMixin, "before_update", propagate=True)
def _sign(mapper: Any, connection: Any, function: FunctionMixin) -> None:
    # Only what this process has written itself is signed: never a row that was edited elsewhere.
    if function._is_new:
        function.signature = this_app().tokens.sign_row(function.reference, function.arguments)
        function._is_new = False


def watch(session_factory: Any) -> None:
    """Have functions deleted that were taken out of a list: nobody could ever find them."""
    for name, listener in (("after_flush", _gather_removed), ("after_flush_postexec", _delete)):
        if not event.contains(session_factory, name, listener):
            event.listen(session_factory, name, listener)


def _gather_removed(session: Session, context: Any) -> None:
    removed = [item for item in session.dirty if _is_removed(item)]
    if removed:
        session.info.setdefault(_REMOVED, []).extend(removed)


def _delete(session: Session, context: Any) -> None:
    for function in session.info.pop(_REMOVED, ()):
        session.delete(function)


def _is_removed(item: Any) -> bool:
    if not isinstance(item, FunctionMixin):
        return False
    keys = [getattr(inspect(item).attrs, name, None) for name in BUTTON_KEYS]
    # One that never was in a list is somebody's own.
    return all(not key or key.value is None for key in keys) and any(
        key and any(key.history.deleted or ()) for key in keys
    )


def as_function(btn: Any, name: str, item: Any) -> FunctionMixin:
    """Make a `Function` of a bare callable; let one through."""
    if isinstance(item, FunctionMixin):
        return item
    if callable(item):
        model = inspect(type(btn)).relationships[name].mapper.class_
        with _naming(btn, name):
            return model(item)  # type: ignore[no-any-return]
    raise TypeError(
        f"{item!r} cannot be one of the '{name}' of {described(btn)}. Give a function, or"
        " Function(function, …)."
    )


def _download_items(value: Any) -> list[Any]:
    """Make a list of what is assigned as downloads; one alone is a list of it."""
    is_many = isinstance(value, Iterable) and not (
        isinstance(value, (str, bytes, Mapping)) or hasattr(value, "read")
    )
    items = list(value) if is_many and not _is_one(value) else [value]
    # A script or a migration may have an app that is not ours.
    parts = current_app.extensions.get("download_btn_manager") if has_app_context() else None
    for item in items:
        url = item[0] if isinstance(item, (tuple, list)) and item else item
        if isinstance(url, str) and parts:
            refuse_oversized(url, parts.settings.data_url_limit)
    return items


def _is_one(value: Any) -> bool:
    return isinstance(value, tuple) or hasattr(value, "filename")


@contextmanager
def _naming(btn: Any, name: str) -> Iterator[None]:
    """Say of a function that is refused which button it was to be one of."""
    try:
        yield
    except ReferenceRefused as error:
        raise ReferenceRefused(
            f"{error} It was to be one of the '{name}' of {described(btn)}."
        ) from error


def described(btn: Any) -> str:
    """Name a button in a sentence: `the button 'Export' (9f…)`."""
    return f"the button {(btn.btn_text or btn.name)!r} ({btn.uid})"


class FunctionsList(OrderingList[Any]):
    """A button's functions in order; every change of the order is saved."""

    def reverse(self) -> None:
        super().reverse()
        self.reorder()

    def sort(self, **options: Any) -> None:
        super().sort(**options)
        self.reorder()


def _functions_relationship(key: str) -> Relationship[list[Any]]:
    return relationship(
        "Function",
        order_by="Function.index",
        collection_class=lambda: FunctionsList("index"),
        foreign_keys=f"Function.{key}",
        cascade="save-update, merge, delete",
    )


def _button_key(function_model: Any) -> str:
    model = registered_button(function_model.metadata)
    if model is None:
        return "download_btn.id"
    key = inspect(model).primary_key[0]
    return f"{key.table.name}.{key.name}"


def function_model(button_model: Any) -> Any:
    """Return the model of a button's functions."""
    return inspect(button_model).relationships["create_file_functions"].mapper.class_


def supply(db: Any) -> Any:
    """Declare both models for an app that declares none."""

    class DownloadBtn(DownloadBtnMixin, db.Model):  # type: ignore[misc]
        id: Mapped[int] = mapped_column(Integer, primary_key=True)

    class Function(FunctionMixin, db.Model):  # type: ignore[misc]
        id: Mapped[int] = mapped_column(Integer, primary_key=True)

    registered_buttons.append(DownloadBtn)
    return DownloadBtn
