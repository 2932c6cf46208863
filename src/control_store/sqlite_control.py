"""Control state in one SQLite file: small rows, each durable before the call returns."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from agentflow.errors import StorageError
from agentflow.supervision import Activity, Supervisor
from control_store.port import (
    Attempt,
    Conflict,
    ContractChange,
    Done,
    InProgress,
    New,
    Triage,
    TriageStatus,
)
from ingestion.log.faults import translated

IDEMPOTENCY_TTL_US: Final = 24 * 3600 * 1_000_000

APPLICATION_ID: Final = 0x41464354
"""Written into the file header: `AFCT`."""

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS idempotency (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  begun_us INTEGER NOT NULL,
  status INTEGER,
  headers TEXT CHECK (headers IS NULL OR json_valid(headers)),
  body BLOB,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS idempotency_by_age ON idempotency (begun_us);
CREATE TABLE IF NOT EXISTS triage (
  offset INTEGER PRIMARY KEY,
  status TEXT NOT NULL CHECK (status IN ('open', 'fixed', 'replayed', 'discarded')),
  note TEXT NOT NULL,
  who TEXT NOT NULL,
  decided_us INTEGER NOT NULL,
  replayed_as INTEGER,
  fixed_value BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS triage_by_status ON triage (status, offset);
CREATE TABLE IF NOT EXISTS changelog (
  sequence INTEGER PRIMARY KEY,
  published_us INTEGER NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  version INTEGER NOT NULL,
  fingerprint TEXT NOT NULL,
  summary TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS changelog_by_contract ON changelog (kind, name, version);
"""
"""STRICT and CHECK let `integrity_check` find damage that leaves the file well formed."""

_TRIAGE = "offset, status, note, who, decided_us, replayed_as, fixed_value"
_CHANGE = "published_us, kind, name, version, fingerprint, summary"


