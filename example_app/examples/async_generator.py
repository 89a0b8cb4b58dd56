"""A function may be async, and wait for several things at once."""

import asyncio
import random

from flask import render_template

from flask_download_btn import File

from ..extensions import manager
from .blueprint import pages

CITIES = ("Berlin", "Bogotá", "Cairo", "Kyoto", "Lagos", "Oslo", "Quito", "Riga")


@manager.button(text="Ask for the weather")
async def ask_for_weather(btn):
    yield "Asking", 0
    lines = []
    for answer in asyncio.as_completed([ask(city) for city in CITIES]):
        lines.append(await answer)
        yield f"Asking ({len(lines)} of {len(CITIES)} answered)", 100 * len(lines) / len(CITIES)
    yield File("".join(lines).encode(), "weather.csv")


async def ask(city):
    await asyncio.sleep(random.uniform(0.5, 3))
    return f"{city},{random.randint(-5, 35)} °C\n"


@pages.get("/async-generator")
def async_generator():
    return render_template("examples/async_generator.html")
