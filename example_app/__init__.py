"""Show every way of using a download button, one page for each."""

from .cooperative import patch

patch()

from .app import create_app  # noqa: E402  # what is imported before the patch keeps real sockets

__all__ = ["create_app"]
