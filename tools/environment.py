"""Make a virtual environment from a lock file, with this package in it, if it is not there yet.

Usage: python tools/environment.py .venv requirements/demo.txt
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 10)


def main() -> None:
    if sys.version_info < OLDEST:
        sys.exit(f"Python 3.10 or newer is needed; {sys.executable} is {sys.version.split()[0]}.")
    options = _options()
    folder = ROOT / options.folder
    stamp = folder / f"stamp-{'-'.join(lock.stem for lock in options.locks)}"
    wanted = _fingerprint(options.locks)
    if not (stamp.exists() and stamp.read_text() == wanted and python_of(folder).exists()):
        _make(folder)
        _install(folder, options.locks)
        if options.wheels:
            _keep_wheels(folder)
        stamp.write_text(wanted)


def python_of(folder: Path) -> Path:
    windows = folder / "Scripts" / "python.exe"
    return windows if windows.exists() else folder / "bin" / "python"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("locks", nargs="+", type=Path, help="later ones are laid over earlier ones")
    parser.add_argument(
        "--wheels",
        action="store_true",
        help="keep the wheels of the demo's lock too, for tests that fill empty environments",
    )
    return parser.parse_args()


def _fingerprint(locks: list[Path]) -> str:
    """Change when the interpreter, a lock or the package's own description changes."""
    digest = hashlib.sha256(f"{sys.base_prefix} {sys.version}".encode())
    for path in [*locks, ROOT / "pyproject.toml", ROOT / "requirements" / "demo.txt"]:
        digest.update((ROOT / path).read_bytes())
    return digest.hexdigest() + "\n"


def _make(folder: Path) -> None:
    if _is_of_this_python(folder):
        return
    if folder.exists():
        shutil.rmtree(folder)
    print(f"Making {folder.name} with Python {sys.version.split()[0]} …", flush=True)
    if subprocess.run([sys.executable, "-m", "venv", str(folder)]).returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit(
            "Python could not make a virtual environment. On Debian and Ubuntu 'venv' is a package"
            " of its own: apt-get install python3-venv"
        )
    (folder / ".gitignore").write_text("*\n")


def _is_of_this_python(folder: Path) -> bool:
    if not python_of(folder).exists():
        return False
    show = "import sys; print(sys.version_info[:2])"
    answer = subprocess.run([str(python_of(folder)), "-c", show], capture_output=True, text=True)
    return answer.stdout.strip() == str(sys.version_info[:2])


def _install(folder: Path, locks: list[Path]) -> None:
    for lock in locks:
        _pip(folder, f"Installing {lock} …", "install", "--requirement", str(ROOT / lock))
    # The lock holds the build backend, so that this needs no network.
    flags = ("--no-deps", "--no-build-isolation", "--editable")
    _pip(folder, "Installing the package …", "install", *flags, str(ROOT))


def _keep_wheels(folder: Path) -> None:
    lock = ROOT / "requirements" / "demo.txt"
    arguments = ("wheel", "--no-deps", "--requirement", str(lock), "--wheel-dir")
    _pip(folder, "Keeping wheels for empty environments …", *arguments, str(folder / "wheels"))


def _pip(folder: Path, saying: str, *arguments: str) -> None:
    print(saying, flush=True)
    pip = [str(python_of(folder)), "-m", "pip", "--disable-pip-version-check"]
    done = subprocess.run([*pip, *arguments, "-qq"])
    if done.returncode != 0:
        sys.exit(f"pip could not do it (exit {done.returncode}); what it says is above.")


if __name__ == "__main__":
    main()
