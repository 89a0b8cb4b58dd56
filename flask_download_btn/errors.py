"""Everything that this package raises, and who reads it."""

from __future__ import annotations


class DownloadBtnError(Exception):
    """Raised for a developer's mistake; its sentence says what, which, and what now."""


class ConfigurationError(DownloadBtnError):
    """Raised at start, or at the first use, when the app's set-up cannot work."""


class ReferenceRefused(DownloadBtnError):
    """Raised when a function or argument cannot be stored by name, or a stored one is refused."""


class LinkRefused(DownloadBtnError, ValueError):
    """Raised where a download's or callback's URL is assigned, when a page must not lead there."""


class OutputRefused(DownloadBtnError, TypeError):
    """Raised when a create-file function hands over what is neither progress nor a file."""


class TokenRefused(Exception):
    """Raised when a token is forged, expired, or another's; a visitor is told one sentence."""


class DownloadError(Exception):
    """Raise it in a form or create-file function: the visitor reads its text."""


class LimitReached(DownloadError):
    """Raised when a visitor or a run asks for more than a setting allows."""

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class FileGone(Exception):
    """Raised when a stored file is no longer there; the visitor reads "File expired"."""


class RunCancelled(BaseException):
    """Stops a function at its next report; no `except Exception` of an app swallows it."""


class RunLost(BaseException):
    """Stops an engine whose run another process has taken over, or ended."""
