"""Name the spot of a button that its view makes anew, so that its run is found there again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flask import request

SPOTS = "flask_download_btn.spots"
"""Where a request keeps the spots that it has named: an app's context may outlive it."""


def spot_of(btn: Any) -> str:
    """Return what is the same whenever this page is loaded, though its button is another.

    It is the page, what the button does, and which of such buttons it is; nothing for a button
    that is found by its own row or name.
    """
    if not btn.recipe:
        return ""
    spots: dict[str, list[str]] = request.environ.setdefault(SPOTS, {})
    like_it = spots.setdefault(btn.recipe, [])
    if btn.uid not in like_it:
        like_it.append(btn.uid)
    spot = json.dumps([*_address(), btn.recipe, like_it.index(btn.uid)])
    return hashlib.sha256(spot.encode()).hexdigest()[:32]


def _address() -> list[str]:
    # Undecoded: who visits may write what is no text.
    query = request.query_string.decode("latin-1")
    return [request.host, request.script_root, request.path, query]
