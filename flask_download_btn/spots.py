"""Name the spot of a button that its view makes anew, so that its run is found there again."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from flask import g, request


def spot_of(btn: Any) -> str:
    """Return what is the same whenever this page is loaded, though its button is another.

    It is the page, what the button does, and which of such buttons it is; nothing for a button
    that is found by its own row or name.
    """
    if not btn.is_new:
        return ""
    spots: dict[str, str] = g.setdefault("download_btn_spots", {})
    if btn.uid not in spots:
        kind = _kind(btn)
        numbers: dict[str, int] = g.setdefault("download_btn_kinds", {})
        numbers[kind] = numbers.get(kind, 0) + 1
        spots[btn.uid] = hashlib.sha256(f"{kind}{numbers[kind]}".encode()).hexdigest()[:32]
    return spots[btn.uid]


def _kind(btn: Any) -> str:
    lists = (btn.handle_form_functions, btn.create_file_functions)
    functions = [[(each.reference, each.arguments) for each in functions] for functions in lists]
    kind = [request.full_path, btn.btn_text, btn.form_id, list(btn.downloads or ()), functions]
    return json.dumps(kind, default=str)
