"""`/v1/entity/{type}/{id}`: what is known of one thing, now or at an instant, and its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from pydantic import Field
from starlette.requests import Request

from agentflow.clock import to_rfc3339
from agentflow.contracts import EntityContract, Registry
from agentflow.errors import NotFoundError
from agentflow.events import Event
from agentflow.wording import quoted
from ingestion.log.port import VALIDATED
from processing.entities.folding import Attribute, Entity, fold_entity
from processing.entities.sessions import Session, sessions_of
from processing.live.groups import decoded
from processing.transformations import entity_link
from serving.access.scopes import Scope
from serving.api.context import Context, respond, tenant_of
from serving.api.resource import Resource
from serving.http.replies import Reply
from serving.read.event_document import plain
from serving.read.query_string import instant, require_past


class SetByShape(msgspec.Struct, frozen=True):
    """The event an attribute has its value from."""

    event_id: str
    type: str
    occurred_at: str


class TimelineShape(msgspec.Struct, frozen=True):
    """One event in the life of an entity."""

    event_id: str
    type: str
    occurred_at: str
    ingested_at: str
    offset: int
    data: dict[str, Any]


class RelationShape(msgspec.Struct, frozen=True):
    """The entity that a relation leads to."""

    entity: str
    id: str


class SessionShape(msgspec.Struct, frozen=True):
    """One session of an entity, and what its events alone say.

    Attributes:
        end: The last event and the gap; an event up to there still joins.
        duration_ms: From the first event to the last.
        open: The instant that was asked about, or else the platform's clock, is before `end`.
    """

    start: str
    end: str
    events: int
    duration_ms: int
    open: bool
    attributes: dict[str, Any]


class EntityShape(msgspec.Struct, frozen=True):
    """What is known of one entity.

    Attributes:
        sessions: Newest first; null when the contract names no gap.
    """

    entity: str
    id: str
    attributes: dict[str, Any]
    set_by: dict[str, SetByShape]
    relations: dict[str, RelationShape]
    events: int
    first_seen: str
    last_seen: str
    timeline: list[TimelineShape]
    next_cursor: str | None
    sessions: list[SessionShape] | None
    next_sessions_cursor: str | None


resource = Resource("entities")


@resource.get(
    "/v1/entity/{type}/{id}",
    EntityShape,
    "entity_unknown",
    "not_found",
    "parameter_invalid",
    "instant_out_of_range",
    "cursor_invalid",
    scope=Scope.ENTITIES_READ,
)
async def read_entity(  # noqa: PLR0913, PLR0917 - one for each parameter
    context: Context,
    request: Request,
    type: str,  # noqa: A002 - the parameter's name
    id: str,  # noqa: A002 - the parameter's name
    as_of: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None,
    timeline: bool = False,  # noqa: FBT001, FBT002 - a query parameter
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Field(max_length=200)] = None,
    sessions_cursor: Annotated[str | None, Field(max_length=200)] = None,
) -> Reply:
    """Read an entity."""
    shown = context.registry_of(request)
    contract = shown.entity(type)
    tenant = tenant_of(request)
    as_of_us = instant("as_of", as_of)
    require_past("as_of", as_of_us, now_us=context.platform.clock.now_us())
    question = ("entity", tenant, contract.name, id, as_of or "")
    of_sessions = ("sessions", *question)
    start = context.cursors.read(cursor, *question) or 0
    below_us = context.cursors.read(sessions_cursor, *of_sessions)
    entity = _entity(context, shown, contract, tenant, id, as_of_us)
    page = entity.timeline[start : start + limit] if timeline else ()
    after = start + limit
    more = timeline and after < len(entity.timeline)
    sessions = _newest(entity, below_us)
    older = sessions[limit - 1].start_us if len(sessions) > limit else None
    at_us = context.platform.clock.now_us() if as_of_us is None else as_of_us
    write = context.cursors.write
    return respond(
        _shape(
            context,
            shown,
            entity,
            page,
            next_cursor=write(after, *question) if more else None,
            sessions=[_session(session, at_us) for session in sessions[:limit]],
            next_sessions_cursor=None if older is None else write(older, *of_sessions),
        )
    )


def _entity(
    context: Context,
    shown: Registry,
    contract: EntityContract,
    tenant: str,
    key: str,
    as_of_us: int | None,
) -> Entity:
    """Fold an entity from its events, those ingested up to *as_of_us* if that is given.

    For a caller for whom only some contracts exist, its events are those that its contract names
    and those that exist for the caller; others link to it too, and are not told of.
    """
    platform = context.platform
    platform.require_ready()
    link = entity_link(tenant, contract.name, key)
    records = platform.accepted.linked(link, before=platform.engine.next_offset)
    told = {*shown.events, *(source.ref for source in contract.sources)}
    events = [
        (offset, event)
        for offset, event in decoded(records, platform.definitions.gate)
        if event.tenant == tenant
        and (as_of_us is None or event.ingested_us <= as_of_us)
        and (not shown.narrowed or event.ref in told)
    ]
    if not events:
        then = "" if as_of_us is None else f" at {to_rfc3339(as_of_us)}"
        raise NotFoundError(
            f"{contract.name} {quoted(key)} does not exist{then}",
            hint="No accepted event of this tenant names it.",
        )
    return fold_entity(contract, key, events)


def _shape(  # noqa: PLR0913 - each is another part of the answer
    context: Context,
    shown: Registry,
    entity: Entity,
    page: Sequence[tuple[int, Event]],
    *,
    next_cursor: str | None,
    sessions: list[SessionShape],
    next_sessions_cursor: str | None,
) -> EntityShape:
    relations = {}
    for name, relation in entity.contract.relations.items():
        held = entity.attributes.get(relation.by)
        if held is not None and _exists(shown, relation.to):
            relations[name] = RelationShape(relation.to, str(plain(held.value)))
    return EntityShape(
        entity=entity.contract.name,
        id=entity.key,
        attributes=_values(entity),
        set_by={name: _set_by(held) for name, held in entity.attributes.items()},
        relations=relations,
        events=len(entity.timeline),
        first_seen=to_rfc3339(entity.timeline[0][1].occurred_us),
        last_seen=to_rfc3339(entity.timeline[-1][1].occurred_us),
        timeline=[_entry(context, offset, event) for offset, event in page],
        next_cursor=next_cursor,
        sessions=None if entity.contract.session is None else sessions,
        next_sessions_cursor=next_sessions_cursor,
    )


def _exists(shown: Registry, name: str) -> bool:
    return any(contract.name == name for contract in shown.entities.values())


def _newest(entity: Entity, below_us: int | None) -> Sequence[Session]:
    """Return the sessions that start before an instant, newest first."""
    found = reversed(sessions_of(entity))
    return [each for each in found if below_us is None or each.start_us < below_us]


def _session(session: Session, at_us: int) -> SessionShape:
    return SessionShape(
        start=to_rfc3339(session.start_us),
        end=to_rfc3339(session.end_us),
        events=session.events,
        duration_ms=(session.last_us - session.start_us) // 1000,
        open=session.open(at_us),
        attributes=_values(session.entity),
    )


def _values(entity: Entity) -> dict[str, object]:
    return {name: plain(held.value) for name, held in entity.attributes.items()}


def _set_by(held: Attribute) -> SetByShape:
    return SetByShape(held.event.id, held.event.type, to_rfc3339(held.event.occurred_us))


def _entry(context: Context, offset: int, event: Event) -> TimelineShape:
    return TimelineShape(
        event_id=event.id,
        type=event.type,
        occurred_at=to_rfc3339(event.occurred_us),
        ingested_at=to_rfc3339(event.ingested_us),
        offset=context.offsets.shown(event.tenant, VALIDATED, offset),
        data=context.documents.data(event),
    )
