"""A control store outside of the data directory, as backups see it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from control_store.store import ControlStore
from control_store.transfer import load_from_file, save_to_file


@dataclass(frozen=True, slots=True)
class ControlElsewhere:
    """Opens the store for as long as a backup or a restore needs it."""

    open: Callable[[], ControlStore]

    def save(self, path: Path) -> None:
        """Write what it holds at one instant to a new file.

        Raises:
            UnavailableError: It does not answer.
            StorageError: It cannot be read, or the file not written.
        """
        with self._opened() as store:
            save_to_file(store.database, path)

    def load(self, path: Path) -> None:
        """Put what a file holds into it: all or nothing.

        Raises:
            UnavailableError: It does not answer.
            StorageError: It holds something already.
        """
        with self._opened() as store:
            load_from_file(path, store.database)

    @contextmanager
    def _opened(self) -> Iterator[ControlStore]:
        with closing(self.open()) as store:
            store.require()
            yield store
