"""Test the words: every language has them all, and an app's own come first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from flask_babel import Babel
from flask_sqlalchemy import SQLAlchemy

from flask_download_btn import ConfigurationError, DownloadBtnManager, File
from flask_download_btn.texts import TEXTS, progress_text, size_text, time_left_text
from flask_download_btn.words import Words, shipped_languages

SEEN: list[str] = []


def test_five_languages_are_shipped():
    assert sorted(shipped_languages()) == ["de", "en", "es", "fr", "it"]


@pytest.mark.parametrize("language", shipped_languages())
def test_a_language_has_all_words_with_the_same_placeholders(language: str):
    words = Words({}, "en").of(language)

    assert words.keys() == TEXTS.keys()
    for key, text in words.items():
        assert placeholders(text) == placeholders(TEXTS[key]), key


@pytest.mark.parametrize("language", [name for name in shipped_languages() if name != "en"])
def test_a_language_leaves_nothing_in_english(language: str):
    words = Words({}, "en").of(language)

    same = {key for key, text in words.items() if text == TEXTS[key]}

    assert same <= {"archive_name", "files", "size_units", "percent", "stage_percent"}


@pytest.mark.parametrize(
    ("language", "cancel"), [("de_AT", "Abbrechen"), ("fr-CA", "Annuler"), ("xx", "Cancel")]
)
def test_a_language_reads_its_nearest_kin(language: str, cancel: str):
    assert Words({}, "en").of(language)["cancel"] == cancel


def test_an_app_has_words_of_its_own_for_all_languages_and_for_one():
    words = Words({"retry": "Again!", "nl": {"cancel": "Annuleren"}}, "en")

    assert words.of("de")["retry"] == "Again!"
    assert words.of("nl")["cancel"] == "Annuleren"
    assert words.of("nl")["starting"] == TEXTS["starting"]


@pytest.mark.parametrize(
    ("language", "progress", "size"),
    [
        ("en", "Rows: 42%", "3.4 MB"),
        ("de", "Rows: 42\u00a0%", "3,4\u00a0MB"),
        ("fr", "Rows\u00a0: 42\u202f%", "3,4\u00a0Mo"),
        ("it", "Rows: 42%", "3,4\u00a0MB"),
    ],
)
def test_numbers_are_written_as_the_language_writes_them(language: str, progress: str, size: str):
    words = Words({}, "en").of(language)

    assert progress_text("Rows", 42.7, words) == progress
    assert progress_text("Rows", None, words) == "Rows"
    assert size_text(3_400_000, words) == size
    assert "3" in time_left_text(180, words)


def test_a_brace_that_belongs_to_no_placeholder_is_refused_at_start():
    with pytest.raises(ValueError, match="'percent' has a brace that belongs to no"):
        Words({"percent": "{percent"}, "en")


def test_a_default_language_without_words_is_refused_with_what_there_is():
    with pytest.raises(ConfigurationError, match="'xx', of which there are no words"):
        Words({}, "xx")


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Flask]:
    app = Flask(__name__)
    app.config.update(
        SECRET_KEY="a long and random value",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path / 'app.db'}",
        DOWNLOAD_BTN_RUNNER="inline",
        DOWNLOAD_BTN_LANGUAGE="de",
    )
    db = SQLAlchemy(app)
    manager = DownloadBtnManager(app, db)

    @manager.button()
    def break_down(btn):
        raise RuntimeError("for the log")

    @manager.button()
    def write(btn):
        btn.report("Zeilen", 42.7)
        SEEN.append(app.extensions["download_btn_manager"].pictures.of(btn.run)["text"])
        return File(b"." * 3400, "rows.txt")

    @app.get("/")
    @app.get("/<name>")
    def page(name: str = "break_down"):
        return str(app.extensions["download_btn_manager"].html(name).__html__())

    with app.app_context():
        db.create_all()
    yield app
    with app.app_context():
        db.engine.dispose()


def start(client: FlaskClient, page: str) -> dict[str, Any]:
    token = re.search(r'name="download_btn_token" value="([^"]+)"', page)
    assert token
    answer = client.post(
        "/download-btn/start",
        data={"download_btn_token": token[1]},
        headers={"Accept": "application/json"},
    )
    return answer.json


def test_a_page_and_its_runs_speak_the_language_that_is_set(app: Flask):
    client = app.test_client()
    page = client.get("/").text

    assert "Abbrechen" in page
    assert start(client, page)["message"].startswith("Etwas ist schiefgegangen")
    ended = start(client, client.get("/write").text)
    assert SEEN.pop() == "Zeilen: 42\u00a0%"
    assert ended["files"][0]["size_text"] == "3,4\u00a0kB"


def test_flask_babel_says_the_language_where_an_app_uses_it(app: Flask):
    Babel(app, locale_selector=lambda: request.args.get("lang", "en"))
    client = app.test_client()

    assert "Annuler" in client.get("/?lang=fr").text
    assert "Annulla" in client.get("/?lang=it").text


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))
