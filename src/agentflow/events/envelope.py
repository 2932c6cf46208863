"""What an event is, before and after the gate."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec


class EventRef(NamedTuple):
    """One major version of one event type, written `order.created@1`."""

    type: str
    version: int

    def __str__(self) -> str:
        """Render the way contracts write it.

        >>> str(EventRef("order.created", 1))
        'order.created@1'
        """
        return f"{self.type}@{self.version}"

    @classmethod
    def parse(cls, text: str) -> EventRef:
        """Read `order.created@1`; without a version it means version 1.

        >>> EventRef.parse("order.created@2")
        EventRef(type='order.created', version=2)
        """
        name, _, version = text.partition("@")
        return cls(name, int(version) if version else 1)


UNMAPPED: Final = ".unmapped"
"""Ends the type of what `replay` sends in the place of a row that its mapping cannot read."""


class RawEvent(msgspec.Struct, frozen=True, gc=False):
    """Bytes as they arrived, with what the edge knows about them.

    Attributes:
        value: One CloudEvents JSON document (structured mode), untrusted.
        tenant: Who sent it; decided by the edge (API key), never by the bytes.
        received_us: When the edge took it, microseconds since the epoch.
        of_any_age: It says what a table held already, so that it is never too late; decided by the
            edge as well.
    """

    value: bytes
    tenant: str
    received_us: int
    of_any_age: bool = False


class Event(msgspec.Struct, frozen=True, gc=False):
    """An accepted event. `data` is the struct generated from its contract.

    Attributes:
        occurred_us: Event time, microseconds since the epoch, UTC.
        ingested_us: When the edge took it, microseconds since the epoch, UTC.
        data: Declared fields plus derived ones, as attributes; absent optional fields are None.
    """

    id: str
    source: str
    type: str
    version: int
    tenant: str
    occurred_us: int
    ingested_us: int
    data: msgspec.Struct
    subject: str | None = None
    correlation_id: str | None = None

    @property
    def ref(self) -> EventRef:
        """The contract this event was accepted under."""
        return EventRef(self.type, self.version)
