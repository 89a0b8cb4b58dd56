"""Everything that this package raises, and who reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .texts import TEXTS, Size, size_text


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
    """Raise it in a form or create-file function: the visitor reads its text.

    A form function may say what is wrong with which field: `fields={"year": "No such year."}`, or
    the `errors` of a WTForms form as they are.
    """

    def __init__(self, *args: object, fields: Mapping[Any, Any] | None = None) -> None:
        super().__init__(*args)
        self.errors = dict(_sentences(fields or {}))


class OwnSentence(DownloadError):
    """Raised with a sentence from the table of texts: visitors read it in their language."""

    def __init__(self, key: str, **values: object) -> None:
        self.key = key
        self._values = values
        super().__init__(self.in_words(TEXTS))

    def in_words(self, words: Mapping[str, str]) -> str:
        values = {
            name: size_text(value, words) if isinstance(value, Size) else value
            for name, value in self._values.items()
        }
        return words[self.key].format(**values)


class LimitReached(OwnSentence):
    """Raised when a visitor or a run asks for more than a setting allows."""

    def __init__(self, key: str, *, retry_after: int | None = None, **values: object) -> None:
        super().__init__(key, **values)
        self.retry_after = retry_after


class StorageFailure(OwnSentence):
    """Raised when the storage takes no more, or gives nothing; the log has the cause."""


class FileGone(Exception):
    """Raised when a stored file is no longer there; the visitor reads "File expired"."""

    def __init__(self, message: str, file_id: str | None = None) -> None:
        super().__init__(message)
        self.file_id = file_id


class RunCancelled(BaseException):
    """Stops a function at its next report; no `except Exception` of an app swallows it."""


class RunLost(BaseException):
    """Stops an engine whose run another process has taken over, or ended."""


def _sentences(said: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Give each field's name, as it is in the page, with one text."""
    if isinstance(said, Mapping):
        inner = [(key, value) for key, value in said.items() if key is not None]
    elif isinstance(said, (list, tuple)) and any(
        isinstance(s, (Mapping, list, tuple)) for s in said
    ):
        inner = list(enumerate(said))
    else:
        text = " ".join(map(str, said)) if isinstance(said, (list, tuple)) else str(said)
        if text:
            yield name, text
        return
    # As WTForms names the fields of a form in a form, and of a list: `address-street`, `lines-0`.
    for key, value in inner:
        yield from _sentences(value, f"{name}-{key}" if name else str(key))
