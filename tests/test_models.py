"""Test the two models as developers use them: attributes, lists of functions, what is refused."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import sites
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.ext.orderinglist import ordering_list

from flask_download_btn import (
    ConfigurationError,
    DownloadBtnManager,
    DownloadBtnMixin,
    File,
    FunctionMixin,
    LinkRefused,
    ReferenceRefused,
)
from flask_download_btn.testing import click

RUN_OF_ALL = ["one", "two", "three"]


def one(btn: Any) -> None: ...
def two(btn: Any) -> None: ...
def three(btn: Any) -> None: ...
def needs_year(btn: Any, year: int, *, month: int = 1) -> None: ...
def on_form(response: Any, btn: Any) -> None: ...


class Holder:
    def method(self, btn: Any) -> None: ...


@pytest.fixture
def site(tmp_path: Path) -> Iterator[sites.Site]:
    with sites.site(tmp_path, DOWNLOAD_BTN_RUNNER="inline") as site:
        yield site


@pytest.fixture
def db(site: sites.Site) -> Iterator[Any]:
    with site.app.app_context():
        yield site.db


def names(functions: Any) -> list[str]:
    return [function.func.__name__ for function in functions]


def saved(site: sites.Site, btn: Any) -> Any:
    """Save a button, forget what is in memory, and load it anew."""
    uid = btn.uid
    site.db.session.commit()
    site.db.session.remove()
    return site.parts.buttons.find(uid)


# -- a button ------------------------------------------------------------------------------------


def test_a_new_button_is_saved_without_being_added(site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    db.session.commit()

    assert db.session.query(site.DownloadBtn).one() is btn


def test_buttons_have_ids_that_nobody_guesses(site: sites.Site, db: Any):
    uids = {site.DownloadBtn().uid for _ in range(100)}

    assert len(uids) == 100
    assert all(len(uid) == 32 for uid in uids)


def test_a_new_button_can_be_shown_at_once(site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    assert btn.btn_text == "Download"
    assert btn.downloads == []
    assert btn.downloaded is False
    assert btn.callback is None


def test_attributes_can_be_given_at_once(site: sites.Site, db: Any):
    btn = saved(
        site,
        site.DownloadBtn(
            btn_text="Export",
            callback="/done",
            download_msg="Thank you",
            form_id="choices",
            cache="default",
            archive="all.zip",
            create_file_functions=one,
        ),
    )

    assert (btn.btn_text, btn.callback, btn.download_msg) == ("Export", "/done", "Thank you")
    assert (btn.form_id, btn.cache, btn.archive) == ("choices", "default", "all.zip")
    assert names(btn.create_file_functions) == ["one"]


def test_an_unknown_attribute_is_refused_at_once(site: sites.Site, db: Any):
    with pytest.raises(TypeError, match="colour"):
        site.DownloadBtn(colour="red")


@pytest.mark.parametrize(
    "name", ["btn_attrs", "progress_attrs", "progress_bar_attrs", "progress_text_attrs"]
)
def test_html_attributes_are_edited_in_place_and_saved(name: str, site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn())

    getattr(btn, name)["data"] = {"colour": "red"}
    btn = saved(site, btn)
    getattr(btn, name)["data"]["colour"] = "blue"
    btn = saved(site, btn)

    assert getattr(btn, name)["data"] == {"colour": "blue"}


def test_a_class_is_appended_in_place_and_saved(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn())

    btn.btn_attrs["class"].append("btn-lg")
    btn = saved(site, btn)

    assert btn.btn_attrs["class"] == ["btn", "btn-primary", "btn-lg"]


def test_downloads_are_edited_in_place_and_saved(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(downloads=["/a.pdf"]))

    btn.downloads.append(("https://example.org/b.pdf", "b.pdf"))
    btn = saved(site, btn)

    assert list(btn.downloads) == ["/a.pdf", ("https://example.org/b.pdf", "b.pdf")]


@pytest.mark.parametrize("value", ["/a.pdf", ("/a.pdf", "a.pdf")])
def test_one_download_becomes_a_list(value: Any, site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(downloads=value))

    assert list(btn.downloads) == [value]


@pytest.mark.parametrize(
    "value", ["javascript:alert(1)", "//elsewhere.example/a", r"/\elsewhere.example", 17, None]
)
def test_nonsense_among_downloads_is_refused_there_and_then(value: Any, site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    with pytest.raises((LinkRefused, TypeError)):
        btn.downloads = [value]
    with pytest.raises((LinkRefused, TypeError)):
        btn.downloads.append(value)


@pytest.mark.parametrize("value", [7, b"bytes", {"/a.pdf": "a.pdf"}, BytesIO(b"content")])
def test_what_is_no_list_of_downloads_is_refused_there_and_then(
    value: Any, site: sites.Site, db: Any
):
    btn = site.DownloadBtn()

    with pytest.raises(TypeError, match=r"cannot be downloaded\. A download is a URL"):
        btn.downloads = value


def test_a_data_url_that_holds_too_much_is_refused_where_it_is_assigned(tmp_path: Path):
    with (
        sites.site(tmp_path, DOWNLOAD_BTN_DATA_URL_LIMIT=4) as site,
        site.app.app_context(),
    ):
        btn = site.DownloadBtn(downloads=[("data:,1234", "four.txt")])
        for url in ("data:,12345", ("data:;base64,MTIzNDU=", "five.txt")):
            with pytest.raises(LinkRefused, match=r"5 bytes.*DOWNLOAD_BTN_DATA_URL_LIMIT"):
                btn.downloads = [url]
        site.db.session.rollback()


def test_a_limit_that_was_lowered_refuses_nothing_that_is_there(tmp_path: Path):
    with sites.site(tmp_path, DOWNLOAD_BTN_RUNNER="inline") as site:
        uid = site.button(one, downloads=[("data:,12345", "five.txt")])
    with sites.site(tmp_path, DOWNLOAD_BTN_RUNNER="inline") as site:
        assert site.visitor().click(uid).files[0].read() == b"12345"
    with sites.site(tmp_path, DOWNLOAD_BTN_RUNNER="inline", DOWNLOAD_BTN_DATA_URL_LIMIT=4) as site:
        assert site.visitor().click(uid).files[0].read() == b"12345"


def test_models_are_used_in_an_app_without_a_manager_too(site: sites.Site):
    other = Flask("another")
    other.config["SQLALCHEMY_DATABASE_URI"] = site.app.config["SQLALCHEMY_DATABASE_URI"]
    site.db.init_app(other)
    with other.app_context():
        site.DownloadBtn(downloads=["data:,12345"])
        site.db.session.commit()
        site.db.engine.dispose()


def test_a_name_of_an_archive_is_one_that_every_system_and_database_takes(
    site: sites.Site, db: Any
):
    btn = saved(site, site.DownloadBtn(archive="../a\0b/" + "c" * 300 + ".zip"))

    assert btn.archive.startswith("ab_ccc")
    assert btn.archive.endswith("c.zip")
    assert len(btn.archive.encode()) <= 240


@pytest.mark.parametrize("name", ["btn_text", "download_msg", "form_id"])
def test_bytes_are_no_text(name: str, site: sites.Site, db: Any):
    with pytest.raises(TypeError, match=f"'{name}' takes a str, not bytes"):
        site.DownloadBtn(**{name: b"text"})


def test_a_file_is_refused_outside_of_a_run_with_the_way_out(site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    with pytest.raises(ConfigurationError, match=r"'a\.txt'.*create-file function"):
        btn.downloads = [File(b"", "a.txt")]


def test_temporary_downloads_are_refused_outside_of_a_run(site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    with pytest.raises(ConfigurationError, match="belong to one run"):
        btn.tmp_downloads = ["/a.pdf"]


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "//elsewhere.example", "https:\\\\elsewhere.example", "\t//x"]
)
def test_a_dangerous_callback_is_refused_where_it_is_assigned(url: str, site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    with pytest.raises(LinkRefused, match="callback"):
        btn.callback = url


def test_an_unknown_cache_mode_is_refused_with_those_there_are(site: sites.Site, db: Any):
    with pytest.raises(ValueError, match=r"'forever'.*no-store.*force-cache"):
        site.DownloadBtn().cache = "forever"


def test_clearing_the_csrf_token_changes_the_revision(site: sites.Site, db: Any):
    btn = site.DownloadBtn()
    before = btn.revision

    btn.clear_csrf()

    assert btn.revision != before


def test_ids_of_elements_differ_from_button_to_button(site: sites.Site, db: Any):
    first, second = site.DownloadBtn(), site.DownloadBtn()

    assert first.get_id("btn") != first.get_id("progress")
    assert first.get_id("btn") != second.get_id("btn")


def test_progress_outside_of_a_run_goes_nowhere(site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    assert btn.reset("Reading", 0) == ("Reading", 0)
    assert btn.report("Reading", 42.0) == ("Reading", 42.0)
    assert list(btn.track([1, 2], "Reading")) == [1, 2]


def test_outside_of_an_app_context_it_says_so(site: sites.Site):
    with site.app.app_context():
        btn = site.DownloadBtn()

    with pytest.raises(ConfigurationError, match="app_context"):
        btn.render_btn()


# -- lists of functions --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [one, [one], (one,), iter([one])])
def test_bare_callables_become_functions(value: Any, site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    btn.create_file_functions = value

    assert isinstance(btn.create_file_functions[0], site.Function)
    assert names(saved(site, btn).create_file_functions) == ["one"]


def test_one_function_becomes_a_list(site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    btn.create_file_functions = site.Function(needs_year, 2026, month=2)

    assert names(saved(site, btn).create_file_functions) == ["needs_year"]


def test_functions_keep_their_order(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[three, one, two]))

    assert names(btn.create_file_functions) == ["three", "one", "two"]


def test_a_reordered_list_is_saved_in_its_new_order(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[one, two, three]))

    btn.create_file_functions = list(reversed(btn.create_file_functions))

    assert names(saved(site, btn).create_file_functions) == ["three", "two", "one"]


@pytest.mark.parametrize("way", ["reverse", "sort"])
def test_a_list_is_put_in_order_in_place_and_saved(way: str, site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[two, one, three]))

    if way == "reverse":
        btn.create_file_functions.reverse()
    else:
        btn.create_file_functions.sort(key=lambda f: RUN_OF_ALL.index(f.func.__name__))

    expected = ["three", "one", "two"] if way == "reverse" else RUN_OF_ALL
    assert names(saved(site, btn).create_file_functions) == expected


def test_a_function_is_inserted_where_it_belongs(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[one, three]))

    btn.create_file_functions.insert(1, site.Function(two))

    assert names(saved(site, btn).create_file_functions) == RUN_OF_ALL


def test_a_bare_callable_can_be_appended_inserted_and_set(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[one]))

    btn.create_file_functions.append(three)
    btn.create_file_functions.insert(1, two)
    assert names(saved(site, btn).create_file_functions) == RUN_OF_ALL


def test_a_function_can_be_replaced_in_place(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[one, two]))

    btn.create_file_functions[0] = site.Function(three)

    assert names(saved(site, btn).create_file_functions) == ["three", "two"]


@pytest.mark.parametrize("way", ["clear", "assign"])
def test_a_cleared_list_stays_empty(way: str, site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[one, two]))

    if way == "clear":
        btn.create_file_functions.clear()
    else:
        btn.create_file_functions = []

    assert saved(site, btn).create_file_functions == []


def test_a_function_that_leaves_its_list_leaves_the_database(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[one, two, three]))
    other = site.DownloadBtn(create_file_functions=[one])
    alone = site.Function(two)
    db.session.add(alone)
    db.session.commit()

    other.create_file_functions.append(btn.create_file_functions.pop(0))
    btn.create_file_functions.pop()
    db.session.commit()
    assert db.session.query(site.Function).count() == 4

    last = btn.create_file_functions.pop()
    db.session.flush()
    btn.create_file_functions.append(last)
    db.session.commit()
    assert names(btn.create_file_functions) == ["two"]

    btn.create_file_functions = []
    db.session.commit()
    assert names(other.create_file_functions) == ["one", "one"]
    assert db.session.query(site.Function).count() == 3


def test_a_list_extended_keeps_its_order(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[one]))

    btn.create_file_functions.extend([site.Function(two), site.Function(three)])

    assert names(saved(site, btn).create_file_functions) == RUN_OF_ALL


def test_the_two_lists_are_apart(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[one], handle_form_functions=on_form))

    assert names(btn.create_file_functions) == ["one"]
    assert names(btn.handle_form_functions) == ["on_form"]


def test_functions_go_with_their_button(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=[one, two]))

    db.session.delete(btn)
    db.session.commit()

    assert db.session.query(site.Function).count() == 0


@pytest.mark.parametrize("value", [17, "one", [17], ["one"]])
def test_what_is_no_function_is_refused_there_and_then(value: Any, site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    with pytest.raises(TypeError, match="create_file_functions"):
        btn.create_file_functions = value


def test_arguments_that_do_not_fit_are_refused_there_and_then(site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    with pytest.raises(ReferenceRefused, match=r"needs_year.*'year'"):
        btn.create_file_functions = [needs_year]
    with pytest.raises(ReferenceRefused, match=r"needs_year.*'day'"):
        btn.create_file_functions = [site.Function(needs_year, 2026, day=1)]


@pytest.mark.parametrize(
    "refused",
    [needs_year, lambda btn: None, Holder().method, 17],
    ids=["call", "name", "kind", "17"],
)
def test_what_is_refused_is_said_with_its_button(refused: Any, site: sites.Site, db: Any):
    btn = site.DownloadBtn(btn_text="Export orders")

    with pytest.raises((ReferenceRefused, TypeError), match="Export orders") as caught:
        btn.create_file_functions = [refused]

    assert "'create_file_functions'" in str(caught.value)
    assert btn.uid in str(caught.value)


def test_a_form_function_is_checked_with_both_its_arguments(site: sites.Site, db: Any):
    btn = site.DownloadBtn()

    with pytest.raises(ReferenceRefused, match=r"one\(response, btn\)"):
        btn.handle_form_functions = [one]


# -- a function ----------------------------------------------------------------------------------


def test_arguments_come_back_as_they_were(site: sites.Site, db: Any):
    given = {
        "year": (2026, [b"\x00bytes", {"deep": date(2026, 11, 21)}]),
        "month": {UUID(int=7), Decimal("1.10")},
    }
    btn = saved(site, site.DownloadBtn(create_file_functions=site.Function(needs_year, **given)))

    assert btn.create_file_functions[0].kwargs == given


def test_arguments_can_be_set_later(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=site.Function(needs_year, 2025)))

    btn.create_file_functions[0].args = (2026,)
    btn.create_file_functions[0].kwargs = {"month": 3}
    (function,) = saved(site, btn).create_file_functions

    assert (function.args, dict(function.kwargs)) == ((2026,), {"month": 3})


def test_arguments_edited_in_place_are_refused_rather_than_lost(site: sites.Site, db: Any):
    function = site.Function(needs_year, 2026, month=1)

    with pytest.raises(TypeError):
        function.kwargs["month"] = 2
    with pytest.raises(AttributeError):
        function.args.append(1)


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (lambda btn: None, "lambda"),
        (Holder().method, "method"),
        (print, "btn|builtin|Python"),
        (Holder, "class|function"),
    ],
    ids=["lambda", "method", "builtin", "class"],
)
def test_what_has_no_name_of_its_own_is_refused_with_the_reason(
    refused: Any, reason: str, site: sites.Site, db: Any
):
    with pytest.raises(ReferenceRefused, match=reason):
        site.Function(refused)


def test_a_nested_function_is_refused_with_the_reason(site: sites.Site, db: Any):
    def nested(btn: Any) -> None: ...

    with pytest.raises(ReferenceRefused, match="nested"):
        site.DownloadBtn(create_file_functions=nested)


def test_an_argument_that_cannot_be_stored_is_named(site: sites.Site, db: Any):
    with pytest.raises(ReferenceRefused, match=r"month.*needs_year|needs_year.*month"):
        site.Function(needs_year, 2026, month=object())


def test_an_edited_row_is_not_signed_again_by_loading_and_saving(site: sites.Site, db: Any):
    btn = saved(site, site.DownloadBtn(create_file_functions=site.Function(needs_year, 2026)))
    table = site.Function.__table__
    db.session.execute(table.update().values(arguments=table.c.arguments + " "))
    db.session.commit()
    (function,) = site.parts.buttons.find(btn.uid).create_file_functions

    function.index = 5
    db.session.commit()

    step = function.step()
    assert not site.parts.tokens.is_row_signed(
        step["signature"], step["function"], step["arguments"]
    )


# -- models of the app's own ---------------------------------------------------------------------


def test_relationships_written_as_documented_do_the_same(tmp_path: Path):
    def declare(app: Any, db: Any) -> None:
        @DownloadBtnManager.register
        class DownloadBtn(DownloadBtnMixin, db.Model):
            id = db.Column(db.Integer, primary_key=True)
            create_file_functions = db.relationship(
                "Function",
                order_by="Function.index",
                collection_class=ordering_list("index"),
                foreign_keys="Function.create_file_id",
            )

        class Function(FunctionMixin, db.Model):
            id = db.Column(db.Integer, primary_key=True)
            create_file_id = db.Column(db.Integer, db.ForeignKey("download_btn.id"))

    with sites.site(tmp_path, declare=False, prepare=declare) as site, site.app.app_context():
        btn = saved(site, site.DownloadBtn(create_file_functions=[two, one]))
        btn.create_file_functions = list(reversed(btn.create_file_functions))

        assert names(saved(site, btn).create_file_functions) == ["one", "two"]


def test_models_may_inherit_from_the_registered_one(tmp_path: Path):
    with sites.site(tmp_path) as site:

        @DownloadBtnManager.register
        class ReportBtn(site.DownloadBtn): ...  # type: ignore[misc, name-defined]

        @DownloadBtnManager.register
        class ExportBtn(site.DownloadBtn): ...  # type: ignore[misc, name-defined]


def test_a_second_button_model_is_refused_by_name(tmp_path: Path):
    with sites.site(tmp_path) as site:
        db: Any = site.db

        with pytest.raises(ConfigurationError, match="'DownloadBtn' and 'OtherBtn'"):

            @DownloadBtnManager.register
            class OtherBtn(DownloadBtnMixin, db.Model):
                id = db.Column(db.Integer, primary_key=True)
                create_file_functions = db.relationship(
                    "Function", foreign_keys="Function.create_file_id", viewonly=True
                )
                handle_form_functions = db.relationship(
                    "Function", foreign_keys="Function.handle_form_id", viewonly=True
                )


def test_models_may_have_tables_and_keys_of_the_apps_choice(tmp_path: Path):
    def declare(app: Any, db: Any) -> None:
        @DownloadBtnManager.register
        class Export(DownloadBtnMixin, db.Model):
            __tablename__ = "exports"
            number = db.Column(db.Integer, primary_key=True)

        class Function(FunctionMixin, db.Model):
            __tablename__ = "export_steps"
            key = db.Column(db.Integer, primary_key=True)

    with sites.site(tmp_path, declare=False, prepare=declare) as site, site.app.app_context():
        btn = saved(site, site.DownloadBtn(create_file_functions=[two, one]))

        assert names(btn.create_file_functions) == ["two", "one"]
        assert site.DownloadBtn.__tablename__ == "exports"


def test_an_app_that_declares_no_models_gets_them(tmp_path: Path):
    with sites.site(tmp_path, declare=False) as site, site.app.app_context():
        btn = saved(site, site.DownloadBtn(create_file_functions=[two, one]))

        assert names(btn.create_file_functions) == ["two", "one"]


def test_models_declared_in_a_factory_are_not_collected(tmp_path: Path):
    def declare(app: Any, db: Any) -> None:
        @DownloadBtnManager.register
        class DownloadBtn(DownloadBtnMixin, db.Model):
            id = db.Column(db.Integer, primary_key=True)

        class Function(FunctionMixin, db.Model):
            id = db.Column(db.Integer, primary_key=True)

        del DownloadBtn, Function
        gc.collect()

    with sites.site(tmp_path, declare=False, prepare=declare) as site:
        assert site.Function.__tablename__ == "function"


def says_its_class(btn: Any) -> File:
    return File(f"{type(btn).__name__} {btn.color}".encode(), "class.txt")


def test_a_function_gets_a_button_of_its_own_class(tmp_path: Path):
    app, db = Flask(__name__, instance_path=str(tmp_path)), SQLAlchemy()
    app.config.update(SECRET_KEY="k" * 32, SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/app.db")
    app.config["DOWNLOAD_BTN_RUNNER"] = "inline"

    @DownloadBtnManager.register
    class AnyBtn(DownloadBtnMixin, db.Model):  # type: ignore[misc, name-defined]
        id = db.Column(db.Integer, primary_key=True)
        kind = db.Column(db.String(10))
        __mapper_args__ = {"polymorphic_on": kind, "polymorphic_identity": "any"}  # noqa: RUF012

    class ColoredBtn(AnyBtn):
        id = db.Column(db.ForeignKey(AnyBtn.id), primary_key=True)
        color = db.Column(db.String(10))
        __mapper_args__ = {"polymorphic_identity": "colored"}  # noqa: RUF012

    class Function(FunctionMixin, db.Model):  # type: ignore[misc, name-defined]
        id = db.Column(db.Integer, primary_key=True)

    db.init_app(app)
    DownloadBtnManager(app, db=db)
    with app.app_context():
        db.create_all()
        btn = ColoredBtn(color="red", create_file_functions=says_its_class)
        db.session.commit()
        ended = click(app.test_client(), btn)
        db.engine.dispose()

    assert ended.files[0].read() == b"ColoredBtn red"
