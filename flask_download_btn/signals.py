"""The signals of the extension; their sender is the app."""

from __future__ import annotations

from blinker import Namespace

_signals = Namespace()

run_started = _signals.signal("run_started", doc="A run was claimed; `run` is given.")
run_ready = _signals.signal("run_ready", doc="A run has made its files; `run` is given.")
run_failed = _signals.signal("run_failed", doc="A run has failed; `run` is given.")
run_cancelled = _signals.signal("run_cancelled", doc="A run was cancelled; `run` is given.")
file_downloaded = _signals.signal(
    "file_downloaded", doc="A file's last byte has left; `run` and `file` are given."
)

ENDS = {"ready": run_ready, "failed": run_failed, "cancelled": run_cancelled}
