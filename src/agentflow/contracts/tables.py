"""The shape of a source contract: which events the changes of a database table become."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agentflow.contracts.base import FieldName, Frozen, Name, Ref, Status
from agentflow.events import EventRef

Connector = Literal["postgres", "mariadb", "mysql"]
ColumnName = Annotated[str, Field(pattern=r"^[^\x00-\x1f$']{1,64}$")]
ServerName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
TableName = Annotated[str, Field(pattern=r"^[^.\s]{1,64}\.[^.\s]{1,64}$")]
ColumnType = Literal[
    "string",
    "integer",
    "decimal",
    "number",
    "boolean",
    "bytes",
    "date",
    "json",
    "time",
    "timestamp",
    "timestamp_millis",
    "timestamp_micros",
    "timestamp_nanos",
]
KEY = "$key"
POSITION = "$position"


class ColumnValues(Frozen):
    """A column whose values are translated; a value that is not listed is refused.

    Attributes:
        values: Column value → field value; null leaves the field out.
    """

    column: ColumnName
    values: dict[str, str | None] = Field(min_length=1)


class ColumnTenant(Frozen):
    """The tenant is what a column holds."""

    column: ColumnName


class Emission(Frozen):
    """One event that a change of a row becomes.

    Attributes:
        fields: Event field → column, a literal written `'EUR'`, `$key` or `$position`.
        time: The column that says when it happened; None means when the row was changed.
        when: Column → values; the event is made only for rows that hold one of them in each.
        changed: The event is made only when one of these columns changed.
        once: The event happens once to a row, whichever change shows it; implied under `insert`.
    """

    event: Ref
    fields: dict[FieldName, str | ColumnValues] = Field(min_length=1)
    time: ColumnName | None = None
    when: dict[ColumnName, tuple[str, ...]] = Field(default={})
    changed: tuple[ColumnName, ...] = ()
    once: bool = False

    @property
    def ref(self) -> EventRef:
        """The event type."""
        return EventRef.parse(self.event)


class SourceContract(Frozen):
    """A table of a database, and the events that its changes become.

    Attributes:
        server: Topic prefix of the connector: changes are in `<server>.<table>`.
        table: Schema and table on PostgreSQL, database and table on MariaDB and MySQL.
        key: Columns of the primary key; empty for a table without one, which may only grow.
        epoch: Goes up when positions start again: another server, a slot that was lost, a new
            snapshot that shall win over everything before it.
        snapshot: Whether rows that were there before the connector count: all of them, only those
            that the event's `lateness.accept` allows, or none.
        columns: The columns that are read, with what they hold.
        write: What an insert becomes, and an update as well: a new version of the row.
    """

    kind: Literal["source"]
    name: Name
    version: Annotated[int, Field(ge=1)] = 1
    status: Status
    owner: str
    description: str
    connector: Connector
    server: ServerName
    database: Annotated[str, Field(pattern=r"^\S{1,64}$")]
    table: TableName
    key: tuple[ColumnName, ...] = ()
    tenant: ColumnTenant | Annotated[str, Field(min_length=1, max_length=64)] = "default"
    epoch: Annotated[int, Field(ge=1, le=9999)] = 1
    snapshot: Literal["rows", "recent", "none"] = "rows"
    columns: dict[ColumnName, ColumnType] = Field(min_length=1)
    write: tuple[Emission, ...] = ()
    insert: tuple[Emission, ...] = ()
    update: tuple[Emission, ...] = ()
    delete: tuple[Emission, ...] = ()
    sunset: str | None = None

    @property
    def topic(self) -> str:
        """The topic that holds the changes."""
        return f"{self.server}.{self.table}"

    @property
    def emissions(self) -> dict[str, tuple[Emission, ...]]:
        """Operation → what it becomes."""
        return {
            "insert": (*self.write, *self.insert),
            "update": (*self.write, *self.update),
            "delete": self.delete,
        }
