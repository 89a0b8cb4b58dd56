"""Serve the example app: `PORT=8000 python -m example_app`."""

import os
import socket
import time

from . import create_app
from .extensions import manager

HOST = "127.0.0.1"


def main():
    port = int(os.environ.get("PORT", 5000))
    app = create_app()
    manager.socketio.start_background_task(announce, port)
    manager.socketio.run(app, host=HOST, port=port, allow_unsafe_werkzeug=True)


def announce(port):
    """Print the URL, but not before it can be opened."""
    while not is_open(port):
        time.sleep(0.05)
    print(f"http://{HOST}:{port}/", flush=True)


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


if __name__ == "__main__":
    main()
