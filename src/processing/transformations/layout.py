"""The table of an event version: which columns it has, in types that name no engine.

PyIceberg, Arrow, DuckDB and Flink each derive their own types from these, so a table that one of
them makes is the table the others expect. Flink's environment cannot have PyIceberg: nothing here
may import it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from agentflow.contracts import EventContract
from agentflow.contracts.scope import ENVELOPE_COLUMNS, full_scope
from agentflow.errors import ContractError
from agentflow.events import table
from agentflow.expressions.typing import ExpressionType

Primitive = Literal["string", "long", "double", "boolean", "timestamptz", "date", "decimal"]

INTEGER_DIGITS: Final = 18
WIDEST: Final = 38
"""Digits of the widest decimal: derived fields get it, a product has more digits than a factor."""


@dataclass(frozen=True, slots=True)
class LakeColumnType:
    """A type, named as Iceberg names it.

    >>> str(LakeColumnType("decimal", 20, 2))
    'decimal(20, 2)'
    """

    name: Primitive
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        """Render as Iceberg does."""
        return (
            f"decimal({self.precision}, {self.scale})" if self.name == "decimal" else str(self.name)
        )


@dataclass(frozen=True, slots=True)
class LakeColumn:
    """A column of a table."""

    name: str
    type: LakeColumnType
    description: str = ""
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Layout:
    """The table of one event version.

    Attributes:
        table: Its name.
        fields: One column for each declared field, then each derived one.
    """

    table: str
    fields: tuple[LakeColumn, ...]

    @property
    def columns(self) -> tuple[LakeColumn, ...]:
        """All columns, in order."""
        return ENVELOPE + self.fields


STRING: Final = LakeColumnType("string")
LONG: Final = LakeColumnType("long")
INSTANT: Final = LakeColumnType("timestamptz")


def _always(name: str, kind: LakeColumnType, description: str) -> LakeColumn:
    return LakeColumn(name, kind, description, nullable=False)


_KINDS: Final = {"string": STRING, "integer": LONG, "timestamp": INSTANT}
ENVELOPE: Final = tuple(
    LakeColumn(column.name, _KINDS[column.type], column.description, nullable=column.nullable)
    for column in table.ENVELOPE
)

DEAD_LETTERS: Final = (
    _always("tenant", STRING, "Who sent it."),
    _always("received_at", INSTANT, "When it arrived, UTC."),
    _always("log_offset", LONG, "Offset in the topic of dead letters."),
    _always("reason", STRING, "Code of the first violation."),
    LakeColumn("type", STRING, "Event type, if it could be read."),
    LakeColumn("event_id", STRING, "Id, if it could be read."),
    LakeColumn("raw_offset", LONG, "Offset of the raw bytes."),
    LakeColumn("detail", STRING, "All violations, as JSON."),
)

SYSTEM: Final = "agentflow"
DEAD_LETTER_TABLE: Final = (SYSTEM, "dead_letters")
BATCH_TABLE: Final = (SYSTEM, "batches")
"""Holds no rows: its snapshots say up to where every other table is complete."""
PROGRESS_TABLE: Final = (SYSTEM, "progress")
UNREAD_TABLE: Final = (SYSTEM, "unread")

UNREAD: Final = (
    _always("log_offset", LONG, "Offset in the topic of accepted events."),
    _always("table", STRING, "Where it belongs."),
    _always("detail", STRING, "Why it could not be read."),
    _always("record", STRING, "The record, in base64."),
)
"""Accepted events under a contract that the job which writes the lake was not given."""


def progress_columns(layouts: Iterable[Layout]) -> tuple[LakeColumn, ...]:
    """Return the columns of the table that says how far the job has come."""
    taken = [
        LakeColumn(topic, LONG, "Last offset taken in.") for topic in ("validated", "dead_letters")
    ]
    tables = ["dead_letters_rows", "unread_rows", *sorted(each.table for each in layouts)]
    return (*taken, *(LakeColumn(name, LONG, "Last offset that went into it.") for name in tables))


_PLAIN: Final[dict[str, LakeColumnType]] = {
    "string": STRING,
    "null": STRING,
    "integer": LONG,
    "number": LakeColumnType("double"),
    "boolean": LakeColumnType("boolean"),
    "timestamp": INSTANT,
    "date": LakeColumnType("date"),
}


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
        description = contract.derived[name] if declared is None else declared.description
        fields.append(LakeColumn(name, _type(kind, derived=declared is None), description))
    return Layout(table.slug(contract.ref), tuple(fields))


def _type(kind: ExpressionType, *, derived: bool) -> LakeColumnType:
    if kind.kind == "decimal":
        digits = WIDEST if derived else INTEGER_DIGITS + kind.scale
        return LakeColumnType("decimal", digits, kind.scale)
    return _PLAIN[kind.kind]
