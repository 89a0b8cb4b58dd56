"""Test that whatever can be used is written down."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
from processes import ROOT
from published import run
from readme import Block, blocks_of, files_of, write_files
from test_house import FLOORS

PACKAGE = ROOT / "flask_download_btn"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
WORDS = "\n".join(page.read_text() for page in PAGES)
APPS = [page for page in PAGES if "templates/index.html" in files_of(page.read_text())]
PREFIX = "DOWNLOAD_BTN_"
EVENTS = ("start", "change", "ready", "failed", "done")


def undocumented(names: set[str]) -> list[str]:
    """List the names that no page shows as code; a word in a sentence is not a mention."""
    return sorted(name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", WORDS))


def test_every_public_name_is_documented():
    import flask_download_btn

    assert not undocumented(set(flask_download_btn.__all__))


def test_the_table_of_settings_is_true():
    from flask_download_btn.settings import Settings

    assert settings_of((ROOT / "docs" / "settings.md").read_text()) == {
        PREFIX + name.upper(): value for name, value in asdict(Settings()).items()
    }


def test_no_setting_is_mentioned_that_does_not_exist():
    from flask_download_btn.settings import Settings

    mentioned = set(re.findall(r"\bDOWNLOAD_BTN_[A-Z_]*[A-Z]\b", WORDS))

    assert mentioned <= {PREFIX + field.name.upper() for field in fields(Settings)}


def test_the_drawing_of_the_house_is_true():
    rows = re.findall(r"^\| \d \| (.+?) \|", (ROOT / "docs" / "design.md").read_text(), re.M)

    drawn = [set(re.findall(r"`(\w+)/?`", row)) for row in reversed(rows)]

    assert drawn == [{name.split("/")[0] for name in floor.split()} for floor in FLOORS]


def test_every_command_is_documented():
    commands = commands_of((PACKAGE / "cli.py").read_text())

    assert commands, "No commands were found in cli.py: this test looks at the wrong thing."
    assert not undocumented({f"download-btn {command}" for command in commands})


def test_every_event_is_documented():
    assert not undocumented({f"download-btn-{event}" for event in EVENTS})


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=f"{page.name}:{block.line}")
        for page in PAGES
        for block in blocks_of(page.read_text())
        if block.language in ("python", "py")
    ],
)
def test_python_in_the_docs_is_python(block: Block):
    ast.parse(block.text)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_docs_lead_somewhere(page: Path):
    targets = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", page.read_text())

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page_file", APPS, ids=lambda page: page.name)
def test_an_app_in_the_docs_runs(
    page_file: Path, tmp_path: Path, serve: Callable[..., Any], page: Any
):
    write_files(page_file, tmp_path)
    page.goto(serve(tmp_path / "app.py", "flask").url)

    with page.expect_download() as saved:
        page.locator("download-btn button").first.click()

    assert saved.value.path().stat().st_size > 0


def test_the_tests_in_the_docs_pass(tmp_path: Path):
    write_files(ROOT / "docs" / "testing.md", tmp_path)
    pytest_here = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path)

    assert " passed" in run(*pytest_here, cwd=tmp_path)


def settings_of(table: str) -> dict[str, Any]:
    """Read the rows of the table; a default is Python, as people write it: `24 * 3600`."""
    rows = re.findall(r"^\| `(DOWNLOAD_BTN_\w+)` \| `(.+?)` \|", table, re.M)
    assert len(rows) == len(dict(rows)), "A setting stands in the table twice."
    return {name: eval(default) for name, default in rows}


def commands_of(source: str) -> set[str]:
    """Find `@group.command()` functions: click names them after the function, or as they say."""
    return {
        named(decorator, function)
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef)
        for decorator in function.decorator_list
        if "command" in ast.unparse(decorator).partition("(")[0]
    }


def named(decorator: ast.expr, function: ast.FunctionDef) -> str:
    arguments = decorator.args if isinstance(decorator, ast.Call) else []
    if arguments and isinstance(arguments[0], ast.Constant):
        return str(arguments[0].value)
    return function.name.removesuffix("_command").removesuffix("_cmd").replace("_", "-")
