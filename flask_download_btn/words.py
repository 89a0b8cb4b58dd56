"""Give the words that a visitor reads, in their language, with the app's own among them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from . import translations
from .errors import ConfigurationError
from .texts import TEXTS, with_overrides

ENGLISH = "en"


class Words:
    """One table of words for each language that is shipped, or that the app brings."""

    def __init__(self, given: Mapping[str, Any], default: str) -> None:
        """Take the app's words: `{key: text}` for all, `{language: {key: text}}` for one."""
        for_all = {key: text for key, text in given.items() if not isinstance(text, Mapping)}
        for_one = {key: texts for key, texts in given.items() if isinstance(texts, Mapping)}
        self._tables = {
            language: {**_shipped(language), **_own(for_all), **_own(for_one.get(language, {}))}
            for language in {*shipped_languages(), *for_one}
        }
        if self._nearest(default) is None:
            raise ConfigurationError(
                f"DOWNLOAD_BTN_LANGUAGE is {default!r}, of which there are no words. There are:"
                f" {', '.join(sorted(self._tables))}. Others go into DOWNLOAD_BTN_TEXTS."
            )
        self._default = default

    def of(self, language: str | None) -> Mapping[str, str]:
        """Return the words of a language, or of its nearest kin: `de_AT` reads `de`."""
        found = self._nearest(language or self._default) or self._nearest(self._default)
        return self._tables[found or ENGLISH]

    def _nearest(self, language: str) -> str | None:
        names = (language, language.replace("-", "_"), language.replace("_", "-").split("-")[0])
        return next((name for name in names if name in self._tables), None)


def shipped_languages() -> list[str]:
    """Return the languages that the package brings."""
    return [ENGLISH, *(module.name for module in iter_modules(translations.__path__))]


def _shipped(language: str) -> Mapping[str, str]:
    if language not in shipped_languages() or language == ENGLISH:
        return TEXTS
    module = import_module(f"{translations.__name__}.{language}")
    return {**TEXTS, **module.TEXTS}


def _own(texts: Mapping[str, str]) -> Mapping[str, str]:
    checked = with_overrides(texts)
    return {key: checked[key] for key in texts}
