"""Test the shell's door: `flask download-btn`."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sites
from processes import wait_until

from flask_download_btn import File

GATE = threading.Event()


def makes(btn: Any) -> File:
    return File(b"made", "file.txt")


def fails(btn: Any) -> None:
    raise ValueError("no luck")


def waits(btn: Any) -> Iterator[Any]:
    while not GATE.wait(0.01):
        yield


@pytest.fixture
def site(tmp_path: Path) -> Iterator[sites.Site]:
    GATE.clear()
    with sites.site(tmp_path) as site:
        yield site
        GATE.set()


def say(site: sites.Site, *words: str) -> Any:
    return site.app.test_cli_runner().invoke(args=["download-btn", *words])


def test_runs_are_listed_newest_first(site: sites.Site):
    site.run(makes, btn_text="The first")
    site.run(fails, btn_text="The second")

    lines = say(site, "runs").output.splitlines()

    assert len(lines) == 2
    assert "failed" in lines[0]
    assert "The second" in lines[0]
    assert "Something went wrong" in lines[0]
    assert "ready" in lines[1]
    assert "The first" in lines[1]


def test_so_many_runs_are_listed(site: sites.Site):
    for _ in range(3):
        site.run(makes)

    assert len(say(site, "runs", "--limit", "2").output.splitlines()) == 2


def test_states_are_counted(site: sites.Site):
    site.run(makes)
    site.run(makes)
    site.run(fails)

    counted = dict(line.split() for line in say(site, "stats").output.splitlines())

    assert counted["ready"] == "2"
    assert counted["failed"] == "1"
    assert counted["queued"] == counted["running"] == counted["cancelled"] == "0"


def test_a_live_run_is_cancelled(site: sites.Site):
    visitor = site.visitor()
    picture = visitor.start(visitor.token(site.button(waits))).get_json()
    wait_until(lambda: len(site.parts.lives), "It does not begin")
    (live,) = site.parts.lives

    answer = say(site, "cancel", live.run.id)

    assert answer.exit_code == 0
    assert visitor.ended(picture)["state"] == "cancelled"


def test_what_is_not_live_cannot_be_cancelled(site: sites.Site):
    site.run(makes)
    (run,) = site.runs()

    for run_id in (run.id, "nonsense"):
        answer = say(site, "cancel", run_id)
        assert answer.exit_code == 1
        assert "no live run" in answer.output
        assert "flask download-btn runs" in answer.output


def test_prune_says_what_would_go_and_deletes_nothing(tmp_path: Path):
    with sites.site(tmp_path, DOWNLOAD_BTN_RETENTION=0.001, DOWNLOAD_BTN_PRUNE=0) as site:
        site.run(makes)

        answer = say(site, "prune", "--dry-run")

        assert answer.output.startswith("Would delete 1 files (1 expired")
        assert len(site.stored_bytes()) == 1
        assert say(site, "prune").output.startswith("Deleted 1 files")
        assert site.stored_bytes() == []


def test_a_run_is_remembered_as_long_as_its_files(tmp_path: Path):
    limits = {"DOWNLOAD_BTN_RUN_RETENTION": 0.001, "DOWNLOAD_BTN_PRUNE": 0}
    with sites.site(tmp_path, DOWNLOAD_BTN_RETENTION=0, **limits) as site:
        visitor = site.visitor()
        made = visitor.click(site.button(makes))
        failed = visitor.click(site.button(fails))

        assert "and 1 runs." in say(site, "prune").output
        (left,) = site.runs()
        assert (left.state, failed.state) == ("ready", "failed")
        assert made.files[0].read() == b"made"

        stored = site.parts.files.of_run(left.id)
        for file in stored:
            site.parts.files.forget(file.id)
        assert "and 1 runs." in say(site, "prune").output
        assert site.runs() == []


def test_the_doctor_finds_nothing_wrong_with_a_good_deployment(site: sites.Site):
    answer = say(site, "doctor")

    assert answer.exit_code == 0, answer.output
    assert "WRONG" not in answer.output


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"SECRET_KEY": None}, "SECRET_KEY"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY"),
        ({"create": False}, "no download_btn"),
        ({"SQLALCHEMY_DATABASE_URI": "sqlite://"}, "in memory"),
        ({"DOWNLOAD_BTN_FOLDER": "/proc/nowhere"}, "DOWNLOAD_BTN_FOLDER"),
    ],
    ids=["no key", "short key", "no tables", "in memory", "no folder"],
)
def test_the_doctor_says_what_is_wrong(options: dict[str, Any], sentence: str, tmp_path: Path):
    with sites.site(tmp_path, **options) as site:
        answer = say(site, "doctor")

    assert answer.exit_code == 1
    assert sentence in "".join(line for line in answer.output.splitlines() if "WRONG" in line)
