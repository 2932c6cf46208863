"""What the gate says about an event: accepted, or rejected with every reason at once."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from agentflow.events import Event


class Violation(msgspec.Struct, frozen=True, gc=False):
    """One thing that is wrong with an event.

    Attributes:
        code: Stable name; see `quality.codes`.
        pointer: JSON pointer into the document (`/data/amount`); empty for the document as a whole.
        message: What is wrong, without the offending value (it may be personal data).
        hint: What would have been accepted.
    """

    code: str
    pointer: str
    message: str
    hint: str | None = None


class Accepted(msgspec.Struct, frozen=True, gc=False):
    """An event as its contract describes it, enriched.

    Attributes:
        identity: 16 bytes under which it counts only once (`agentflow.events.identity_key`).
        key: Ordering key, the value of the contract's `key` field; None when order is not promised.
        warnings: Rules that only warn, and a deprecated contract.
        identified_by_content: Whether it came without an id: an equal document is the same event.
    """

    event: Event
    identity: bytes
    key: bytes | None = None
    warnings: tuple[Violation, ...] = ()
    identified_by_content: bool = False


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """An event that may not count, and why.

    Attributes:
        reason: Code of the first, most fundamental violation.
        violations: All of them, the envelope's first, then the data's in the contract's order.
        type: As far as it could be read, like `event_id` and `source`.
        version: Major version of the contract it was judged by; None when there is none.
    """

    reason: str
    violations: tuple[Violation, ...]
    type: str | None = None
    event_id: str | None = None
    source: str | None = None
    version: int | None = None


Verdict: TypeAlias = Accepted | Rejected
