"""Send forms, and read runs and errors, on the plain pages of a browser without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pages import Site, axe_findings, button, running_site, saved, wait_for
from playwright.sync_api import Page, expect


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("plain")) as site:
        yield site


@pytest.fixture
def gate() -> str:
    return uuid4().hex


@pytest.fixture
def plain(new_visitor: Callable[..., Any]) -> Page:
    """A page of a browser whose scripts are off."""
    tab = new_visitor(java_script_enabled=False).open_tab()
    tab.expected_errors.append("favicon")
    return tab  # type: ignore[no-any-return]


def test_a_form_is_sent_with_its_fields_and_an_uploaded_file(
    plain: Page, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "orders.txt").write_text("wanted")
    plain.goto(site.address(path="/form", form_id="orders"))
    plain.get_by_label("Who").fill("Ada & Bob")
    plain.get_by_label("File", exact=True).set_input_files(tmp_path / "orders.txt")
    button(plain).click()
    with plain.expect_download() as saving:
        plain.get_by_role("link", name="form 0.txt").click()
    assert saved(saving.value, tmp_path) == ("form 0.txt", b"form")
    assert site.facts()["forms"][-1] == {
        "who": ["Ada & Bob"],
        "uploads": ["orders.txt: b'wanted'"],
    }


def test_a_form_elsewhere_in_the_page_is_sent_by_its_id(plain: Page, site: Site) -> None:
    plain.goto(site.address(path="/outside"))
    plain.get_by_label("Who", exact=True).fill("Grace")
    plain.get_by_role("button", name="Send the other form").click()
    expect(plain.get_by_role("link", name="by id.txt")).to_be_visible()
    assert site.facts()["forms"][-1] == {"who": ["Grace"], "uploads": []}


def test_what_is_wrong_with_a_form_is_read_on_a_page_that_leads_back(
    plain: Page, site: Site
) -> None:
    plain.expected_errors.append("422")  # type: ignore[attr-defined]
    address = site.address(path="/order", form_id="order")
    plain.goto(address)
    plain.get_by_label("Year").fill("1999")
    button(plain).click()
    expect(plain.get_by_role("heading", name="Nothing was started")).to_be_visible()
    expect(plain.get_by_text("Please look at the form again.")).to_be_visible()
    assert plain.get_by_role("listitem").all_inner_texts() == [
        "There were no orders in that year.",
        "Write an address.",
    ]
    plain.get_by_role("link", name="Back").click()
    assert plain.url == address
    plain.get_by_label("Year").fill("2026")
    plain.get_by_label("Email").fill("ada@example.com")
    button(plain).click()
    expect(plain.get_by_role("link", name="order.txt")).to_be_visible()


def test_several_files_have_a_link_each_and_one_for_all(
    plain: Page, site: Site, tmp_path: Path
) -> None:
    plain.goto(site.address("two"))
    plain.get_by_role("button", name="Make two").click()
    expect(plain.get_by_role("heading", name="Ready")).to_be_visible()
    assert plain.get_by_role("link").all_inner_texts() == [
        "first.csv (5 B)",
        "second.csv (6 B)",
        "Download all (259 B)",
        "Back",
    ]
    with plain.expect_download() as saving:
        plain.get_by_role("link", name="second.csv").click()
    assert saved(saving.value, tmp_path) == ("second.csv", b"second")
    with plain.expect_download() as saving:
        plain.get_by_role("link", name="Download all").click()
    name, content = saved(saving.value, tmp_path)
    assert (name, content[:2], len(content)) == ("files.zip", b"PK", 259)
    plain.get_by_role("link", name="Back").click()
    expect(plain.get_by_role("button", name="Make two")).to_be_visible()


def test_a_failed_run_says_so_with_its_reference_and_refreshes_no_more(
    plain: Page, site: Site, gate: str
) -> None:
    plain.goto(site.address(f"broken:{gate}"))
    plain.get_by_role("button", name="Fail").click()
    expect(plain.get_by_role("heading", name="In progress")).to_be_visible()
    with plain.expect_request("**/download-btn/runs/**"):
        site.open_gate(gate)
    expect(plain.get_by_role("heading", name="Failed")).to_be_visible(timeout=12_000)
    asked: list[str] = []
    plain.on("request", lambda request: asked.append(request.url))
    expect(plain.get_by_text("Something went wrong. Please try again.")).to_be_visible()
    reference = re.search(r"Reference: (\w+)", plain.locator("main").inner_text())
    assert reference
    assert reference[1] in site.server.log()
    assert "a secret of the server" not in plain.content()
    expect(plain.get_by_role("link", name="Back")).to_be_visible()
    plain.wait_for_timeout(3000)
    assert not [url for url in asked if "/runs/" in url]


def test_a_run_that_is_refused_says_why_word_for_word(plain: Page, site: Site) -> None:
    plain.goto(site.address("refusing"))
    plain.get_by_role("button", name="Refuse").click()
    expect(plain.get_by_role("heading", name="Failed")).to_be_visible()
    expect(plain.get_by_text("Pick at least one order.")).to_be_visible()


# -- what axe finds --------------------------------------------------------------------------------

# It is a script itself, so it looks at these pages in a browser that has scripts.


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("name", "state"), [("two", "done"), ("broken", "failed")])
def test_the_page_of_a_run_that_has_ended_has_no_fault_that_axe_finds(
    page: Page, site: Site, name: str, state: str, scheme: Any
) -> None:
    page.expected_errors.append("favicon")  # type: ignore[attr-defined]
    page.emulate_media(color_scheme=scheme)
    page.goto(site.address(name))
    button(page).click()
    wait_for(page, state)
    page.goto(site.url + page.evaluate("document.querySelector('download-btn').snapshot.url"))
    expect(page.locator("body.download-btn-page h1")).to_be_visible()
    assert axe_findings(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_that_refuses_a_form_has_no_fault_that_axe_finds(
    page: Page, site: Site, scheme: Any
) -> None:
    page.expected_errors.append("favicon|422|ERR_FAILED")  # type: ignore[attr-defined]
    page.emulate_media(color_scheme=scheme)
    # A browser whose network lost our script sends the form as one without scripts does.
    page.route("**/download-btn.js*", lambda route: route.abort())
    page.goto(site.address(path="/order", form_id="order"))
    page.get_by_label("Year").fill("1999")
    button(page).click()
    expect(page.get_by_role("listitem")).to_have_count(2)
    assert axe_findings(page) == []


def test_a_page_that_knows_no_such_run_has_no_fault_that_axe_finds(page: Page, site: Site) -> None:
    page.expected_errors.append("favicon|404")  # type: ignore[attr-defined]
    page.goto(f"{site.url}/download-btn/runs/nobody-s")
    expect(page.get_by_role("heading", name="Not found")).to_be_visible()
    assert axe_findings(page) == []
