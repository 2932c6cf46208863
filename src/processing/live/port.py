"""What corrections need of a log: the earlier events of a group."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Protocol

from agentflow.events import Event, EventRef


class GroupKey(NamedTuple):
    """What ties events together: tenant, corrected event, the field `on` and its value."""

    tenant: str
    base: EventRef
    on: str
    value: object


class GroupLog(Protocol):
    """Where the earlier events of a group are found.

    Conformance: `tests/processing/live/test_port.py`.
    """

    def groups(
        self, keys: Collection[GroupKey], *, before: int
    ) -> Mapping[GroupKey, Sequence[Event]]:
        """Return each group's events with a log offset below *before*, in offset order.

        Groups without any may be left out.
        """
        ...
