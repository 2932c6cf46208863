"""The columns of `processing.transformations.layout` in Iceberg's types and in Arrow's."""

from __future__ import annotations

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

from processing.transformations.layout import (
    DEAD_LETTERS,
    ENVELOPE,
    LakeColumn,
    LakeColumnType,
    Layout,
    layout,
)

__all__ = [
    "DEAD_LETTERS",
    "ENVELOPE",
    "INSTANT",
    "ArrowType",
    "LakeColumn",
    "Layout",
    "arrow_schema",
    "arrow_type",
    "iceberg_schema",
    "iceberg_type",
    "layout",
]

ArrowType = Any  # pyarrow has no types

INSTANT: Final = pa.timestamp("us", tz="UTC")

_TYPES: Final[dict[str, tuple[IcebergType, ArrowType]]] = {
    "string": (StringType(), pa.string()),
    "long": (LongType(), pa.int64()),
    "double": (DoubleType(), pa.float64()),
    "boolean": (BooleanType(), pa.bool_()),
    "timestamptz": (TimestamptzType(), INSTANT),
    "date": (DateType(), pa.date32()),
}


def iceberg_type(kind: LakeColumnType) -> IcebergType:
    """Return a column's type in Iceberg."""
    return (
        DecimalType(kind.precision, kind.scale) if kind.name == "decimal" else _TYPES[kind.name][0]
    )


def arrow_type(kind: LakeColumnType) -> ArrowType:
    """Return a column's type in Arrow."""
    return (
        pa.decimal128(kind.precision, kind.scale)
        if kind.name == "decimal"
        else _TYPES[kind.name][1]
    )


def iceberg_schema(columns: tuple[LakeColumn, ...]) -> Schema:
    """Return the Iceberg schema of a new table."""
    return Schema(
        *(
            NestedField(
                number,
                column.name,
                iceberg_type(column.type),
                required=not column.nullable,
                doc=column.description,
            )
            for number, column in enumerate(columns, 1)
        )
    )


def arrow_schema(columns: tuple[LakeColumn, ...]) -> ArrowType:
    """Return the Arrow schema of rows to append."""
    return pa.schema(
        [
            pa.field(column.name, arrow_type(column.type), nullable=column.nullable)
            for column in columns
        ]
    )
