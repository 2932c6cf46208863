"""A record of the validated topic becomes one row, with the event's fields in its own table's place.

Total: what cannot be read, because the job was given older contracts, is a row as well.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from agentflow.contracts import Contract, Registry
from agentflow.errors import AgentFlowError
from agentflow.events import EventRef
from agentflow.events.identity import identity_key
from processing.transformations.layout import Layout, layout
from quality import Gate, attribute_of

ENVELOPE: Final = ("tenant", "source", "event_id", "occurred_at", "ingested_at")
OPTIONAL: Final = ("ce_subject", "ce_correlation_id")
UNREAD: Final = ("belongs", "problem", "record")

Row = Callable[..., Any]


def layouts_of(registry: Registry) -> list[Layout]:
    """Return the layouts of all events, in the order of their places in a row."""
    return sorted((layout(each) for each in registry.events.values()), key=lambda each: each.table)


class Decoder:
    """Turns records into rows: place, identity, envelope, what was unreadable, one row per table.

    Args:
        contracts: The contracts; sent to Flink's workers with the job.
        row: Makes a row of positional values.
    """

    def __init__(self, contracts: Sequence[Contract], row: Row) -> None:
        registry = Registry.of(contracts)
        self._gate = Gate(registry)
        self._row = row
        layouts = layouts_of(registry)
        self._nothing = (None,) * len(layouts)
        index = {each.table: number for number, each in enumerate(layouts)}
        self._known: dict[tuple[str | None, str | None], _Event] = {}
        for ref, contract in registry.events.items():
            described = layout(contract)
            self._known[ref.type, str(ref.version)] = _Event(
                ref, described, index[described.table], self._gate
            )

    def row(self, record: bytes | None, type_: str | None, version: str | None) -> Any:  # noqa: ANN401 - Flink's
        """Return the row of a record; never raises."""
        known = self._known.get((type_, version))
        if known is None or record is None:
            return self._unread(record, type_, version, "no such contract")
        try:
            event = known.decode(record)
            fields = known.values(event.data)
        except (AgentFlowError, ValueError, msgspec.MsgspecError) as error:
            return self._unread(record, type_, version, f"{type(error).__name__}: {error}")
        return self._row(
            known.table,
            identity_key(event.tenant, event.source, event.id),
            event.tenant,
            event.source,
            event.id,
            event.occurred_us,
            event.ingested_us,
            event.subject,
            event.correlation_id,
            None,
            None,
            None,
            *self._nothing[: known.index],
            self._row(*fields),
            *self._nothing[known.index + 1 :],
        )

    def _unread(
        self, record: bytes | None, type_: str | None, version: str | None, problem: str
    ) -> Any:  # noqa: ANN401 - Flink's
        belongs = f"{(type_ or '').replace('.', '_')}_v{version or ''}"
        content = b64encode(record or b"").decode()
        envelope = (None,) * (1 + len(ENVELOPE) + len(OPTIONAL))
        return self._row("unread", *envelope, belongs, problem, content, *self._nothing)


class _Event:
    """What has to be known to turn records of one event version into values."""

    def __init__(self, ref: EventRef, described: Layout, index: int, gate: Gate) -> None:
        self.table = described.table
        self.index = index
        self._ref = ref
        self._decode = gate.decode
        names = [attribute_of(column.name) for column in described.fields]
        self._get = attrgetter(*names) if names else None
        self._single = len(names) == 1
        self._text = [
            number for number, column in enumerate(described.fields) if column.type.name == "decimal"
        ]

    def decode(self, record: bytes) -> Any:  # noqa: ANN401 - an Event
        return self._decode(self._ref, record)

    def values(self, data: object) -> Sequence[object]:
        """Return the values of an event's fields, decimals as text."""
        if self._get is None:
            return (None,)
        found = self._get(data)
        values: list[object] = [found] if self._single else list(found)
        for number in self._text:
            if (value := values[number]) is not None:
                values[number] = str(value)
        return values
