"""Run short of what a machine has: open files, and room on its disk."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conftest import need


@contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open no file, since it has as many open as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for handle in held:
            os.close(handle)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """Mount a disk at a folder, as small as its options say."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    is_mounted = not os.geteuid() and not subprocess.run(mounting, capture_output=True).returncode
    try:
        need("A small disk, which only root can mount,", is_mounted)
        yield
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
