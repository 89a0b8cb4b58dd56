"""Make, or claim, runs in a process of its own: `python clicks.py DATABASE make|claim …`."""

from __future__ import annotations

import json
import secrets
import sys
import threading
import time
from typing import Any

from sqlalchemy import Column, MetaData, Table, Text, create_engine

from flask_download_btn.database import Database
from flask_download_btn.runs import Click, Runs
from flask_download_btn.tables import run_table
from flask_download_btn.tokens import Tokens

SECRET = "a secret that nobody guesses"

BUTTONS = Table("download_btn", MetaData(), Column("uid", Text), Column("revision", Text))
"""What runs need to know of the table of buttons."""
"""What runs ask of buttons; nothing here asks for it."""


def runs_in(uri: str) -> Runs:
    engine = create_engine(uri, pool_size=20)
    return Runs(
        Database(lambda: engine),
        run_table(MetaData()),
        BUTTONS,
        Tokens([SECRET], button_max_age=3600),
        lease=2,
        # A limit would keep the same click from two places too: here the one key has to do it.
        live_limit=0,
        new_id=lambda: secrets.token_hex(16),
    )


def a_click(**changes: Any) -> Click:
    visit = {"form": [], "user_id": None, "collected": None, "root": "http://x/", "cache": None}
    values: dict[str, Any] = {
        "btn_uid": "button",
        "btn_name": "Button",
        "btn_revision": "revision",
        "owner": "session:ann",
        "plan": json.dumps({"steps": [], "downloads": None, "tmp_downloads": []}),
        "visit": json.dumps(visit),
        "restart": False,
        "callback": None,
        "archive": None,
        "message": None,
        "sameness": "",
    }
    return Click(**{**values, **changes})


def make(runs: Runs, count: int) -> None:
    """Click the same button so many times, as many at once as there are threads."""
    found: list[tuple[str, bool]] = []
    together = threading.Barrier(count)
    print("ready", flush=True)
    sys.stdin.readline()

    def click() -> None:
        together.wait()
        run, is_new = runs.make(a_click())
        found.append((run.id, is_new))

    threads = [threading.Thread(target=click) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(found), flush=True)


def claim(runs: Runs, run_id: str) -> None:
    """Claim a run, say so, and hold it until this process is killed."""
    print(json.dumps(bool(runs.claim([run_id]))), flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    uri, command, argument = sys.argv[1:]
    if command == "make":
        make(runs_in(uri), int(argument))
    else:
        claim(runs_in(uri), argument)
