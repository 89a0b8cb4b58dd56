"""Test that what is published works: the wheel, in an empty environment, with the README's app."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import ROOT
from published import new_environment
from readme import write_files

README = ROOT / "README.md"
PACKAGE = ROOT / "flask_download_btn"


def test_the_wheel_holds_every_file_of_the_package(wheel: Path):
    in_the_tree = {
        path.relative_to(ROOT).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    in_the_wheel = {name for name in names_in(wheel) if name.startswith("flask_download_btn/")}

    assert in_the_wheel == in_the_tree
    assert "flask_download_btn/py.typed" in in_the_wheel


@pytest.mark.parametrize("folder", ["templates/download_btn/", "static/", "static/vendor/"])
def test_the_wheel_holds_what_the_page_needs(wheel: Path, folder: str):
    assert any(name.startswith(f"flask_download_btn/{folder}") for name in names_in(wheel))


def test_the_wheel_holds_nothing_but_the_package(wheel: Path):
    roots = {name.split("/")[0] for name in names_in(wheel)}

    assert {root.partition("-")[0] for root in roots} == {"flask_download_btn"}


@pytest.fixture(scope="module")
def empty_environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return new_environment(tmp_path_factory.mktemp("environment") / "venv", wheel)


@pytest.fixture
def quickstart(tmp_path: Path) -> Path:
    files = write_files(README, tmp_path)
    assert tmp_path / "app.py" in files, "The README shows no '<!-- file: app.py -->'."
    return tmp_path / "app.py"


@pytest.mark.parametrize("server", ["werkzeug", "flask"])
def test_s45_the_quickstart_runs_as_written(
    server: str,
    quickstart: Path,
    empty_environment: Path,
    serve: Callable[..., Any],
    page: Any,
    tmp_path: Path,
):
    site = serve(quickstart, server, python=empty_environment)
    page.goto(site.url)

    with page.expect_download() as saved:
        page.locator("download-btn button").first.click()

    saved.value.save_as(tmp_path / "saved")
    assert (tmp_path / "saved").stat().st_size > 0


def names_in(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()
