"""Columns for what a developer edits in place: nested JSON, HTML attributes, lists of downloads.

The decision about sqlalchemy-mutable
-------------------------------------
From sqlalchemy-mutable come `HTMLAttrs`, the dict of HTML attributes with `update_attrs` and
`get_attrs`, and `get_object`, so that a value of the package's own columns can be put into
ours. Its column types are not used. They hand out proxies (`sqlalchemy_mutable.Mutable`), and
what is wrong with a proxy cannot be mended from outside: it is no dict and no list, so that
`isinstance`, `json.dumps`, `jsonify` and `|tojson` fail, and each access goes through a
`__getattribute__` written in Python. A subclass of its types cannot escape: its listeners
match every subclass, and wrap whatever is not such a proxy. So the values here are dicts and
lists, tracked through SQLAlchemy's own `Mutable`, nested to any depth. Its pickle types are
not imported at all. Each trap has a test in tests/test_columns.py.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, SupportsIndex, cast

from markupsafe import Markup, escape
from sqlalchemy import JSON
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import DontWrapMixin
from sqlalchemy.ext.mutable import Mutable
from sqlalchemy.types import TypeDecorator
from sqlalchemy_mutable.html import HTMLAttrs
from sqlalchemy_mutable.utils import get_object

from .errors import DownloadBtnError
from .links import check_url

MAX_DEPTH = 32

_TUPLE = "__tuple__"
_DICT = "__dict__"


class UnsavedFile(DownloadBtnError, DontWrapMixin):
    """Raised when a list of downloads is written while it holds a File that no storage keeps."""


# --- values ---------------------------------------------------------------------------------


class TrackedValue(Mutable):
    """What the dict and the list have in common: a change reaches the row, from any depth."""

    # A nested container belongs to the one it was put in; put into another, it is copied.
    _owner: TrackedValue | None = None

    def changed(self) -> None:
        super().changed()
        if self._owner is not None:
            self._owner.changed()

    def _keep(self, value: Any) -> Any:
        # The common cases first: nearly every item of JSON is one of these.
        if value is None or type(value) in _PLAIN:
            return value
        return _tracked(value, self, _depth(self))


class TrackedDict(TrackedValue, dict[str, Any]):
    """A dict whose row is saved after a change anywhere inside it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        for key, value in dict(*args, **kwargs).items():
            dict.__setitem__(self, self._keep_key(key), self._keep(value))

    def _keep_key(self, key: Any) -> str:
        if type(key) is str:
            return key
        if isinstance(key, str):
            return str.__str__(key)
        raise TypeError(
            f"The key {key!r} is a {type(key).__name__}, and would come back as a str. "
            "The keys of JSON are str: convert it first."
        )

    def __setitem__(self, key: str, value: Any) -> None:
        dict.__setitem__(self, self._keep_key(key), self._keep(value))
        self.changed()

    def __delitem__(self, key: str) -> None:
        dict.__delitem__(self, key)
        self.changed()

    def setdefault(self, key: str, default: Any = None) -> Any:
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        # All are checked before one is put in, so that a refused one leaves the dict as it was.
        kept = [(self._keep_key(k), self._keep(v)) for k, v in dict(*args, **kwargs).items()]
        dict.update(self, kept)
        self.changed()

    def __ior__(self, other: Any) -> TrackedDict:  # type: ignore[override]
        self.update(other)
        return self

    def __or__(self, other: Any) -> Any:
        return _plain(self) | other if isinstance(other, dict) else NotImplemented

    def __ror__(self, other: Any) -> Any:
        return other | _plain(self) if isinstance(other, dict) else NotImplemented

    def pop(self, *args: Any) -> Any:
        value = dict.pop(self, *args)
        self.changed()
        return value

    def popitem(self) -> tuple[str, Any]:
        item = dict.popitem(self)
        self.changed()
        return item

    def clear(self) -> None:
        dict.clear(self)
        self.changed()

    def copy(self) -> dict[str, Any]:
        """Give a plain dict, whose changes reach no row."""
        return cast("dict[str, Any]", _plain(self))

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> dict[str, Any]:
        return self.copy()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return (type(self), (self.copy(),))

    @classmethod
    def coerce(cls, key: str, value: Any) -> TrackedDict | None:
        value = get_object(value)
        if value is None or type(value) is cls:
            return value
        if isinstance(value, Mapping):
            return cls(value)
        raise TypeError(f"'{key}' takes a dict, not {type(value).__name__} {_shown(value)}.")


