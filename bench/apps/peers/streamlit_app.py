"""The job with Streamlit: deferred data, which is made at the click and can show no progress."""

import streamlit as st
from job import DONE, STEPS, TRIVIAL, step


def orders():
    return "".join(step(number) for number in range(STEPS))


if TRIVIAL:
    st.download_button("Make it", data=lambda: DONE, file_name="done.txt")
else:
    st.download_button("Make it", data=orders, file_name="orders.csv")
