"""The table of published changes of contracts."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Index, Table, Text

from control_store.metadata import TABLES, WHOLE, AnyText

changelog: Final = Table(
    "changelog",
    TABLES,
    Column("sequence", WHOLE, primary_key=True, autoincrement=False),
    Column("published_us", WHOLE, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("version", WHOLE, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("summary", AnyText, nullable=False),
    sqlite_strict=True,
)

Index("changelog_by_contract", changelog.c.kind, changelog.c.name, changelog.c.version)
