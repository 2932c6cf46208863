"""A dead letter as it is shown: masked, and beside the event it conflicts with."""

from __future__ import annotations

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
from serving.api.shapes import DeadLetterShape
from serving.masking import masked, masked_data


def letter_shape(context: Context, item: Triaged, *, reveal: bool = False) -> DeadLetterShape:
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
        conflicts_with=_first(context, letter) if letter.reason == ID_CONFLICT else None,
    )


def _contract(letter: DeadLetter, registry: Registry) -> EventContract | None:
    """Return the contract that says which fields may be shown, if it is still in force."""
    if letter.type is None or letter.version is None:
        return None
    return registry.events.get(EventRef(letter.type, letter.version))


def _first(context: Context, letter: DeadLetter) -> dict[str, object] | None:
    """Return the event that has the identity of a refused one; None when it is not readable."""
    if letter.source is None or letter.event_id is None:
        return None
    platform = context.platform
    record = platform.accepted.find(letter.tenant, letter.source, letter.event_id)
    if record is None:
        return None
    ref = EventRef(record.headers["type"], int(record.headers["version"]))
    try:
        event = platform.definitions.gate.decode(ref, record.value)
    except (UnknownContractError, StorageCorruptError):
        return None
    document = context.documents.document(event, record.offset)
    contract = platform.registry.events.get(ref)
    document["data"] = masked_data(context.documents.data(event), contract)
    return document
