"""The gate: from untrusted bytes to an accepted event or a rejection, purely."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agentflow.contracts import Registry
from agentflow.events import Event, EventRef, RawEvent
from quality.verdict import Verdict


class Gate:
    """Judges events by the contracts of one registry, compiled once. Safe to share by threads."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def judge(self, raw: RawEvent) -> Verdict:
        """Return the verdict on *raw*: a function of its bytes, tenant and arrival only."""
        raise NotImplementedError

    def data_type(self, ref: EventRef) -> type[msgspec.Struct]:
        """Return the frozen struct of an event's data: declared fields, then derived ones.

        Attributes hold str, int, Decimal (quantized to the field's scale), float, bool, int
        microseconds for a timestamp, `YYYY-MM-DD` text for a date, and None for what is absent.

        Raises:
            UnknownContractError: The registry has no such event.
        """
        raise NotImplementedError

    def encode(self, event: Event) -> bytes:
        """Return the record of an accepted event; its type and version are not part of it."""
        raise NotImplementedError

    def decode(self, ref: EventRef, record: bytes) -> Event:
        """Return the event that `encode` was given, under the contract *ref* names.

        Raises:
            UnknownContractError: The registry has no such event.
            StorageCorruptError: The bytes are not a record of that event.
        """
        raise NotImplementedError

    def amended(self, event: Event, changes: Mapping[str, object]) -> Event:
        """Return *event* with declared fields replaced and derived ones computed again.

        Raises:
            ContractError: A name in *changes* is not a declared field.
        """
        raise NotImplementedError
