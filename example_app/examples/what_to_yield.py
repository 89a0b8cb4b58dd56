"""A function yields whatever says best how far it is: a stage, a percent, both, or nothing."""

import time

from flask import render_template

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages


@manager.button(text="Bake a cake")
def bake(btn):
    yield "Heating the oven"  # a stage that takes nobody knows how long
    time.sleep(1.5)

    yield "Mixing", 0  # a stage and its percent
    for percent in range(0, 100, 5):
        yield percent  # the percent alone
        time.sleep(0.05)

    yield btn.reset("Baking", 0)  # the same in full
    for minute in range(40):
        yield btn.report("Baking", 100 * minute / 40)
        time.sleep(0.05)

    for layer in btn.track(["cream", "cherries", "sugar"], "Decorating"):
        btn.report(f"Decorating with {layer}")  # no need to yield what is reported
        time.sleep(0.5)

    yield  # nothing to say, but a cancelled run stops here
    yield File(b"A cake, with love.\n", "cake.txt")


@pages.get("/what-to-yield")
def what_to_yield():
    return render_template("examples/what_to_yield.html")
