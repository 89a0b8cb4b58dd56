"""Functions and arguments cross processes as text, and come back as they were."""

from __future__ import annotations

import contextlib
import enum
import functools
import io
import json
import math
import os
import pathlib
import re
import subprocess
import sys
import textwrap
import time
import types
from collections import Counter, OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta, timezone
from datetime import time as clock
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy_mutable
from markupsafe import Markup
from sqlalchemy import Column, ForeignKey, Integer, String, create_engine
from sqlalchemy.orm import Session, declarative_base
from sqlalchemy.pool import StaticPool

from flask_download_btn.columns import TrackedDict
from flask_download_btn.errors import ReferenceRefused
from flask_download_btn.references import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_DIGITS,
    check_call,
    dump,
    dump_arguments,
    load,
    name_of,
    resolve,
)

# --- what stands at the top of this module ----------------------------------------------------


def create_file(btn: Any, msg: str = "") -> Iterator[str]:
    yield msg


async def create_later(btn: Any) -> None: ...


@functools.lru_cache
def remembered(btn: Any) -> None: ...


def polite(func: Any) -> Any:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


def impolite(func: Any) -> Any:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return wrapper


@polite
def politely_decorated(btn: Any) -> None: ...


@impolite
def impolitely_decorated(btn: Any) -> None: ...


def original(btn: Any) -> None: ...


renamed = original
del original


def overwritten(btn: Any) -> None: ...


first_version = overwritten


def overwritten(btn: Any) -> None: ...  # type: ignore[no-redef]


class Exports:
    @staticmethod
    def orders(btn: Any) -> None: ...

    @classmethod
    def customers(cls, btn: Any) -> None: ...

    def all(self, btn: Any) -> None: ...

    def __call__(self, btn: Any) -> None: ...

    class Yearly:
        @staticmethod
        def orders(btn: Any) -> None: ...


add_one = lambda btn: None  # noqa: E731
class_alias = Exports
module_alias = os


class Colour(enum.Enum):
    RED = "r"
    CRIMSON = "r"  # noqa: PIE796
    GREEN = object()


class Size(enum.IntEnum):
    BIG = 9


class Access(enum.Flag):
    READ = 1
    WRITE = 2


Point = namedtuple("Point", "x y")
Base = declarative_base()


class User(Base):  # type: ignore[misc,valid-type]
    __tablename__ = "references_user"
    id = Column(Integer, primary_key=True)
    kind = Column(String(10), nullable=False, default="user")
    __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "user"}  # noqa: RUF012


class Admin(User):
    __mapper_args__ = {"polymorphic_identity": "admin"}  # noqa: RUF012


class Line(Base):  # type: ignore[misc,valid-type]
    __tablename__ = "references_line"
    order = Column(String(10), primary_key=True)
    number = Column(Integer, ForeignKey("references_user.id"), primary_key=True)


HERE = __name__


# --- functions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "func",
    [
        create_file,
        create_later,
        remembered,
        politely_decorated,
        Exports.orders,
        Exports.Yearly.orders,
        textwrap.dedent,
    ],
    ids=lambda func: func.__qualname__,
)
def test_a_function_is_found_by_its_name(func: Any) -> None:
    name = name_of(func)
    assert name == f"{func.__module__}:{func.__qualname__}"
    assert resolve(name) is func


def nested() -> Any:
    def inner(btn: Any) -> None: ...

    return inner


def misplaced(name: str | None, module: str | None = HERE) -> Any:
    func = types.FunctionType(create_file.__code__, globals(), "misplaced")
    func.__qualname__ = name  # type: ignore[assignment]
    func.__module__ = module  # type: ignore[assignment]
    return func


