"""Test the spot of a button that its view makes anew: what is the same, and what is another."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from random import choices
from string import ascii_letters
from typing import Any, ClassVar

import pytest
from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import event
from sqlalchemy.orm import Mapped, mapped_column

from flask_download_btn import DownloadBtnManager, DownloadBtnMixin, FunctionMixin
from flask_download_btn.spots import spot_of

NUMBERS = itertools.count()


def export(btn, year):
    return None


def check(response, btn):
    pass


class Models:
    """An app whose buttons have columns of its own."""

    def __init__(self, folder: Path) -> None:
        self.app = Flask(__name__, instance_path=str(folder))
        self.app.config.update(
            SECRET_KEY="a secret that nobody guesses", SQLALCHEMY_DATABASE_URI="sqlite:///spots.db"
        )
        self.db = db = SQLAlchemy(self.app)
        self.manager = DownloadBtnManager(self.app, db=db)

        @DownloadBtnManager.register
        class DownloadBtn(DownloadBtnMixin, db.Model):  # type: ignore[misc, name-defined]
            id: Mapped[int] = mapped_column(primary_key=True)
            customer: Mapped[str | None]
            number: Mapped[int] = mapped_column(default=lambda: next(NUMBERS))
            kind: Mapped[str] = mapped_column(default="button")
            __mapper_args__: ClassVar = {"polymorphic_on": "kind", "polymorphic_identity": "button"}

        class OtherBtn(DownloadBtn):
            __mapper_args__: ClassVar = {"polymorphic_identity": "other"}

        class Function(FunctionMixin, db.Model):  # type: ignore[misc, name-defined]
            id: Mapped[int] = mapped_column(primary_key=True)

        self.DownloadBtn, self.OtherBtn, self.Function = DownloadBtn, OtherBtn, Function
        with self.app.app_context():
            db.create_all()

    def button(self, *, model: Any = None, year: Any = 2026, **attributes: Any) -> Any:
        btn = (model or self.DownloadBtn)(**{"btn_text": "Export", **attributes})
        btn.create_file_functions = [self.Function(export, year=year)]
        self.db.session.commit()
        return btn

    def spot(self, path: str = "/orders", base_url: str = "http://acme.test", **values: Any) -> str:
        with self.app.test_request_context(path, base_url=base_url):
            return spot_of(self.button(**values))


@pytest.fixture
def models(tmp_path: Path) -> Iterator[Models]:
    models = Models(tmp_path)
    yield models
    with models.app.app_context():
        models.db.engine.dispose()


def test_a_button_made_anew_has_the_spot_of_the_one_before(models: Models):
    assert models.spot()
    assert models.spot() == models.spot(btn_attrs={"class": ["btn", "wide"]})


@pytest.mark.parametrize(
    "change",
    [
        {"path": "/orders?page=2"},
        {"path": "/customers"},
        {"base_url": "http://beta.test"},
        {"base_url": "http://acme.test/shop"},
        {"btn_text": "Export all"},
        {"form_id": "filter"},
        {"year": 2025},
        {"callback": "/thanks"},
        {"download_msg": "Here you are."},
        {"archive": "all.zip"},
        {"customer": "beta"},
        {"downloads": ["/report.pdf"]},
        {"handle_form_functions": [check]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_page_or_another_button_is_another_spot(models: Models, change: dict[str, Any]):
    assert models.spot(**change) != models.spot()
    assert models.spot(**change) == models.spot(**change)


def test_an_argument_that_is_content_makes_no_difference(models: Models):
    drafts = [models.spot(year=choices(ascii_letters, k=400)) for _ in range(2)]

    assert drafts[0] == drafts[1]
    assert models.spot(year=[1, 2, 3]) != models.spot(year=[1, 2])


def test_another_model_is_another_spot(models: Models):
    assert models.spot(model=models.OtherBtn) != models.spot()


def test_like_buttons_of_a_page_are_told_apart_by_their_order(models: Models):
    with models.app.test_request_context("/orders"):
        buttons = [models.button() for _ in range(3)]
        spots = [spot_of(btn) for btn in buttons]
        assert [spot_of(btn) for btn in buttons] == spots

    assert len(set(spots)) == 3


def test_each_request_counts_by_itself(models: Models):
    with models.app.app_context():
        with models.app.test_request_context("/orders"):
            first = spot_of(models.button())
        with models.app.test_request_context("/orders"):
            assert spot_of(models.button()) == first


def test_an_address_that_is_no_text_has_a_spot(models: Models):
    query = {"QUERY_STRING": b"q=\xe9".decode("latin-1")}
    with models.app.test_request_context("/orders", environ_overrides=query):
        assert spot_of(models.button())


def test_a_button_that_was_kept_has_no_spot(models: Models):
    with models.app.test_request_context("/orders"):
        uid = models.button().uid
        models.db.session.expunge_all()
        assert spot_of(models.db.session.query(models.DownloadBtn).filter_by(uid=uid).one()) == ""


def test_to_name_a_spot_asks_the_database_nothing(models: Models):
    statements: list[str] = []
    with models.app.test_request_context("/orders"):
        btn = models.button()
        assert btn.uid
        event.listen(
            models.db.engine, "before_cursor_execute", lambda *args: statements.append(args[2])
        )
        assert spot_of(btn)

    assert not statements


def test_a_button_is_rendered_after_its_session_was_closed(models: Models):
    with models.app.test_request_context("/orders"):
        models.db.session().expire_on_commit = False
        btn = models.button()
        models.db.session.close()
        html = render_template_string("{{ btn }}", btn=btn)

    assert "data-spot" in html
