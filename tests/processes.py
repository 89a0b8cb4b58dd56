"""Start real servers in processes of their own, kill them, freeze them, and start them again."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent

SERVERS = ("werkzeug", "flask", "gunicorn", "gunicorn-gevent", "gevent", "eventlet")
"""`python app.py`, `flask run`, gunicorn's threads, gunicorn's gevent, and socketio.run twice."""

PATIENCE = 30.0


class Process:
    """A server that runs until it is told otherwise, with one log across restarts."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log_file: Path,
        is_up: Callable[[], bool],
        url: str,
        directory: Path,
        environment: Mapping[str, str] | None = None,
        user: str | None = None,
    ) -> None:
        self.command = list(command)
        self.url = url
        self._log_file = log_file
        self._is_up = is_up
        self._directory = directory
        self._environment = {**os.environ, **(environment or {})}
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Process:
        """Return when it answers; fail with its log if it ends instead."""
        as_user = {"user": self._user, "group": self._user, "extra_groups": []}
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A group of its own: its workers go when it goes, and the tests do not.
                start_new_session=True,
                **(as_user if self._user else {}),  # type: ignore[call-overload]
            )
        try:
            wait_until(self._is_up_or_dead, f"{self.command} does not answer")
            assert self.is_alive, f"{self.command} ended:\n{self.log()}"
        except BaseException:
            self.kill()
            raise
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

    def kill(self) -> None:
        """End it and its workers now, as a crash of the machine would."""
        self.signal_all(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self, patience: float = PATIENCE) -> int:
        """Ask it to end, as a deploy does, and return its exit code."""
        assert self._process is not None
        self._process.terminate()
        try:
            return self._process.wait(patience)
        finally:
            self.kill()

    def restart(self) -> None:
        """Start it anew on the same port; one that still runs is stopped first."""
        if self.is_alive:
            self.stop()
        self.start()

    def freeze(self) -> None:
        self.signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal_all(signal.SIGCONT)

    def signal_all(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _is_up_or_dead(self) -> bool:
        return not self.is_alive or self._is_up()


def memory_of(server: Process) -> int:
    """Return the bytes that a server's processes hold of their own."""
    held = 0
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getpgid(int(folder.name)) == server.pid:
                found = re.search(r"RssAnon:\s+(\d+) kB", (folder / "status").read_text())
                held += int(found[1]) * 1024 if found else 0
    return held


def app_server(
    app: str | Path,
    server: str,
    *,
    log_file: Path,
    attribute: str = "app",
    environment: Mapping[str, str] | None = None,
    port: int | None = None,
    threads: int = 100,
    workers: int = 1,
    python: str | Path = sys.executable,
) -> Process:
    """Describe a server for an app file, or for a module of this project; `start()` starts it."""
    port = port or free_port()
    directory, module = _where(app)
    name = f"{module}:{attribute}"
    bind = ("--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--no-control-socket")
    commands = {
        "werkzeug": (f"{module}.py",) if isinstance(app, Path) else ("-m", module),
        "flask": ("-m", "flask", "--app", name, "run", "--port", str(port)),
        "gunicorn": ("-m", "gunicorn", "-k", "gthread", "--threads", str(threads), *bind, name),
        "gunicorn-gevent": ("-m", "gunicorn", "-k", "gevent", *bind, name),
        "gevent": (str(TESTS / "launch.py"), "gevent", name, str(port)),
        "eventlet": (str(TESTS / "launch.py"), "eventlet", name, str(port)),
    }
    return Process(
        [str(python), *commands[server]],
        log_file=log_file,
        is_up=lambda: answers_http(port),
        url=f"http://127.0.0.1:{port}",
        directory=directory,
        environment={**_environment(server, port), **(environment or {})},
    )


def _where(app: str | Path) -> tuple[Path, str]:
    return (app.parent, app.stem) if isinstance(app, Path) else (ROOT, app)


def _environment(server: str, port: int) -> dict[str, str]:
    environment = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PORT": str(port)}
    if server == "werkzeug":
        environment["PYTHONPATH"] = str(TESTS / "listen")
    if server == "eventlet":
        # Otherwise psycopg waits in C, and the whole process with it.
        environment["PSYCOPG_WAIT_FUNC"] = "wait_selector"
    return environment


def free_port() -> int:
    """Choose a port below those that clients are given, so that none takes it meanwhile."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def answers_http(port: int) -> bool:
    """Tell whether an answer comes; a page that no app has, so that no view runs for it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("HEAD", "/is-the-server-up")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def answers(port: int, question: bytes, answer: bytes, *, patience: float = PATIENCE) -> bool:
    """Tell whether a server says what is expected of it."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
            connection.sendall(question)
            return connection.recv(100).startswith(answer)
    except OSError:
        return False


def wait_until(
    is_so: Callable[[], object], complaint: str, *, patience: float = PATIENCE, pause: float = 0.02
) -> None:
    """Look again and again until it is so; a test that waits says for what."""
    give_up_at = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < give_up_at, f"{complaint} (waited {patience:g} s)"
        time.sleep(pause)