@pytest.mark.parametrize(
    ("func", "reason"),
    [
        (lambda btn: None, "is a lambda"),
        (add_one, "is a lambda"),
        (nested(), "is made inside of 'nested'"),
        (impolitely_decorated, "If 'impolite' is a decorator, let it use functools.wraps"),
        (functools.partial(create_file, msg="x"), r"is a partial. Give Function\(create_file, …\)"),
        (Exports().all, "is a bound method"),
        (Exports.customers, "is a bound method"),
        (Exports(), "is no plain function"),
        (Exports, "is a class"),
        (len, "is built in"),
        (os.getcwd, "is built in"),
        (str.upper, "is no plain function"),
        (renamed, "is not in its module under that name"),
        (first_version, "is not what stands under its name"),
        (politely_decorated.__wrapped__, "is not what stands under its name"),
        (misplaced("create_file"), "is not what stands under its name"),
        (misplaced("missing"), "is not in its module under that name"),
        (misplaced("a b"), "is no plain one"),
        (misplaced("create_file.__globals__"), "is no plain one"),
        (misplaced("module_alias.getcwd"), "is not in its module"),
        (misplaced("create_file", "no.such.module"), "is not in its module"),
        (misplaced("create_file", None), "does not say which module"),
        (functools.lru_cache(lambda btn: None), "is a lambda"),
        ("create_file", "cannot be called"),
        (None, "cannot be called"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_function_that_no_other_process_finds_is_refused(func: Any, reason: str) -> None:
    with pytest.raises(ReferenceRefused, match=reason) as caught:
        name_of(func)
    assert "cannot be stored by its name: it" in str(caught.value)
    assert str(caught.value).endswith(".")


def test_the_refusal_names_the_function() -> None:
    with pytest.raises(ReferenceRefused, match=r"'test_references:nested\.<locals>\.inner'"):
        name_of(nested())


def test_a_name_that_is_too_long_for_its_column_is_refused() -> None:
    with pytest.raises(ReferenceRefused, match="longer than 255 characters"):
        name_of(misplaced("x" * 250))


def test_a_decorator_can_name_what_its_module_does_not_have_yet() -> None:
    func = misplaced("not_yet")
    assert name_of(func, being_defined=True) == f"{HERE}:not_yet"
    with pytest.raises(ReferenceRefused):
        name_of(func)
    with pytest.raises(ReferenceRefused, match="is a lambda"):
        name_of(lambda btn: None, being_defined=True)


@pytest.mark.parametrize(
    "name",
    [
        "",
        ":",
        "module",
        "module:",
        ":function",
        "a b:c",
        "module:a b",
        "module:a..b",
        "module..x:a",
        ".module:a",
        "module:a:b",
        "module:a()",
        "module:<lambda>",
        "module:a.<locals>.b",
        "module:a\n",
        "../module:a",
        "module/x:a",
        "module:lambda",
        "module:__import__",
        "builtins:__import__",
        f"{HERE}:create_file.__globals__",
        f"{HERE}:create_file.__globals__.items",
        f"{HERE}:Exports.__init__",
        f"{HERE}:Exports.__class__.mro",
        "x" * 300 + ":a",
    ],
)
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(ReferenceRefused, match="none of the form 'module:function'"):
        resolve(name)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins:eval",
        "builtins:exec",
        "builtins:open",
        "os:environ",
        "os:path",
        "json:JSONEncoder",
        "functools:partial",
        "sys:modules",
        "subprocess:Popen",
        f"{HERE}:Exports",
        f"{HERE}:Exports.customers",
        f"{HERE}:HERE",
        f"{HERE}:module_alias",
    ],
)
def test_nothing_but_a_function_is_ever_given(name: str) -> None:
    with pytest.raises(ReferenceRefused, match="not of a function"):
        resolve(name)


@pytest.mark.parametrize(
    "name",
    [
        f"{HERE}:missing",
        f"{HERE}:create_file.missing",
        f"{HERE}:create_file.msg",
        f"{HERE}:Exports.missing",
        f"{HERE}:module_alias.getcwd",
        f"{HERE}:module_alias.path.join",
        "os:path.join",
    ],
)
def test_a_renamed_function_is_refused_with_the_way_out(name: str) -> None:
    with pytest.raises(ReferenceRefused, match="keep the old name beside the new one"):
        resolve(name)


def test_a_missing_module_is_refused() -> None:
    with pytest.raises(ReferenceRefused, match="there is no module 'no_such_module'") as caught:
        resolve("no_such_module.sub:create")
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Write a module that can be imported in this test alone; give its name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)

    def write(code: str) -> str:
        name = f"made_by_test_{uuid4().hex}"
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code))
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1 / 0", "raised ZeroDivisionError: division by zero"),
        ("import no_such_dependency", "raised ModuleNotFoundError"),
        ("def (", "raised SyntaxError"),
        ("raise SystemExit(3)", "raised SystemExit: 3"),
    ],
)
def test_a_module_that_cannot_be_imported_is_refused(module: Any, code: str, reason: str) -> None:
    name = module(code)
    with pytest.raises(ReferenceRefused, match=reason) as caught:
        resolve(f"{name}:create")
    assert f"'{name}:create'" in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_modules_own_code_is_not_asked_for_names(module: Any) -> None:
    name = module(
        """
        def __getattr__(name):
            raise SystemExit("code ran")
        class Meta(type):
            def __getattr__(cls, name):
                raise SystemExit("code ran")
        class Exports(metaclass=Meta):
            pass
        """
    )
    for qualname in ("missing", "Exports.missing"):
        with pytest.raises(ReferenceRefused, match="has no"):
            resolve(f"{name}:{qualname}")


