"""What the tables of every concern share: one set of tables, and types that mean the same twice."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Dialect, MetaData, Text, TypeDecorator
from sqlalchemy.dialects import sqlite

TABLES: Final = MetaData()
"""Every table of the control store; a concern's `tables` module adds its own."""

WHOLE: Final = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
"""A whole number of 64 bits, as positions and microseconds are."""


class AnyText(TypeDecorator[str]):
    """Text that may hold NUL, which PostgreSQL does not store: it is escaped there."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        r"""Write NUL as `\\0`, and a backslash twice."""
        if value is None or dialect.name != "postgresql":
            return value
        return value.replace("\\", "\\\\").replace("\0", "\\0")

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Read it back."""
        if value is None or dialect.name != "postgresql" or "\\" not in value:
            return value
        return "\\".join(part.replace("\\0", "\0") for part in value.split("\\\\"))
