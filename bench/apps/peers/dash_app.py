"""The job with Dash: a background callback that reports progress, and dcc.Download."""

import os

import diskcache
from dash import Dash, DiskcacheManager, Input, Output, dcc, html
from job import DONE, STEPS, TRIVIAL, step

cache = diskcache.Cache(f"{os.environ['BENCH_FOLDER']}/dash-{os.environ['PORT']}")
app = Dash(__name__, background_callback_manager=DiskcacheManager(cache))
app.layout = html.Div(
    [
        html.Button("Make it", id="make"),
        *([] if TRIVIAL else [html.Progress(id="progress", value="0", max=str(STEPS))]),
        dcc.Download(id="file"),
    ]
)

if TRIVIAL:

    @app.callback(Output("file", "data"), Input("make", "n_clicks"), prevent_initial_call=True)
    def trivial(clicks):
        return dcc.send_bytes(DONE, "done.txt")

else:

    @app.callback(
        Output("file", "data"),
        Input("make", "n_clicks"),
        background=True,
        progress=Output("progress", "value"),
        # Their default is a second, in which this job would show nothing.
        interval=100,
        prevent_initial_call=True,
    )
    def orders(set_progress, clicks):
        parts = []
        for number in range(STEPS):
            parts.append(step(number))
            set_progress(str(number + 1))
        return dcc.send_string("".join(parts), "orders.csv")


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(os.environ["PORT"]))
