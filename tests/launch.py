"""Run an app under gevent or eventlet: patch first, import the app second, listen third.

Usage: python launch.py gevent MODULE:APP PORT
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main() -> None:
    server, name, port = sys.argv[1:]
    patch(server)
    app = load(name)
    app.extensions["socketio"].run(app, host="127.0.0.1", port=int(port))


def patch(server: str) -> None:
    if server == "gevent":
        from gevent import monkey

        monkey.patch_all()
    else:
        import eventlet

        eventlet.monkey_patch()


def load(name: str) -> Any:
    """Find `module:app` or call `module:create_app()`."""
    module_name, _, attribute = name.partition(":")
    # The script's own folder comes first on the path; the app's is the current one.
    sys.path[0] = ""
    found = getattr(importlib.import_module(module_name), attribute.removesuffix("()"))
    return found() if attribute.endswith("()") else found


if __name__ == "__main__":
    main()
