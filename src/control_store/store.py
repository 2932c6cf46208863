"""The control store: every concern over one database."""

from __future__ import annotations

from control_store.changelog.port import ChangelogStore
from control_store.changelog.store import SqlChangelog
from control_store.database import Database
from control_store.idempotency.port import IdempotencyStore
from control_store.idempotency.store import Ownership, SqlIdempotency
from control_store.keys.port import KeyDirectory, KeyStore
from control_store.keys.store import SqlKeys
from control_store.triage.port import TriageStore
from control_store.triage.store import SqlTriage


class ControlStore:
    """All control state. Each concern is a port of its own, which its callers are given alone.

    Attributes:
        idempotency: What was answered to requests with a key.
        triage: What people decided about dead letters.
        changelog: The history of contracts.
        keys: Stored API keys, as they are managed.
        key_directory: The same, as requests are checked against them.
        database: What is behind them.
    """

    def __init__(self, database: Database, ownership: Ownership) -> None:
        """Put every concern on *database*."""
        self.database = database
        self.idempotency: IdempotencyStore = SqlIdempotency(database, ownership)
        self.triage: TriageStore = SqlTriage(database)
        self.changelog: ChangelogStore = SqlChangelog(database)
        keys = SqlKeys(database)
        self.keys: KeyStore = keys
        self.key_directory: KeyDirectory = keys

    def check(self) -> None:
        """Ask whether the database answers; health shows the outcome."""
        self.database.check()

    def require(self) -> None:
        """Raise while the database is away.

        Raises:
            UnavailableError: It does not answer.
            StorageError: It cannot be read.
        """
        with self.database.reading():
            pass

    def close(self) -> None:
        """Release files and connections; further calls fail."""
        self.database.close()
