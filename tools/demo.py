"""Start the example app on a free port, and print its URL on the last line."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / ".demo" / "server.log"
USUAL_PORT = 5000
PATIENCE = 60.0


def main() -> None:
    # `make` passes on only this; without an exit in order the server would outlive its starter.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = _choose_port()
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("wb") as log:
        server = _start(port, log)
        try:
            _wait_until_it_answers(server, port)
            print(f"Its log is in {LOG.relative_to(ROOT)}; Ctrl+C stops it.")
            # Whoever started this reads the URL from the last line, so nothing is printed after it.
            print(f"http://127.0.0.1:{port}/", flush=True)
            sys.exit(server.wait())
        except KeyboardInterrupt:
            pass
        finally:
            _stop(server)


def _choose_port() -> int:
    asked = os.environ.get("PORT")
    if asked and not (asked.isascii() and asked.isdigit() and 0 < int(asked) < 65536):
        sys.exit(f"PORT is {asked!r}. Give a number from 1 to 65535: make demo PORT=8000")
    port = int(asked or USUAL_PORT)
    if _is_free(port):
        return port
    if asked:
        sys.exit(f"Port {port} is taken. Give another: make demo PORT=8000")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        chosen: int = free.getsockname()[1]
    print(f"Port {port} is taken, so this is port {chosen}.")
    return chosen


def _is_free(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(1)
        if client.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _start(port: int, log: BinaryIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "example_app"],
        cwd=ROOT,
        env={**os.environ, "PORT": str(port), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int) -> None:
    give_up_at = time.monotonic() + PATIENCE
    while not _answers(port):
        if server.poll() is not None or time.monotonic() > give_up_at:
            sys.exit(f"The example app did not start. Its log says:\n{LOG.read_text()}")
        time.sleep(0.05)


def _answers(port: int) -> bool:
    try:
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{port}/", timeout=PATIENCE
        )
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.kill()


if __name__ == "__main__":
    main()
