"""Fetch a file of 1 GiB, eight at once, and one of 1 KiB again and again, from us and from others.

Usage: python bench/serve.py [--rounds N] [--size MIB] [--only NAME …]

Every server has one worker process. The peers are installed into `bench/.environments` first; one
that cannot be is left out, and said to be.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib.metadata
import os
import select
import shutil
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent
# Not this folder itself: its `click.py` is not the one that Flask imports.
sys.path[0] = str(BENCH.parent / "tests")
sys.path.insert(1, str(BENCH / "apps"))

from environments import environment  # noqa: E402
from processes import Process, answers_http, free_port  # noqa: E402  # the tests' servers

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
PEERS = {
    "Starlette FileResponse": ("starlette", "starlette uvicorn"),
    "Lilya send_file": ("lilya", "lilya uvicorn"),
    "func-to-web": ("func_to_web", "func-to-web uvicorn"),
}
CONNECTIONS = 50
SECONDS = 4.0
NGINX_CONF = """
{user}worker_processes 1;
pid {folder}/nginx-{port}.pid;
error_log {folder}/nginx.log;
daemon off;
events {{}}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    proxy_temp_path {folder}/proxy;
    client_body_temp_path {folder}/body;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream app {{ server {upstream}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        location /plain/ {{ alias {folder}/; }}
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
        location /stored-files/ {{ internal; alias {stored}/; }}
    }}
}}
"""


@dataclass
class Contender:
    """A server, and how it did."""

    name: str
    start: Callable[[], contextlib.AbstractContextManager[list[Process]]]
    paths: Callable[[], dict[str, str]]
    headers: str = ""
    one: list[float] = field(default_factory=list)
    resumed: list[float] = field(default_factory=list)
    eight: list[float] = field(default_factory=list)
    small: list[float] = field(default_factory=list)
    peak: float = 0.0


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory() as folder:
        contenders = prepare(Path(folder), options)
        for _ in range(options.rounds):
            for contender in contenders:
                measure(contender, options.size)
        report(contenders, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=1024, help="MiB of the large file")
    parser.add_argument("--only", nargs="*", help="names, or beginnings of names")
    return parser.parse_args()


def prepare(folder: Path, options: argparse.Namespace) -> list[Contender]:
    with (folder / "large.bin").open("wb") as file:
        for _ in range(options.size):
            file.write(bytes(1 << 20))
    (folder / "small.bin").write_bytes(b"x" * 1024)
    os.environ["BENCH_FOLDER"] = str(folder)
    contenders = [*ours(folder), *peers(folder)]
    return [
        contender
        for contender in contenders
        if not options.only or any(contender.name.startswith(name) for name in options.only)
    ]


def ours(folder: Path) -> Iterator[Contender]:
    from serve_app import app

    from flask_download_btn.testing import click

    client = app.test_client()
    run = click(client, "files")
    urls = {item["name"]: item["url"] for item in run.snapshot["files"]}
    cookie = client.get_cookie("session")
    assert cookie is not None
    headers = f"Cookie: session={cookie.value}\r\n"
    stored = app.extensions["download_btn_manager"].storage.root
    plain = {name: f"/plain/{name}" for name in urls}
    if NGINX:
        yield Contender("nginx alone", lambda: nginx(folder, stored), lambda: plain)
        yield Contender("ours, nginx", lambda: nginx(folder, stored), lambda: urls, headers)
    yield Contender("ours, gunicorn gthread", lambda: gunicorn(folder), lambda: urls, headers)
    yield Contender("Flask send_file, gthread", lambda: gunicorn(folder), lambda: plain)


def peers(folder: Path) -> Iterator[Contender]:
    for name, (factory, packages) in PEERS.items():
        python = environment(packages)
        if python is None:
            print(f"{name} could not be installed, and is left out.")
            continue
        yield Contender(
            f"{name}, uvicorn",
            lambda factory=factory, python=python: uvicorn(folder, factory, python),  # type: ignore[misc]
            (lambda: references(folder)) if factory == "func_to_web" else by_name,
        )


def by_name() -> dict[str, str]:
    return {name: f"/{name}" for name in ("large.bin", "small.bin")}


def references(folder: Path) -> dict[str, str]:
    found = ast.literal_eval((folder / "references").read_text())
    return {name: f"/returns/{reference}" for name, reference in found.items()}


# Servers


@contextlib.contextmanager
def gunicorn(folder: Path, accel: str = "") -> Iterator[list[Process]]:
    port = free_port()
    command = [
        *(sys.executable, "-m", "gunicorn", "-k", "gthread", "--threads", "100"),
        *("--bind", f"127.0.0.1:{port}", "--workers", "1", "--no-control-socket"),
        *("--worker-connections", "1000", "serve_app:app"),
    ]
    with running(folder, command, port, {"BENCH_ACCEL": accel} if accel else {}) as server:
        yield [server]


@contextlib.contextmanager
def uvicorn(folder: Path, factory: str, python: Path) -> Iterator[list[Process]]:
    port = free_port()
    command = [
        *(str(python), "-m", "uvicorn", "--factory", f"serve_peers:{factory}"),
        *("--port", str(port), "--no-access-log", "--log-level", "warning"),
    ]
    with running(folder, command, port) as server:
        yield [server]


@contextlib.contextmanager
def nginx(folder: Path, stored: Path) -> Iterator[list[Process]]:
    with gunicorn(folder, accel="/stored-files") as [app]:
        port = free_port()
        conf = folder / f"nginx-{port}.conf"
        conf.write_text(
            NGINX_CONF.format(
                folder=folder,
                port=port,
                stored=stored,
                upstream=app.url.removeprefix("http://"),
                user="" if os.geteuid() else "user root;\n",
            )
        )
        with running(folder, [str(NGINX), "-c", str(conf)], port) as server:
            yield [server, app]


@contextlib.contextmanager
def running(
    folder: Path, command: list[str], port: int, more: dict[str, str] | None = None
) -> Iterator[Process]:
    server = Process(
        command,
        log_file=folder / f"server-{port}.log",
        is_up=lambda: answers_http(port),
        url=f"http://127.0.0.1:{port}",
        directory=BENCH / "apps",
        environment=more,
    )
    try:
        yield server.start()
    finally:
        server.kill()


# Measuring


def measure(contender: Contender, size: int) -> None:
    with contender.start() as servers:
        port = int(servers[0].url.rpartition(":")[2])
        paths = contender.paths()
        large = question(paths["large.bin"], contender.headers)
        resumed = question(paths["large.bin"], contender.headers + "Range: bytes=1000-\r\n")
        length = size << 20
        fetch(port, large, length)
        contender.one.append(timed(lambda: fetch(port, large, length)))
        contender.resumed.append(timed(lambda: fetch(port, resumed, length - 1000)))
        contender.eight.append(timed(lambda: fetch_eight(port, large, length)))
        small = question(paths["small.bin"], contender.headers, keep=True)
        contender.small.append(requests_a_second(port, small))
        contender.peak = max(contender.peak, sum(map(peak_of, servers)))


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def question(path: str, headers: str, keep: bool = False) -> bytes:
    connection = "" if keep else "Connection: close\r\n"
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{connection}{headers}\r\n".encode()


def fetch(port: int, asked: bytes, length: int) -> None:
    buffer = bytearray(1 << 20)
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(asked)
        received = connection.recv_into(buffer)
        assert buffer[9:11] == b"20", bytes(buffer[:500])
        while count := connection.recv_into(buffer):
            received += count
    assert length < received < length + 2000, f"{received} bytes instead of {length}"


def fetch_eight(port: int, asked: bytes, length: int) -> None:
    threads = [threading.Thread(target=fetch, args=(port, asked, length)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def requests_a_second(port: int, asked: bytes) -> float:
    """Ask on so many connections at once, each again as soon as it was answered."""
    with contextlib.ExitStack() as stack:
        connections = {
            connection.fileno(): connection
            for connection in (
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
                for _ in range(CONNECTIONS)
            )
        }
        size = answer_size(next(iter(connections.values())), asked)
        poll = stack.enter_context(contextlib.closing(select.epoll()))
        missing = dict.fromkeys(connections, size)
        for number, connection in connections.items():
            poll.register(number, select.EPOLLIN)
            connection.sendall(asked)
        answered, give_up_at = 0, time.perf_counter() + SECONDS
        while time.perf_counter() < give_up_at:
            for number, _ in poll.poll(1):
                received = connections[number].recv(65536)
                assert received, "The server closed a connection."
                missing[number] -= len(received)
                if missing[number] <= 0:
                    answered += 1
                    missing[number] = size
                    connections[number].sendall(asked)
        return answered / SECONDS


def answer_size(connection: socket.socket, asked: bytes) -> int:
    # The first answers to a server's new worker may carry more than the later ones.
    for _ in range(3):
        connection.sendall(asked)
        received = b""
        while not received.endswith(b"x" * 1024):
            received += connection.recv(65536)
    return len(received)


def peak_of(server: Process) -> float:
    """Add up the most memory that a server's processes ever had, in MB."""
    return sum(map(peak_of_process, tree(server.pid))) / 1024


def tree(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from tree(int(child))


def peak_of_process(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


def report(contenders: list[Contender], options: argparse.Namespace) -> None:
    print(f"{options.size} MiB once, resumed, eight at once: seconds, median of {options.rounds}")
    print(
        f"1 KiB on {CONNECTIONS} connections: requests a second; peak memory of all processes: MB"
    )
    print(f"{'':34}{'once':>8}{'resumed':>9}{'eight':>8}{'1 KiB':>9}{'MB':>6}   speed to nginx's")
    reference = contenders[0]
    for contender in contenders:
        middle = [
            statistics.median(values)
            for values in (contender.one, contender.resumed, contender.eight, contender.small)
        ]
        ratios = [
            statistics.median(reference.one) / middle[0],
            statistics.median(reference.eight) / middle[2],
        ]
        print(
            f"{contender.name:34}{middle[0]:8.2f}{middle[1]:9.2f}{middle[2]:8.2f}{middle[3]:9.0f}"
            f"{contender.peak:6.0f}   {ratios[0]:.2f} once, {ratios[1]:.2f} eight"
        )
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("flask", "gunicorn")))


if __name__ == "__main__":
    main()
