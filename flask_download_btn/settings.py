"""Read what an app sets: every `DOWNLOAD_BTN_…`, with its default and its meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from .errors import ConfigurationError

PREFIX = "DOWNLOAD_BTN_"


@dataclass(frozen=True)
class Settings:
    """One app's settings; the names in its config are these in capitals, after `DOWNLOAD_BTN_`."""

    runner: str = "background"
    """Who carries runs out: `background` or, for tests, `inline`."""
    async_mode: str = "threading"
    """How Socket.IO works, if the extension makes it: `threading`, `gevent` or `eventlet`."""
    message_queue: str | None = None
    """The Socket.IO message queue of several processes, such as `redis://`."""
    url_prefix: str = "/download-btn"
    """Where the extension's own routes are."""
    folder: str | None = None
    """Where files are kept; `download_btn` in the instance folder if left out."""
    max_running: int = 100
    """Runs at once in a process, further ones wait; 0 is no limit."""
    max_live: int = 20
    """Live runs at once for a visitor; 0 is no limit."""
    max_files: int = 1000
    """Files of a run; 0 is no limit."""
    max_bytes: int = 0
    """Bytes of a run's files; 0 is no limit."""
    max_form_bytes: int = 64 * 1024 * 1024
    """Bytes of a submitted form; 0 leaves it to the app's own limits."""
    data_url_limit: int = 64 * 1024 * 1024
    """Bytes that a `data:` URL may hold; 0 is no limit."""
    time_limit: float = 4 * 3600
    """Seconds that a run may take; 0 is no limit."""
    retention: float = 24 * 3600
    """Seconds that a temporary file is kept after it was made; 0 is no limit."""
    grace: float = 3600
    """Seconds that a temporary file is kept after its first complete download; 0 is no limit."""
    run_retention: float = 7 * 24 * 3600
    """Seconds that an ended run is remembered; 0 is for ever."""
    token_max_age: float = 24 * 3600
    """Seconds for which a page may stand open before its buttons are too old; 0 is for ever."""
    wait: float = 0.1
    """Seconds that a click waits for a run that may end at once."""
    heartbeat: float = 10.0
    """Seconds between two signs of life of a run."""
    lease: float = 30.0
    """Seconds without one after which a run's process counts as dead."""
    reap: float = 10.0
    """Seconds between two looks for such runs."""
    prune: float = 3600.0
    """Seconds between two prunings; 0 leaves it to `flask download-btn prune`."""
    accel: str | None = None
    """A URI prefix for nginx's `X-Accel-Redirect`, or the word `X-Sendfile`."""
    compress_up_to: int = 2_000_000
    """Bytes up to which text leaves compressed, where the browser takes it; 0 is never."""
    language: str = "en"
    """The language of all words, where Flask-Babel does not say another."""
    texts: Mapping[str, Any] = field(default_factory=dict)
    """Words of the app's own: `{key: text}`, or `{language: {key: text}}`."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Settings:
        """Read an app's config; a name that nobody knows, or a wrong type, is an error."""
        known = {PREFIX + item.name.upper(): item.name for item in fields(cls)}
        given = {key: config[key] for key in config if key.startswith(PREFIX)}
        for key in given:
            if key not in known:
                raise ConfigurationError(
                    f"There is no setting {key!r}. There are: {', '.join(sorted(known))}."
                )
        settings = cls(**{known[key]: value for key, value in given.items()})
        settings._check()
        return settings

    def _check(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            default = item.default
            if isinstance(default, (int, float)) and (
                isinstance(value, bool) or not isinstance(value, (int, float)) or value < 0
            ):
                self._refuse(item.name, value, "a number, 0 or more")
        if self.runner not in ("background", "inline"):
            self._refuse("runner", self.runner, "'background' or 'inline'")
        if self.async_mode not in ("threading", "gevent", "eventlet"):
            self._refuse("async_mode", self.async_mode, "'threading', 'gevent' or 'eventlet'")
        if not self.url_prefix.startswith("/") or self.url_prefix.endswith("/"):
            self._refuse("url_prefix", self.url_prefix, "a path such as '/download-btn'")
        for name in ("heartbeat", "lease", "reap"):
            if not getattr(self, name):
                self._refuse(name, getattr(self, name), "more than 0 seconds")
        if self.lease < 2 * self.heartbeat:
            self._refuse("lease", self.lease, "at least two heartbeats")

    @staticmethod
    def _refuse(name: str, value: Any, what: str) -> None:
        raise ConfigurationError(f"{PREFIX}{name.upper()} is {value!r}. It must be {what}.")
