"""Test what a form function may say of a form's fields, and how it reaches the visitor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_sqlalchemy import SQLAlchemy
from wtforms import Form, FormField, IntegerField
from wtforms.validators import AnyOf

from flask_download_btn import DownloadBtnManager, DownloadError


class Inner(Form):  # type: ignore[misc]
    street = IntegerField("Street", [AnyOf([1], "No such street.")])


class Outer(Form):  # type: ignore[misc]
    year = IntegerField("Year", [AnyOf([2026], "No such year.")])
    address = FormField(Inner)


@pytest.mark.parametrize(
    ("fields", "errors"),
    [
        (None, {}),
        ({"year": "No."}, {"year": "No."}),
        ({"year": ["No.", "Never."], "shop": ()}, {"year": "No. Never."}),
        ({"lines": [[], ["Too long."]]}, {"lines-1": "Too long."}),
        ({None: ["Of the form."], "year": ["No."]}, {"year": "No."}),
    ],
)
def test_a_field_has_one_text(fields: Any, errors: dict[str, str]):
    assert DownloadError("Look again.", fields=fields).errors == errors


def test_the_errors_of_a_wtforms_form_have_the_names_of_its_fields_in_the_page():
    form = Outer()
    form.validate()

    errors = DownloadError(fields=form.errors).errors

    assert errors == {"year": "No such year.", "address-street": "No such street."}
    assert errors.keys() <= {form.year.name, form.address.form.street.name}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[FlaskClient]:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="a long and random value")
    app.config["SQLALCHEMY_DATABASE_URI"] = f"sqlite:///{tmp_path / 'app.db'}"
    db = SQLAlchemy(app)
    manager = DownloadBtnManager(app, db)

    def refuse(response, btn):
        raise DownloadError("Look again.", fields={"year": "<b>No</b> such year."})

    @manager.button(form=refuse)
    def export(btn):
        raise AssertionError("it was started")

    @app.get("/")
    def page():
        return str(app.jinja_env.globals["download_btn"]("export").render_btn())

    with app.app_context():
        db.create_all()
    yield app.test_client()
    with app.app_context():
        db.engine.dispose()


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_an_answer_says_them_to_a_script_and_to_a_person(client: FlaskClient, accept: str):
    token = re.search(r'value="([^"]+)"', client.get("/").text)
    assert token

    answer = client.post(
        "/download-btn/start",
        data={"download_btn_token": token[1]},
        headers={"Accept": accept},
    )

    assert answer.status_code == 422
    if accept == "text/html":
        assert "&lt;b&gt;No&lt;/b&gt; such year." in answer.text
    else:
        assert answer.json["errors"] == {"year": "<b>No</b> such year."}
        assert answer.json["message"] == "Look again."
