"""Hold the blueprint that each example adds its page to."""

from flask import Blueprint

pages = Blueprint("examples", __name__)
