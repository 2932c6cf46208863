"""What a record of a change topic can be: a change of a row, or something else that has a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from quality.verdict import Rejected, Violation

Scalar: TypeAlias = "bool | int | str | float | list[Scalar] | dict[str, Scalar] | None"
RowImage: TypeAlias = Mapping[str, Scalar]
Operation = Literal["insert", "update", "delete", "snapshot", "truncate", "schema_change"]
IgnoredKind = Literal["tombstone", "transaction", "heartbeat", "message", "schema_change"]


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One record of a topic, as a consumer has it.

    Attributes:
        value: None is a tombstone, which is not an empty value.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


@dataclass(frozen=True, slots=True)
class RowChange:
    """One change of one row, the same for every connector.

    Numbers of instants and days are as the record has them unless it came with its schema: their
    unit is known by the source contract. Decimals are exact text.

    Attributes:
        connector: `postgresql`, `mariadb` or `mysql`, as Debezium says it.
        server: The topic prefix.
        table: Schema and table on PostgreSQL, database and table elsewhere.
        key: The row's key by column; None when the table has none.
        before: The row as it was; None when it is not known. Without REPLICA IDENTITY FULL,
            PostgreSQL tells the key alone and null for the rest.
        position: Text that grows with the position in the source: an LSN, or file, offset and row;
            and the order within the transaction, where that is told and survives restarts.
        transaction: Equal for all changes of one transaction; None where it is not told.
        occurred_us: When the source says it happened; whole seconds on MariaDB and MySQL.
        unavailable: Columns of `after` whose value was not sent because it did not change.
        moved_to: The key under which the row goes on, of a deletion that is half of a key change.
        moved_from: The key the row had, of an insert that is the other half.
    """

    connector: str
    server: str
    database: str
    table: str
    operation: Operation
    key: RowImage | None
    before: RowImage | None
    after: RowImage | None
    position: str
    occurred_us: int
    transaction: str | None = None
    unavailable: tuple[str, ...] = ()
    moved_to: RowImage | None = None
    moved_from: RowImage | None = None
    columns: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """A record that is not a change of a row, and means nothing to any metric."""

    kind: IgnoredKind


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that may not become events, and why: a dead letter.

    Attributes:
        reason: Stable code, `cdc_…`.
        hint: What to do about it.
        source: The source contract, once it is known.
    """

    reason: str
    message: str
    hint: str
    tenant: str | None = None
    source: str | None = None
    pointer: str = ""

    def rejected(self) -> Rejected:
        """Return the verdict that the dead-letter topic stores."""
        violation = Violation(self.reason, self.pointer, self.message, self.hint)
        return Rejected(self.reason, (violation,), source=self.source)


@dataclass(frozen=True, slots=True)
class Malformed(Refusal):
    """Bytes that no Debezium connector writes."""
