"""Test the servers, databases and browsers that other tests rely on."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from processes import SERVERS, Process, answers

APP = """
import os
from flask import Flask
from flask_socketio import SocketIO

print("starting", flush=True)
app = Flask(__name__)
mode = os.environ["MODE"]
socketio = SocketIO(app, async_mode=mode)

@app.get("/")
def index():
    return f"{__name__} {os.environ.get('WORD', '')}"

@app.get("/broken")
def broken():
    return "<link rel=icon href=data:,><script>nonsense()</script>"

@app.get("/strict")
def strict():
    page = "<link rel=icon href=/icon><script>document.title = 'ran'</script>"
    return page, {"Content-Security-Policy": "default-src 'self'"}

@app.get("/icon")
def icon():
    return ""

if __name__ == "__main__":
    app.run(debug=False)
"""
MODES = {"gevent": "gevent", "gunicorn-gevent": "gevent", "eventlet": "eventlet"}


@pytest.fixture
def app_file(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path / "app.py"


@pytest.fixture
def site(app_file: Path, serve: Callable[..., Process]) -> Process:
    return serve(app_file, environment={"MODE": "threading"})


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_starts_and_ends(server: str, app_file: Path, serve: Callable[..., Process]):
    mode = MODES.get(server, "threading")

    site = serve(app_file, server, environment={"MODE": mode, "WORD": "hello"})

    name, word = get(site.url).split()
    assert name == ("__main__" if server == "werkzeug" else "app")
    assert word == "hello"
    site.stop()
    assert not site.is_alive


def test_a_killed_server_starts_again_on_its_port(site: Process):
    url = site.url
    site.kill()
    assert not site.is_alive

    site.restart()

    assert "__main__" in get(url)
    assert site.log().count("starting") == 2


def test_a_server_that_fails_shows_its_log(tmp_path: Path, serve: Callable[..., Process]):
    (tmp_path / "app.py").write_text("raise RuntimeError('no such luck')\n")

    with pytest.raises(AssertionError, match="no such luck"):
        serve(tmp_path / "app.py")


def test_a_frozen_server_says_nothing_until_thawed(redis_server: Process):
    port = int(redis_server.url.rpartition(":")[2].removesuffix("/0"))
    redis_server.freeze()
    try:
        assert not answers(port, b"PING\r\n", b"+PONG", patience=0.2)
    finally:
        redis_server.thaw()
    assert answers(port, b"PING\r\n", b"+PONG")


def test_each_test_has_an_empty_database(postgres_server: Any):
    from sqlalchemy import create_engine, inspect, text

    for _ in range(2):
        engine = create_engine(postgres_server.new_database())
        assert inspect(engine).get_table_names() == []
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE here (id integer)"))
        engine.dispose()


def test_an_error_on_a_page_is_noticed(site: Process, page: Any):
    page.expected_errors.append("nonsense")

    page.goto(f"{site.url}/broken")

    assert any("nonsense is not defined" in error for error in page.errors)


def test_a_breach_of_the_pages_policy_is_noticed(site: Process, page: Any):
    page.expected_errors.append("Content Security Policy")

    page.goto(f"{site.url}/strict")

    assert page.title() != "ran"
    assert any("Content Security Policy" in error for error in page.errors)


def test_an_unexpected_error_is_held_against_the_test(
    site: Process, new_visitor: Callable[..., Any]
):
    visitor = new_visitor()

    visitor.open_tab().goto(f"{site.url}/broken")

    assert len(visitor.unexpected_errors) == 1
    visitor.expected_errors.append("nonsense")
    assert visitor.unexpected_errors == []


def test_a_second_tab_belongs_to_the_same_visitor(site: Process, page: Any):
    page.expected_errors.append("nonsense")

    page.context.new_page().goto(f"{site.url}/broken")

    assert page.errors


def test_visitors_share_no_cookies(site: Process, new_visitor: Callable[..., Any]):
    first, second = new_visitor(), new_visitor()

    first.context.add_cookies([{"name": "who", "value": "first", "url": site.url}])

    assert second.context.cookies() == []
