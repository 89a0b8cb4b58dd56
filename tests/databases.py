"""Start a Redis and a PostgreSQL of our own, on private ports, in folders that go away."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import Process, answers, free_port

POSTGRES_FOLDERS = Path("/usr/lib/postgresql")
SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"


def find_redis() -> str | None:
    return shutil.which("redis-server")


def find_postgres() -> Path | None:
    """Return the folder of PostgreSQL's programs, which Debian keeps off the PATH."""
    installed = sorted(POSTGRES_FOLDERS.glob("*/bin/postgres"), key=lambda path: path.parts[4])
    on_path = shutil.which("postgres")
    if installed:
        return installed[-1].parent
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def redis(folder: Path) -> Iterator[Process]:
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder}
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    server = Process(
        [find_redis() or "redis-server", *arguments],
        log_file=folder / "redis.log",
        is_up=lambda: answers(port, b"PING\r\n", b"+PONG"),
        url=f"redis://127.0.0.1:{port}/0",
        directory=folder,
    )
    try:
        yield server.start()
    finally:
        server.kill()


class Postgres(Process):
    """A PostgreSQL server that gives each test a database of its own."""

    _numbers = itertools.count(1)

    def new_database(self) -> str:
        """Return the URL of an empty database."""
        import psycopg

        name = f"test_{next(self._numbers)}"
        with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
        return f"{self.url.replace('postgresql', 'postgresql+psycopg', 1)}/{name}"


@contextmanager
def postgres(log_file: Path) -> Iterator[Postgres]:
    programs = find_postgres() or Path()
    # Not in pytest's folder: that is root's if root tests, and PostgreSQL refuses to be root.
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder, port, user = Path(name), free_port(), _user()
        if user:
            shutil.chown(folder, user, user)
        _init(programs, folder / "data", user)
        server = Postgres(
            [str(programs / "postgres"), "-D", str(folder / "data"), *_options(port, folder)],
            log_file=log_file,
            is_up=lambda: _is_up(port),
            url=f"postgresql://postgres@127.0.0.1:{port}",
            directory=folder,
            user=user,
        )
        try:
            server.start()
            yield server
        finally:
            server.kill()


def _user() -> str | None:
    """Name who runs it in our place: PostgreSQL refuses to be root."""
    return "postgres" if os.geteuid() == 0 else None


def _init(programs: Path, data: Path, user: str | None) -> None:
    flags = ["--auth=trust", "--username=postgres", "--no-sync", "--no-locale", "--encoding=UTF8"]
    as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
    subprocess.run(
        [str(programs / "initdb"), "-D", str(data), *flags],
        cwd=data.parent,
        check=True,
        stdout=subprocess.DEVNULL,
        **as_user,  # type: ignore[call-overload]
    )


def _options(port: int, folder: Path) -> list[str]:
    settings = {
        "port": port,
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": folder,
        "fsync": "off",
        "max_connections": 200,
    }
    return [text for name, value in settings.items() for text in ("-c", f"{name}={value}")]


def _is_up(port: int) -> bool:
    import psycopg

    # The socket answers before the server lets anybody in.
    if not answers(port, SSL_REQUEST, b"N"):
        return False
    try:
        psycopg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres").close()
    except psycopg.OperationalError:
        return False
    return True
