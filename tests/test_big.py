"""Test a file of half a gigabyte in a browser: S30, with PROMISES 23."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page
from processes import TESTS, Process, memory_of

MEGABYTE = bytes(range(256)) * 4000

LONGEST_GAP = """
  window.longest = 0;
  let before = performance.now();
  const look = (now) => {
    longest = Math.max(longest, now - before);
    before = now;
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
"""


def test_s30_half_a_gigabyte_is_saved_and_neither_server_nor_page_feels_it(
    page: Page, serve: Callable[..., Process], tmp_path: Path
):
    server = serve(TESTS / "apps" / "big_app.py", "gunicorn", environment={"FOLDER": str(tmp_path)})
    page.goto(server.url)
    before = memory_of(server)
    page.evaluate(LONGEST_GAP)

    with page.expect_download(timeout=90_000) as download:
        page.locator("download-btn button[name]").click()
    saved = download.value.path()
    page.locator("download-btn[data-state=done]").wait_for(timeout=60_000)

    with open(saved, "rb") as file:
        digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else None
        digest = digest or hashlib.sha256(file.read())
    assert digest.hexdigest() == hashlib.sha256(MEGABYTE * 488).hexdigest()
    assert before > 20_000_000
    assert memory_of(server) - before < 50_000_000
    assert page.evaluate("longest") < 2_000