class SqliteControl:
    """A `ControlStore` in one file. Built by `control_store.opening.open_control`.

    Delivery: durable when a method returns (`synchronous=FULL`). Thread-safety: any thread; calls
    take turns, each is a few rows.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, activity: Activity | None = None
    ) -> None:
        """Take over *connection*; *activity* is told whether calls succeed."""
        self._activity = activity or Supervisor().activity("control-store", "control")
        self._path = path
        self._connection = connection
        self._lock = Lock()
        self._working: set[tuple[str, str]] = set()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._used() as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        with self._used() as connection:
            return connection.execute(sql, parameters).fetchall()

    @contextmanager
    def _used(self) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock, translated(self._path):
                yield self._connection
        except StorageError as error:
            self._activity.failed(error, expected=True)
            raise
        self._activity.well()

    def begin(self, tenant: str, key: str, fingerprint: bytes, *, now_us: int) -> Attempt:
        """Claim *key*; see `IdempotencyStore.begin`.

        A claim is durable before the work starts, so that a second body is refused even after a
        crash. A claim of a process that is gone has no owner: the same body is told to do the work
        again, which is harmless because every event inside counts once.
        """
        claimed = False
        try:
            with self._transaction() as connection:
                attempt = self._attempt(connection, tenant, key, fingerprint, now_us)
                if claimed := isinstance(attempt, New):
                    self._working.add((tenant, key))
        except BaseException:
            if claimed:
                self._working.discard((tenant, key))
            raise
        return attempt

    def _attempt(
        self, connection: sqlite3.Connection, tenant: str, key: str, fingerprint: bytes, now_us: int
    ) -> Attempt:
        row = connection.execute(
            "SELECT fingerprint, begun_us, status, headers, body FROM idempotency "
            "WHERE tenant = ? AND key = ?",
            (tenant, key),
        ).fetchone()
        working = (tenant, key) in self._working
        if row is None or (row[1] <= now_us - IDEMPOTENCY_TTL_US and not working):
            connection.execute(
                "INSERT OR REPLACE INTO idempotency (tenant, key, fingerprint, begun_us) "
                "VALUES (?, ?, ?, ?)",
                (tenant, key, fingerprint, now_us),
            )
            return New()
        known, begun_us, status, headers, body = row
        if known != fingerprint:
            return Conflict()
        if status is not None:
            return Done(status, json.loads(headers), body)
        return InProgress(begun_us) if working else New(resumed=True)

    def finish(self, tenant: str, key: str, answer: Done, *, now_us: int) -> None:
        """Store the answer; the 24 hours count from here."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE idempotency SET begun_us = ?, status = ?, headers = ?, body = ? "
                "WHERE tenant = ? AND key = ?",
                (
                    now_us,
                    answer.status,
                    json.dumps(dict(answer.headers)),
                    answer.body,
                    tenant,
                    key,
                ),
            )
        self._working.discard((tenant, key))

    def abandon(self, tenant: str, key: str) -> None:
        """Forget a claim without an answer; an answered key stays."""
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM idempotency WHERE tenant = ? AND key = ? AND status IS NULL",
                (tenant, key),
            )
        self._working.discard((tenant, key))

    def expire(self, *, now_us: int) -> int:
        """Delete what is older than 24 hours, but for what is being worked on."""
        with self._transaction() as connection:
            old = connection.execute(
                "SELECT tenant, key FROM idempotency WHERE begun_us <= ?",
                (now_us - IDEMPOTENCY_TTL_US,),
            ).fetchall()
            gone = [pair for pair in old if pair not in self._working]
            connection.executemany("DELETE FROM idempotency WHERE tenant = ? AND key = ?", gone)
        return len(gone)

    def decide(self, triage: Triage) -> None:
        """Store the decision; the latest call for an offset wins."""
        with self._transaction() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO triage ({_TRIAGE}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constant
                (
                    triage.offset,
                    triage.status.value,
                    triage.note,
                    triage.who,
                    triage.decided_us,
                    triage.replayed_as,
                    triage.fixed_value,
                ),
            )

    def triage(self, offsets: Sequence[int]) -> Mapping[int, Triage]:
        """Return the decisions about *offsets*; those still open are left out."""
        rows = self._rows(
            f"SELECT {_TRIAGE} FROM triage WHERE offset IN (SELECT value FROM json_each(?))",  # noqa: S608 - constant
            (json.dumps(list(offsets)),),
        )
        return {entry.offset: entry for entry in map(_triage, rows)}

    def triaged(
        self, status: TriageStatus, *, after: int = -1, limit: int = 100
    ) -> Sequence[Triage]:
        """Return decisions with *status* for offsets above *after*, in offset order."""
        rows = self._rows(
            f"SELECT {_TRIAGE} FROM triage WHERE status = ? AND offset > ? "  # noqa: S608 - constant
            "ORDER BY offset LIMIT ?",
            (status.value, after, limit),
        )
        return [_triage(row) for row in rows]

    def counts(self) -> Mapping[TriageStatus, int]:
        """Return how many dead letters have each status, without those never triaged."""
        rows = self._rows("SELECT status, count(*) FROM triage GROUP BY status")
        return {TriageStatus(str(status)): int(str(number)) for status, number in rows}

    def publish(self, change: ContractChange) -> bool:
        """Append *change* unless that contract version's latest fingerprint is the same."""
        with self._transaction() as connection:
            latest = connection.execute(
                "SELECT fingerprint FROM changelog WHERE kind = ? AND name = ? AND version = ? "
                "ORDER BY sequence DESC LIMIT 1",
                (change.kind, change.name, change.version),
            ).fetchone()
            if latest is not None and latest[0] == change.fingerprint:
                return False
            connection.execute(
                f"INSERT INTO changelog ({_CHANGE}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - constant
                (
                    change.published_us,
                    change.kind,
                    change.name,
                    change.version,
                    change.fingerprint,
                    change.summary,
                ),
            )
        return True

    def changes(self, *, after: int = 0, limit: int = 100) -> Sequence[tuple[int, ContractChange]]:
        """Return (sequence number from 1, change) above *after*, oldest first."""
        rows = self._rows(
            f"SELECT sequence, {_CHANGE} FROM changelog WHERE sequence > ? "  # noqa: S608 - constant
            "ORDER BY sequence LIMIT ?",
            (after, limit),
        )
        return [(sequence, ContractChange(*columns)) for sequence, *columns in rows]  # type: ignore[misc,arg-type]

    def close(self) -> None:
        """Release the file; further calls fail."""
        with self._lock:
            self._connection.close()


def _triage(row: Sequence[object]) -> Triage:
    offset, status, *rest = row
    return Triage(offset, TriageStatus(status), *rest)  # type: ignore[arg-type]
