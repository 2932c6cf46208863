"""The table of decisions about dead letters."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, Table, Text

from control_store.metadata import TABLES, WHOLE, AnyText

triage: Final = Table(
    "triage",
    TABLES,
    Column("offset", WHOLE, primary_key=True, autoincrement=False),
    Column("status", Text, nullable=False),
    Column("note", AnyText, nullable=False),
    Column("who", AnyText, nullable=False),
    Column("decided_us", WHOLE, nullable=False),
    Column("replayed_as", WHOLE),
    Column("fixed_value", LargeBinary),
    CheckConstraint("status IN ('open', 'fixed', 'replayed', 'discarded')", name="triage_status"),
    sqlite_strict=True,
)

Index("triage_by_status", triage.c.status, triage.c.offset)
