"""Test the doors: who may start, look, cancel and fetch, and what everybody else is told."""

from __future__ import annotations

import gzip
import logging
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import sites
from flask import Flask, g, session
from flask_socketio import SocketIO
from processes import wait_until
from shortages import no_more_files
from wire import WireVisitor

from flask_download_btn import (
    ConfigurationError,
    DownloadBtnManager,
    DownloadError,
    File,
    file_downloaded,
)

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SORRY = "Something went wrong. Please try again."
GATES: defaultdict[str, threading.Event] = defaultdict(threading.Event)
SEEN: list[Any] = []


def makes(btn: Any) -> Iterator[Any]:
    yield ("Making", 50)
    yield File(btn.run.form.get("word", "nothing").encode(), "file.txt")


def waits(btn: Any, gate: str = "gate") -> Iterator[Any]:
    SEEN.append(gate)
    while not GATES[gate].wait(0.01):
        yield ("Waiting", 42)
    yield File(b"waited", "waited.txt")


def makes_two(btn: Any) -> Iterator[Any]:
    yield File(b"one", "one.txt")
    yield File(b"two", "two.txt")


def word_of(btn: Any, word: str) -> File:
    return File(word.encode(), "word.txt")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sites.Site]:
    with sites.site(tmp_path_factory.mktemp("views"), DOWNLOAD_BTN_MAX_LIVE=3) as site:
        yield site


@pytest.fixture
def site(shared: sites.Site) -> Iterator[sites.Site]:
    SEEN.clear()
    GATES.clear()
    yield shared
    for gate in GATES.values():
        gate.set()
    wait_until(lambda: not len(shared.parts.lives), "A run does not end")


@pytest.fixture
def ann(site: sites.Site) -> sites.Visitor:
    return site.visitor()


@pytest.fixture
def bob(site: sites.Site) -> sites.Visitor:
    bob = site.visitor()
    bob.token(site.button(makes))
    return bob


def running(site: sites.Site, visitor: sites.Visitor, gate: str = "gate") -> Any:
    """Start a run that waits, and return its picture."""
    picture = visitor.start(visitor.token(site.button((waits, {"gate": gate})))).get_json()
    wait_until(lambda: gate in SEEN, "It does not begin")
    return picture


def ended(site: sites.Site, visitor: sites.Visitor, *functions: Any, **attributes: Any) -> Any:
    token = visitor.token(site.button(*(functions or (makes,)), **attributes))
    return visitor.ended(visitor.start(token).get_json())


# -- start ---------------------------------------------------------------------------------------


def test_a_quick_run_is_answered_at_once_and_ready(tmp_path: Path):
    with sites.site(tmp_path, DOWNLOAD_BTN_RUNNER="inline") as site:
        visitor = site.visitor()
        answer = visitor.start(visitor.token(site.button(makes)), {"word": "form"})

        picture = answer.get_json()
        assert (answer.status_code, picture["state"]) == (200, "ready")
        assert visitor.fetch(picture["files"][0]).data == b"form"
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["get", "head"])
def test_nothing_is_started_by_a_get(method: str, site: sites.Site, ann: sites.Visitor):
    token = ann.token(site.button(makes))
    before = len(site.runs())

    answer = getattr(ann.client, method)(f"/download-btn/start?download_btn_token={token}")

    assert answer.status_code == 405
    assert len(site.runs()) == before


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 100_000, "\x00", "é.ü"])
def test_a_forged_token_starts_nothing(token: str, site: sites.Site, ann: sites.Visitor):
    ann.token(site.button(makes))
    before = len(site.runs())

    answer = ann.start(token)

    assert answer.status_code == 403
    assert answer.get_json()["state"] == "failed"
    assert answer.get_json()["message"]
    assert len(site.runs()) == before


def test_a_click_without_a_token_starts_nothing(site: sites.Site, ann: sites.Visitor):
    ann.token(site.button(makes))

    assert ann.client.post("/download-btn/start", headers=sites.JSON).status_code == 403


def test_a_token_of_somebody_else_starts_nothing(
    site: sites.Site, ann: sites.Visitor, bob: sites.Visitor
):
    token = ann.token(site.button(makes))
    before = len(site.runs())

    for other in (bob, site.visitor()):
        assert other.start(token).status_code == 403

    assert len(site.runs()) == before


def test_a_token_of_another_purpose_starts_nothing(site: sites.Site, ann: sites.Visitor):
    picture = ended(site, ann)

    assert ann.start(picture["run"]).status_code == 403


def test_a_page_that_is_too_old_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import time

    with sites.site(tmp_path) as site:
        visitor = site.visitor()
        token = visitor.token(site.button(makes))
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 25 * 3600)

        answer = visitor.start(token)

    assert answer.status_code == 403
    assert "Load it again" in answer.get_json()["message"]
    monkeypatch.undo()


def test_a_revoked_button_starts_nothing(site: sites.Site, ann: sites.Visitor):
    uid = site.button(makes)
    token = ann.token(uid)

    with site.row(uid) as btn:
        btn.clear_csrf()

    assert ann.start(token).status_code == 403
    assert ann.start(ann.token(uid)).status_code == 200


def test_a_button_whose_row_is_gone_says_so(site: sites.Site, ann: sites.Visitor):
    uid = site.button(makes)
    token = ann.token(uid)
    with site.row(uid) as btn:
        site.db.session.delete(btn)

    answer = ann.start(token)

    assert answer.status_code == 404
    assert "no longer there" in answer.get_json()["message"]


def test_a_row_that_goes_while_its_run_waits_fails_the_run(tmp_path: Path):
    with sites.site(tmp_path, DOWNLOAD_BTN_MAX_RUNNING=1) as site:
        visitor = site.visitor()
        first = visitor.start(visitor.token(site.button((waits, {"gate": "row"})))).get_json()
        uid = site.button(makes)
        visitor.start(visitor.token(uid))
        with site.row(uid) as btn:
            site.db.session.delete(btn)
        GATES["row"].set()
        visitor.ended(first)

        wait_until(lambda: all(not run.is_live for run in site.runs()), "It does not end")
        assert sorted(run.state for run in site.runs()) == ["failed", "ready"]


