"""Read the configuration from the environment, so that one app shows small and large set-ups.

With nothing set: SQLite and files in the instance folder, and threads. For more:

- `DATABASE_URL`, such as `postgresql+psycopg://…`
- `REDIS_URL`, the message queue of several processes, such as `redis://localhost`
- `ASYNC_MODE`: `threading`, `gevent` or `eventlet`
- `SECRET_KEY`, the same for all processes on all machines
- `INSTANCE_PATH`, an absolute folder
"""

import os
import secrets
from pathlib import Path


def from_environment(instance_path):
    return {
        "SECRET_KEY": os.environ.get("SECRET_KEY") or kept_secret(Path(instance_path)),
        "SQLALCHEMY_DATABASE_URI": os.environ.get("DATABASE_URL", "sqlite:///example_app.db"),
        "SESSION_COOKIE_SAMESITE": "Lax",
        "DOWNLOAD_BTN_MESSAGE_QUEUE": os.environ.get("REDIS_URL"),
        "DOWNLOAD_BTN_ASYNC_MODE": os.environ.get("ASYNC_MODE", "threading"),
    }


def kept_secret(folder):
    """Make a secret at the first start: pages that stand open survive the next."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "secret_key"
    file.touch(mode=0o600)
    if not file.read_text():
        file.write_text(secrets.token_hex())
    return file.read_text()
