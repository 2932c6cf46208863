"""The tables as versions wrote them that knew no migrations."""

from __future__ import annotations

from typing import Final

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
"""What such a file must look like; anything else is damage."""
