"""Changes of contracts that are in force already: what cannot be stored now is stored later."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from threading import Lock

from agentflow.errors import StorageError, UnavailableError
from control_store.changelog.port import ChangelogStore, ContractChange


class ChangelogRecorder:
    """Publishes changes in order, and goes on where the store was away. Any thread.

    What is left when the process ends is found again at its next start, by its fingerprints.
    """

    def __init__(self, changelog: ChangelogStore) -> None:
        """Publish to *changelog*."""
        self._changelog = changelog
        self._lock = Lock()
        self._left: list[ContractChange] = []

    def record(self, changes: Iterable[ContractChange]) -> list[ContractChange]:
        """Publish *changes*; return those that were news, and those that are stored later."""
        with self._lock:
            self._left += changes
            published = self._publish()
            return [*published, *self._left]

    def retry(self) -> None:
        """Publish what could not be stored before."""
        if self._left:
            with self._lock:
                self._publish()

    @property
    def waiting(self) -> int:
        """How many changes are not stored yet."""
        return len(self._left)

    def _publish(self) -> list[ContractChange]:
        news = []
        with suppress(StorageError, UnavailableError):
            while self._left:
                if self._changelog.publish(self._left[0]):
                    news.append(self._left[0])
                self._left.pop(0)
        return news
