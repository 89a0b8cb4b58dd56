"""A form may bring a file: the form function takes it, and gives the run a function to work on it.

What a form function changes on a button is for this visitor's run alone.
"""

import time
from collections import Counter

from flask import render_template

from flask_download_btn import DownloadError, File

from ..extensions import manager
from ..models import Function
from .blueprint import pages


def take_text(response, btn):
    text = response.files["text"].read(100_001)
    if len(text) > 100_000:
        raise DownloadError("This text is too long. Choose one of at most 100 kB.")
    btn.create_file_functions = [Function(count_words, text=text.decode(errors="replace"))]


@manager.button(text="Count words", form=take_text)
def start_counting(btn):
    yield "Counting", 0


def count_words(btn, text):
    words = Counter()
    for line in btn.track(text.splitlines(), "Counting"):
        words.update(line.lower().split())
        time.sleep(0.01)
    table = "".join(f"{count} {word}\n" for word, count in words.most_common())
    return File(table.encode(), "words.txt")


@pages.get("/upload")
def upload():
    return render_template("examples/upload.html")
