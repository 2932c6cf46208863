"""The record of a refused event: all that is needed to understand it, fix it and send it again."""

from __future__ import annotations

from base64 import b64decode, b64encode
from hashlib import blake2b

import msgspec

from agentflow.clock import to_rfc3339
from agentflow.contracts import EventContract
from agentflow.events import RawEvent
from quality import Rejected, Violation
from quality.envelope import MAX_SIZE_BYTES


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One refused event, as the dead-letter topic holds it.

    Attributes:
        version: Major version of the contract it was judged by; None when there was none.
        raw: What arrived, when it is UTF-8; `raw_base64` otherwise. A document that is too large
            to judge is cut off; the raw topic has all of it.
        size_bytes: How much arrived.
        personal: JSON pointers to personal data, to be masked wherever `raw` is shown.
        of_any_age: It is never too late, when it is sent again as well.
    """

    reason: str
    violations: tuple[Violation, ...]
    tenant: str
    received_at: str
    size_bytes: int
    type: str | None = None
    event_id: str | None = None
    source: str | None = None
    version: int | None = None
    raw: str | None = None
    raw_base64: str | None = None
    personal: tuple[str, ...] = ()
    of_any_age: bool = False


def dead_letter(rejected: Rejected, raw: RawEvent, *, personal: tuple[str, ...] = ()) -> DeadLetter:
    """Return the dead letter of a rejection."""
    text, encoded = _shown(raw.value[:MAX_SIZE_BYTES])
    return DeadLetter(
        reason=rejected.reason,
        violations=rejected.violations,
        tenant=raw.tenant,
        received_at=to_rfc3339(raw.received_us),
        size_bytes=len(raw.value),
        type=rejected.type,
        event_id=rejected.event_id,
        source=rejected.source,
        version=rejected.version,
        raw=text,
        raw_base64=encoded,
        personal=personal,
        of_any_age=raw.of_any_age,
    )


def letter_identity(tenant: str, reason: str, value: bytes) -> bytes:
    """Return what is equal where the same bytes were refused for the same reason.

    >>> letter_identity("a", "type_unknown", b"{}") == letter_identity("a", "type_unknown", b"{}")
    True
    """
    digest = blake2b(digest_size=16, person=b"agentflow-letter")
    for part in (tenant.encode("utf-8", "surrogatepass"), reason.encode()):
        digest.update(b"%d:%b" % (len(part), part))
    digest.update(value)
    return digest.digest()


def identity_of(letter: DeadLetter) -> bytes | None:
    """Return the identity of what became *letter*; None when it does not hold all of that."""
    value = b64decode(letter.raw_base64 or "") if letter.raw is None else letter.raw.encode()
    if len(value) != letter.size_bytes:
        return None
    return letter_identity(letter.tenant, letter.reason, value)


def personal_pointers(contract: EventContract) -> tuple[str, ...]:
    """Return where events of a contract hold personal data."""
    return tuple(f"/data/{name}" for name, field in contract.fields.items() if field.pii)


def _shown(value: bytes) -> tuple[str | None, str | None]:
    try:
        return value.decode(), None
    except UnicodeDecodeError:
        return None, b64encode(value).decode()
