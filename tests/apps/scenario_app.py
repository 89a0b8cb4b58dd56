"""An app as a newcomer would write it, with nothing set that has a default."""

import os
import secrets
import time
from decimal import Decimal

import numpy
from flask import Flask, render_template_string, request, session, url_for
from flask_sqlalchemy import SQLAlchemy

from flask_download_btn import DownloadBtnManager, DownloadError, File

app = Flask(__name__, instance_path=os.environ["FOLDER"])
app.config["SECRET_KEY"] = "a key that nobody guesses so soon"
app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite:///app.db"
if "ASYNC_MODE" in os.environ:
    app.config["DOWNLOAD_BTN_ASYNC_MODE"] = os.environ["ASYNC_MODE"]
db = SQLAlchemy(app)
manager = DownloadBtnManager(app, db=db)

NAMES = [
    'say "hi".txt',
    "two\nlines\r\n.txt",
    "Übersicht – 东京.txt",
    "../../etc/passwd",
    "report\u202efdp.exe",
    "",
    "n" * 300 + ".csv",
]
ODD = [float("nan"), -5, 250, Decimal("12.5"), numpy.float32(7.5), numpy.int64(9)]
made = 0


@manager.button(text="Make it once")
def cached(btn):
    global made
    if btn.downloads:
        return
    made += 1
    yield File(f"made {made} times".encode(), "once.txt", cached=True)


@manager.button(text="Take a while, once")
def takes_a_while(btn):
    if btn.downloads:
        return
    for _ in btn.track(range(10)):
        time.sleep(0.05)
    yield File(secrets.token_bytes(16), "random.bin", cached=True)


def choose(response, btn):
    if not response.getlist("which"):
        raise DownloadError("Tick at least one.")


@manager.button(text="Make what is ticked", form=choose)
def ticked(btn):
    return [File(which.encode(), f"{which}.txt") for which in btn.run.form.getlist("which")]


def crashes(response, btn):
    raise KeyError("a secret of the server")


@manager.button(text="Crash in the form", form=crashes)
def never(btn):
    yield File(b"never", "never.txt")


@manager.button(text="Return a number")
def number(btn):
    return 17


@manager.button(text="Return a text")
def text(btn):
    return "the content"


@manager.button(text="Name a file")
def names(btn, number):
    yield File(b"content", NAMES[number])


@manager.button(text="Report oddly")
def odd(btn, number):
    yield btn.report("Counting", ODD[number])
    yield File(b"odd", "odd.txt")


@manager.button(text="Report nonsense")
def nonsense(btn):
    yield btn.report("Counting", "50")


@manager.collect
def collect():
    return {"who": session.get("who")}


@manager.button(text="Who am I?")
def who(btn):
    address = url_for("page", b="who", _external=True)
    yield File(f"{btn.run.collected['who']} at {address}".encode(), "who.txt")


@app.get("/")
def page():
    """Show one button: `/?b=names&number=3`, in a form with choices."""
    if "who" in request.args:
        session["who"] = request.args["who"]
    arguments = {"number": int(request.args["number"])} if "number" in request.args else {}
    return render_template_string(
        """<!doctype html><html lang="en"><title>Page</title><link rel="icon" href="data:,">
        <form><label><input type="checkbox" name="which" value="a"> a</label>
        <label><input type="checkbox" name="which" value="b"> b</label>
        {{ download_btn(request.args.b, **arguments) }}</form>""",
        arguments=arguments,
    )


with app.app_context():
    db.create_all()


if __name__ == "__main__":
    app.run()
