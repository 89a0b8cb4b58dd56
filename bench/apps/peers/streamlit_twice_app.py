"""The job with Streamlit's st.progress: the visitor has to click again when the file is there."""

import streamlit as st
from job import DONE, STEPS, TRIVIAL, step

if st.button("Make it"):
    if TRIVIAL:
        st.download_button("Save it", DONE, "done.txt", on_click="ignore")
    else:
        bar = st.progress(0)
        parts = []
        for number in range(STEPS):
            parts.append(step(number))
            bar.progress((number + 1) / STEPS)
        st.download_button("Save it", "".join(parts), "orders.csv", on_click="ignore")
