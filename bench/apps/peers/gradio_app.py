"""The job with Gradio: gr.Progress, and a DownloadButton that a line of script clicks at the end.

Its DownloadButton saves a file that is there before the click. To make one at the click takes a
button that makes it, and another, out of sight, that saves it.
"""

import os
import tempfile
from pathlib import Path

import gradio as gr
from job import DONE, STEPS, TRIVIAL, step

SAVE = "() => setTimeout(() => document.querySelector('#file').click())"


def trivial():
    path = Path(tempfile.mkdtemp()) / "done.txt"
    path.write_bytes(DONE)
    return path


def orders(progress=gr.Progress()):  # noqa: B008  # this is how Gradio is asked for it
    path = Path(tempfile.mkdtemp()) / "orders.csv"
    path.write_text("".join(step(number) for number in progress.tqdm(range(STEPS))))
    # The progress is shown over whatever is an output that can be seen.
    return path, "Done"


with gr.Blocks() as demo:
    make = gr.Button("Make it", elem_id="make")
    file = gr.DownloadButton(elem_id="file", visible="hidden")
    if TRIVIAL:
        made = make.click(trivial, outputs=file)
    else:
        made = make.click(orders, outputs=[file, gr.Textbox(label="Orders")])
    made.then(None, js=SAVE)

if __name__ == "__main__":
    demo.launch(server_name="127.0.0.1", server_port=int(os.environ["PORT"]))
