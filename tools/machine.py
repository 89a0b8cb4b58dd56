"""Install what the tests start and no Python package brings: browsers and servers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

POSTGRES_FOLDERS = Path("/usr/lib/postgresql")


def main() -> None:
    missing = [package for package, is_there in NEEDED.items() if not is_there()]
    if not missing:
        return
    if not _may_install():
        return _say_what_to_install(missing)
    _install(missing)


def has_browser() -> bool:
    names = ("chromium", "chromium-browser", "google-chrome")
    return bool(os.environ.get("CHROMIUM")) or any(map(shutil.which, names))


def has_firefox() -> bool:
    return any(map(shutil.which, ("firefox-esr", "firefox")))


def has_webkit() -> bool:
    return shutil.which("WebKitWebDriver") is not None


def has_screen() -> bool:
    return shutil.which("Xvfb") is not None


def has_redis() -> bool:
    return shutil.which("redis-server") is not None


def has_postgres() -> bool:
    # Debian keeps the server's programs off the PATH.
    return shutil.which("postgres") is not None or any(POSTGRES_FOLDERS.glob("*/bin/postgres"))


def has_nginx() -> bool:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is not None


NEEDED = {
    "chromium": has_browser,
    "firefox-esr": has_firefox,
    "webkit2gtk-driver": has_webkit,
    # WebKit has no headless mode.
    "xvfb": has_screen,
    "redis-server": has_redis,
    "postgresql": has_postgres,
    "nginx-light": has_nginx,
}


def _may_install() -> bool:
    return shutil.which("apt-get") is not None and _as_root([]) is not None


def _as_root(command: list[str]) -> list[str] | None:
    """Return the command as root would give it, or None where nobody may without a password."""
    if os.geteuid() == 0:
        return command
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"]).returncode == 0:
        return ["sudo", "-n", *command]
    return None


def _install(missing: list[str]) -> None:
    print(f"Installing {', '.join(missing)} …", flush=True)
    # RUNLEVEL keeps Debian from starting the servers: the tests start their own, on private ports.
    quietly = ["env", "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1", "apt-get", "-qq"]
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(_as_root([*quietly, *arguments]) or [], stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            return _say_what_to_install(missing)


def _say_what_to_install(missing: list[str]) -> None:
    print(
        f"Not on this machine: {', '.join(missing)}. Tests that need them are skipped (CI: fail)."
        f" To run them, install these. On Debian and Ubuntu: apt-get install {' '.join(missing)}",
        file=sys.stderr,
        flush=True,
    )


if __name__ == "__main__":
    main()
