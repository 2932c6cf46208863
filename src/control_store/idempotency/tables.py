"""The table of idempotency keys."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, Index, Integer, LargeBinary, Table, Text

from control_store.metadata import TABLES, WHOLE, AnyText

idempotency: Final = Table(
    "idempotency",
    TABLES,
    Column("tenant", AnyText, primary_key=True),
    Column("key", AnyText, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("begun_us", WHOLE, nullable=False),
    Column("status", Integer),
    Column("headers", Text),
    Column("body", LargeBinary),
    Column("owner", Text, nullable=False, server_default=""),
    CheckConstraint("headers IS NULL OR json_valid(headers)").ddl_if(dialect="sqlite"),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
"""`owner` names the process that claimed the key; `status` is NULL until it is answered."""

Index("idempotency_by_age", idempotency.c.begun_us)
