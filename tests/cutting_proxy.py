"""Stand between a browser and a server, and cut files off midway, as bad networks do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

FILES = b"GET /download-btn/files/"


class CuttingProxy:
    """Passes everything on, but cuts the next `cuts` answers with files after `size` bytes."""

    def __init__(self, upstream: str, *, cuts: int, size: int) -> None:
        self._upstream = (urlsplit(upstream).hostname, urlsplit(upstream).port)
        self.cuts, self._size = cuts, size
        self.is_away = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass_on, args=[client], daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _pass_on(self, client: socket.socket) -> None:
        with closing(client), suppress(OSError), socket.create_connection(self._upstream) as server:
            request = client.recv(65536)
            if self.is_away:
                return
            left = self._allowed(request)
            server.sendall(request)
            back = threading.Thread(target=_pump, args=[client, server], daemon=True)
            back.start()
            _pump(server, client, left)

    def _allowed(self, request: bytes) -> float:
        if not request.startswith(FILES) or not self.cuts:
            return float("inf")
        self.cuts -= 1
        return self._size


def _pump(source: socket.socket, target: socket.socket, left: float = float("inf")) -> None:
    with suppress(OSError):
        while left > 0 and (data := source.recv(min(65536, int(min(left, 65536))))):
            target.sendall(data)
            left -= len(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def cutting_proxy(upstream: str, *, cuts: int, size: int = 1_000_000) -> Iterator[CuttingProxy]:
    """Give a proxy that lasts as long as the block."""
    proxy = CuttingProxy(upstream, cuts=cuts, size=size)
    serving = threading.Thread(target=proxy.serve, daemon=True)
    serving.start()
    try:
        yield proxy
    finally:
        proxy.close()
        serving.join()
