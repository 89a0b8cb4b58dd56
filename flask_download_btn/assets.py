"""Address our scripts and styles by what is in them, so that a browser asks for each once."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, request, url_for

from .compression import ENCODING, compressed

FOLDER = Path(__file__).resolve().parent / "static"
YEAR = 365 * 24 * 3600


class AssetBlueprint(Blueprint):
    """A blueprint whose static files may be kept for ever, if they are asked for by version."""

    def send_static_file(self, filename: str) -> Response:
        response = super().send_static_file(filename)
        if response.status_code == 200 and request.accept_encodings[ENCODING] > 0:
            _compress(response, filename)
        response.vary.add("Accept-Encoding")
        if request.args.get("v") == version() and response.status_code in (200, 304):
            response.cache_control.public = True
            response.cache_control.max_age = YEAR
            response.cache_control.immutable = True
            response.cache_control.no_cache = None
        return response


def _compress(response: Response, filename: str) -> None:
    content = _compressed(filename)
    if content is not None:
        response.close()
        response.direct_passthrough = False
        response.set_data(content)
        response.headers["Content-Encoding"] = ENCODING
        etag, _ = response.get_etag()
        response.set_etag(f"{etag}-{ENCODING}")
        response.make_conditional(request)


@cache
def _compressed(filename: str) -> bytes | None:
    # They are few and small, and sent to everybody.
    return compressed((FOLDER / filename).read_bytes(), level=9)


def address(name: str) -> str:
    """Return the URL of a static file, which is another one when any of them has changed."""
    return url_for("download_btn.static", filename=name, v=version())


@cache
def version() -> str:
    """Name what all static files together are: the script loads its second half by the same."""
    digest = hashlib.sha256()
    for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
