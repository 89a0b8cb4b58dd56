"""Turn functions and their arguments into text that another process can read, and back."""

from __future__ import annotations

import base64
import enum
import functools
import importlib
import importlib.util
import inspect
import json
import keyword
import math
import numbers
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy
from sqlalchemy.orm import InstanceState, Mapper
from sqlalchemy_mutable.utils import get_object

from .columns import TrackedDict, TrackedList
from .errors import ReferenceRefused

MAX_NAME_CHARACTERS = 255
MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 32
MAX_DIGITS = 1000

GetModel = Callable[[type[Any], Any], Any]

_MAIN_MODULES = ("__main__", "__mp_main__")  # multiprocessing gives the main module a second name
_MOVE_IT = "Define it with 'def' at the top of a module, and give that."


# --- functions ------------------------------------------------------------------------------


def name_of(func: Any, *, being_defined: bool = False) -> str:
    """Name a function as `module:qualname`, if another process can find it by that.

    With `being_defined` (in a decorator) its module need not have it yet.
    """
    _check_kind(func)
    module, qualname = _module_name(func), func.__qualname__
    _check_qualname(func, qualname)
    name = f"{module}:{qualname}"
    if len(name) > MAX_NAME_CHARACTERS:
        raise ReferenceRefused(
            f"The name of {_label(func)} is longer than {MAX_NAME_CHARACTERS} characters, and "
            "cannot be stored. Give the function, or its module, a shorter one."
        )
    if not being_defined:
        _check_found(func, sys.modules.get(func.__module__), name)
    return name


def resolve(name: str) -> Callable[..., Any]:
    """Give the function that `name_of` named; nothing but a function is ever given."""
    module, qualname = _split(name)
    found = _walk(_import(module, name), qualname, name)
    if not _is_function(found):
        raise ReferenceRefused(
            f"The stored name {name!r} is that of {_a(found)}, not of a function. Only functions "
            "are called by name: make the button anew, with a function."
        )
    return found  # type: ignore[no-any-return]


def check_call(
    func: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    leading: Sequence[str] = ("btn",),
) -> None:
    """Refuse arguments that the function does not take, before anything is stored or started.

    `leading` names what it is called with before its own arguments.
    """
    try:
        # A wrapper may well add arguments of its own: what it wraps is not what is called.
        signature = _signature(func)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*leading, *args, **kwargs)
    except TypeError as error:
        given = ", ".join([*leading, *("…" for _ in args), *(f"{key}=…" for key in kwargs)])
        raise ReferenceRefused(
            f"{_label(func)} is called as {func.__name__}({given}), which its signature "
            f"{signature} does not allow: {error}. Give Function({func.__name__}, …) the "
            f"arguments that follow '{leading[-1] if leading else ''}'."
        ) from error


