"""An app with a button for everything that a page must show; tests open gates in it."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

from flask import Flask, Response, render_template_string, request, send_from_directory
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import FlaskForm
from markupsafe import Markup, escape
from werkzeug.middleware.proxy_fix import ProxyFix
from wtforms import IntegerField, RadioField, StringField
from wtforms.validators import AnyOf, Regexp

from flask_download_btn import DownloadBtnManager, DownloadError, File

PREFIX = os.environ.get("PREFIX", "")

app = Flask(__name__)
app.config.update(
    SECRET_KEY="a key for tests, long enough for a signature",
    SQLALCHEMY_DATABASE_URI=os.environ["DATABASE_URL"],
    DOWNLOAD_BTN_FOLDER=os.environ["FOLDER"],
    DOWNLOAD_BTN_HEARTBEAT=0.5,
    DOWNLOAD_BTN_LEASE=2,
    DOWNLOAD_BTN_REAP=0.5,
    DOWNLOAD_BTN_MAX_RUNNING=int(os.environ.get("MAX_RUNNING", "100")),
    DOWNLOAD_BTN_RETENTION=float(os.environ.get("RETENTION", "3600")),
    DOWNLOAD_BTN_WAIT=float(os.environ.get("WAIT", "0.1")),
)
db = SQLAlchemy(app)
manager = DownloadBtnManager(app, db=db)
Function = manager.Function

if "NO_SOCKET" in os.environ:
    with_socket = app.wsgi_app

    def without_socket(environ, start_response):
        """Refuse as a proxy does that knows no WebSocket."""
        if environ["PATH_INFO"].startswith("/socket.io"):
            start_response("400 Bad Request", [])
            return [b""]
        return with_socket(environ, start_response)

    app.wsgi_app = without_socket

if "NO_FILES" in os.environ:
    with_files = app.wsgi_app

    def without_files(environ, start_response):
        """Fail as a server does that has trouble with its disk."""
        if environ["PATH_INFO"].startswith("/download-btn/files"):
            start_response("500 Internal Server Error", [("Content-Type", "text/html")])
            return [b"<h1>Trouble</h1>"]
        return with_files(environ, start_response)

    app.wsgi_app = without_files

if "PROXY_FIX" in os.environ:
    app.config.update(SESSION_COOKIE_SECURE=True, SESSION_COOKIE_SAMESITE="Strict")
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)

gates: dict[str, threading.Event] = defaultdict(threading.Event)
calls: Counter[str] = Counter()
forms: list[dict[str, list[str]]] = []
heads: list[str] = []


def wait_at(btn, gate, stage="", percent=None):
    """Wait for a test, and for a visitor who cancels."""
    while not gates[gate].is_set():
        btn.report(stage, percent)
        time.sleep(0.02)


@manager.button(text="Export orders")
def one(btn, gate=""):
    calls["one"] += 1
    yield btn.reset("Reading orders", 0)
    if gate:
        wait_at(btn, gate)
    yield File(b"a,b\n1,2\n", "orders.csv")


@manager.button(text="Export at once")
def at_once(btn):
    return File(b"at once", "at once.txt")


@manager.button(text="Export in stages")
def stages(btn):
    for stage in ("Reading orders", "Writing orders"):
        for percent in range(0, 101, 5):
            yield (btn.report if percent else btn.reset)(stage, percent)
            time.sleep(0.02)
    yield File(b"staged", "staged.csv")


@manager.button(text="Look around")
def unknown(btn, gate):
    yield btn.reset("Looking around")
    wait_at(btn, gate)


@manager.button(text="Say nothing")
def silent(btn, gate):
    while not gates[gate].is_set():
        time.sleep(0.02)
    yield File(b"silent", "silent.csv")


@manager.button(text="Go half way")
def half(btn, gate, percent=42.7):
    stage = "Writing the orders of the year 2026"
    yield btn.reset(stage, percent)
    wait_at(btn, gate, stage, percent)
    yield File(b"half", "half.csv")


def anew(btn, gate):
    yield btn.reset("Waiting", 10)
    wait_at(btn, gate, "Waiting", 10)
    yield File(b"anew", f"{gate}.csv")


@manager.button(text="Make two", archive=None)
def two(btn):
    yield File(b"first", "first.csv")
    yield File(b"second", "second.csv")


@manager.button(text="Make something large")
def large(btn, megabytes=40):
    yield File((b"x" * 1_000_000 for _ in range(megabytes)), "large.bin")


@manager.button(text="Make many")
def many(btn):
    for number in range(25):
        yield File(str(number).encode(), f"file {number}.csv")


@manager.button(text="Make an archive", archive="orders.zip")
def archived(btn):
    yield File(b"first", "first.csv")
    yield File(b"second", "second.csv")


@manager.button(text="Make nothing")
def nothing(btn):
    yield btn.reset("Nothing to do", 50)


@manager.button(text="Say thanks", download_msg="Thank you for your order.")
def thanks(btn):
    return File(b"thanks", "thanks.txt")


@manager.button(text="Go on", callback=f"{PREFIX}/landed")
def onward(btn):
    return File(b"onward", "onward.txt")


@manager.button(text="Fail")
def broken(btn, gate=""):
    calls["broken"] += 1
    yield btn.reset("Trying", 30)
    if gate:
        wait_at(btn, gate)
    raise RuntimeError("a secret of the server")


@manager.button(text="Refuse")
def refusing(btn):
    raise DownloadError("Pick at least one order.")


@manager.button(text="Fetch a page of this site")
def site_page(btn, path):
    btn.tmp_downloads = [(f"{PREFIX}{path}", "report.pdf")]


@manager.button(text="Fetch from elsewhere")
def elsewhere(btn):
    btn.tmp_downloads = [("https://files.example/report.pdf", "report.pdf")]


@manager.button(text="Report often")
def often(btn):
    for number in range(100_000):
        yield btn.report("Counting", number / 1000)
    yield File(b"often", "often.txt")


@manager.button(text="<img src=x onerror=alert(1)>", download_msg="<script>alert(1)</script> done")
def markup(btn, gate):
    yield btn.reset("<script>alert(1)</script>", 10)
    wait_at(btn, gate, percent=10)
    yield File(b"markup", "<b>markup.txt")


def note_form(response, btn):
    forms.append({name: response.getlist(name) for name in response})
    forms[-1]["uploads"] = [f"{file.filename}: {file.read()!r}" for file in response.files.values()]
    if response.get("who") == "nobody":
        raise DownloadError("Nobody may not.")


@manager.button(text="Send the form", form=note_form)
def with_form(btn, number=0):
    return File(b"form", f"form {number}.txt")


class OrderForm(FlaskForm):
    year = IntegerField("Year", [AnyOf([2025, 2026], "There were no orders in that year.")])
    kind = RadioField("Kind", choices=["new", "old"], default="new")
    email = StringField("Email", [Regexp(".+@.+", message="Write an address.")])


def check_order(response, btn):
    form = OrderForm(response)
    if form.kind.data == "old":
        raise DownloadError("Not now.", fields={"kind": "No old ones.", "elsewhere": "Nor that."})
    if not form.validate():
        raise DownloadError("Please look at the form again.", fields=form.errors)


@manager.button(text="Order", form=check_order)
def order(btn):
    return File(b"ordered", "order.txt")


@manager.button(text="Send the other form", form=note_form, form_id="by-id")
def by_id(btn):
    return File(b"by id", "by id.txt")


VENDOR = Path(__file__).parent / "vendor"
LIBRARIES = {"htmx": "htmx.min.js", "turbo": "turbo.js"}
FRAMEWORKS = {
    "none": "",
    "bootstrap4": "bootstrap4/css/bootstrap.min.css",
    "bootstrap5": "bootstrap5/css/bootstrap.min.css",
}

PAGE = """
<!doctype html>
<html lang="en" dir="{{ request.args.get('dir', 'ltr') }}"
  data-bs-theme="{{ request.args.get('theme', 'light') }}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Orders</title><link rel="icon" href="{{ prefix }}/icon.svg">
{% if framework %}<link rel="stylesheet" href="{{ prefix }}/framework/{{ framework }}">
{% else %}<link rel="stylesheet" href="{{ prefix }}/page.css">{% endif %}
{% if not bare %}{{ download_btn.render_script(nonce=nonce) }}{% endif %}
{% if library %}<script src="{{ prefix }}/vendor/{{ library }}" defer></script>{% endif %}
</head><body{% if library %} hx-boost="true"{% endif %}><main class="p-3"><h1>Orders</h1>
{% for btn in buttons %}
<section>{{ btn.render_btn() }}{{ btn.render_progress() }}</section>
{% endfor %}
{{ extra|safe }}
</main></body></html>
"""

OUTSIDE = """
<form id="by-id"><input name="who" aria-label="Who" value="by id"></form>
<form><input name="who" aria-label="Who else" value="not this one"></form>
"""

ORDER = """
<form id="order">{{ form.hidden_tag() }}<p>{{ form.year.label }} {{ form.year(required=False) }}</p>
<p>{{ form.email.label }} {{ form.email() }} <span data-btn-error="email" hidden></span></p>
{{ form.kind() }}{% set btn = download_btn("order").using(form_id=form_id) %}
{{ btn.render_btn() }}{{ btn.render_progress() }}
</form>
"""

SWAPS = """
<a href="{{ prefix }}/swaps{{ query }}">Elsewhere</a>
<button hx-get="{{ prefix }}/fragment{{ query }}" hx-target="#place" hx-swap="outerHTML">
Swap</button>
<button hx-get="{{ prefix }}/fragment{{ query }}" hx-target="#frame">Swap inside</button>
<a href="{{ prefix }}/swaps{{ query }}" data-turbo-frame="frame">Frame</a>
<form method="post" action="{{ prefix }}/stream{{ query }}">
<button>Stream</button> <button name="method" value="morph">Morph</button></form>
<turbo-frame id="frame">{{ fragment }}</turbo-frame>
"""

FRAGMENT = """
<div id="place">{% for btn in buttons %}<section>{{ btn }}</section>{% endfor %}</div>
"""

FORM = """
<form id="orders"><label>Who <input name="who" required></label>
<label>File <input type="file" name="upload"></label>
{% for number in range(numbers) %}
{% set btn = download_btn("with_form", number=number).using(form_id=form_id) %}
{{ btn.render_btn() }}{{ btn.render_progress() }}{% endfor %}</form>
<form><input name="other" aria-label="Other" value="not this one"></form>
"""


@app.get("/")
def index():
    """Show buttons: `/?b=one&b=half:gate` (what follows the colon is the gate, or the path)."""
    return page(buttons=wanted_buttons())


def wanted_buttons():
    buttons = []
    for wanted in request.args.getlist("b"):
        name, _, value = wanted.partition(":")
        arguments = {"path" if name == "site_page" else "gate": value} if value else {}
        buttons.append(manager_html()(name, **arguments))
    return buttons


@app.get("/outside")
def outside():
    return page(buttons=[manager_html()("by_id"), manager_html()("with_form")], extra=OUTSIDE)


@app.get("/center")
def center():
    """Show the downloads centre below the buttons: `/center?b=one`."""
    render = app.jinja_env.globals["download_center"]
    return page(buttons=wanted_buttons(), extra=render(nonce=request.args.get("nonce")))


@app.get("/swaps")
def swaps():
    """Show `b` in a page of htmx or Turbo whose controls bring `to`, each in its own way."""
    query = f"?library={request.args['library']}"
    query += "".join(f"&b={name}&to={name}" for name in request.args.getlist("to"))
    html = render_template_string(SWAPS, query=query, prefix=PREFIX, fragment=fragment())
    return page(extra=html)


@app.get("/fragment")
def fragment():
    """Show buttons without a page around them: `/fragment?b=one`."""
    return Markup(render_template_string(FRAGMENT, buttons=wanted_buttons()))


@app.post("/stream")
def stream():
    """Answer as Turbo wants it: what stands at `place` is replaced."""
    method = request.form.get("method", "")
    html = f"<turbo-stream action=replace method='{escape(method)}' target=place>"
    html += f"<template>{fragment()}</template></turbo-stream>"
    return Response(html, mimetype="text/vnd.turbo-stream.html")


@app.get("/vendor/<name>")
def vendor(name):
    return send_from_directory(VENDOR, name)


@app.get("/form")
def form():
    """Show buttons inside their form, which they name if told to: `/form?form_id=orders`."""
    numbers = int(request.args.get("numbers", "1"))
    form_id = request.args.get("form_id")
    return page(extra=render_template_string(FORM, numbers=numbers, form_id=form_id))


@app.get("/order")
def order_page():
    """Show a WTForms form."""
    form_id = request.args.get("form_id")
    return page(extra=render_template_string(ORDER, form=OrderForm(), form_id=form_id))


@app.get("/new-row")
def new_row():
    """Make a button at each view, as the documented way does: `/new-row?gate=gate`."""
    btn = manager.DownloadBtn(btn_text="Make it anew")
    btn.create_file_functions = [Function(anew, gate=request.args["gate"])]
    db.session.commit()
    return page(buttons=[btn])


def manager_html():
    return app.jinja_env.globals["download_btn"]


def page(buttons=(), extra=""):
    nonce = request.args.get("nonce")
    html = render_template_string(
        PAGE,
        buttons=buttons,
        extra=extra,
        nonce=nonce,
        bare="bare" in request.args,
        library=LIBRARIES.get(request.args.get("library")),
        prefix=PREFIX,
        framework=FRAMEWORKS[request.args.get("framework", "none")],
    )
    policy = "default-src 'self'"
    if nonce:
        policy += f"; script-src 'nonce-{nonce}'"
        policy += "" if "static" in request.args else " 'strict-dynamic'"
    if "library" in request.args:
        # htmx and Turbo write styles of their own.
        policy += "; style-src 'self' 'unsafe-inline'"
    headers = {"Content-Security-Policy": policy}
    if "keep" not in request.args:
        headers["Cache-Control"] = "no-store"
    return Response(html, headers=headers)


@app.get("/framed")
def framed():
    """Show a button in a frame: `/framed?sandbox=allow-scripts`."""
    sandbox = escape(request.args["sandbox"])
    frame = f"<iframe sandbox='{sandbox}' src='{PREFIX}/?b=one' width=600 height=300></iframe>"
    return f"<title>Framed</title><link rel=icon href={PREFIX}/icon.svg>{frame}"


@app.get("/page.css")
def page_css():
    css = "body { background: Canvas; color: CanvasText; font: 1rem/1.5 sans-serif }"
    return Response(":root { color-scheme: light dark }" + css, mimetype="text/css")


@app.get("/icon.svg")
def icon():
    return Response("<svg xmlns='http://www.w3.org/2000/svg'/>", mimetype="image/svg+xml")


@app.get("/framework/<path:name>")
def framework(name):
    import flask_bootstrap

    return send_from_directory(Path(flask_bootstrap.__file__).parent / "static", name)


@app.get("/landed")
def landed():
    return f"<title>Landed</title><link rel=icon href={PREFIX}/icon.svg><h1>Landed</h1>"


@app.get("/report.pdf")
def report():
    heads.append(request.method)
    return Response(b"%PDF", mimetype="application/pdf")


@app.post("/gates/<name>")
def open_gate(name):
    gates[name].set()
    return ""


@app.get("/facts")
def facts():
    return {"calls": calls, "forms": forms, "heads": heads}


with app.app_context():
    db.create_all()

if __name__ == "__main__":
    app.run()
