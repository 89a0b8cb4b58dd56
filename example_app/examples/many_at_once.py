"""Eight buttons on one page share one connection, and each shows its own progress."""

import time

from flask import render_template

from ..extensions import manager
from .blueprint import pages


@manager.button(text="Part")
def part(btn, number):
    with btn.create_file(f"part-{number}.txt") as file:
        for line in btn.track(range(100), f"Writing part {number}"):
            file.write(f"Part {number}, line {line}\n")
            time.sleep(0.01 * number)


@pages.get("/many-at-once")
def many_at_once():
    return render_template("examples/many_at_once.html")
