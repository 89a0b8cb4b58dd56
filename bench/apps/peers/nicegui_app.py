"""The job with NiceGUI: steps in a thread, ui.linear_progress, and ui.download."""

import os

from job import DONE, STEPS, TRIVIAL, step
from nicegui import run, ui


@ui.page("/")
def page():
    async def orders():
        parts = []
        for number in range(STEPS):
            parts.append(await run.io_bound(step, number))
            bar.value = (number + 1) / STEPS
        ui.download.content("".join(parts), "orders.csv")

    if TRIVIAL:
        ui.button("Make it", on_click=lambda: ui.download.content(DONE, "done.txt"))
    else:
        ui.button("Make it", on_click=orders)
        bar = ui.linear_progress(0, show_value=False)


ui.run(host="127.0.0.1", port=int(os.environ["PORT"]), show=False, reload=False)
