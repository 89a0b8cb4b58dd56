"""Click buttons below a path, behind nginx as the docs set it up, with the strictest cookies."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from conftest import need
from pages import (
    Site,
    button,
    click_and_save,
    expect_words,
    running_site,
    saved,
    wait_for,
)
from playwright.sync_api import Page, expect
from processes import ROOT, Process, answers_http, free_port

AROUND = """
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
daemon off;
{user}
events {{}}
http {{
access_log off;
client_body_temp_path {folder}/body;
proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi;
uwsgi_temp_path {folder}/uwsgi;
scgi_temp_path {folder}/scgi;
{block}
}}
"""


def nginx(folder: Path, upstream: str) -> Process:
    """Take the docs' own block, below /app/."""
    port = free_port()
    page = (ROOT / "docs" / "deployment.md").read_text()
    block = re.search(r"```nginx\n(map .*?)```", page, re.DOTALL)
    assert block
    changes = {
        "server {": f"server {{ listen 127.0.0.1:{port};",
        "location / {": "location /app/ { proxy_set_header X-Forwarded-Prefix /app;",
        "http://127.0.0.1:8000": f"{upstream}/",
    }
    text = block[1]
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    user = "" if os.geteuid() else "user root;"
    conf = folder / "nginx.conf"
    conf.write_text(AROUND.format(folder=folder, user=user, block=text))
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    need("nginx", program)
    return Process(
        [str(program), "-c", str(conf)],
        log_file=folder / "nginx-out.log",
        is_up=lambda: answers_http(port),
        # Chromium takes Secure cookies over http from localhost.
        url=f"http://localhost:{port}/app",
        directory=folder,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("proxy")
    with running_site(folder, PREFIX="/app", PROXY_FIX="1") as behind:
        proxy = nginx(folder, behind.url).start()
        try:
            yield Site(proxy)
        finally:
            proxy.kill()


@pytest.fixture
def gate() -> str:
    return uuid4().hex


def test_a_run_is_told_over_a_socket_below_the_path_and_its_file_saved(
    page: Page, site: Site, gate: str, tmp_path: Path
) -> None:
    sockets: list[str] = []
    asked: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.address(f"half:{gate}"))
    button(page).click()
    expect_words(page, "Writing the orders of the year 2026: 42%")
    page.wait_for_timeout(1500)
    polls = [url for url in asked if "/runs/" in url]
    with page.expect_download() as saving:
        site.open_gate(gate)
    assert saved(saving.value, tmp_path) == ("half.csv", b"half")
    wait_for(page, "done")
    assert ["/app/socket.io/" in url for url in sockets] == [True]
    assert not polls
    assert all(url.startswith(site.url) for url in asked)


def test_the_cookie_is_strict_and_secure(page: Page, site: Site) -> None:
    page.goto(site.address("one"))
    (cookie,) = page.context.cookies()
    assert (cookie["sameSite"], cookie["secure"], cookie["httpOnly"]) == ("Strict", True, True)


def test_the_page_goes_on_below_the_path(page: Page, site: Site) -> None:
    page.goto(site.address("onward"))
    button(page).click()
    page.wait_for_url(f"{site.url}/landed")


def test_a_page_that_is_loaded_again_and_the_centre_find_the_run(
    page: Page, site: Site, gate: str
) -> None:
    page.goto(site.address(f"half:{gate}"))
    button(page).click()
    wait_for(page, "running")
    page.reload()
    wait_for(page, "running")
    page.goto(site.address(path="/center"))
    expect(page.locator(".download-center-runs")).to_contain_text("42%")
    site.open_gate(gate)
    expect(page.get_by_role("link", name="half.csv")).to_be_visible()


def test_a_form_goes_through_and_two_buttons_send_their_own(
    page: Page, site: Site, tmp_path: Path
) -> None:
    page.goto(site.address(path="/form", numbers="2"))
    page.get_by_label("Who").fill("Ada")
    assert click_and_save(page, tmp_path, 1) == ("form 1.txt", b"form")
    assert click_and_save(page, tmp_path, 0) == ("form 0.txt", b"form")


def test_without_scripts_the_ladder_ends_in_links_below_the_path(
    new_visitor: Any, site: Site, gate: str
) -> None:
    page = new_visitor(java_script_enabled=False).open_tab()
    page.expected_errors.append("favicon")
    page.goto(site.address("at_once"))
    page.get_by_role("button", name="Export at once").click()
    assert page.url.startswith(f"{site.url}/download-btn/runs/")
    with page.expect_download() as saving:
        page.get_by_role("link", name="at once.txt").click()
    assert saving.value.suggested_filename == "at once.txt"