@functools.lru_cache(maxsize=256)
def _signature(func: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(func, follow_wrapped=False)


def _check_kind(func: Any) -> None:
    if isinstance(func, functools.partial):
        inner = getattr(func.func, "__name__", "function")
        _refuse(func, f"is a partial. Give Function({inner}, …) the arguments themselves.")
    if isinstance(func, types.MethodType):
        _refuse(func, f"is a bound method, and carries its object along. {_MOVE_IT}")
    if isinstance(func, type):
        _refuse(func, f"is a class. {_MOVE_IT}")
    if not callable(func):
        _refuse(func, "cannot be called. Give a function.")
    if not _is_function(func):
        kind = "built in" if isinstance(func, types.BuiltinFunctionType) else "no plain function"
        _refuse(func, f"is {kind}, and has no name to find it by. {_MOVE_IT}")
    if func.__qualname__.rpartition(".")[2] == "<lambda>":
        _refuse(func, f"is a lambda, and has no name to find it by. {_MOVE_IT}")


def _is_function(value: Any) -> bool:
    # functools.lru_cache gives an object; what it wraps tells that it stands for a function.
    if isinstance(value, (type, types.MethodType, functools.partial)) or not callable(value):
        return False
    return isinstance(_innermost(value), types.FunctionType)


def _innermost(value: Any) -> Any:
    for _ in range(MAX_DEPTH):
        if isinstance(value, types.FunctionType):
            return value
        value = inspect.getattr_static(value, "__wrapped__", None)
    return None


def _check_qualname(func: Any, qualname: str) -> None:
    if "<locals>" in qualname:
        outer = qualname.split(".<locals>")[0]
        _refuse(
            func,
            f"is made inside of '{outer}', where no other process can find it. {_MOVE_IT} If "
            f"'{outer}' is a decorator, let it use functools.wraps.",
        )
    if not all(_is_plain_name(part) for part in qualname.split(".")):
        _refuse(func, f"has the name {_shown(qualname)}, which is no plain one. {_MOVE_IT}")


def _check_found(func: Any, module: types.ModuleType | None, name: str) -> None:
    found = None if module is None else _static_walk(module, func.__qualname__)
    if found is func:
        return
    if found is None:
        _refuse(
            func,
            f"is not in its module under that name ({name!r}): it was renamed, deleted, or is "
            "still being defined. Let its '__qualname__' be where it stands.",
        )
    _refuse(
        func,
        f"is not what stands under its name: {name!r} is {_a(found)}. If a decorator replaced "
        "it, let the decorator use functools.wraps, and give the function as it stands in its "
        "module.",
    )


def _module_name(func: Any) -> str:
    module = getattr(func, "__module__", None)
    if not module:
        _refuse(func, f"does not say which module it is of. {_MOVE_IT}")
    if module not in _MAIN_MODULES:
        return str(module)
    name = _main_name()
    if name is None:
        _refuse(
            func,
            "stands in '__main__', which no other process can import: a shell, a notebook, or a "
            "file whose name is no module's. Move it to a module, and import it from there.",
        )
    return name


def _main_name() -> str | None:
    """Name the program's first module as other processes would import it."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        # "python folder" runs a module that is called "__main__" everywhere, and so nowhere.
        return spec.name if spec.name not in _MAIN_MODULES else None
    file = getattr(main, "__file__", None)
    return None if file is None else _dotted(file, tuple(sys.path))


@functools.lru_cache(maxsize=8)
def _dotted(file: str, entries: tuple[str, ...]) -> str | None:
    # A script that is a symlink has its own name where it is found, else that of its target.
    for real in (os.path.abspath, os.path.realpath):
        folders = sorted((str(real(entry or os.curdir)) for entry in entries), key=len)
        found = [parts for folder in folders if (parts := _parts_below(folder, str(real(file))))]
        if found:
            return ".".join(found[-1])
    return None


def _parts_below(folder: str, file: str) -> list[str]:
    stem, extension = os.path.splitext(file)
    prefix = folder if folder.endswith(os.sep) else folder + os.sep
    parts = stem[len(prefix) :].split(os.sep) if stem.startswith(prefix) else []
    can_import = extension == ".py" and all(map(_is_module_name, parts))
    return parts if can_import else []


def _is_module_name(part: str) -> bool:
    return part.isidentifier() and part not in _MAIN_MODULES


def _split(name: str) -> tuple[str, str]:
    module, colon, qualname = name.partition(":")
    dotted = module.split(".")
    if not (
        colon
        and len(name) <= MAX_NAME_CHARACTERS
        and all(part.isidentifier() for part in dotted)
        and all(_is_plain_name(part) for part in qualname.split("."))
    ):
        raise ReferenceRefused(
            f"The stored name {_shown(name)} is none of the form 'module:function'. Make the "
            "button anew."
        )
    return module, qualname


def _is_plain_name(part: str) -> bool:
    # "f.__globals__" leads out of a function, to everything.
    return part.isidentifier() and not keyword.iskeyword(part) and not part.startswith("__")


def _import(module: str, name: str) -> types.ModuleType:
    # Under `python app.py` the module "app" runs as "__main__"; importing it would run it twice.
    if module == _main_name():
        return sys.modules["__main__"]
    if module in sys.modules:
        return sys.modules[module]
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise ReferenceRefused(
                f"The stored function {name!r} cannot be found: there is no module "
                f"{error.name!r}. If it was renamed or moved, make its button anew, or let the "
                "old name import the new one."
            ) from error
        raise _not_imported(module, name, error) from error
    # A script without `if __name__ == "__main__"` may end itself here.
    except (Exception, SystemExit) as error:
        raise _not_imported(module, name, error) from error


def _not_imported(module: str, name: str, error: BaseException) -> ReferenceRefused:
    return ReferenceRefused(
        f"The stored function {name!r} cannot be found: importing {module!r} raised "
        f"{type(error).__name__}: {error}. Let 'python -c \"import {module}\"' work first."
    )


def _walk(module: types.ModuleType, qualname: str, name: str) -> Any:
    found = _static_walk(module, qualname)
    if found is None:
        raise ReferenceRefused(
            f"The stored function {name!r} cannot be found: module '{module.__name__}' has no "
            f"'{qualname}'. If it was renamed or moved, make its button anew, or keep the old "
            "name beside the new one."
        )
    return found


def _static_walk(module: types.ModuleType, qualname: str) -> Any:
    """Look names up in modules and classes only, running no code of theirs."""
    found: Any = module
    for part in qualname.split("."):
        if not isinstance(found, (types.ModuleType, type)) or part.startswith("__"):
            return None
        # A module that is imported by another is no way to name a function.
        if isinstance(found, types.ModuleType) and found is not module:
            return None
        found = vars(found).get(part)
    return found.__func__ if isinstance(found, staticmethod) else found


# --- values ---------------------------------------------------------------------------------


def dump(value: Any) -> str:
    """Write a value as typed JSON."""
    return _written(_Writer("The value").encode(value, "", 0), "The value is")


def dump_arguments(args: Sequence[Any], kwargs: Mapping[str, Any], name: str) -> str:
    """Write the arguments of the function or button `name`, so that `load` gives `[args, kwargs]`.

    Equal arguments give equal text, in whatever order they were named.
    """
    of_function = f" of '{name}'"
    positional = [
        _Writer(f"Argument {index}", of_function).encode(value, "", 0)
        for index, value in enumerate(args)
    ]
    named = {
        key: _Writer(f"Argument '{key}'", of_function).encode(value, "", 0)
        for key, value in sorted(kwargs.items())
    }
    return _written([positional, _object(named)], f"The arguments{of_function} are")


def _written(encoded: Any, subject: str) -> str:
    text = json.dumps(encoded, separators=(",", ":"), allow_nan=False)
    # Only now are marks and escapes counted; what is far too large never came here.
    if len(text) > MAX_CHARACTERS:
        raise ReferenceRefused(f"{subject} {_TOO_LARGE}")
    return text


def _object(encoded: dict[str, Any]) -> dict[str, Any]:
    # One key alone would be taken for a mark, of this version or of one to come.
    return {"dict": [list(pair) for pair in encoded.items()]} if len(encoded) == 1 else encoded


def load(text: str, get_model: GetModel) -> Any:
    """Read what `dump` wrote; `get_model(class, identity)` fetches the model instances."""
    if len(text) > MAX_CHARACTERS:
        raise _unreadable("they are too long")
    try:
        parsed = json.loads(text, parse_int=_bounded_int, parse_constant=_no_constant)
        return _Reader(get_model).decode(parsed, 0)
    except ReferenceRefused:
        raise
    except _FetchFailed as failed:
        raise failed.error from None
    except RecursionError as error:
        raise _unreadable("they are nested too deep") from error
    except Exception as error:
        raise _unreadable(f"{type(error).__name__}: {error}") from error


class _FetchFailed(Exception):
    """Carries an error of the database past those of the text."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def _unreadable(reason: str) -> ReferenceRefused:
    return ReferenceRefused(
        f"The stored arguments cannot be read: {reason}. They were not written by this version "
        "of the app: make the button anew."
    )


def _bounded_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS + 1:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


class _Writer:
    """Encodes one value: a one-key object is always a mark, and says the type of what it holds."""

    def __init__(self, label: str, of_function: str = "") -> None:
        self._label = label
        self._of_function = of_function
        self._characters = 0

    def encode(self, value: Any, path: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            self._refuse(
                path,
                f"is nested deeper than {MAX_DEPTH}, or holds itself. Store it in a table, and "
                "pass its id.",
            )
        self._count(2)
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            self._count(len(value))
            return value
        encoder = _ENCODERS.get(kind)
        if encoder is None:
            return self._encode_other(value, path, depth)
        return encoder(self, value, path, depth + 1)

    def encode_int(self, value: int, path: str, depth: int) -> Any:
        # Compared, not counted: turning a giant into digits is what would take for ever.
        if abs(value) >= _FIRST_TOO_LONG:
            self._refuse_digits(path)
        self._count(value.bit_length() // 4)
        return value

    def encode_float(self, value: float, path: str, depth: int) -> Any:
        return value if math.isfinite(value) else {"float": repr(value)}

    def encode_list(self, value: Sequence[Any], path: str, depth: int) -> Any:
        return [self.encode(item, f"{path}[{i}]", depth) for i, item in enumerate(value)]

    def encode_dict(self, value: dict[Any, Any], path: str, depth: int) -> Any:
        if not all(type(key) is str for key in value):
            return {"dict": [self._encode_pair(*pair, path, depth) for pair in value.items()]}
        return _object(
            {
                self.encode(key, path, depth): self.encode(item, f"{path}[{key!r}]", depth)
                for key, item in value.items()
            }
        )

    def _encode_pair(self, key: Any, value: Any, path: str, depth: int) -> list[Any]:
        place = f"{path}[{_shown(key)}]"
        return [self.encode(key, f"{place} as a key", depth), self.encode(value, place, depth)]

    def encode_tuple(self, value: tuple[Any, ...], path: str, depth: int) -> Any:
        return {"tuple": self.encode_list(value, path, depth)}

    def encode_set(self, value: set[Any] | frozenset[Any], path: str, depth: int) -> Any:
        items = [self.encode(item, f"{path}[…]", depth) for item in value]
        # Sorted, so that equal sets are equal text in every process.
        return {type(value).__name__: sorted(items, key=json.dumps)}

    def encode_bytes(self, value: bytes, path: str, depth: int) -> Any:
        self._count(len(value) * 4 // 3)
        return {"bytes": base64.b64encode(value).decode("ascii")}

    def encode_decimal(self, value: Decimal, path: str, depth: int) -> Any:
        if len(value.as_tuple().digits) > MAX_DIGITS:
            self._refuse_digits(path)
        return {"decimal": str(value)}

    def _encode_other(self, value: Any, path: str, depth: int) -> Any:
        plain = get_object(value)
        if isinstance(plain, (TrackedDict, TrackedList)):
            plain = plain.copy()
        if plain is not value:
            return self.encode(plain, path, depth)
        if isinstance(value, enum.Enum):
            return self._encode_enum(value, path)
        if isinstance(value, Path):
            return {"path": str(value)}
        state = sqlalchemy.inspect(value, raiseerr=False)
        if isinstance(state, InstanceState):
            return self._encode_model(state, path, depth)
        # Numbers of numpy's come back as Python's own, which are equal to them.
        if isinstance(value, numbers.Integral):
            return self.encode_int(int(value), path, depth)
        if isinstance(value, numbers.Real) and not isinstance(value, Fraction):
            return self.encode_float(float(value), path, depth)
        self._refuse(path, f"is {_a(value)}, {_way_out(value)}")

    def _encode_enum(self, value: enum.Enum, path: str) -> Any:
        member = getattr(value, "name", None)
        if type(value).__members__.get(member or "") is not value:
            self._refuse(
                path,
                f"is {value!r}, a combination that has no name of its own. Pass its value, and "
                "make the enum of it in the function.",
            )
        return {"enum": [self._class_name(type(value), path), member]}

    def _encode_model(self, state: InstanceState[Any], path: str, depth: int) -> Any:
        if state.identity is None or state.was_deleted:
            self._refuse(
                path,
                f"is a {state.class_.__name__} that is not in the database, so that no other "
                "process can fetch it. Commit it first, and pass it then.",
            )
        identity = self.encode_list(state.identity, path, depth + 1)
        return {"model": [self._class_name(state.class_, path), identity]}

    def _class_name(self, cls: type[Any], path: str) -> str:
        module = _main_name() if cls.__module__ in _MAIN_MODULES else cls.__module__
        name = f"{module}:{cls.__qualname__}"
        own = sys.modules.get(cls.__module__)
        if module is None or own is None or _static_walk(own, cls.__qualname__) is not cls:
            self._refuse(
                path,
                f"is of the class '{cls.__qualname__}', which cannot be found by its name, "
                f"{name!r}. Define the class at the top of a module, or pass a key or a value.",
            )
        return name

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > MAX_CHARACTERS:
            self._refuse("", f"is {_TOO_LARGE}")

    def _refuse_digits(self, path: str) -> NoReturn:
        self._refuse(
            path, f"is a number of more than {MAX_DIGITS} digits. Compute it in the function."
        )

    def _refuse(self, path: str, reason: str) -> NoReturn:
        place = path if len(path) <= 200 else path[:200] + "…"
        raise ReferenceRefused(f"{self._label}{place}{self._of_function} {reason}")


_FIRST_TOO_LONG = 10**MAX_DIGITS
_TOO_LARGE = (
    f"larger than {MAX_CHARACTERS // 1024} KiB as JSON. Store it in a table or a file, and pass "
    "its id."
)


def _encode_datetime(writer: _Writer, value: datetime, path: str, depth: int) -> Any:
    return {"datetime": [*_clock(value), value.fold]}


def _encode_time(writer: _Writer, value: time, path: str, depth: int) -> Any:
    return {"time": [*_clock(value), value.fold]}


def _clock(value: datetime | time) -> tuple[str, str | None]:
    """Give the clock's face and the zone's name; a zone without a name is in the face."""
    zone = value.tzinfo
    if isinstance(zone, ZoneInfo) and zone.key:
        return value.replace(tzinfo=None).isoformat(), zone.key
    return value.isoformat(), None


def _on_clock(value: Any, zone: str | None, fold: int) -> Any:
    value = value.replace(fold=fold)
    return value if zone is None else value.replace(tzinfo=ZoneInfo(zone))


_ENCODERS: dict[type, Callable[[_Writer, Any, str, int], Any]] = {
    int: _Writer.encode_int,
    float: _Writer.encode_float,
    list: _Writer.encode_list,
    dict: _Writer.encode_dict,
    tuple: _Writer.encode_tuple,
    set: _Writer.encode_set,
    frozenset: _Writer.encode_set,
    bytes: _Writer.encode_bytes,
    Decimal: _Writer.encode_decimal,
    datetime: _encode_datetime,
    time: _encode_time,
    date: lambda writer, value, path, depth: {"date": value.isoformat()},
    timedelta: lambda writer, value, path, depth: {
        "timedelta": [value.days, value.seconds, value.microseconds]
    },
    UUID: lambda writer, value, path, depth: {"uuid": value.hex},
}


class _Reader:
    """Decodes what `_Writer` encoded, and trusts none of it."""

    def __init__(self, get_model: GetModel) -> None:
        self._get_model = get_model

    def decode(self, value: Any, depth: int) -> Any:
        # A mark and what it holds are two levels of JSON for one of ours.
        if depth > 3 * MAX_DEPTH:
            raise _unreadable("they are nested too deep")
        if isinstance(value, list):
            return [self.decode(item, depth + 1) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) != 1:
            return {key: self.decode(item, depth + 1) for key, item in value.items()}
        [(mark, content)] = value.items()
        decoder = _DECODERS.get(mark)
        if decoder is None:
            raise _unreadable(f"{_shown(mark)} is no type that this version knows")
        return decoder(self, content, depth + 1)

    def decode_items(self, content: Any, depth: int) -> Iterator[Any]:
        if not isinstance(content, list):
            raise TypeError("a list was expected")
        return (self.decode(item, depth) for item in content)

    def decode_dict(self, content: Any, depth: int) -> dict[Any, Any]:
        return {self.decode(key, depth): self.decode(item, depth) for key, item in content}

    def decode_enum(self, content: Any, depth: int) -> Any:
        name, member = content
        found = _resolve_class(name)
        if not issubclass(found, enum.Enum):
            raise _unreadable(f"{_shown(name)} is no Enum")
        return found[member]

    def decode_model(self, content: Any, depth: int) -> Any:
        name, keys = content
        model = _resolve_class(name)
        if not isinstance(sqlalchemy.inspect(model, raiseerr=False), Mapper):
            raise _unreadable(f"{_shown(name)} is no model")
        identity = tuple(self.decode_items(keys, depth))
        try:
            found = self._get_model(model, identity)
        except Exception as error:
            raise _FetchFailed(error) from error
        if found is None:
            shown = ", ".join(map(repr, identity))
            raise ReferenceRefused(
                f"An argument was the {model.__name__} {shown}, which is no longer in the "
                "database. Pass its key alone, if the function can do without it."
            )
        return found


_DECODERS: dict[str, Callable[[_Reader, Any, int], Any]] = {
    "float": lambda reader, content, depth: float(content),
    "dict": _Reader.decode_dict,
    "tuple": lambda reader, content, depth: tuple(reader.decode_items(content, depth)),
    "set": lambda reader, content, depth: set(reader.decode_items(content, depth)),
    "frozenset": lambda reader, content, depth: frozenset(reader.decode_items(content, depth)),
    "bytes": lambda reader, content, depth: base64.b64decode(content, validate=True),
    "decimal": lambda reader, content, depth: Decimal(content),
    "datetime": lambda reader, content, depth: _on_clock(
        datetime.fromisoformat(content[0]), *content[1:]
    ),
    "time": lambda reader, content, depth: _on_clock(time.fromisoformat(content[0]), *content[1:]),
    "date": lambda reader, content, depth: date.fromisoformat(content),
    "timedelta": lambda reader, content, depth: timedelta(*content),
    "uuid": lambda reader, content, depth: UUID(hex=content),
    "path": lambda reader, content, depth: Path(content),
    "enum": _Reader.decode_enum,
    "model": _Reader.decode_model,
}


def _resolve_class(name: str) -> type[Any]:
    module, qualname = _split(name)
    found = _walk(_import(module, name), qualname, name)
    if not isinstance(found, type):
        raise _unreadable(f"{_shown(name)} is no class")
    return found


_INSTEAD = {
    str: "str(…)",
    bytes: "bytes(…)",
    bytearray: "bytes(…)",
    memoryview: "bytes(…)",
    dict: "dict(…)",
    list: "list(…)",
    tuple: "tuple(…)",
    range: "list(…)",
    datetime: "a datetime of Python's own, such as …to_pydatetime()",
    set: "set(…)",
}


def _way_out(value: Any) -> str:
    for kind, instead in _INSTEAD.items():
        if isinstance(value, kind):
            return f"and would come back as another type. Pass {instead} of it."
    if isinstance(value, Iterator):
        return "which can be read only once, and only here. Make it in the function."
    if callable(value):
        return "and functions are no arguments. Let the function find it by a name or a key."
    return (
        "which no other process can read. Pass what it is made of: str, bytes, numbers, dates, "
        "UUIDs, Paths, Enums, lists, tuples, sets and dicts of these, or a model instance."
    )


def _refuse(func: Any, reason: str) -> NoReturn:
    raise ReferenceRefused(f"{_label(func)} cannot be stored by its name: it {reason}")


def _label(func: Any) -> str:
    qualname = getattr(func, "__qualname__", None)
    if not isinstance(qualname, str):
        return _shown(func)
    return f"'{getattr(func, '__module__', None) or '?'}:{qualname}'"


def _a(value: Any) -> str:
    kind = type(value)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}, {_shown(value)}"


def _shown(value: object) -> str:
    try:
        text = ascii(value)
    except Exception:
        # An error about a value must not be hidden by an error in its repr.
        return f"<{type(value).__name__}>"
    return text if len(text) <= 90 else text[:80] + "…"
