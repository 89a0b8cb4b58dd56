"""One decorator above a function, and one expression in a template."""

import time

from flask import render_template
from sqlalchemy import select

from ..extensions import db, manager
from ..models import Order
from .blueprint import pages


@manager.button(text="Export orders")
def export_orders(btn, year):
    orders = db.session.scalars(select(Order).where(Order.year == year)).all()
    with btn.create_file(f"orders-{year}.csv") as file:
        for order in btn.track(orders, "Writing orders"):
            file.write(order.as_csv())
            time.sleep(0.005)  # so that there is something to see


@pages.get("/short-way")
def short_way():
    return render_template("examples/short_way.html")
