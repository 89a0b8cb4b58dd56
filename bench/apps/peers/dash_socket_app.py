"""The job with Dash's WebSocket callbacks, which need its FastAPI back end, and dcc.Download."""

import os

import uvicorn
from dash import Dash, Input, Output, dcc, html, set_props
from job import DONE, STEPS, TRIVIAL, step

app = Dash(__name__, backend="fastapi", websocket_callbacks=True)
app.layout = html.Div(
    [
        html.Button("Make it", id="make"),
        *([] if TRIVIAL else [html.Progress(id="progress", value="0", max=str(STEPS))]),
        dcc.Download(id="file"),
    ]
)


@app.callback(Output("file", "data"), Input("make", "n_clicks"), prevent_initial_call=True)
def make(clicks):
    if TRIVIAL:
        return dcc.send_bytes(DONE, "done.txt")
    parts = []
    for number in range(STEPS):
        parts.append(step(number))
        set_props("progress", {"value": str(number + 1)})
    return dcc.send_string("".join(parts), "orders.csv")


if __name__ == "__main__":
    uvicorn.run(app.server, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
