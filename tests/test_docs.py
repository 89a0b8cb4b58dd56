"""Test that whatever can be used is written down."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from processes import ROOT
from readme import Block, blocks_of

PACKAGE = ROOT / "flask_download_btn"
PAGES = [
    page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))) if page.exists()
]
WORDS = "\n".join(page.read_text() for page in PAGES)
EVENTS = ("start", "change", "ready", "failed", "done")

if not PAGES:
    pytest.skip("No docs are written yet.", allow_module_level=True)


def sources() -> str:
    return "\n".join(path.read_text() for path in sorted(PACKAGE.rglob("*.py")))


def undocumented(names: set[str]) -> list[str]:
    """List the names that no page shows as code; a word in a sentence is not a mention."""
    return sorted(name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", WORDS))


def test_every_public_name_is_documented():
    import flask_download_btn

    assert not undocumented(set(flask_download_btn.__all__))


def test_every_setting_is_documented():
    settings = set(re.findall(r"\bDOWNLOAD_BTN_[A-Z_]*[A-Z]\b", sources()))

    assert settings, "No settings were found in the package: this test looks at the wrong thing."
    assert not undocumented(settings)


def test_no_setting_is_documented_that_does_not_exist():
    documented = set(re.findall(r"\bDOWNLOAD_BTN_[A-Z_]*[A-Z]\b", WORDS))

    assert sorted(documented - set(re.findall(r"\bDOWNLOAD_BTN_[A-Z_]*[A-Z]\b", sources()))) == []


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
