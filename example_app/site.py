"""Lay out what all pages share: the index, the policy, and each example's own source."""

from flask import Blueprint, render_template, request

from .examples import CHAPTERS, EXAMPLES

POLICY = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'"

site = Blueprint("site", __name__)


@site.get("/")
def index():
    return render_template("index.html")


@site.app_context_processor
def add_examples():
    example = EXAMPLES.get((request.endpoint or "").removeprefix("examples."))
    return {"chapters": CHAPTERS, "example": example}


@site.after_app_request
def add_policy(response):
    # The files of download buttons bring a stricter one of their own.
    response.headers.setdefault("Content-Security-Policy", POLICY)
    return response
