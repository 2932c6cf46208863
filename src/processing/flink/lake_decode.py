"""A record of the validated topic becomes one row, with the event's fields in slots.

Total: what cannot be read, because the job was given older contracts, is a row as well.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from agentflow.contracts import Contract, Registry
from agentflow.errors import AgentFlowError
from agentflow.events import EventRef
from agentflow.events.identity import identity_key
from processing.flink.lake_slots import all_slots, slots_of
from processing.flink.port import MakeRow
from processing.transformations.layout import ENVELOPE, Layout, layout
from quality import Gate, attribute_of

CARRIED: Final = tuple(column.name for column in ENVELOPE if column.name != "log_offset")
"""The columns of the envelope that the record itself holds."""
UNREAD: Final = ("belongs", "problem", "record")


def layouts_of(registry: Registry) -> list[Layout]:
    """Return the layouts of all events, in the order of their places in a row."""
    return sorted((layout(each) for each in registry.events.values()), key=lambda each: each.table)


class Decoder:
    """Turns records into rows: place, identity, envelope, what was unreadable, slots.

    Args:
        contracts: The contracts; sent to Flink's workers with the job.
        row: Makes a row of positional values.
    """

    def __init__(self, contracts: Sequence[Contract], row: MakeRow) -> None:
        registry = Registry.of(contracts)
        self._gate = Gate(registry)
        self._row = row
        slots = all_slots(layouts_of(registry))
        self._nothing = (None,) * len(slots)
        self._known: dict[tuple[str | None, str | None], _EventDecoder] = {}
        for ref, contract in registry.events.items():
            self._known[ref.type, str(ref.version)] = _EventDecoder(
                ref, layout(contract), slots, self._gate
            )

    def row(self, record: bytes | None, type_: str | None, version: str | None) -> Any:  # noqa: ANN401 - Flink's
        """Return the row of a record; never raises."""
        known = self._known.get((type_, version))
        if known is None or record is None:
            return self._unread(record, type_, version, "no such contract")
        try:
            event = known.decode(record)
            values = known.values(event.data)
        except (AgentFlowError, ValueError, msgspec.MsgspecError) as error:
            return self._unread(record, type_, version, f"{type(error).__name__}: {error}")
        return self._row(
            known.table,
            identity_key(event.tenant, event.source, event.id),
            event.tenant,
            event.source,
            event.id,
            _instant(event.occurred_us),
            _instant(event.ingested_us),
            event.subject,
            event.correlation_id,
            None,
            None,
            None,
            *values,
        )

    def _unread(
        self, record: bytes | None, type_: str | None, version: str | None, problem: str
    ) -> Any:  # noqa: ANN401 - Flink's
        belongs = f"{(type_ or '').replace('.', '_')}_v{version or ''}"
        content = b64encode(record or b"").decode()
        envelope = (None,) * (1 + len(CARRIED))
        return self._row("unread", *envelope, belongs, problem, content, *self._nothing)


def _instant(microseconds: int) -> str:
    """Return an instant as Flink's casts read it.

    >>> _instant(1_767_268_800_000_001)
    '2026-01-01 12:00:00.000001'
    """
    return (_EPOCH + timedelta(microseconds=microseconds)).isoformat(" ")


_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - what is cast has no zone; the session's is UTC
_TEXT: Final[dict[str, Callable[[Any], str]]] = {"decimal": str, "timestamptz": _instant}


class _EventDecoder:
    """What has to be known to turn records of one event version into values, in order of slots."""

    def __init__(self, ref: EventRef, described: Layout, slots: Sequence[str], gate: Gate) -> None:
        self.table = described.table
        self._ref = ref
        self._decode = gate.decode
        place = {slot: number for number, slot in enumerate(slots)}
        taken = slots_of(described)
        self._empty: list[object] = [None] * len(slots)
        self._fields = [
            (attribute_of(column.name), place[taken[column.name]], _TEXT.get(column.type.name))
            for column in described.fields
        ]

    def decode(self, record: bytes) -> Any:  # noqa: ANN401 - an Event
        return self._decode(self._ref, record)

    def values(self, data: object) -> Sequence[object]:
        """Return the values of an event's fields, in order of slots."""
        values = self._empty.copy()
        for attribute, place, text in self._fields:
            value = getattr(data, attribute)
            values[place] = value if text is None or value is None else text(value)
        return values
