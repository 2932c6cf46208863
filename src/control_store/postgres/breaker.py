"""Spares callers the wait for what was not there a moment ago."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class Breaker:
    """Lets one call through each *pause_seconds* while calls fail, and all of them otherwise."""

    def __init__(self, pause_seconds: float, seconds: Callable[[], float]) -> None:
        """Measure time with *seconds*, which never goes back."""
        self._pause_seconds = pause_seconds
        self._seconds = seconds
        self._lock = Lock()
        self._failure: Exception | None = None
        self._next_at = 0.0

    def refusal(self) -> Exception | None:
        """Return why a call should not be tried now; None when it should."""
        with self._lock:
            if self._failure is None:
                return None
            now = self._seconds()
            if now < self._next_at:
                return self._failure
            self._next_at = now + self._pause_seconds
            return None

    def failed(self, failure: Exception) -> None:
        """Say that a call failed because it is away."""
        with self._lock:
            self._failure = failure
            self._next_at = self._seconds() + self._pause_seconds

    def well(self) -> None:
        """Say that it answers."""
        if self._failure is not None:
            with self._lock:
                self._failure = None
