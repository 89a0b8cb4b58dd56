"""Run the tests with every Python that is installed, and with both SQLAlchemys where both run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
TESTS = "requirements/tests.txt"
OLDER_SQLALCHEMY = "requirements/sqlalchemy-2.0.txt"


def main() -> None:
    results = {}
    for version in PYTHONS:
        python = _find(version)
        if python is None:
            results[version] = "not installed"
            continue
        results[version] = _test(python, f".venv-{version}", TESTS)
        if version == "3.11":
            name = f"{version}, SQLAlchemy 2.0"
            folder = f".venv-{version}-sqlalchemy-2.0"
            results[name] = _test(python, folder, TESTS, OLDER_SQLALCHEMY)
    _report(results)


def _find(version: str) -> str | None:
    versions = Path.home() / ".pyenv" / "versions"
    places = sorted(versions.glob(f"{version}.*/bin/python"))
    for candidate in (f"python{version}", *map(str, places)):
        if _is(candidate, version):
            return candidate
    return None


def _is(candidate: str, version: str) -> bool:
    show = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([candidate, "-c", show], capture_output=True, text=True)
    except OSError:
        return False
    return answer.stdout.strip() == version


def _test(python: str, folder: str, *locks: str) -> str:
    print(f"\n=== {folder.removeprefix('.venv-')} ===", flush=True)
    make = [python, "tools/environment.py", folder, *locks, "--wheels"]
    if subprocess.run(make, cwd=ROOT).returncode != 0:
        return "no environment"
    pytest = [f"{folder}/bin/python", "-m", "pytest", *sys.argv[1:]]
    return "passed" if subprocess.run(pytest, cwd=ROOT).returncode == 0 else "FAILED"


def _report(results: dict[str, str]) -> None:
    print()
    for name, result in results.items():
        print(f"Python {name}: {result}")
    if set(results.values()) - {"passed", "not installed"}:
        sys.exit(1)


if __name__ == "__main__":
    main()
