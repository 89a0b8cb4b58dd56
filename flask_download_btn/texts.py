"""Hold every word that a visitor reads, in one table that an app can override or translate."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

TEXTS: Mapping[str, str] = MappingProxyType(
    {
        # The button and its progress. The page fills {placeholders} with fields of the snapshot.
        "progress": "Progress of {button}",
        "starting": "Starting…",
        "queued": "Waiting to start…",
        "queue_position": "Place {queue_position} in the queue",
        "working": "Working…",
        "reconnecting": "Connection lost. Trying again…",
        "cancelling": "Cancelling…",
        "ready": "Ready: {files_text}",
        "held": "Your browser did not save everything by itself. Save the rest here:",
        "elsewhere": "Ready. Another site keeps what follows; open it here:",
        "cut": "Cut off before the end: {cut_text}. If your browser"
        " does not go on by itself, save again here:",
        "framed": "The page around this one may forbid saving. If a link does nothing, open the"
        " files in a tab of their own.",
        "saving": "Saving {files_text}…",
        "saved": "Saved {files_text}",
        "nothing": "There is no file to save.",
        "cancelled": "Cancelled.",
        "expired": "The files have expired.",
        "reference": "Reference: {reference}",
        "files": "Files",
        # What a visitor can press.
        "cancel": "Cancel",
        "retry": "Try again",
        "renew": "Make them again",
        "save_again": "Save again",
        "open_tab": "Open in a new tab",
        "save_all": "Download all ({zip_text})",
        "file_saved": "saved",
        "file_saving": "saving…",
        "file_cut": "cut off",
        "file_refused": "not available",
        # The downloads centre.
        "center_title": "Your downloads",
        "center_empty": "There are no downloads yet.",
        "center_notify": "Tell me when a download is ready",
        # What the page says when it has no answer from the server to show.
        "offline": "The server cannot be reached. Check your connection and try again.",
        "garbled": "The server's answer could not be understood ({status}). Please try again.",
        "gone": "This download is no longer available. Please start it again.",
        "unsaved": "Not available, so not saved: {names}.",
        # What the server says.
        "failed": "Something went wrong. Please try again.",
        "too_long": "This took too long and was stopped. Please try again.",
        "lost": "The server was interrupted. Please try again.",
        "button_gone": "This button is no longer there. Load the page again.",
        "stale_page": "This page is too old. Load it again, then try once more.",
        "too_many": "You have too many downloads running. Wait until one has ended.",
        "unavailable": "The server cannot start this now. Please try again in a minute.",
        "too_many_files": "One click can make {limit} files, not more.",
        "too_large_files": "One click can make files of {limit} together, not more.",
        "not_stored": "The file could not be stored. Please try again later.",
        "not_read": "The file cannot be read now. Please try again in a minute.",
        "archive_name": "files.zip",
        "stage_percent": "{stage}: {percent}%",
        "percent": "{percent}%",
        "size": "{number} {unit}",
        "size_units": "B kB MB GB TB",
        "decimal_point": ".",
        "eta_seconds": "less than a minute left",
        "eta_minutes": "about {minutes} min left",
        "eta_hours": "about {hours} h left",
        # Pages without scripts, and pages of errors.
        "back": "Back",
        "continue": "Continue",
        "refreshing": "This page refreshes itself.",
        "title_queued": "Waiting",
        "title_running": "In progress",
        "title_ready": "Ready",
        "title_failed": "Failed",
        "title_cancelled": "Cancelled",
        "title_expired": "Expired",
        "ready_page": "Your files are ready.",
        "error_400_title": "This request could not be understood",
        "error_400": "Go back, load the page again, and try once more.",
        "error_403_title": "Not for you",
        "error_403": "This link is not valid, no longer valid, or belongs to somebody else.",
        "error_404_title": "Not found",
        "error_404": "There is nothing here, or it belongs to somebody else.",
        "error_410_title": "File expired",
        "error_410": "This file is no longer kept. Go back and make it again.",
        "error_413_title": "Too large",
        "error_413": "What you sent is larger than this page accepts.",
        "error_416_title": "No such part",
        "error_416": "The file has no such part. Start the download again.",
        "error_422_title": "Nothing was started",
        "error_429_title": "Too many at once",
        "error_429": "Wait until one of your downloads has ended, then try again.",
        "error_500_title": "Something went wrong",
        "error_500": "It was noted. Please try again later.",
        "error_503_title": "Just a moment",
        "error_503": "The server is restarting. Please try again in a minute.",
    }
)

NUMBERS = {"percent", "minutes", "hours"}
"""Placeholders that are always numbers."""


def with_overrides(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the table with an app's own words; a wrong key or placeholder is a ValueError."""
    words = dict(TEXTS)
    for key, text in (overrides or {}).items():
        if key not in TEXTS:
            raise ValueError(
                f"{key!r} is no key of the texts. There are: {', '.join(sorted(TEXTS))}."
            )
        strange = _placeholders(text) - _placeholders(TEXTS[key])
        if strange:
            raise ValueError(
                f"The text {key!r} has no {{{strange.pop()}}}. It can use:"
                f" {', '.join(sorted(_placeholders(TEXTS[key]))) or 'nothing'}."
            )
        _refuse_stray_braces(key, text)
        words[key] = text
    return words


def _refuse_stray_braces(key: str, text: str) -> None:
    try:
        text.format(**{name: 1 if name in NUMBERS else "" for name in _placeholders(TEXTS[key])})
    except (AttributeError, IndexError, KeyError, ValueError) as error:
        raise ValueError(
            f"The text {key!r} has a brace that belongs to no {{placeholder}}: {text!r}."
        ) from error


class Size(int):
    """A number of bytes, which a sentence says as people do."""


def progress_text(stage: str, percent: float | None, words: Mapping[str, str] = TEXTS) -> str:
    """Say `Stage: 42%`, the stage alone, or the percent alone; 99.9 is not done."""
    if percent is None:
        return stage
    key = "stage_percent" if stage else "percent"
    return words[key].format(stage=stage, percent=int(percent))


def time_left_text(eta: float, words: Mapping[str, str] = TEXTS) -> str:
    """Say roughly how many seconds are left."""
    if eta < 50:
        return words["eta_seconds"]
    if eta < 90 * 60:
        return words["eta_minutes"].format(minutes=max(1, round(eta / 60)))
    return words["eta_hours"].format(hours=round(eta / 3600))


def size_text(size: int, words: Mapping[str, str] = TEXTS) -> str:
    """Say a size for people: `812 B`, `3.4 MB`, `120 MB`."""
    units = words["size_units"].split() or [""]
    number, power = float(size), 0
    while number >= 999.5 and power < len(units) - 1:
        number, power = number / 1000, power + 1
    digits = 1 if power and number < 9.95 else 0
    said = f"{number:.{digits}f}".replace(".", words["decimal_point"])
    return words["size"].format(number=said, unit=units[power])


def _placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))
