"""What all tests share: servers in processes of their own, databases, visitors with a browser."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import databases
import pytest
from processes import Process, app_server

if TYPE_CHECKING:
    from browser import Visitor
    from playwright.sync_api import Browser, Page


def need(what: str, found: object) -> None:
    """Skip where a program is missing; in CI that is a failure, or nobody would notice."""
    if not found:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(f"{what} is not installed; 'make test' says how to install it.")


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start an app in a real server: `serve(tmp_path / "app.py", "gunicorn", environment={...})`.

    The servers are those of `processes.SERVERS`; what is started ends with the test.
    """
    servers: list[Process] = []

    def start(app: str | Path, server: str = "werkzeug", **options: Any) -> Process:
        log_file = tmp_path / f"server-{len(servers)}.log"
        servers.append(app_server(app, server, log_file=log_file, **options))
        servers[-1].start()
        return servers[-1]

    yield start
    for server in servers:
        server.kill()
        # pytest shows it if the test failed.
        print(f"{server.command}:\n{server.log()}")


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A Redis with a `url`; a test that kills or freezes it starts it again."""
    need("redis-server", databases.find_redis())
    with databases.redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[databases.Postgres]:
    """A PostgreSQL whose `new_database()` gives the URL of an empty database."""
    need("postgresql", databases.find_postgres())
    with databases.postgres(tmp_path_factory.mktemp("postgres") / "postgres.log") as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: databases.Postgres) -> str:
    """The URL of an empty PostgreSQL database, for this test alone."""
    return postgres_server.new_database()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. For a module, not for all: while it is open, `asyncio.run` refuses this thread."""
    from browser import chromium, find_chromium

    need("chromium", find_chromium())
    with chromium() as running:
        yield running


@pytest.fixture
def new_visitor(browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Another person with another browser: `new_visitor(java_script_enabled=False).open_tab()`."""
    from browser import Visitor

    visitors: list[Visitor] = []

    def arrive(**options: Any) -> Visitor:
        visitors.append(Visitor(browser, **options))
        return visitors[-1]

    yield arrive
    for visitor in visitors:
        visitor.close()
    unexpected = [error for visitor in visitors for error in visitor.unexpected_errors]
    assert not unexpected, "The browser's console shows errors:\n" + "\n".join(unexpected)


@pytest.fixture
def page(new_visitor: Callable[..., Visitor]) -> Page:
    """A visitor's page. `page.expected_errors.append("410")` (a pattern) allows an error."""
    return new_visitor().open_tab()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as it would be published, built without a network."""
    from published import build_wheel

    return build_wheel(tmp_path_factory.mktemp("wheel"))
