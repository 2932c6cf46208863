"""The tables of stored keys: what they may, and the digests they are found by."""

from __future__ import annotations

from typing import Final

from sqlalchemy import CheckConstraint, Column, Index, LargeBinary, Table, Text

from control_store.metadata import TABLES, WHOLE, AnyText

api_keys: Final = Table(
    "api_keys",
    TABLES,
    Column("number", WHOLE, primary_key=True, autoincrement=False),
    Column("id", Text, nullable=False),
    Column("tenant", AnyText, nullable=False),
    Column("name", AnyText, nullable=False),
    Column("owner", AnyText, nullable=False),
    Column("mode", Text, nullable=False),
    Column("grant", AnyText, nullable=False),
    Column("created_us", WHOLE, nullable=False),
    Column("created_by", AnyText, nullable=False),
    Column("expires_us", WHOLE),
    Column("revoked_us", WHOLE),
    Column("revoked_by", AnyText),
    Column("last_used_us", WHOLE),
    Column("uses", WHOLE, nullable=False),
    Column("changed", WHOLE, nullable=False),
    CheckConstraint("mode IN ('live', 'test')", name="api_keys_mode"),
    sqlite_strict=True,
)
"""`grant` is JSON; `changed` is the generation in which the key was last changed."""

Index("api_keys_by_id", api_keys.c.id, unique=True)
Index("api_keys_by_change", api_keys.c.changed)
Index("api_keys_by_tenant", api_keys.c.tenant, api_keys.c.number)

api_key_digests: Final = Table(
    "api_key_digests",
    TABLES,
    Column("digest", LargeBinary, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("created_us", WHOLE, nullable=False),
    Column("ends_us", WHOLE),
    sqlite_with_rowid=False,
    sqlite_strict=True,
)
"""What keys are found by; a key that was rotated has several."""

Index("api_key_digests_by_key", api_key_digests.c.key_id)
