"""Test that the house stands as it was drawn: floors, first lines, one place for each thing."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import ROOT

PACKAGE = ROOT / "flask_download_btn"

# A file imports from floors below its own, and on its own floor from what is named before it.
FLOORS = (
    # 0: words, shapes, and the ways to a database
    """
    texts errors progress translations/__init__ translations/de translations/es translations/fr
    translations/it words signals settings protocols conditions compression outputs links columns
    tables database holding
    """,
    # 1: each the only writer of something, or the only one who knows it
    """
    tokens references runs files chores buttons lives outflow archive pictures models work shelf
    storage/memory storage/local storage/object_store storage/__init__
    """,
    # 2: what happens to a run, how pictures and files leave, and all of it put together
    """
    runners/inline runners/background runners/celery runners/__init__
    delivery channel pulse engine parts
    """,
    # 3: the doors
    "visitors assets spots html center doors clicks fetches views doctor cli",
    # 4: the wiring
    "manager testing",
    # 5: the public names
    "__init__",
)
PLACES = {
    name: (floor, place)
    for floor, names in enumerate(FLOORS)
    for place, name in enumerate(names.split())
}
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix(): path for path in PACKAGE.rglob("*.py")
}
OF_REQUESTS = {"request", "session", "g", "url_for", "make_response", "Request", "Response"}
OPTIONAL = {
    "celery": "runners/celery",
    "obstore": "storage/object_store",
}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_file_imports_only_from_below(name: str):
    assert name in PLACES, f"{name}.py has no floor yet: give it one in FLOORS, above."

    too_high = [other for other in own_imports(name) if PLACES.get(other, (9, 9)) >= PLACES[name]]

    assert not too_high, f"{name}.py imports {too_high}, which stand no lower than it does."


@pytest.mark.parametrize("name", sorted(MODULES))
def test_the_lower_floors_know_nothing_of_requests(name: str):
    if PLACES.get(name, (0, 0))[0] > 1:
        return
    names = {imported for module, imported in imports(name) if module in ("flask", "werkzeug")}

    assert not names & OF_REQUESTS
    assert "werkzeug.wrappers" not in {module for module, _ in imports(name)}


@pytest.mark.parametrize("library", sorted(OPTIONAL))
def test_an_optional_library_is_imported_in_one_file(library: str):
    importers = {
        name
        for name in MODULES
        if any(module.split(".")[0] == library for module, _ in imports(name))
    }

    assert importers <= {OPTIONAL[library]}


def test_the_public_face_holds_nothing_but_names():
    face = PACKAGE / "__init__.py"
    if not face.exists():
        pytest.skip("The package has no public names yet.")

    statements = ast.parse(face.read_text()).body

    kinds = (ast.Expr, ast.ImportFrom, ast.Assign, ast.AnnAssign)
    assert [type(statement) for statement in statements if not isinstance(statement, kinds)] == []


@pytest.mark.parametrize("suffix", [".py", ".js", ".css"])
def test_the_first_line_of_a_file_says_its_one_job(suffix: str):
    wordless = [path for path in our_files(suffix) if not FIRST_LINES[suffix](path.read_text())]

    assert not wordless


def test_the_version_is_written_once():
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)

    places = [
        path for path in our_files(".py", ".toml", ".js", ".cfg") if version in path.read_text()
    ]

    assert places == [ROOT / "pyproject.toml"]


def test_no_lock_names_a_host():
    locks = list((ROOT / "requirements").glob("*.txt"))

    assert locks
    assert not [lock for lock in locks if "://" in lock.read_text()]


def test_the_readme_is_published_with_the_package():
    assert 'readme = "README.md"' in (ROOT / "pyproject.toml").read_text()


def imports(name: str) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of every import, wherever in the file it stands.

    A module of ours is written as its path below the package, after a dot: `.storage/local`.
    """
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = resolved(name, node)
            yield from ((module, alias.name) for alias in node.names)


def resolved(name: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = name.split("/")[: -node.level]
    return "." + "/".join([*package, *(node.module or "").split(".")]).strip("/")


def own_imports(name: str) -> Iterator[str]:
    for module, imported in imports(name):
        if module.split(".")[0] == PACKAGE.name:
            module = "." + module.removeprefix(PACKAGE.name).strip(".").replace(".", "/")
        if module.startswith("."):
            yield own_module(module.removeprefix("."), imported)


def own_module(module: str, imported: str) -> str:
    """Tell `from . import runs` (a file) from `from .runs import Run` (a name in it)."""
    inside = f"{module}/{imported}"
    candidates = (inside, f"{inside}/__init__", module, f"{module}/__init__")
    return next(
        (name.strip("/") for name in candidates if name.strip("/") in MODULES), module or "__init__"
    )


def our_files(*suffixes: str) -> list[Path]:
    """List what is committed or about to be, without what we only carry along."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in names.splitlines()]
    return [
        path
        for path in paths
        if path.suffix in suffixes and path.is_file() and "vendor" not in path.parts
    ]


def is_sentence(text: str) -> bool:
    return bool(re.match(r"[A-Z`<].*[.:?!]$", text.strip()))


def says_python(source: str) -> bool:
    if not source.strip():
        return False
    docstring = ast.get_docstring(ast.parse(source)) or ""
    return source.startswith('"""') and is_sentence(docstring.partition("\n")[0])


def says_comment(source: str) -> bool:
    comment = re.match(r"/\*\*?(.*?)(\*/|\n)|//(.*?)\n", source)
    return bool(comment and (comment[1] or comment[3] or "").strip())


FIRST_LINES = {".py": says_python, ".js": says_comment, ".css": says_comment}
