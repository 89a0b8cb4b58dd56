"""Download buttons for files that take time to make."""

from __future__ import annotations

from .errors import (
    ConfigurationError,
    DownloadBtnError,
    DownloadError,
    LinkRefused,
    OutputRefused,
    ReferenceRefused,
)
from .manager import DownloadBtnManager
from .models import DownloadBtnMixin, FunctionMixin
from .outputs import File
from .progress import Progress
from .signals import file_downloaded, run_cancelled, run_failed, run_ready, run_started

__all__ = [
    "ConfigurationError",
    "DownloadBtnError",
    "DownloadBtnManager",
    "DownloadBtnMixin",
    "DownloadError",
    "File",
    "FunctionMixin",
    "LinkRefused",
    "OutputRefused",
    "Progress",
    "ReferenceRefused",
    "file_downloaded",
    "run_cancelled",
    "run_failed",
    "run_ready",
    "run_started",
]
