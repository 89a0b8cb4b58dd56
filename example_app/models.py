"""Declare the tables: buttons with their functions, and the orders that pages export."""

from sqlalchemy.ext.orderinglist import ordering_list

from flask_download_btn import DownloadBtnManager, DownloadBtnMixin, FunctionMixin

from .extensions import db


@DownloadBtnManager.register
class DownloadBtn(DownloadBtnMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    create_file_functions = db.relationship(
        "Function",
        order_by="Function.index",
        collection_class=ordering_list("index"),
        foreign_keys="Function.create_file_id",
    )


class Function(FunctionMixin, db.Model):
    id = db.Column(db.Integer, primary_key=True)
    create_file_id = db.Column(db.Integer, db.ForeignKey("download_btn.id"))


class Order(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    year = db.Column(db.Integer, nullable=False, index=True)
    customer = db.Column(db.String(80), nullable=False)
    cents = db.Column(db.Integer, nullable=False)

    def as_csv(self):
        return f"{self.id},{self.year},{self.customer},{self.cents / 100:.2f}\n"