class TrackedList(TrackedValue, list[Any]):
    """A list whose row is saved after a change anywhere inside it."""

    def __init__(self, items: Iterable[Any] = ()) -> None:
        super().__init__()
        list.extend(self, [self._keep(item) for item in items])

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            list.__setitem__(self, index, [self._keep(item) for item in value])
        else:
            list.__setitem__(self, index, self._keep(value))
        self.changed()

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        list.__delitem__(self, index)
        self.changed()

    def append(self, item: Any) -> None:
        list.append(self, self._keep(item))
        self.changed()

    def insert(self, index: SupportsIndex, item: Any) -> None:
        list.insert(self, index, self._keep(item))
        self.changed()

    def extend(self, items: Iterable[Any]) -> None:
        list.extend(self, [self._keep(item) for item in items])
        self.changed()

    def __iadd__(self, items: Iterable[Any]) -> TrackedList:  # type: ignore[misc]
        self.extend(items)
        return self

    def __imul__(self, times: SupportsIndex) -> TrackedList:
        # Each repetition is a copy, as it will be when it comes back from the database.
        self[:] = _plain(self) * times
        return self

    def pop(self, index: SupportsIndex = -1) -> Any:
        item = list.pop(self, index)
        self.changed()
        return item

    def remove(self, item: Any) -> None:
        list.remove(self, item)
        self.changed()

    def clear(self) -> None:
        list.clear(self)
        self.changed()

    def sort(self, *, key: Any = None, reverse: bool = False) -> None:
        list.sort(self, key=key, reverse=reverse)
        self.changed()

    def reverse(self) -> None:
        list.reverse(self)
        self.changed()

    def copy(self) -> list[Any]:
        """Give a plain list, whose changes reach no row."""
        return cast("list[Any]", _plain(self))

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> list[Any]:
        return self.copy()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return (type(self), (self.copy(),))

    @classmethod
    def coerce(cls, key: str, value: Any) -> TrackedList | None:
        value = get_object(value)
        if value is None or type(value) is cls:
            return value
        if isinstance(value, Iterable) and not isinstance(value, (str, bytes, Mapping)):
            return cls(value)
        raise TypeError(f"'{key}' takes a list, not {type(value).__name__} {_shown(value)}.")


class AttrsDict(HTMLAttrs, TrackedDict):  # type: ignore[misc]
    """The HTML attributes of an element, edited in place and saved."""

    def _keep_key(self, key: Any) -> str:
        return _checked_name(super()._keep_key(key))

    def update_attrs(self, attrs: Mapping[str, Any]) -> None:
        """Add to the classes and styles that are there, and set every other attribute."""
        attrs = dict(attrs)
        # The package's own method takes a list of classes and a dict of styles alone.
        if "class" in attrs:
            self["class"] = _classes(self.get("class"))
            attrs["class"] = [c for c in _classes(attrs["class"]) if c not in self["class"]]
        if "style" in attrs and not _are_mappings(attrs["style"], self.get("style", {})):
            self["style"] = attrs.pop("style")
        super().update_attrs(attrs)

    def get_attrs(self) -> Markup:
        """Give the attributes as they stand in a tag, escaped."""
        return render_attrs(self)

    @classmethod
    def coerce(cls, key: str, value: Any) -> AttrsDict:
        return cast("AttrsDict", super().coerce(key, {} if value is None else value))


class DownloadsList(TrackedList):
    """The downloads of a button: URLs, `(url, name)` pairs and files, checked as they come in."""

    def _keep(self, value: Any) -> Any:
        return _checked_download(value)

    @classmethod
    def coerce(cls, key: str, value: Any) -> DownloadsList:
        value = get_object(value)
        if isinstance(value, cls):
            return value
        if value is None:
            return cls()
        if isinstance(value, (str, Mapping)) or _is_file(value):
            return cls([value])
        if isinstance(value, Iterable) and not isinstance(value, bytes):
            return cls(value)
        raise TypeError(
            f"'{key}' takes a list of downloads, not {type(value).__name__} {_shown(value)}. "
            "A download is a URL, (url, name), or a File."
        )

    def copy(self) -> list[Any]:
        """Give a plain list, whose changes reach no row."""
        return list(self)

    __copy__ = copy


_PLAIN = frozenset({str, int, bool})


def _tracked(value: Any, owner: TrackedValue, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"{_shown(value)} is nested deeper than {MAX_DEPTH}, or holds itself.")
    if isinstance(value, TrackedValue) and value._owner is owner:
        return value
    value = get_object(value)
    if isinstance(value, dict):
        return _tracked_dict(value, owner, depth + 1)
    if isinstance(value, list):
        return _tracked_list(value, owner, depth + 1)
    if isinstance(value, tuple):
        # Its items report to the owner: a tuple itself never changes.
        return tuple([_scalar_or_tracked(item, owner, depth + 1) for item in value])
    return _scalar(value)


