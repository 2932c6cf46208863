"""Tell a duplicate from an id conflict: one event that comes twice, or two under one identity.

What an event says is its type, its subject, its event time as far as the sender stated it, and the
declared fields of its data, as they are after decoding. How it travelled does not matter (the
encoding, the order of members, tracing attributes), nor what the contract derives from it, nor the
major version by which it was read: whatever a sender repeats is the same event after a change of
the contract too.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b
from typing import Final

import msgspec

from agentflow.events import Event
from quality import codes
from quality.verdict import Rejected, Violation

DeclaredFields = Mapping[str, object]
"""Declared fields of an event's data that are not null, by name."""

CONTENT_BYTES: Final = 8
_encode = msgspec.msgpack.Encoder().encode
_HINT: Final = (
    "Send another event under an id of its own; what was accepted is amended by an event that"
    " corrects it."
)
_CONFLICT: Final = Violation(
    codes.ID_CONFLICT,
    "/id",
    "an event with other content was accepted under this source and id before",
    _HINT,
)


def same_content(
    first: Event, again: Event, *, declared: tuple[DeclaredFields, DeclaredFields]
) -> bool:
    """Tell whether *again* repeats *first*; *declared* are their declared fields, in this order."""
    return (
        first.type == again.type
        and first.subject == again.subject
        and _same_time(first, again)
        and declared[0] == declared[1]
    )


def _same_time(first: Event, again: Event) -> bool:
    """Compare event times; one that was not stated is the instant of arrival, and says nothing."""
    if first.occurred_us == again.occurred_us:
        return True
    return first.occurred_us == first.ingested_us and again.occurred_us == again.ingested_us


def content_digest(event: Event, declared: DeclaredFields, *, timed: bool) -> bytes:
    """Return 8 bytes that are equal for events that say the same, and hardly for others.

    *timed* tells whether the sender stated when it happened, other than by a declared field.
    """
    values = sorted((name, _canonical(value)) for name, value in declared.items())
    content = (event.type, event.subject, event.occurred_us if timed else None, values)
    return blake2b(_encode(content), digest_size=CONTENT_BYTES).digest()


def _canonical(value: object) -> object:
    """Return a number as one text, whatever the type that holds it."""
    if isinstance(value, bool | str):
        return value
    text = f"{value if isinstance(value, Decimal) else Decimal(str(value)):f}"
    return ("number", text.rstrip("0").rstrip(".") if "." in text else text)


def id_conflict(event: Event) -> Rejected:
    """Return the verdict on an accepted event whose identity belongs to another one."""
    return Rejected(
        codes.ID_CONFLICT, (_CONFLICT,), event.type, event.id, event.source, event.version
    )