# --- `python app.py` --------------------------------------------------------------------------

APP = """
    import sys
    imports = getattr(sys, "app_imports", 0) + 1
    sys.app_imports = imports

    from flask_download_btn import references

    class Colour(__import__("enum").Enum):
        RED = 1

    def create(btn):
        pass

    def check(module):
        name = references.name_of(create)
        assert references.resolve(name) is create, "another copy"
        stored = references.dump(Colour.RED)
        assert references.load(stored, None) is Colour.RED
        assert sys.app_imports == imports, "imported twice"
        print(name, stored)

    if __name__ == "__main__":
        check(__name__)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    for file in ("app.py", "shop/app.py", "shop/__main__.py", "my-app.py", "__main__.py"):
        (tmp_path / file).write_text(textwrap.dedent(APP))
    return tmp_path


def run(*arguments: str, folder: Path, path: str = "", code: str = "") -> str:
    package = str(Path(__file__).parents[1])
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, package]))},
        input=code,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return (result.stdout + result.stderr).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["app.py"], "app:create"),
        (["./app.py"], "app:create"),
        (["shop/app.py"], "app:create"),
        (["shop/../app.py"], "app:create"),
        (["-m", "app"], "app:create"),
        (["-m", "shop.app"], "shop.app:create"),
        (["-m", "shop"], "shop.__main__:create"),
        (["-c", "import app; app.check('')"], "app:create"),
        (["-c", "import shop.app; shop.app.check('')"], "shop.app:create"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_program_names_its_functions_as_another_would(
    project: Path, arguments: list[str], name: str
) -> None:
    printed = run(*arguments, folder=project)
    stored = json.dumps(
        {"enum": [name.replace(":create", ":Colour"), "RED"]}, separators=(",", ":")
    )
    assert printed == f"{name} {stored}"


def test_a_program_behind_a_symlink_has_its_name(project: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(project / "shop", target_is_directory=True)
    assert run("current/app.py", folder=project).startswith("app:create ")


def test_a_symlink_that_can_be_imported_is_a_module_of_its_own(project: Path) -> None:
    (project / "link.py").symlink_to(project / "shop" / "app.py")
    assert run("link.py", folder=project, path=str(project)).startswith("link:create ")
    assert run("link.py", folder=project).startswith("app:create ")


def test_the_longest_path_entry_decides(project: Path) -> None:
    assert run("shop/app.py", folder=project, path=str(project)).startswith("app:create ")


def test_a_twin_that_was_imported_is_the_same_name(project: Path) -> None:
    (project / "main.py").write_text(
        textwrap.dedent(
            """
            import sys
            from flask_download_btn import references
            def create(btn): pass
            if __name__ == "__main__":
                import main as twin
                assert twin.create is not create
                assert references.name_of(twin.create) == references.name_of(create)
                assert references.resolve("main:create") is create
                print("same")
            """
        )
    )
    assert run("main.py", folder=project) == "same"


@pytest.mark.parametrize("arguments", [["my-app.py"], ["."], ["-"]])
def test_a_program_that_no_other_process_can_import_is_refused(
    project: Path, arguments: list[str]
) -> None:
    code = textwrap.dedent(APP) if arguments == ["-"] else ""
    printed = run(*arguments, folder=project, code=code)
    assert "stands in '__main__', which no other process can import" in printed


def test_main_itself_is_never_stored_or_read() -> None:
    with pytest.raises(ReferenceRefused):
        resolve("__main__:create")
    with pytest.raises(ReferenceRefused):
        resolve("shop.__main__x:create")


# --- calls ------------------------------------------------------------------------------------


def takes_message(btn: Any, msg: str, *, copies: int = 1) -> None: ...


@pytest.mark.parametrize(
    ("args", "kwargs"), [(("x",), {}), ((), {"msg": "x"}), (("x",), {"copies": 2})]
)
def test_fitting_arguments_pass(args: Any, kwargs: Any) -> None:
    check_call(takes_message, args, kwargs)


@pytest.mark.parametrize(
    ("args", "kwargs", "reason"),
    [
        ((), {}, "missing a required .*argument: 'msg'"),
        (("x", "y"), {}, "too many positional arguments"),
        (("x",), {"msg": "y"}, "multiple values for argument 'msg'"),
        (("x",), {"copy": 1}, "unexpected keyword argument 'copy'"),
        (("x",), {"btn": 1}, "multiple values for argument 'btn'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(args: Any, kwargs: Any, reason: str) -> None:
    with pytest.raises(ReferenceRefused, match=reason) as caught:
        check_call(takes_message, args, kwargs)
    message = str(caught.value)
    assert message.startswith(f"'{HERE}:takes_message' is called as takes_message(btn")
    assert "copies: 'int' = 1" in message


def test_a_form_function_is_called_with_two_of_our_own() -> None:
    def handle(response: Any, btn: Any) -> None: ...

    check_call(handle, (), {}, leading=("response", "btn"))
    with pytest.raises(ReferenceRefused, match=r"handle\(response, btn, …\)"):
        check_call(handle, (1,), {}, leading=("response", "btn"))


def test_a_decorator_may_add_arguments_of_its_own() -> None:
    def with_session(func: Any) -> Any:
        @functools.wraps(func)
        def wrapper(btn: Any, *args: Any) -> Any:
            return func(btn, "session", *args)

        return wrapper

    @with_session
    def create(btn: Any, session: str, year: int) -> None: ...

    check_call(create, (2026,), {})


def test_a_function_without_a_signature_is_let_through() -> None:
    def create(btn: Any) -> None: ...

    create.__signature__ = "nonsense"  # type: ignore[attr-defined]
    check_call(create, (1, 2, 3), {})


# --- values -----------------------------------------------------------------------------------


def no_models(model: Any, identity: Any) -> Any:
    raise AssertionError("no model was stored")


def through(value: Any) -> Any:
    return load(dump(value), no_models)


def types_of(value: Any) -> Any:
    if isinstance(value, dict):
        return (dict, [(types_of(k), types_of(v)) for k, v in value.items()])
    if isinstance(value, (list, tuple)):
        return (type(value), [types_of(item) for item in value])
    return type(value)


BERLIN = ZoneInfo("Europe/Berlin")
VALUES: list[Any] = [
    *[None, True, False, 0, 1, -1, 2**63, -(2**200), 10**MAX_DIGITS - 1, -(10**MAX_DIGITS - 1)],
    *[0.0, 0.1, 1e308, 5e-324, math.inf, -math.inf],
    *["", "text", "ü\u202e\x00\U0001f600", '"\\\n', "__proto__", "{}", "\ud800"],
    *[b"", b"\x00\xff", bytes(range(256))],
    *[[], [1, [2, [3]]], (), (1,), (1, (2, [3, (4,)]))],
    *[{}, {"a": 1}, {"a": 1, "b": {"c": 2}}, {"b": 1, "a": 2}],
    *[{1: "a"}, {1: 1, "1": 2}, {(1, "a"): [1]}, {None: 1, True: 2}, {b"x": {2.5: ()}}],
    *[{date(2026, 1, 1): 1, UUID(int=1): 2, frozenset({1}): 3}],
    *[set(), {1, 2}, {"a", (1, 2)}, frozenset({frozenset({1}), None})],
    *[date(2026, 2, 28), date.min, date.max],
    *[datetime(2026, 1, 2, 3, 4, 5, 678901), datetime.min, datetime.max],
    datetime(2026, 1, 2, tzinfo=timezone.utc),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=5, minutes=45, seconds=1))),
    datetime(2026, 7, 1, 12, tzinfo=BERLIN),
    datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
    datetime(2026, 10, 25, 2, 30, fold=1),
    *[clock(1, 2, 3, 4), clock.min, clock(1, tzinfo=timezone.utc), clock(1, tzinfo=BERLIN)],
    *[timedelta(0), timedelta(days=-1, microseconds=1), timedelta.max, timedelta.min],
    UUID("12345678123456781234567812345678"),
    *[Decimal("0"), Decimal("-0"), Decimal("1.50"), Decimal("1E+999"), Decimal("-Infinity")],
    *[Path("a/b"), Path("/")],
    *[Colour.RED, Colour.GREEN, Size.BIG, Access.READ],
    # What looks like the marks of ours.
    *[{"tuple": [1]}, {"dict": [[1, 2]]}, {"model": ["os:system", [1]]}, {"enum": "x"}],
    *[{"bytes": "eA=="}, {"x": {"tuple": [1]}}, [{"float": "nan"}], {"dict": {"dict": []}}],
    *[{"unknown_mark": 1}, {"": 1}, {("tuple",): {"set": []}}],
]


@pytest.mark.parametrize("value", VALUES, ids=ascii)
def test_a_value_comes_back_as_it_was(value: Any) -> None:
    for wrap in (lambda v: v, lambda v: [v, {"x": v}], lambda v: {"k": (v,)}, lambda v: {1: v}):
        wrapped = wrap(value)
        found = through(wrapped)
        assert found == wrapped
        assert types_of(found) == types_of(wrapped)
        assert repr(found) == repr(wrapped) or isinstance(value, (set, frozenset))


def test_not_a_number_comes_back() -> None:
    assert math.isnan(through(math.nan))
    assert through(Decimal("NaN")).is_nan()
    assert through(Decimal("sNaN")).is_snan()
    assert math.copysign(1, through(-0.0)) == -1


def test_a_zone_comes_back_with_its_name_and_fold() -> None:
    found = through(datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1))
    assert found.tzinfo is BERLIN
    assert found.utcoffset() == timedelta(hours=1)
    assert through(clock(1, tzinfo=BERLIN)).tzinfo is BERLIN


def test_the_order_of_a_dict_comes_back() -> None:
    assert list(through({"b": 1, "a": 2, "c": 3})) == ["b", "a", "c"]


def test_equal_sets_are_equal_text() -> None:
    names = {f"name{i}" for i in range(50)}
    assert dump(names) == dump({*sorted(names, reverse=True)})
    assert dump(names) == dump(set(json.loads(json.dumps(sorted(names)))))
    assert json.loads(dump(names))["set"] == sorted(names)


def test_the_text_is_json_and_ascii() -> None:
    for value in VALUES:
        assert dump(value).isascii()
        json.loads(dump(value), parse_constant=pytest.fail)


def test_numbers_of_numpy_come_back_as_equal_numbers_of_python() -> None:
    numpy = pytest.importorskip("numpy")
    assert through([numpy.int64(3), numpy.float64(0.1), numpy.float32(0.5)]) == [3, 0.1, 0.5]
    assert types_of(through((numpy.int64(3), numpy.float32(0.5)))) == (tuple, [int, float])


def test_values_of_our_columns_and_the_packages_are_plain_again() -> None:
    assert types_of(through(TrackedDict(a=[1], b=({},)))) == types_of({"a": [1], "b": ({},)})
    proxy = sqlalchemy_mutable.Mutable({"a": [1]})
    assert through(proxy) == {"a": [1]}


def generator() -> Iterator[int]:
    yield 1


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    ("value", "way_out"),
    [
        (object(), "Pass what it is made of"),
        (Hostile(), "Pass what it is made of"),
        (io.StringIO("x"), "read only once"),
        (io.BytesIO(b"x"), "read only once"),
        (generator(), "read only once"),
        (iter([1]), "read only once"),
        (map(str, []), "read only once"),
        (range(3), r"Pass list\(…\) of it"),
        (Markup("x"), r"Pass str\(…\) of it"),
        (OrderedDict(a=1), r"Pass dict\(…\) of it"),
        (Counter("a"), r"Pass dict\(…\) of it"),
        (Point(1, 2), r"Pass tuple\(…\) of it"),
        (bytearray(b"x"), r"Pass bytes\(…\) of it"),
        (memoryview(b"x"), r"Pass bytes\(…\) of it"),
        (1j, "Pass what it is made of"),
        (Fraction(1, 3), "Pass what it is made of"),
        (create_file, "functions are no arguments"),
        (lambda: 1, "functions are no arguments"),
        (Exports, "functions are no arguments"),
        (os, "Pass what it is made of"),
        (ValueError("x"), "Pass what it is made of"),
        (pathlib.PurePosixPath("x"), "Pass what it is made of")
        if os.name != "posix"
        else (..., "Pass what"),
        (Access.READ | Access.WRITE, "Pass its value"),
        (enum.Enum("Local", "A").A, "cannot be found by its name"),  # type: ignore[attr-defined]
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_a_value_that_no_other_process_can_read_is_refused(value: Any, way_out: str) -> None:
    for wrapped in (value, [value], {"x": (value,)}):
        with pytest.raises(ReferenceRefused, match=way_out):
            dump(wrapped)


def test_an_open_file_is_refused(tmp_path: Path) -> None:
    with (
        (tmp_path / "x").open("w") as file,
        pytest.raises(ReferenceRefused, match="read only once"),
    ):
        dump(file)


def test_the_refusal_names_the_function_and_the_argument() -> None:
    for kwargs, start in (
        ({"orders": [{"when": object()}]}, "Argument 'orders'[0]['when'] of 'app:f' is an object,"),
        ({"orders": {1: object()}}, "Argument 'orders'[1] of 'app:f' is an object,"),
        ({"orders": {os: 1}}, "Argument 'orders'[<module"),
        ({"orders": {os}}, "Argument 'orders'[…] of 'app:f' is a module,"),
    ):
        with pytest.raises(ReferenceRefused, match="^" + re.escape(start)):
            dump_arguments((), kwargs, "app:f")
    with pytest.raises(ReferenceRefused, match=r"^Argument 1 of 'app:f' is a list_iterator,"):
        dump_arguments((1, iter([])), {}, "app:f")
    with pytest.raises(ReferenceRefused, match=r"^The value is an object,"):
        dump(object())


def test_many_arguments_together_are_bounded_too() -> None:
    kwargs = {f"name{i}": "x" * 30_000 for i in range(10)}
    with pytest.raises(ReferenceRefused, match=r"^The arguments of 'app:f' are larger than 256"):
        dump_arguments((), kwargs, "app:f")


def test_keywords_in_another_order_are_the_same_arguments() -> None:
    assert dump_arguments((), {"a": 1, "b": 2}, "f") == dump_arguments((), {"b": 2, "a": 1}, "f")


def test_arguments_come_back_as_a_pair() -> None:
    args, kwargs = load(dump_arguments((1, (2,)), {"msg": "x"}, "app:f"), no_models)
    assert (tuple(args), kwargs) == ((1, (2,)), {"msg": "x"})
    for kwargs in ({}, {"tuple": 1}, {"a": 1, "b": 2}):
        assert load(dump_arguments((), kwargs, "app:f"), no_models) == [[], kwargs]


def nest(depth: int, value: Any = None) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "wrap",
    [
        lambda v: [v],
        lambda v: (v,),
        lambda v: {"x": v},
        lambda v: {1: v},
        lambda v: {"a": v, "b": 1},
    ],
)
def test_nesting_is_bounded(wrap: Any) -> None:
    value: Any = None
    for _ in range(MAX_DEPTH):
        value = wrap(value)
    assert through(value) == value
    with pytest.raises(ReferenceRefused, match=f"nested deeper than {MAX_DEPTH}"):
        dump(wrap(value))
    for _ in range(100_000):
        value = wrap(value)
    with pytest.raises(ReferenceRefused, match=f"nested deeper than {MAX_DEPTH}"):
        dump(value)
    while value is not None:  # or its own end overflows the stack
        value = next(iter(value.values())) if isinstance(value, dict) else value[0]


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["x"] = endless
    with pytest.raises(ReferenceRefused, match="or holds itself"):
        dump(endless)


@pytest.mark.parametrize(
    "value",
    [
        "x" * (MAX_CHARACTERS + 1),
        "\x00" * (MAX_CHARACTERS // 5),
        b"x" * MAX_CHARACTERS,
        [0] * MAX_CHARACTERS,
        {"x" * MAX_CHARACTERS: 1, "y": 2},
        {"x" * MAX_CHARACTERS: 1},
        [["x" * 1000]] * 1000,
        ["x" * 10_000_000],
        [10**900] * 1000,
        set(range(200_000)),
    ],
    ids=range(10),
)
def test_size_is_bounded(value: Any) -> None:
    start = time.perf_counter()
    with pytest.raises(
        ReferenceRefused, match=r"^The value is larger than 256 KiB as JSON\. Store it"
    ):
        dump(value)
    with pytest.raises(
        ReferenceRefused, match=r"^(Argument 0|The arguments) of 'app:f' (is|are) larger"
    ):
        dump_arguments((value,), {}, "app:f")
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    "value", [10**MAX_DIGITS, -(10**5000), 1 << 10_000_000, Decimal("1" * 1001)], ids=range(4)
)
def test_giant_numbers_are_refused_at_once(value: Any) -> None:
    start = time.perf_counter()
    with pytest.raises(ReferenceRefused, match=f"more than {MAX_DIGITS} digits"):
        dump([value])
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{",
        "NaN",
        "Infinity",
        "1" * 5000,
        "-" + "1" * 5000,
        "1" * (MAX_DIGITS + 2),
        '"' + "x" * MAX_CHARACTERS + '"',
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        "[" * 120 + "]" * 120,
        '{"a":' * 5000 + "1" + "}" * 5000,
        '{"tuple":[' * 120 + "]}" * 120,
        " " * (MAX_CHARACTERS + 1),
        '{"unknown":1}',
        '{"pickle":"gASVAAAA"}',
        '{"tuple":1}',
        '{"tuple":{"a":1,"b":2}}',
        '{"set":[[1]]}',
        '{"dict":[[[1],2]]}',
        '{"dict":[1]}',
        '{"dict":[[1,2,3]]}',
        '{"bytes":"!"}',
        '{"bytes":1}',
        '{"decimal":"x"}',
        '{"decimal":[1]}',
        '{"float":"x"}',
        '{"date":"x"}',
        '{"date":1}',
        '{"datetime":["2026-01-01",null,2]}',
        '{"datetime":["2026-01-01","No/Where",0]}',
        '{"datetime":["2026-01-01","../../etc/passwd",0]}',
        '{"datetime":[]}',
        '{"datetime":["2026-01-01",null,0,1]}',
        '{"time":["x",null,0]}',
        '{"timedelta":[1e300]}',
        '{"timedelta":[99999999999,0,0]}',
        '{"timedelta":["x"]}',
        '{"uuid":"x"}',
        '{"uuid":1}',
        '{"path":1}',
        '{"enum":["os:system","x"]}',
        '{"enum":["os:PathLike","x"]}',
        '{"enum":["test_references:Colour","BLUE"]}',
        '{"enum":["test_references:Colour","__class__"]}',
        '{"enum":["test_references:Colour"]}',
        '{"enum":1}',
        '{"model":["os:system",["x"]]}',
        '{"model":["subprocess:Popen",["x"]]}',
        '{"model":["test_references:Exports",[1]]}',
        '{"model":["test_references:Base",[1]]}',
        '{"model":["no_such_module:User",[1]]}',
        '{"model":["test_references:User.__init__",[1]]}',
        '{"model":["test_references:User",1]}',
        '{"model":[1,[1]]}',
    ],
    ids=lambda text: text[:40],
)
def test_stored_text_that_we_did_not_write_is_refused(text: str) -> None:
    with pytest.raises(ReferenceRefused):
        load(text, no_models)


# --- models -----------------------------------------------------------------------------------


@pytest.fixture
def session() -> Iterator[Session]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session
    engine.dispose()


def test_a_model_comes_back_by_its_identity(session: Session) -> None:
    user, admin, line = User(id=3), Admin(id=4), Line(order="a", number=3)
    session.add_all([user, admin, line])
    session.commit()
    text = dump({"who": [user, admin], "line": (line,)})
    assert json.loads(text)["who"] == [
        {"model": [f"{HERE}:User", [3]]},
        {"model": [f"{HERE}:Admin", [4]]},
    ]
    session.expunge_all()
    found = load(text, session.get)
    assert [type(found["who"][0]), type(found["who"][1])] == [User, Admin]
    assert (found["who"][0].id, found["line"][0].order) == (3, "a")
    assert found["who"][0] in session


def test_a_flushed_or_detached_model_can_be_stored(session: Session) -> None:
    user = User(id=3)
    session.add(user)
    session.flush()
    assert dump(user) == f'{{"model":["{HERE}:User",[3]]}}'
    session.commit()
    session.expunge(user)
    assert dump(user) == f'{{"model":["{HERE}:User",[3]]}}'


def test_a_model_that_is_not_in_the_database_is_refused(session: Session) -> None:
    pending, deleted = User(), User()
    session.add(deleted)
    session.commit()
    session.delete(deleted)
    session.flush()
    session.add(pending)
    for user in (User(), pending, deleted):
        with session.no_autoflush, pytest.raises(ReferenceRefused, match="Commit it first"):
            dump_arguments((user,), {}, "app:export")


def test_a_model_that_is_gone_is_refused_by_name(session: Session) -> None:
    with pytest.raises(ReferenceRefused, match="An argument was the User 99, which is no longer"):
        load(f'{{"model":["{HERE}:User",[99]]}}', session.get)


def test_a_model_made_inside_of_a_function_is_refused(session: Session) -> None:
    base = declarative_base()

    class Local(base):  # type: ignore[misc,valid-type]
        __tablename__ = "local"
        id = Column(Integer, primary_key=True)

    base.metadata.create_all(session.get_bind())
    local = Local(id=1)
    session.add(local)
    session.commit()
    with pytest.raises(ReferenceRefused, match="Define the class at the top of a module"):
        dump(local)


def test_what_is_asked_for_is_a_model_and_its_identity() -> None:
    asked = []

    def get_model(model: Any, identity: Any) -> Any:
        asked.append((model, identity))
        return "found"

    assert load(f'[{{"model":["{HERE}:Line",["a",3]]}}]', get_model) == ["found"]
    assert asked == [(Line, ("a", 3))]


def test_errors_of_the_database_are_not_hidden() -> None:
    def get_model(model: Any, identity: Any) -> Any:
        raise ConnectionError("database away")

    with pytest.raises(ConnectionError), contextlib.suppress(ReferenceRefused):
        load(f'{{"model":["{HERE}:User",[1]]}}', get_model)