def _tracked_dict(value: dict[Any, Any], owner: TrackedValue, depth: int) -> TrackedDict:
    new = TrackedDict.__new__(TrackedDict)
    new._owner = owner
    for key, item in value.items():
        dict.__setitem__(new, new._keep_key(key), _scalar_or_tracked(item, new, depth))
    return new


def _tracked_list(value: list[Any], owner: TrackedValue, depth: int) -> TrackedList:
    new = TrackedList.__new__(TrackedList)
    new._owner = owner
    list.extend(new, [_scalar_or_tracked(item, new, depth) for item in value])
    return new


def _scalar_or_tracked(value: Any, owner: TrackedValue, depth: int) -> Any:
    if value is None or type(value) in _PLAIN:
        return value
    return _tracked(value, owner, depth)


def _depth(value: TrackedValue) -> int:
    depth, owner = 1, value._owner
    while owner is not None:
        depth, owner = depth + 1, owner._owner
    return depth


def _scalar(value: Any) -> Any:
    # The value before the commit is the value after it: a Markup or an IntEnum would
    # otherwise change its type when it is loaded.
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    raise TypeError(
        f"{type(value).__name__} {_shown(value)} cannot be kept as JSON. It takes str, numbers, "
        "True, False, None, and dicts, lists and tuples of these."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value


# --- one download ---------------------------------------------------------------------------

_FILE_ID = re.compile(r"[0-9a-f]{32}")
_DOWNLOADS = "A download is a URL, (url, name), or a File."


def _checked_download(value: Any) -> Any:
    value = get_object(value)
    if isinstance(value, str):
        return check_url(value, what="download's URL", data=True)
    if isinstance(value, (tuple, list)):
        return _checked_pair(value)
    if isinstance(value, Mapping):
        return _checked_stored(value)
    if _is_file(value):
        return value
    hint = " Wrap content in File(content, name)." if hasattr(value, "__fspath__") else ""
    if isinstance(value, (bytes, bytearray)) or hasattr(value, "read"):
        hint = " Wrap content in File(content, name)."
    raise TypeError(
        f"{type(value).__name__} {_shown(value)} cannot be downloaded. {_DOWNLOADS}{hint}"
    )


def _checked_pair(value: tuple[Any, ...] | list[Any]) -> tuple[str, str]:
    if len(value) != 2 or not isinstance(value[1], str):
        raise TypeError(f"{_shown(value)} is no pair of a URL and a name. {_DOWNLOADS}")
    return (check_url(value[0], what="download's URL", data=True), str.__str__(value[1]))


def _checked_stored(value: Mapping[Any, Any]) -> Any:
    file_id = value.get("file")
    if set(value) != {"file"} or not isinstance(file_id, str) or not _FILE_ID.fullmatch(file_id):
        raise TypeError(f"{_shown(dict(value))} cannot be downloaded. {_DOWNLOADS}")
    return {"file": file_id}


def _is_file(value: Any) -> bool:
    # Asked by shape: this module stands below the one that defines File.
    return all(hasattr(value, name) for name in ("filename", "mimetype", "content"))


# --- columns --------------------------------------------------------------------------------


class _JSONColumn(TypeDecorator[Any]):
    """JSON, encoded once, in which a tuple comes back as a tuple; None is NULL."""

    impl = JSON
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(none_as_null=True)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else _encoded(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return _decoded(value)


class JSONDict(_JSONColumn):
    """A column for a dict of JSON, nested to any depth, edited in place and saved."""

    cache_ok = True


class JSONList(_JSONColumn):
    """A column for a list of JSON, nested to any depth, edited in place and saved."""

    cache_ok = True


class Attrs(_JSONColumn):
    """A column for the HTML attributes of an element; NULL reads as none, ready to be edited."""

    cache_ok = True

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return {} if value is None else _decoded(value)


class Downloads(_JSONColumn):
    """A column for a list of downloads, checked as they come in; NULL reads as none."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        for item in value or ():
            if _is_file(item):
                raise UnsavedFile(_unsaved(item, value))
        return None if value is None else _encoded_downloads(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return [tuple(item) if isinstance(item, list) else item for item in value or ()]


TrackedDict.associate_with(JSONDict)
TrackedList.associate_with(JSONList)
AttrsDict.associate_with(Attrs)
DownloadsList.associate_with(Downloads)


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        encoded = {key: _encoded(item) for key, item in value.items()}
        # A dict of the developer's own that looks like our mark for a tuple.
        return {_DICT: encoded} if len(value) == 1 and _marks(value) else encoded
    if isinstance(value, list):
        return [_encoded(item) for item in value]
    if isinstance(value, tuple):
        return {_TUPLE: [_encoded(item) for item in value]}
    return value


def _marks(value: Mapping[str, Any]) -> bool:
    return _TUPLE in value or _DICT in value


def _decoded(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get(_TUPLE), list):
            return tuple(_decoded(item) for item in value[_TUPLE])
        if len(value) == 1 and isinstance(value.get(_DICT), dict):
            value = value[_DICT]
        return {key: _decoded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    return value


def _encoded_downloads(value: Iterable[Any]) -> list[Any]:
    return [list(item) if isinstance(item, tuple) else item for item in value]


def _unsaved(file: Any, downloads: Any) -> str:
    where = [f"{state.class_.__name__}.{key}" for state, key in _parents_of(downloads)]
    name = f" of {where[0]}" if where else ""
    return (
        f"The downloads{name} hold the file {_shown(file.filename)}, which is not stored yet, so "
        "that they cannot be saved. A File is stored when its function hands it over: yield or "
        "return it, or commit before you assign it."
    )


def _parents_of(value: Any) -> list[tuple[Any, str]]:
    return list(value._parents.items()) if isinstance(value, Mutable) else []


# --- HTML attributes ------------------------------------------------------------------------

# Also the names of htmx, Alpine and Vue: "hx-on::after-request", "@click.prevent", ":class".
_NAME = re.compile(r"[A-Za-z_@:][A-Za-z0-9_@:.\-]*")
_PROPERTY = re.compile(r"-{0,2}[A-Za-z_][A-Za-z0-9_\-]*")
_ENDS_A_DECLARATION = re.compile(r"[;{}\x00-\x1f]|/\*")


def render_attrs(*mappings: Mapping[str, Any] | None) -> Markup:
    """Give HTML attributes as they stand in a tag: `{"class": ["a", "b"], "data": {"x": 1}}`.

    Of several mappings a later one wins, except that classes and styles are added to.
    True is a bare attribute, None and False leave it out; `aria-…` says "true" and "false".
    A list is joined by spaces, a nested dict is a prefix; of `style` it is CSS.
    """
    merged: dict[str, Any] = {}
    for mapping in mappings:
        for name, value in (mapping or {}).items():
            merged[name] = _merged(name, merged.get(name), value)
    return Markup(" ").join(_rendered(merged))


def _merged(name: str, before: Any, value: Any) -> Any:
    if name == "class" and before:
        return list(dict.fromkeys(_classes(before) + _classes(value)))
    return {**before, **value} if _are_mappings(before, value) else value


def _are_mappings(*values: Any) -> bool:
    return all(isinstance(value, Mapping) for value in values)


def _rendered(attrs: Mapping[str, Any], prefix: str = "") -> Iterator[Markup]:
    for key, value in attrs.items():
        name = _checked_name(prefix + str(key))
        if name == "style" and isinstance(value, Mapping):
            value = _css(value)
        if isinstance(value, Mapping):
            yield from _rendered(value, prefix=f"{name}-")
        else:
            yield from _rendered_one(name, value)


def _rendered_one(name: str, value: Any) -> Iterator[Markup]:
    if isinstance(value, bool) and name.startswith("aria-"):
        value = "true" if value else "false"
    if isinstance(value, (list, tuple, set, frozenset)):
        value = " ".join(_words(value)) or None
    if value is None or value is False:
        return
    # Markup would pass unescaped, and its quotes would end the attribute.
    yield Markup(name) if value is True else Markup(f'{name}="{escape(_text(value))}"')


def _text(value: Any) -> str:
    return "".join(str(value))


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{_shown(name)} is no name of an HTML attribute. Use letters, digits and '-'."
        )
    return name


def _classes(value: Any) -> list[str]:
    if value is None or value is False:
        return []
    return value.split() if isinstance(value, str) else _words(value)


def _words(values: Iterable[Any]) -> list[str]:
    # By identity: 0 is a word, and equal to False.
    return [
        str(value) for value in values if value is not None and value is not False and value != ""
    ]


def _css(style: Mapping[str, Any]) -> str | None:
    declarations = [
        f"{_checked_property(name)}: {_checked_css(name, value)}"
        for name, value in style.items()
        if value is not None and value is not False
    ]
    return "; ".join(declarations) or None


def _checked_property(name: str) -> str:
    if not _PROPERTY.fullmatch(name):
        raise ValueError(f"{_shown(name)} is no name of a CSS property.")
    return name


def _checked_css(name: str, value: Any) -> str:
    text = str(value)
    if _ENDS_A_DECLARATION.search(text):
        raise ValueError(
            f"The style {name!r} has the value {_shown(text)}, which goes on after its end. "
            "Give 'style' as one str if that is what you want."
        )
    return text


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 90 else text[:80] + "…"