def test_a_request_from_another_site_starts_nothing(site: sites.Site, ann: sites.Visitor):
    token = ann.token(site.button(makes))

    answer = ann.start(token, headers={**sites.JSON, "Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403


def test_a_form_that_is_too_large_is_refused(tmp_path: Path):
    with sites.site(tmp_path, DOWNLOAD_BTN_MAX_FORM_BYTES=1000) as site:
        visitor = site.visitor()
        token = visitor.token(site.button(makes))

        assert visitor.start(token, {"word": "x" * 2000}).status_code == 413
        assert visitor.start(token, {"word": "x"}).status_code == 200


def test_a_double_click_is_one_run(site: sites.Site, ann: sites.Visitor):
    token = ann.token(site.button((waits, {"gate": "double"})))

    pictures = [ann.start(token).get_json() for _ in range(3)]

    assert len({picture["run"] for picture in pictures}) == 1
    assert SEEN == ["double"]


def test_clicks_at_the_same_moment_are_one_run(site: sites.Site, ann: sites.Visitor):
    token = ann.token(site.button((waits, {"gate": "moment"})))
    together = threading.Barrier(20)
    pictures: list[Any] = []
    cookie = ann.client.get_cookie("session")
    assert cookie is not None

    def click() -> None:
        client = site.app.test_client()
        client.set_cookie("session", cookie.value)
        together.wait()
        answer = client.post(
            "/download-btn/start", data={"download_btn_token": token}, headers=sites.JSON
        )
        pictures.append(answer.get_json())

    clicks = [threading.Thread(target=click) for _ in range(20)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()

    assert len({picture["run"] for picture in pictures}) == 1
    wait_until(lambda: SEEN, "It does not begin")
    assert SEEN == ["moment"]


def test_too_many_live_runs_are_refused_with_when_to_try_again(
    site: sites.Site, ann: sites.Visitor, bob: sites.Visitor
):
    for number in range(3):
        running(site, ann, f"many {number}")

    answer = ann.start(ann.token(site.button(makes)))

    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert "too many" in answer.get_json()["message"]
    assert bob.start(bob.token(site.button(makes))).status_code == 200
    GATES["many 0"].set()
    wait_until(
        lambda: ann.start(ann.token(site.button(makes))).status_code == 200, "There is no room"
    )


def test_two_visitors_of_one_row_each_get_their_own(site: sites.Site):
    uid = site.button(makes)
    got: list[bool] = []

    def click(number: int) -> None:
        (file,) = site.visitor().click(uid, {"word": f"word {number}"}).files
        got.append(file.read() == f"word {number}".encode())

    clicks = [threading.Thread(target=click, args=(number,)) for number in range(30)]
    for thread in clicks:
        thread.start()
    for thread in clicks:
        thread.join()

    assert got == [True] * 30


# -- form functions ------------------------------------------------------------------------------


def picks(response: Any, btn: Any) -> None:
    if not response.getlist("order"):
        raise DownloadError("Pick at least one <order>.")
    btn.tmp_downloads = [f"/orders/{order}.csv" for order in response.getlist("order")]
    btn.download_msg = f"{len(response.getlist('order'))} orders"
    btn.callback = "/thanks"


def crashes(response: Any, btn: Any) -> None:
    raise ValueError("a secret detail")


def chooses_functions(response: Any, btn: Any) -> None:
    function = type(btn).create_file_functions.property.mapper.class_
    btn.create_file_functions = [function(word_of, response["word"])]


def reads_upload(response: Any, btn: Any) -> None:
    upload = response.files["table"]
    btn.download_msg = f"{upload.filename}: {len(upload.read())} bytes"


def leads_elsewhere(response: Any, btn: Any) -> None:
    btn.callback = response["next"]


def makes_a_file(response: Any, btn: Any) -> None:
    btn.tmp_downloads = [File(b"", "file.txt")]


def with_form(site: sites.Site, function: Any, *functions: Any, **attributes: Any) -> str:
    return site.button(*functions, handle_form_functions=function, **attributes)


def test_a_form_decides_what_its_own_visitor_gets(
    site: sites.Site, ann: sites.Visitor, bob: sites.Visitor
):
    uid = with_form(site, picks, download_msg="Orders")

    of_ann = ann.click(uid, {"order": ["1", "2"]})
    of_bob = bob.click(uid, {"order": "3"})

    assert [file.name for file in of_ann.files] == ["1.csv", "2.csv"]
    assert [file.name for file in of_bob.files] == ["3.csv"]
    assert (of_ann.message, of_bob.message) == ("2 orders", "1 orders")
    assert of_ann.snapshot["callback"] == "/thanks"
    with site.row(uid) as btn:
        assert (btn.download_msg, btn.callback) == ("Orders", None)


def test_a_form_error_is_told_and_starts_nothing(
    site: sites.Site, ann: sites.Visitor, caplog: pytest.LogCaptureFixture
):
    uid = with_form(site, picks)
    token = ann.token(uid)
    before = len(site.runs())

    answer = ann.start(token)

    assert answer.status_code == 422
    assert answer.get_json()["message"] == "Pick at least one <order>."
    assert answer.get_json()["run"] is None
    assert len(site.runs()) == before
    assert not [record for record in caplog.records if record.exc_info]
    assert ann.start(token, {"order": "1"}).status_code == 200


def test_a_form_function_that_fails_is_a_reference_to_the_log(
    site: sites.Site, ann: sites.Visitor, caplog: pytest.LogCaptureFixture
):
    uid = with_form(site, crashes)
    answer = ann.start(ann.token(uid))

    picture = answer.get_json()
    assert (answer.status_code, picture["message"]) == (500, SORRY)
    assert f"(reference {picture['reference']})" in caplog.text
    assert f"A click on the button 'Download' ({uid}) failed" in caplog.text
    assert "a secret detail" in caplog.text
    assert "secret" not in answer.text


def test_what_a_form_function_sets_is_nobody_elses_though_the_app_commits_later(tmp_path: Path):
    def remembers(response: Any, btn: Any) -> None:
        g.btn = btn
        if "word" in response:
            btn.download_msg = f"For {response['word']} alone"
            btn.downloads = [f"/private/{response['word']}"]

    manager = DownloadBtnManager()
    manager.button("private", form=remembers)(makes)

    def prepare(app: Flask, db: Any) -> None:
        @app.after_request
        def commit(response: Any) -> Any:
            db.session.commit()
            return response

    with sites.site(tmp_path, declare=False, manager=manager, prepare=prepare) as site:
        ann = site.visitor().click("private", {"word": "ann"})
        bob = site.visitor().click("private")

    assert (ann.message, ann.files[0].name) == ("For ann alone", "ann")
    assert (bob.message, [file.name for file in bob.files]) == (None, ["file.txt"])


def test_a_form_may_choose_the_functions_for_its_run_alone(site: sites.Site, ann: sites.Visitor):
    uid = with_form(site, chooses_functions, makes)

    (file,) = ann.click(uid, {"word": "chosen"}).files

    assert (file.name, file.read()) == ("word.txt", b"chosen")
    with site.row(uid) as btn:
        assert [function.func for function in btn.create_file_functions] == [makes]


def test_a_form_function_reads_uploads(site: sites.Site, ann: sites.Visitor):
    token = ann.token(with_form(site, reads_upload))

    picture = ann.start(token, {"table": (BytesIO(b"1;2;3"), "table.csv")}).get_json()

    assert ann.ended(picture)["message"] == "table.csv: 5 bytes"


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "//elsewhere.example", "http://x.example"]
)
def test_a_form_cannot_lead_to_another_site(target: str, site: sites.Site, ann: sites.Visitor):
    uid = with_form(site, leads_elsewhere, makes)

    answer = ann.start(ann.token(uid), {"next": target})

    assert answer.status_code == 500
    assert "elsewhere" not in answer.text
    assert "javascript" not in answer.text


def test_a_form_function_makes_no_file(
    site: sites.Site, ann: sites.Visitor, caplog: pytest.LogCaptureFixture
):
    ann_run = ann.start(ann.token(with_form(site, makes_a_file)))

    assert ann_run.status_code == 500
    assert "create-file function" in caplog.text or "form function" in caplog.text


# -- look, cancel, fetch -------------------------------------------------------------------------


def test_a_poll_answers_the_picture(site: sites.Site, ann: sites.Visitor):
    picture = running(site, ann, "poll")

    wait_until(lambda: ann.look(picture).get_json()["text"] == "Waiting: 42%", "No progress")
    answer = ann.look(picture)

    assert answer.get_json()["state"] == "running"
    assert answer.get_json()["run"] == picture["run"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_run_of_somebody_else_looks_like_none_at_all(
    site: sites.Site, ann: sites.Visitor, bob: sites.Visitor
):
    picture = running(site, ann, "others")
    nonsense = {"url": "/download-btn/runs/nonsense", "cancel_url": "/download-btn/runs/x/cancel"}

    for other in (bob, site.visitor()):
        for ask in (other.look, other.cancel):
            forbidden, unknown = ask(picture), ask(nonsense)
            assert forbidden.status_code == unknown.status_code == 404
            assert forbidden.get_json() == unknown.get_json()
    assert ann.look(picture).get_json()["state"] == "running"


def test_a_file_of_somebody_else_looks_like_none_at_all(
    site: sites.Site, ann: sites.Visitor, bob: sites.Visitor
):
    (file,) = ended(site, ann)["files"]

    for other in (bob, site.visitor()):
        forbidden = other.fetch(file)
        unknown = other.fetch({"url": "/download-btn/files/nonsense"})
        assert forbidden.status_code == unknown.status_code == 404
        assert forbidden.data == unknown.data
    assert ann.fetch(file).data == b"nothing"


def test_a_file_is_fetched_as_an_attachment(site: sites.Site, ann: sites.Visitor):
    (file,) = ended(site, ann)["files"]

    answer = ann.fetch(file)

    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers


def test_all_files_come_as_one_archive(site: sites.Site, ann: sites.Visitor):
    import zipfile

    picture = ended(site, ann, makes_two, archive="both.zip")

    answer = ann.fetch(picture["zip"])

    with zipfile.ZipFile(BytesIO(answer.data)) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {
            "one.txt": b"one",
            "two.txt": b"two",
        }
    assert picture["zip"]["name"] == "both.zip"


def test_an_archive_that_left_in_parts_counts_once_all_of_it_has(
    site: sites.Site, ann: sites.Visitor
):
    picture = ended(site, ann, makes_two)
    address = picture["zip"]["url"]
    head = ann.client.head(address)
    last = int(head.headers["Content-Length"]) - 1

    for span in (f"{last}-{last}", "0-99", f"100-{last - 1}"):
        assert not any(file["downloaded"] for file in ann.look(picture).get_json()["files"])
        asked = {"Range": f"bytes={span}", "If-Range": head.headers["ETag"]}
        with ann.client.get(address, headers=asked) as answer:
            assert answer.status_code == 206
            answer.get_data()

    assert all(file["downloaded"] for file in ann.look(picture).get_json()["files"])


def test_a_part_that_left_whole_is_not_cut_off(site: sites.Site, ann: sites.Visitor):
    picture = ended(site, ann, large)
    address = picture["files"][0]["url"]

    for span in ("0-1", "0-299999"):
        with ann.client.get(address, headers={"Range": f"bytes={span}"}) as answer:
            answer.get_data()
        (file,) = ann.look(picture).get_json()["files"]
        assert (file["started"], file["downloaded"], file["cut"]) == (True, False, False)


def text_files(btn: Any) -> list[File]:
    # Small ones: of these it is not told when they begin to leave.
    return [File(b"a,b\n" * 20_000, "text.csv"), File(b"a,b\n" * 20_000, "other.csv")]


@pytest.mark.parametrize("what", ["file", "compressed", "zip"])
def test_a_download_that_is_cut_off_is_shown_as_such_until_it_goes_on(
    what: str, site: sites.Site, ann: sites.Visitor
):
    picture = ended(site, ann, text_files)
    address = (picture["zip"] if what == "zip" else picture["files"][0])["url"]
    headers = {"Accept-Encoding": "gzip"} if what == "compressed" else {}

    def cut() -> list[bool]:
        return [file["cut"] for file in ann.look(picture).get_json()["files"]]

    answer = ann.client.get(address, headers=headers, buffered=False)
    next(iter(answer.response))
    answer.close()
    assert cut() == ([True, True] if what == "zip" else [True, False])
    page = ann.page(site.runs()[0].btn_uid)
    assert "data-snapshot=" in page

    with ann.client.get(address, headers=headers) as again:
        assert cut() == [False, False]
        again.get_data()
    assert ann.look(picture).get_json()["files"][0]["downloaded"]


def test_a_file_that_cannot_be_read_now_is_served_later(
    site: sites.Site, ann: sites.Visitor, caplog: pytest.LogCaptureFixture
):
    picture = ended(site, ann, makes_two)
    for address in (picture["files"][0]["url"], picture["zip"]["url"]):
        with no_more_files():
            answer = ann.client.get(address, headers=HTML)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert "The file cannot be read now" in answer.text
        assert "Too many open files" in caplog.text
        with ann.client.get(address) as answer:
            assert answer.status_code == 200


def test_an_archive_whose_file_is_lost_says_so_and_forgets_that_file(
    site: sites.Site, ann: sites.Visitor
):
    picture = ended(site, ann, makes_two)
    (run, *_) = site.runs()
    first, second = site.parts.files.of_run(run.id)
    site.parts.storage.delete(first.key)

    assert ann.client.get(picture["zip"]["url"]).status_code == 410
    assert site.parts.files.of_run(run.id) == [second]
    (left,) = [file for file in picture["files"] if file["name"] == second.name]
    with ann.client.get(left["url"]) as answer:
        assert answer.data == second.name.removesuffix(".txt").encode()


def test_a_download_is_noted_and_signalled(site: sites.Site, ann: sites.Visitor):
    picture = ended(site, ann)
    told: list[str] = []

    def note(sender: Any, run: Any, file: Any) -> None:
        told.append(file.name)

    with file_downloaded.connected_to(note, site.app):
        ann.fetch(picture["files"][0])

    assert told == ["file.txt"]
    (file,) = ann.look(picture).get_json()["files"]
    assert file["downloaded"]


def test_a_file_that_is_gone_says_so(site: sites.Site, ann: sites.Visitor):
    (file,) = ended(site, ann)["files"]
    for path in site.stored_bytes():
        path.unlink()

    assert ann.fetch(file).status_code == 410
    assert ann.fetch(file).status_code == 410


def test_a_run_whose_files_have_expired_is_expired(site: sites.Site, ann: sites.Visitor):
    picture = ended(site, ann, makes_two)
    (run, *_) = site.runs()
    first, second = site.parts.files.of_run(run.id)

    site.parts.files.forget(first.id)
    partly = ann.look(picture).get_json()
    assert partly["state"] == "ready"
    assert {file["name"]: file["gone"] for file in partly["files"]} == {
        first.name: True,
        second.name: False,
    }
    page = ann.client.get(picture["url"], headers=HTML).text
    assert (f'download="{first.name}"' in page, f'download="{second.name}"' in page) == (
        False,
        True,
    )

    site.parts.files.forget(second.id)
    wholly = ann.look(picture).get_json()
    assert (wholly["state"], wholly["zip"], wholly["callback"]) == ("expired", None, None)
    page = ann.client.get(picture["url"], headers=HTML).text
    assert "<h1>Expired</h1>" in page
    assert "download=" not in page


def test_a_revoked_button_gives_no_more_files(site: sites.Site, ann: sites.Visitor):
    uid = site.button(makes)
    picture = ann.ended(ann.start(ann.token(uid)).get_json())

    with site.row(uid) as btn:
        btn.clear_csrf()

    assert ann.fetch(picture["files"][0]).status_code == 404
    assert ann.look(picture).status_code == 404


def test_a_cancel_stops_the_run(site: sites.Site, ann: sites.Visitor):
    picture = running(site, ann, "cancel")

    assert ann.cancel(picture).status_code == 200

    assert ann.ended(picture)["state"] == "cancelled"
    assert ann.cancel(picture).get_json()["state"] == "cancelled"


def test_a_cancel_of_a_run_that_waits_ends_it_at_once(tmp_path: Path):
    with sites.site(tmp_path, DOWNLOAD_BTN_MAX_RUNNING=1) as site:
        visitor = site.visitor()
        visitor.start(visitor.token(site.button((waits, {"gate": "ahead"}))))
        picture = visitor.start(visitor.token(site.button(makes))).get_json()
        assert (picture["state"], picture["queue_position"]) == ("queued", 1)

        assert visitor.cancel(picture).get_json()["state"] == "cancelled"

        GATES["ahead"].set()


def test_a_cancel_of_what_has_ended_changes_nothing(site: sites.Site, ann: sites.Visitor):
    picture = ended(site, ann)

    assert ann.cancel(picture).get_json()["state"] == "ready"


# -- without scripts -----------------------------------------------------------------------------


def test_a_plain_form_is_answered_with_a_page(site: sites.Site, ann: sites.Visitor):
    answer = ann.start(ann.token(site.button(makes)), {"word": "plain"}, headers=HTML)

    assert answer.status_code == 303
    assert "/download-btn/runs/" in answer.headers["Location"]
    wait_until(
        lambda: "file.txt" in ann.client.get(answer.headers["Location"], headers=HTML).text,
        "The page does not end in its file",
    )


def test_the_plain_page_refreshes_itself_and_has_a_cancel(site: sites.Site, ann: sites.Visitor):
    picture = running(site, ann, "plain")

    page = ann.client.get(picture["url"], headers=HTML)

    assert page.headers["Refresh"] == "2"
    assert f'action="{picture["cancel_url"]}"' in page.text
    answer = ann.client.post(picture["cancel_url"], headers=HTML)
    assert answer.status_code == 303
    wait_until(
        lambda: "Cancelled" in ann.client.get(picture["url"], headers=HTML).text,
        "The page does not say that it was cancelled",
    )


def test_a_plain_form_error_is_a_page_that_runs_nothing(site: sites.Site, ann: sites.Visitor):
    answer = ann.start(ann.token(with_form(site, picks)), headers=HTML)

    assert answer.status_code == 422
    assert "Pick at least one &lt;order&gt;." in answer.text


def test_a_refusal_is_a_page_for_a_person(site: sites.Site, ann: sites.Visitor):
    for path in ("/download-btn/runs/nonsense", "/download-btn/files/nonsense"):
        answer = ann.client.get(path, headers=HTML)
        assert answer.status_code == 404
        assert answer.mimetype == "text/html"
        assert "Not found" in answer.text


# -- pages ---------------------------------------------------------------------------------------


def test_two_hundred_pages_do_not_grow_the_cookie(site: sites.Site, ann: sites.Visitor):
    uids = [site.button(makes) for _ in range(200)]

    ann.token(uids[0])
    before = ann.client.get_cookie("session")
    tokens = [ann.token(uid) for uid in uids]
    after = ann.client.get_cookie("session")

    assert before is not None
    assert after is not None
    assert len(after.value) == len(before.value) < 200
    assert ann.start(tokens[0]).status_code == 200


def test_markup_is_shown_as_text(site: sites.Site, ann: sites.Visitor):
    attack = '"><script>alert(1)</script>'
    uid = site.button(makes, btn_text=attack, form_id=attack, btn_attrs={"title": attack})

    assert "<script>alert" not in ann.page(uid)


def test_a_page_that_is_loaded_again_finds_its_live_run(
    site: sites.Site, ann: sites.Visitor, bob: sites.Visitor
):
    uid = site.button((waits, {"gate": "reload"}))
    picture = ann.start(ann.token(uid)).get_json()

    assert picture["run"] in ann.page(uid)
    assert "data-snapshot" not in bob.page(uid)


def test_a_button_that_was_not_saved_says_so(site: sites.Site):
    with site.app.test_request_context():
        btn = site.DownloadBtn(btn_text="Unsaved")

        with pytest.raises(ConfigurationError, match=r"'Unsaved'.*commit"):
            btn.render_btn()


def test_a_button_outside_of_a_request_says_so(site: sites.Site):
    uid = site.button(makes, btn_text="Mailed")

    with site.row(uid) as btn, pytest.raises(ConfigurationError, match=r"'Mailed'.*request"):
        btn.render_btn()


# -- the short way -------------------------------------------------------------------------------


def export(btn: Any, year: int, words: Any = ()) -> File:
    return File(f"{year} {words!r}".encode(), "export.csv")


def needs_word(response: Any, btn: Any) -> None:
    if "word" not in response:
        raise DownloadError("Say a word.")


@pytest.fixture
def short(tmp_path: Path) -> Iterator[sites.Site]:
    manager = DownloadBtnManager()
    assert manager.button(text="Export")(export) is export
    manager.button("with_form", form=needs_word, callback="/thanks")(makes)
    with sites.site(tmp_path, declare=False, manager=manager) as site:

        @site.app.get("/orders")
        def orders() -> str:
            from flask import render_template_string

            return render_template_string(
                "{{ download_btn('export', year=2026, words=('a', 'b')) }}"
            )

        yield site


def test_a_decorated_function_is_a_button(short: sites.Site):
    visitor = short.visitor()
    html = visitor.client.get("/orders").text

    picture = visitor.ended(visitor.start(sites.token_in(html)).get_json())

    assert ">Export</button>" in html
    assert visitor.fetch(picture["files"][0]).data == b"2026 ('a', 'b')"


def test_a_page_view_writes_nothing(short: sites.Site):
    visitor = short.visitor()

    for _ in range(3):
        visitor.client.get("/orders")

    with short.app.app_context():
        assert short.db.session.query(short.DownloadBtn).count() == 0
    for _ in range(2):
        visitor.click("export", year=2026)
        visitor.click("export", year=2025)
    with short.app.app_context():
        assert short.db.session.query(short.DownloadBtn).count() == 2


def test_words_that_are_translated_late_are_those_of_the_click(tmp_path: Path):
    class Late:
        def __str__(self) -> str:
            return "späte Bestellungen.zip"

    manager = DownloadBtnManager()
    late: Any = Late()
    manager.button("late", text=late, download_msg=late, archive=late)(makes_two)
    with sites.site(tmp_path, declare=False, manager=manager) as site:
        assert "späte Bestellungen.zip</button>" in site.visitor().page("late")
        ended = site.visitor().click("late")

    assert ended.message == ended.snapshot["zip"]["name"] == "späte Bestellungen.zip"


def test_a_named_button_has_its_form_and_attributes(short: sites.Site):
    visitor = short.visitor()

    assert visitor.click("with_form").message == "Say a word."
    ready = visitor.click("with_form", {"word": "please"})

    assert ready.snapshot["callback"] == "/thanks"
    assert ready.files[0].read() == b"please"


def test_arguments_that_do_not_fit_are_refused_where_the_page_is_made(short: sites.Site):
    from flask_download_btn import ReferenceRefused

    with (
        short.app.test_request_context(),
        pytest.raises(ReferenceRefused, match=r"export.*'year'"),
    ):
        short.parts.html("export")


def test_a_button_that_is_no_longer_in_the_app_says_so(
    short: sites.Site, caplog: pytest.LogCaptureFixture
):
    visitor = short.visitor()
    token = sites.token_in(visitor.client.get("/orders").text)
    del short.manager._named["export"]

    for _ in range(2):
        answer = visitor.start(token)
        assert answer.status_code == 404
        assert "no longer there" in answer.get_json()["message"]
    assert "'export'" in caplog.text


def test_two_functions_of_one_name_are_refused(short: sites.Site):
    with pytest.raises(ConfigurationError, match=r"'export'.*another name"):
        short.manager.button("export")(makes)


# -- who may -------------------------------------------------------------------------------------


def test_authorize_is_asked_at_every_door(tmp_path: Path):
    manager = DownloadBtnManager()
    asked: list[str] = []
    forbidden: set[str] = set()

    @manager.authorize
    def may(action: str, btn: Any) -> bool:
        assert btn.btn_text == "Guarded"
        asked.append(action)
        return action not in forbidden

    with sites.site(tmp_path, manager=manager) as site:
        visitor = site.visitor()
        token = visitor.token(site.button(makes, btn_text="Guarded"))
        picture = visitor.ended(visitor.start(token).get_json())
        visitor.cancel(picture)
        visitor.fetch(picture["files"][0])
        assert set(asked) == {"start", "watch", "cancel", "fetch"}

        forbidden.update(asked)
        answers = [
            visitor.start(token),
            visitor.look(picture),
            visitor.cancel(picture),
            visitor.fetch(picture["files"][0]),
        ]
        assert [answer.status_code for answer in answers] == [403] * 4
        assert len(site.runs()) == 1


def add_login(app: Flask, db: Any) -> None:
    from flask_login import LoginManager, UserMixin, login_user, logout_user

    class User(UserMixin):
        def __init__(self, id: str) -> None:
            self.id = id

    login = LoginManager(app)
    login.user_loader(User)

    @app.post("/login/<name>")
    def log_in(name: str) -> str:
        login_user(User(name))
        return ""

    @app.post("/logout")
    def log_out() -> str:
        logout_user()
        return ""


def whose(btn: Any) -> File:
    return File(str(btn.run.user_id).encode(), "who.txt")


def test_a_users_run_belongs_to_the_user_on_every_device(tmp_path: Path):
    with sites.site(tmp_path, prepare=add_login) as site:
        at_home, at_work, other = (site.visitor() for _ in range(3))
        for visitor, name in ((at_home, "ann"), (at_work, "ann"), (other, "bob")):
            visitor.client.post(f"/login/{name}")
        picture = ended(site, at_home, whose)
        (file,) = picture["files"]

        assert at_work.fetch(file).data == b"ann"
        assert other.fetch(file).status_code == 404
        at_work.client.post("/logout")
        assert at_work.fetch(file).status_code == 404
        at_home.client.post("/logout")
        assert at_home.fetch(file).status_code == 404
        at_home.client.post("/login/bob")
        assert at_home.fetch(file).status_code == 404


def test_what_was_started_before_logging_in_is_still_the_visitors(tmp_path: Path):
    with sites.site(tmp_path, prepare=add_login) as site:
        visitor = site.visitor()
        (file,) = ended(site, visitor, whose)["files"]

        visitor.client.post("/login/ann")

        assert visitor.fetch(file).data == b"None"


@pytest.mark.parametrize("order", ["before", "after"])
def test_it_works_beside_csrf_protection(order: str, tmp_path: Path):
    from flask_wtf import CSRFProtect

    def protect(app: Flask, db: Any = None) -> None:
        CSRFProtect(app)
        app.add_url_rule("/other", "other", lambda: "", methods=["POST"])

    with sites.site(tmp_path, **({"prepare": protect} if order == "before" else {})) as site:
        if order == "after":
            protect(site.app)
        visitor = site.visitor()
        picture = visitor.start(visitor.token(site.button(makes))).get_json()

        assert visitor.ended(picture)["state"] == "ready"
        assert visitor.cancel(picture).status_code == 200
        assert visitor.client.post("/other").status_code == 400


def test_it_works_beside_talisman(tmp_path: Path):
    from flask_talisman import Talisman

    def protect(app: Flask, db: Any) -> None:
        Talisman(app, force_https=False, content_security_policy={"default-src": "'self'"})

    with sites.site(tmp_path, prepare=protect, SESSION_COOKIE_SECURE=False) as site:
        visitor = site.visitor(base_url="https://localhost")
        page = visitor.page(site.button(makes))
        picture = visitor.start(sites.token_in(page)).get_json()
        answer = visitor.fetch(visitor.ended(picture)["files"][0])

    assert " style=" not in page
    assert "<script>" not in page
    assert answer.data == b"nothing"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_it_works_below_a_prefix(tmp_path: Path):
    with sites.site(tmp_path) as site:
        visitor = site.visitor(base_url="http://localhost/app")
        page = visitor.page(site.button(makes))
        picture = visitor.start(sites.token_in(page)).get_json()

        assert 'data-start="/app/download-btn/start"' in page
        assert 'data-socket-path="/app/socket.io"' in page
        assert picture["url"].startswith("/app/download-btn/runs/")
        assert visitor.fetch(visitor.ended(picture)["files"][0]).data == b"nothing"


# -- how an app is set up ------------------------------------------------------------------------


def test_without_a_secret_key_it_says_what_to_set(tmp_path: Path):
    with sites.site(tmp_path, SECRET_KEY=None) as site:
        site.app.testing = True
        visitor = site.visitor()

        with pytest.raises(ConfigurationError, match=r"'site'.*SECRET_KEY.*token_hex"):
            site.button(makes)
        with pytest.raises(ConfigurationError, match=r"'site'.*SECRET_KEY.*token_hex"):
            visitor.client.get("/download-btn/runs/x")


def test_a_secret_key_that_can_be_guessed_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with sites.site(tmp_path, SECRET_KEY="short") as site:
        site.parts.tokens

    assert "SECRET_KEY" in caplog.text


def test_without_tables_it_says_what_to_call(tmp_path: Path):
    with sites.site(tmp_path, create=False) as site:
        site.app.testing = True

        with pytest.raises(ConfigurationError, match=r"tables.*missing.*create_all"):
            site.visitor().client.get("/download-btn/runs/x")


def test_an_app_without_our_tables_serves_its_other_pages(tmp_path: Path):
    with sites.site(tmp_path, create=False) as site:
        site.app.add_url_rule("/other", "other", lambda: "other")

        assert site.visitor().client.get("/other").text == "other"


def test_a_button_before_init_app_says_what_is_missing():
    from flask_sqlalchemy import SQLAlchemy

    app = Flask("bare")
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    db = SQLAlchemy(app)
    manager = DownloadBtnManager(db=db)
    with app.test_request_context():
        btn = manager.DownloadBtn(add=False)
        with pytest.raises(ConfigurationError, match=r"'bare'.*init_app"):
            btn.render_btn()
        db.engine.dispose()


def test_a_manager_without_a_database_says_so():
    with pytest.raises(ConfigurationError, match="db=db"):
        DownloadBtnManager(Flask("bare"))
    with pytest.raises(ConfigurationError, match="init_app"):
        DownloadBtnManager().DownloadBtn


def test_an_in_memory_database_is_refused_with_the_way_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with sites.site(tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://") as site:
        site.app.testing = True
        visitor = site.visitor()

        with pytest.raises(ConfigurationError, match=r"(?s)in-memory.*sqlite:///app.db.*inline"):
            visitor.start(visitor.token(site.button(makes)))


def test_an_in_memory_database_works_inline(tmp_path: Path):
    with sites.site(
        tmp_path, SQLALCHEMY_DATABASE_URI="sqlite://", DOWNLOAD_BTN_RUNNER="inline"
    ) as site:
        assert site.run(makes).files[0].read() == b"nothing"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("DOWNLOAD_BTN_RUNER", "inline", "DOWNLOAD_BTN_RUNNER"),
        ("DOWNLOAD_BTN_RUNNER", "celary", "'background' or 'inline'"),
        ("DOWNLOAD_BTN_LEASE", 0.1, "two heartbeats"),
        ("DOWNLOAD_BTN_MAX_LIVE", -1, "0 or more"),
        ("DOWNLOAD_BTN_MAX_LIVE", "3", "a number"),
        ("DOWNLOAD_BTN_URL_PREFIX", "downloads", "a path"),
        ("DOWNLOAD_BTN_ASYNC_MODE", "asyncio", "'threading'"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(name: str, value: Any, sentence: str, tmp_path: Path):
    with pytest.raises(ConfigurationError, match=sentence):
        sites.Site(tmp_path, **{name: value})


def test_the_apps_own_socketio_is_used(tmp_path: Path):
    made: list[SocketIO] = []

    def prepare(app: Flask, db: Any) -> None:
        made.append(SocketIO(app, async_mode="threading"))

    with sites.site(tmp_path, prepare=prepare) as site:
        assert site.manager.socketio is made[0]


def test_a_second_socketio_is_refused_with_the_way_out(tmp_path: Path):
    with sites.site(tmp_path) as site:
        site.app.testing = True
        SocketIO(site.app, async_mode="threading")

        with pytest.raises(ConfigurationError, match=r"SocketIO.*manager\.socketio"):
            site.visitor().client.get("/")


def test_a_socketio_that_is_given_the_app_afterwards_is_refused_with_the_way_out(tmp_path: Path):
    socketio = SocketIO()
    with sites.site(tmp_path, options={"socketio": socketio}) as site:
        site.app.testing = True
        socketio.init_app(site.app, async_mode="threading")

        with pytest.raises(ConfigurationError, match=r"Call 'socketio\.init_app\(app\)' before"):
            site.visitor().client.get("/")


def test_a_manager_is_given_to_an_app_once(tmp_path: Path):
    with (
        sites.site(tmp_path) as site,
        pytest.raises(ConfigurationError, match="has a DownloadBtnManager already"),
    ):
        site.manager.init_app(site.app, site.db)


@pytest.mark.parametrize(
    "name",
    [
        *("MAX_RUNNING", "MAX_LIVE", "MAX_FILES", "MAX_BYTES", "MAX_FORM_BYTES", "TIME_LIMIT"),
        *("DATA_URL_LIMIT", "RETENTION", "GRACE", "RUN_RETENTION", "TOKEN_MAX_AGE", "PRUNE"),
    ],
)
def test_zero_turns_a_limit_off(name: str, tmp_path: Path):
    with sites.site(tmp_path, **{f"DOWNLOAD_BTN_{name}": 0}) as site:
        uid = site.button(makes, downloads=[("data:text/plain,kept", "kept.txt")])
        made = site.visitor().click(uid, {"word": "form"})

        assert [file.read() for file in made.files] == [b"kept", b"form"]


def test_two_apps_in_one_process_share_nothing(tmp_path: Path):
    with sites.site(tmp_path / "a", name="a") as a, sites.site(tmp_path / "b", name="b") as b:
        of_a = a.visitor()
        picture = ended(a, of_a)
        of_b = b.visitor()
        cookie = of_a.client.get_cookie("session")
        assert cookie is not None
        of_b.client.set_cookie("session", cookie.value)

        assert of_b.look(picture).status_code == 404
        assert of_b.fetch(picture["files"][0]).status_code == 404
        assert b.runs() == []
        assert b.stored_bytes() == []
        for part in ("database", "lives", "channel", "runs", "files", "storage", "engine", "pulse"):
            assert getattr(a.parts, part) is not getattr(b.parts, part)


def test_an_unexpected_error_is_a_reference_to_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    manager = DownloadBtnManager()

    @manager.authorize
    def fails(action: str, btn: Any) -> bool:
        raise RuntimeError("a secret detail")

    with sites.site(tmp_path, manager=manager) as site:
        visitor = site.visitor()
        answer = visitor.start(visitor.token(site.button(makes)))

    assert (answer.status_code, answer.get_json()["message"]) == (500, SORRY)
    assert "secret" not in answer.text
    assert answer.get_json()["reference"] in caplog.text


def test_what_collect_returns_must_be_json(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    manager = DownloadBtnManager()
    manager.collect(lambda: {"session": session})

    with sites.site(tmp_path, manager=manager) as site:
        visitor = site.visitor()
        assert visitor.start(visitor.token(site.button(makes))).status_code == 500

    assert "'collect' returned" in caplog.text


@pytest.mark.parametrize("has_place", [False, True])
def test_who_cannot_hand_a_run_over_says_so_and_leaves_nothing_queued(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, has_place: bool
):
    class Broken:
        def start(self, run: Any) -> None:
            raise ConnectionError("the broker is down")

        def queued(self) -> tuple[str, ...]:
            return ()

        def place(self) -> Any:
            return nullcontext(self.start if has_place else None)

    with sites.site(tmp_path, options={"runner": Broken()}) as site:
        visitor = site.visitor()
        answer = visitor.start(visitor.token(site.button(makes)))

        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert [run.state for run in site.runs()] == ["failed"]


def test_no_token_and_no_form_is_in_the_log(
    site: sites.Site, ann: sites.Visitor, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG, "flask_download_btn")
    token = ann.token(site.button(makes))

    picture = ann.ended(ann.start(token, {"word": "4111-1111"}).get_json())
    ann.fetch(picture["files"][0])
    ann.start(token + "x")

    for secret in (token, picture["run"], "4111-1111"):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    ("status", "title"),
    [(403, "Not for you"), (404, "Not found"), (410, "File expired")],
)
def test_a_file_that_is_refused_is_a_page_for_a_person_and_json_for_a_script(
    status: int, title: str, tmp_path: Path
):
    manager = DownloadBtnManager()
    allowed = {"fetch"}
    manager.authorize(lambda action, btn: action != "fetch" or action in allowed)
    with sites.site(tmp_path, manager=manager) as site:
        visitor = site.visitor()
        address = ended(site, visitor)["files"][0]["url"]
        if status == 403:
            allowed.clear()
        elif status == 404:
            address += "x"
        else:
            for path in site.stored_bytes():
                path.unlink()

        person = visitor.client.get(address, headers=HTML)
        script = visitor.client.get(address, headers=sites.JSON)

    assert (person.status_code, script.status_code) == (status, status)
    assert f"<h1>{title}</h1>" in person.text
    assert person.mimetype == "text/html"
    assert script.get_json()["state"] == "failed"
    assert script.get_json()["message"] in person.text
    for answer in (person, script):
        assert answer.headers["Cache-Control"] == "no-store"


def test_too_many_at_once_is_a_page_for_a_person(tmp_path: Path):
    with sites.site(tmp_path, DOWNLOAD_BTN_MAX_LIVE=1) as site:
        SEEN.clear()
        visitor = site.visitor()
        running(site, visitor, "alone")
        answer = visitor.start(visitor.token(site.button(makes)), headers=HTML)
        GATES["alone"].set()

    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "10")
    assert "<h1>Too many at once</h1>" in answer.text
    assert "You have too many downloads running." in answer.text


def large(btn: Any) -> File:
    return File((b"x" * 1_000_000 for _ in range(40)), "large.bin")


def held_connections(site: sites.Site) -> int:
    """Count the connections that somebody has taken from the app's pool and from our own."""
    with site.app.app_context():
        return site.db.engine.pool.checkedout() + site.parts.database.engine.pool.checkedout()


def test_promise_24_no_connection_is_held_while_a_visitor_downloads(tmp_path: Path):
    with sites.site(tmp_path) as site, site.served() as url:
        visitor = WireVisitor(url)
        picture = visitor.start(visitor.load(f"/a-page-with/{site.button(large)}"))
        while picture["state"] != "ready":
            picture = visitor.look(picture)

        with visitor.http.get(url + picture["files"][0]["url"], stream=True, timeout=30) as answer:
            assert next(answer.iter_content(1000))
            wait_until(lambda: not held_connections(site), "A download holds a connection")
            read = sum(len(chunk) for chunk in answer.iter_content(1 << 20))
        assert read == 40_000_000 - 1000


def test_a_lock_that_authorize_leaves_behind_stops_nothing_of_ours(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    manager = DownloadBtnManager()
    with sites.site(tmp_path, manager=manager) as site:
        with site.app.app_context():
            site.db.session.execute(site.db.text("CREATE TABLE seen (action TEXT)"))
            site.db.session.commit()

        @manager.authorize
        def notes(action: str, btn: Any) -> bool:
            insert = site.db.text("INSERT INTO seen VALUES (:action)")
            site.db.session.execute(insert, {"action": action})
            return True

        site.parts.database.write = partial(site.parts.database.write, patience=1.0)
        visitor = site.visitor()
        picture = ended(site, visitor, large)
        assert len(visitor.fetch(picture["files"][0]).data) == 40_000_000
        assert visitor.look(picture).get_json()["files"][0]["downloaded"]
    assert "could not be noted" not in caplog.text


def test_promise_24_no_connection_is_held_while_a_click_waits_and_its_function_computes(
    tmp_path: Path,
):
    with sites.site(tmp_path, DOWNLOAD_BTN_WAIT=20) as site:
        SEEN.clear()
        GATES.clear()
        visitor = site.visitor()
        token = visitor.token(site.button((waits, {"gate": "held"})))
        click = threading.Thread(target=visitor.start, args=[token])
        click.start()
        wait_until(lambda: "held" in SEEN, "It does not begin")

        wait_until(lambda: not held_connections(site), "Somebody holds a connection")
        assert click.is_alive()
        GATES["held"].set()
        click.join()


def test_a_person_reads_that_a_file_has_no_such_part_and_a_script_too(tmp_path: Path):
    with sites.site(tmp_path) as site:
        visitor = site.visitor()
        file = visitor.click(site.button(makes)).snapshot["files"][0]
        beyond = {"Range": "bytes=1000000-"}

        page = visitor.client.get(file["url"], headers={**beyond, "Accept": "text/html"})
        script = visitor.client.get(file["url"], headers={**beyond, **sites.JSON})

    assert (page.status_code, script.status_code) == (416, 416)
    assert "The file has no such part" in page.text
    assert script.get_json()["message"].startswith("The file has no such part")
    assert page.headers["Content-Range"] == "bytes */7"


# -- scripts and styles --------------------------------------------------------------------------


def test_scripts_of_a_known_version_are_asked_for_once(site: sites.Site):
    visitor = site.visitor()
    urls = set(re.findall(r'"([^"]*/static/[^"]*)"', visitor.page(site.button(makes))))

    assert len(urls) == 3
    for url in urls:
        name, _, mark = url.partition("?")
        assert kept(visitor, url) == "public, max-age=31536000, immutable"
        for other in (name, f"{name}?v=another"):
            assert "immutable" not in str(kept(visitor, other))
        assert "immutable" not in str(kept(visitor, f"{name}x?{mark}"))


def test_scripts_leave_compressed_to_who_takes_it(site: sites.Site):
    url, gzipped = "/download-btn/static/download-btn.js", {"Accept-Encoding": "gzip"}
    client = site.visitor().client
    with client.get(url) as plain, client.get(url, headers=gzipped) as packed:
        assert gzip.decompress(packed.data) == plain.data
        assert packed.headers["Content-Encoding"] == "gzip"
        assert plain.headers["ETag"] != packed.headers["ETag"]
        assert "Accept-Encoding" in plain.vary
        etag = packed.headers["ETag"]
    with client.get(url, headers={**gzipped, "If-None-Match": etag}) as answer:
        assert (answer.status_code, answer.data) == (304, b"")


def kept(visitor: sites.Visitor, url: str) -> str | None:
    with visitor.client.get(url) as answer:
        return answer.headers.get("Cache-Control")
