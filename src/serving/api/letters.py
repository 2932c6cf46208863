"""A dead letter as it is shown: masked, and beside the event it conflicts with."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request

from agentflow.clock import to_rfc3339
from agentflow.contracts import EventContract, Registry
from agentflow.errors import StorageCorruptError, UnknownContractError
from agentflow.events import EventRef
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.dead_letters.triage import Triaged
from processing.transformations import DeadLetter
from quality.codes import ID_CONFLICT
from serving.api.context import Context
from serving.api.event_results import detail_of
from serving.api.masking import masked, masked_data
from serving.http.problems import Detail


class DeadLetterShape(msgspec.Struct, frozen=True):
    """An event that was not accepted, why, and where it stands.

    Attributes:
        raw: What arrived. Values of personal fields, and of fields its contract does not declare,
            are masked; None when it is not a JSON object, in which nothing can be told apart.
        raw_base64: What arrived, when it is not text; only where it is revealed.
        masked: Whether something that arrived is not shown.
        conflicts_with: The event that was accepted under the same identity, of an `id_conflict`.
    """

    offset: int
    received_at: str
    reason: str
    type: str | None
    event_id: str | None
    errors: list[Detail]
    status: str
    note: str
    replayed_as: int | None
    size_bytes: int
    raw: str | None
    raw_base64: str | None
    masked: bool
    conflicts_with: dict[str, Any] | None


def letter_shape(
    context: Context, request: Request, item: Triaged, *, reveal: bool = False
) -> DeadLetterShape:
    """Return what is shown of a dead letter; with *reveal*, all that arrived."""
    letter, seen = item.letter, context.offsets
    shown = letter.raw
    if shown is not None and not reveal:
        shown = masked(shown, _contract(letter, context.platform.registry))
    return DeadLetterShape(
        offset=seen.shown(letter.tenant, DEAD_LETTERS, item.offset),
        received_at=to_rfc3339(item.received_us),
        reason=letter.reason,
        type=letter.type,
        event_id=letter.event_id,
        errors=[detail_of(violation) for violation in letter.violations],
        status=item.triage.status,
        note=item.triage.note,
        replayed_as=seen.shown_or_none(letter.tenant, VALIDATED, item.triage.replayed_as),
        size_bytes=letter.size_bytes,
        raw=shown,
        raw_base64=letter.raw_base64 if reveal else None,
        masked=not reveal and (shown != letter.raw or letter.raw_base64 is not None),
        conflicts_with=_first(context, request, letter) if letter.reason == ID_CONFLICT else None,
    )


def _contract(letter: DeadLetter, registry: Registry) -> EventContract | None:
    """Return the contract that says which fields may be shown, if it is still in force."""
    if letter.type is None or letter.version is None:
        return None
    return registry.events.get(EventRef(letter.type, letter.version))


def _first(context: Context, request: Request, letter: DeadLetter) -> dict[str, object] | None:
    """Return the event that has the identity of a refused one; None when it is not readable."""
    if letter.source is None or letter.event_id is None:
        return None
    platform = context.platform
    record = platform.accepted.find(letter.tenant, letter.source, letter.event_id)
    if record is None:
        return None
    ref = EventRef(record.headers["type"], int(record.headers["version"]))
    shown = context.registry_of(request)
    if shown.narrowed and ref not in shown.events:
        return None
    try:
        event = platform.definitions.gate.decode(ref, record.value)
    except (UnknownContractError, StorageCorruptError):
        return None
    document = context.documents.document(event, record.offset)
    contract = platform.registry.events.get(ref)
    document["data"] = masked_data(context.documents.data(event), contract)
    return document
