"""A function runs when the request is over: what it needs of the visitor is kept at the click.

`url_for` answers as it would have at the click.
"""

from flask import render_template, request, url_for

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages


@manager.collect
def what_functions_need():
    """There is one such function for all buttons of an app."""
    return {"language": request.accept_languages.best, "page": request.referrer}


@manager.button(text="What is known of me?")
def tell_what_is_known(btn):
    known = btn.run.collected
    text = (
        f"Your language: {known['language']}\n"
        f"The page that you clicked on: {known['page']}\n"
        f"The page to come back to: {url_for('site.index', _external=True)}\n"
    )
    return File(text.encode(), "me.txt")


@pages.get("/collect")
def collect():
    return render_template("examples/collect.html")
