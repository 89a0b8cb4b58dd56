"""Build the wheel, and install it into an empty environment, both without a network."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "flask_download_btn")


def build_wheel(folder: Path) -> Path:
    # From a copy: setuptools builds in the tree, and packs what an earlier build left there.
    copy = folder / "source"
    copy.mkdir()
    for name in SOURCES:
        _copy(ROOT / name, copy / name)
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "--wheel-dir", folder, copy)
    (wheel,) = folder.glob("*.whl")
    return wheel


def new_environment(folder: Path, wheel: Path) -> Path:
    """Return the Python of an environment that holds the wheel and what it asks for, only that."""
    run(sys.executable, "-m", "venv", folder)
    python = folder / "bin" / "python"
    pip = (python, "-m", "pip", "install", "--no-index", "--find-links", kept_wheels())
    run(*pip, wheel)
    return python


def kept_wheels() -> Path:
    """Return where `make test` keeps the wheels of the demo's lock."""
    folder = Path(sys.prefix) / "wheels"
    assert folder.exists(), f"{folder} is missing: run 'make test' once."
    return folder


def run(*command: str | Path, **options: Any) -> str:
    """Run a command to its end and return what it printed."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    elif source.exists():
        shutil.copy(source, target)
