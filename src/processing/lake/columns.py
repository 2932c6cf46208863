"""The table of an event version: which columns it has, in Iceberg's types and in Arrow's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    IcebergType,
    LongType,
    NestedField,
    StringType,
    TimestamptzType,
)

from agentflow.contracts import EventContract
from agentflow.contracts.export.tables import slug
from agentflow.contracts.scope import ENVELOPE_COLUMNS, full_scope
from agentflow.errors import ContractError
from agentflow.expressions.typing import ExpressionType

ArrowType = Any  # pyarrow has no types

INSTANT: Final = pa.timestamp("us", tz="UTC")
INTEGER_DIGITS: Final = 18
WIDEST: Final = 38
"""Digits of the widest decimal: derived fields get it, a product has more digits than a factor."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, with its type in both type systems."""

    name: str
    type: IcebergType
    arrow: ArrowType
    description: str = ""
    nullable: bool = True


def _always(name: str, iceberg: IcebergType, arrow: ArrowType, description: str) -> Column:
    return Column(name, iceberg, arrow, description, nullable=False)


ENVELOPE: Final = (
    _always("tenant", StringType(), pa.string(), "Who sent it; decided by the API key."),
    _always("source", StringType(), pa.string(), "CloudEvents source."),
    _always("event_id", StringType(), pa.string(), "CloudEvents id."),
    _always("occurred_at", TimestamptzType(), INSTANT, "Event time, UTC."),
    _always("ingested_at", TimestamptzType(), INSTANT, "When it was taken in, UTC."),
    _always("log_offset", LongType(), pa.int64(), "Offset in the topic of accepted events."),
    Column("ce_subject", StringType(), pa.string(), "CloudEvents subject."),
    Column("ce_correlation_id", StringType(), pa.string(), "Ties a chain together."),
)
"""`source` and `event_id` make an event unique within its tenant."""

DEAD_LETTERS: Final = (
    _always("tenant", StringType(), pa.string(), "Who sent it."),
    _always("received_at", TimestamptzType(), INSTANT, "When it arrived, UTC."),
    _always("log_offset", LongType(), pa.int64(), "Offset in the topic of dead letters."),
    _always("reason", StringType(), pa.string(), "Code of the first violation."),
    Column("type", StringType(), pa.string(), "Event type, if it could be read."),
    Column("event_id", StringType(), pa.string(), "Id, if it could be read."),
    Column("raw_offset", LongType(), pa.int64(), "Offset of the raw bytes."),
    Column("detail", StringType(), pa.string(), "All violations, as JSON."),
)

_PLAIN: Final[dict[str, tuple[IcebergType, ArrowType]]] = {
    "string": (StringType(), pa.string()),
    "null": (StringType(), pa.string()),
    "integer": (LongType(), pa.int64()),
    "number": (DoubleType(), pa.float64()),
    "boolean": (BooleanType(), pa.bool_()),
    "timestamp": (TimestamptzType(), INSTANT),
    "date": (DateType(), pa.date32()),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The table of one event version.

    Attributes:
        table: Its name.
        fields: One column for each declared field, then each derived one.
    """

    table: str
    fields: tuple[Column, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns, in order."""
        return ENVELOPE + self.fields


def layout(contract: EventContract) -> Layout:
    """Return the table an event contract asks for.

    Raises:
        ContractError: A field has the name of an envelope column.
    """
    scope = full_scope(contract)
    if taken := sorted(scope.keys() & ENVELOPE_COLUMNS):
        raise ContractError(
            f'field "{taken[0]}" of event "{contract.ref}" has the name of an envelope column',
            hint=f"Rename it; these names are taken: {', '.join(sorted(ENVELOPE_COLUMNS))}.",
        )
    fields = []
    for name, kind in scope.items():
        declared = contract.fields.get(name)
        iceberg, arrow = _types(kind, derived=declared is None)
        description = contract.derived[name] if declared is None else declared.description
        fields.append(Column(name, iceberg, arrow, description))
    return Layout(slug(contract.ref), tuple(fields))


def iceberg_schema(columns: tuple[Column, ...]) -> Schema:
    """Return the Iceberg schema of a new table."""
    return Schema(
        *(
            NestedField(
                number,
                column.name,
                column.type,
                required=not column.nullable,
                doc=column.description,
            )
            for number, column in enumerate(columns, 1)
        )
    )


def arrow_schema(columns: tuple[Column, ...]) -> ArrowType:
    """Return the Arrow schema of rows to append."""
    return pa.schema(
        [pa.field(column.name, column.arrow, nullable=column.nullable) for column in columns]
    )


def _types(kind: ExpressionType, *, derived: bool) -> tuple[IcebergType, ArrowType]:
    if kind.kind == "decimal":
        digits = WIDEST if derived else INTEGER_DIGITS + kind.scale
        return DecimalType(digits, kind.scale), pa.decimal128(digits, kind.scale)
    return _PLAIN[kind.kind]
