"""Test what the extension gives an app's own tests: one call that clicks a button."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sites

from flask_download_btn import ConfigurationError, DownloadBtnManager, DownloadError, File
from flask_download_btn.testing import click


def makes(btn: Any) -> Iterator[Any]:
    yield ("Making", 50)
    yield File(btn.run.form.get("word", "nothing").encode(), "file.txt")


def greets(btn: Any, name: str) -> File:
    return File(f"Hello, {name}!".encode(), "greeting.txt")


def refuses(btn: Any) -> None:
    raise DownloadError("Not today.")


@pytest.fixture(params=["inline", "background"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sites.Site]:
    manager = DownloadBtnManager()
    manager.button()(greets)
    with sites.site(
        tmp_path, declare=False, manager=manager, DOWNLOAD_BTN_RUNNER=request.param
    ) as site:
        yield site


def test_a_button_is_clicked_and_gives_the_ended_run(site: sites.Site):
    with site.app.app_context():
        btn = site.DownloadBtn(create_file_functions=makes, download_msg="Thank you")
        site.db.session.commit()

        ended = click(site.app.test_client(), btn, {"word": "form"})

    assert (ended.state, ended.message) == ("ready", "Thank you")
    (file,) = ended.files
    assert (file.name, file.size, file.read()) == ("file.txt", 4, b"form")
    assert str(file.type).startswith("text/plain")


def test_a_named_button_is_clicked_by_its_name(site: sites.Site):
    ended = click(site.app.test_client(), "greets", name="Ann")

    assert [file.read() for file in ended.files] == [b"Hello, Ann!"]


def test_a_failure_is_an_ended_run_too(site: sites.Site):
    with site.app.app_context():
        btn = site.DownloadBtn(create_file_functions=refuses)
        site.db.session.commit()
        ended = click(site.app.test_client(), btn)

    assert (ended.state, ended.message, ended.files) == ("failed", "Not today.", [])


def test_one_client_may_click_many_times(site: sites.Site):
    client = site.app.test_client()

    for name in ("Ann", "Bob", "Ann"):
        (file,) = click(client, "greets", name=name).files
        assert file.read() == f"Hello, {name}!".encode()


def test_two_clients_are_two_visitors(site: sites.Site):
    first, second = (site.app.test_client() for _ in range(2))

    ended = click(first, "greets", name="Ann")

    assert first.get(ended.snapshot["url"]).status_code == 200
    assert second.get(ended.snapshot["url"]).status_code == 404


def test_an_unknown_name_says_which_there_are(site: sites.Site):
    with pytest.raises(ConfigurationError, match=r"'greet'.*greets"):
        click(site.app.test_client(), "greet")


def test_a_file_that_cannot_be_fetched_is_an_error_of_the_test(site: sites.Site):
    (file,) = click(site.app.test_client(), "greets", name="Ann").files
    for path in site.stored_bytes():
        path.unlink()

    with pytest.raises(AssertionError, match=r"greeting\.txt.*410"):
        file.read()
