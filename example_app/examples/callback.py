"""After the download a button says something, or leads to another page."""

import time

from flask import render_template, url_for

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages


@manager.button(text="With a message", download_msg="Your ticket is saved. Have a good trip!")
def ticket_with_message(btn):
    time.sleep(0.5)
    return File(b"One ticket\n", "ticket.txt")


@manager.button(text="With another page")
def ticket_with_callback(btn):
    time.sleep(0.5)
    btn.callback = url_for("examples.thanks")
    return File(b"One ticket\n", "ticket.txt")


@pages.get("/callback")
def callback():
    return render_template("examples/callback.html")


@pages.get("/callback/thanks")
def thanks():
    return render_template("thanks.html")
