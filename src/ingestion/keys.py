"""The key of an event before it is judged: which partition keeps its order.

Brokers order records by key, so the key has to be known when the bytes are appended. It is the
value the gate will find, for every event the gate accepts; for others it may be anything.
"""

from __future__ import annotations

import msgspec

from agentflow.contracts import EventContract, Registry

_DOUBTS = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)


class _Head(msgspec.Struct, gc=False):
    type: str
    data: msgspec.Raw
    dataversion: str | int | None = None


_head = msgspec.json.Decoder(_Head).decode


class KeyExtractor:
    """Finds keys by the contracts of one registry. Safe to share by threads."""

    def __init__(self, registry: Registry) -> None:
        self._readers = {ref: _reader(contract) for ref, contract in registry.events.items()}
        names = {ref.type for ref in self._readers}
        self._current = {name: self._readers[registry.event(name).ref] for name in names}
        self._pinned = {
            (ref.type, written): reader
            for ref, reader in self._readers.items()
            for written in (ref.version, str(ref.version))
        }

    def key(self, document: bytes) -> bytes | None:
        """Return the key of a structured document; None when it has none, or cannot be read."""
        try:
            head = _head(document)
            if head.dataversion is None:
                reader = self._current.get(head.type)
            else:
                reader = self._pinned.get((head.type, head.dataversion))
            return None if reader is None else reader.key(head.data)
        except _DOUBTS:
            return None


class _Reader:
    """Reads one field of an event's data and skips the others."""

    def __init__(self, field: str) -> None:
        value = msgspec.field(default=None, name=field)
        data_type = msgspec.defstruct("_Data", [("key", str | int | None, value)], gc=False)
        self._decode = msgspec.json.Decoder(data_type).decode

    def key(self, data: msgspec.Raw) -> bytes | None:
        """Return the field's value as the gate writes keys; None when it is absent."""
        value = self._decode(data).key  # type: ignore[attr-defined]  # the struct made above
        return None if value is None else str(value).encode()


def _reader(contract: EventContract) -> _Reader | None:
    return None if contract.key is None else _Reader(contract.key)
