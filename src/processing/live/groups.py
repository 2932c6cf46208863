"""Finds the earlier events of a correction group in the log."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from agentflow.events import Event, EventRef
from ingestion.log.port import VALIDATED, CommitLog, Record
from processing.live.port import GroupKey
from processing.transformations.links import correction_link
from quality.gate import Gate


class LoggedGroups:
    """A `GroupLog` over the link index of the embedded log."""

    def __init__(self, log: CommitLog, gate: Gate) -> None:
        self._log = log
        self._gate = gate

    def groups(
        self, keys: Collection[GroupKey], *, before: int
    ) -> Mapping[GroupKey, Sequence[Event]]:
        """Return each group's events below *before*, in offset order, where there are any."""
        links = {correction_link(key.tenant, key.base, key.on, str(key.value)): key for key in keys}
        linked = self._log.linked_many(links, before=before)
        if not linked:
            return {}
        offsets = sorted({offset for found in linked.values() for offset in found})
        events = dict(decoded(self._log.read_offsets(VALIDATED, offsets), self._gate))
        return {
            links[link]: [events[offset] for offset in found if offset in events]
            for link, found in linked.items()
        }


def decoded(records: Iterable[Record], gate: Gate) -> Iterable[tuple[int, Event]]:
    """Yield (offset, event) of `validated` records whose contract is in force, in order.

    Events of a contract that was taken away are passed over: nothing that is left reads them.
    """
    for record in records:
        ref = EventRef(record.headers["type"], int(record.headers["version"]))
        if gate.knows(ref):
            yield record.offset, gate.decode(ref, record.value)
