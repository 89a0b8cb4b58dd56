"""Give a bench its peers: each in an environment of its own, made once."""

from __future__ import annotations

import re
import subprocess
import venv
from pathlib import Path

from processes import Process, answers_http, free_port

APPS = Path(__file__).resolve().parent
FOLDER = APPS.parent / ".environments"
OLD_PACKAGE = (
    "flask-download-btn==0.0.22 flask==2.0.3 werkzeug==2.0.3 jinja2==3.0.3 flask-sqlalchemy==2.5.1"
    " sqlalchemy==1.3.24 sqlalchemy-mutable==0.0.13 XStatic-jQuery==3.5.1.1 gevent==26.9.0"
)
"""The old package of our name, with what it was written for: it is what our aims were set by."""


def environment(packages: str) -> Path | None:
    """Return a Python that has these packages; None if they cannot be had."""
    folder = FOLDER / re.split(r"[\[= ]", packages)[0]
    python, mark = folder / "bin" / "python", folder / "complete"
    if mark.exists() and mark.read_text() == packages:
        return python
    venv.create(folder, with_pip=True, clear=True)
    installing = [python, "-m", "pip", "install", "--quiet", *packages.split()]
    if subprocess.run(installing, capture_output=True).returncode:
        return None
    mark.write_text(packages)
    return python


def old_server(app: str, folder: Path, **variables: str) -> Process | None:
    """Return a server of one of the old package's apps; None if that cannot be had."""
    python = environment(OLD_PACKAGE)
    if python is None:
        return None
    port = free_port()
    return Process(
        [str(python), str(APPS / "peers" / f"{app}.py")],
        log_file=folder / "old.log",
        is_up=lambda: answers_http(port),
        url=f"http://127.0.0.1:{port}",
        directory=folder,
        environment={
            "BENCH_DATABASE": f"sqlite:///{folder}/old.db",
            "PORT": str(port),
            "PYTHONPATH": str(APPS),
            **variables,
        },
    )
