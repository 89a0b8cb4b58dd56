"""Where stored files are kept."""

from __future__ import annotations

from .local import LocalStorage
from .memory import MemoryStorage

__all__ = ["LocalStorage", "MemoryStorage"]
