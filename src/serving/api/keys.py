"""`/v1/keys`: stored API keys, made, listed, rotated and revoked by administrators."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Final, Literal

import msgspec
import structlog
from pydantic import Field
from starlette.requests import Request

from agentflow.clock import to_rfc3339
from agentflow.contracts import Registry
from agentflow.errors import ParameterError, StorageError, UnavailableError
from agentflow.wording import quoted
from control_store.keys.issuing import KeyIssuer, KeyRequest, NewKey
from control_store.keys.port import Grant, StoredKey
from control_store.keys.store import unknown_key_id
from serving.access.callers import Caller
from serving.access.granting import Objection, objections
from serving.access.scopes import Scope
from serving.api.context import Context, caller_name, respond, tenant_of
from serving.api.resource import Resource
from serving.http.json_body import Body, NoBody
from serving.http.problems import Detail, Problem, ProblemError, printable
from serving.http.replies import Reply
from serving.read.query_string import instant

log = structlog.get_logger()

DAY_SECONDS: Final = 86_400
MOST_NAMES: Final = 1_000
_CODES: Final = ("not_found", "parameter_invalid", "stored_keys_off", "storage_failed")
_Names = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=MOST_NAMES)]


class KeyShape(msgspec.Struct, frozen=True, kw_only=True):
    """A stored key, but for what proves it.

    Attributes:
        status: `active`, `expired` or `revoked`.
        metrics: The only metrics that exist for it; null means all that its scopes are about.
        entities: The same of entities.
        events: The same of events.
        statuses: The only statuses of contracts that exist for it; null means all.
        last_used_at: Up to a minute ago; null when it was never used.
        uses: How many requests came with it.
    """

    id: str
    name: str
    owner: str
    tenant: str
    mode: str
    status: str
    scopes: list[str]
    metrics: list[str] | None
    entities: list[str] | None
    events: list[str] | None
    statuses: list[str] | None
    created_at: str
    created_by: str
    expires_at: str | None
    revoked_at: str | None
    revoked_by: str | None
    last_used_at: str | None
    uses: int


class IssuedKeyShape(KeyShape, frozen=True, kw_only=True):
    """A key as it is told once.

    Attributes:
        key: The key itself. It is not kept, and not shown again.
        previous_ends_at: Of a rotated one, when the text before it ends.
    """

    key: str
    previous_ends_at: str | None


class KeysShape(msgspec.Struct, frozen=True):
    """Stored keys, oldest first."""

    keys: list[KeyShape]
    next_cursor: str | None


class CreateKeyBody(Body):
    """A key that is wanted. What is left out narrows nothing."""

    name: str = Field(min_length=1, max_length=200)
    scopes: list[str] = Field(max_length=50)
    owner: str = Field(default="", max_length=200)
    mode: Literal["live", "test"] = "live"
    metrics: _Names | None = None
    entities: _Names | None = None
    events: _Names | None = None
    statuses: list[Literal["proposed", "approved", "deprecated"]] | None = None
    expires_at: str | None = None


class RotateKeyBody(Body):
    """For how long the key before works beside the new one."""

    overlap_seconds: int = Field(default=DAY_SECONDS, ge=0, le=90 * DAY_SECONDS)


resource = Resource("keys")


@resource.get(
    "/v1/keys", KeysShape, "parameter_invalid", "cursor_invalid", "storage_failed",
    scope=Scope.ADMIN,
)  # fmt: skip
async def list_keys(
    context: Context,
    request: Request,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Field(max_length=200)] = None,
) -> Reply:
    """List the stored keys of your tenant."""
    tenant = tenant_of(request)
    question = ("keys", tenant)
    after = context.cursors.read(cursor, *question) or 0
    keys = context.platform.keys.keys
    found = await asyncio.to_thread(keys, tenant, after=after, limit=limit + 1)
    page, now_us = found[:limit], context.platform.clock.now_us()
    more = len(found) > limit
    return respond(
        KeysShape(
            [key_shape(key, now_us) for _, key in page],
            context.cursors.write(page[-1][0], *question) if more else None,
        )
    )


@resource.post(
    "/v1/keys", IssuedKeyShape, *_CODES, "metric_unknown", "entity_unknown", "event_unknown",
    "instant_out_of_range", scope=Scope.ADMIN, secret=True,
)  # fmt: skip
async def create_key(context: Context, request: Request, body: CreateKeyBody) -> Reply:
    """Make a key; it is shown this once."""
    issuer = _issuer(context)
    grant = Grant(
        scopes=tuple(dict.fromkeys(body.scopes)),
        metrics=_names(body.metrics),
        entities=_names(body.entities),
        events=_names(body.events),
        statuses=_names(body.statuses),
    )
    caller: Caller = request.scope["caller"]
    expires_us = instant("expires_at", body.expires_at)
    against = objections(
        grant, expires_us=expires_us, now_us=context.platform.clock.now_us(), granter=caller
    )
    if against:
        raise ProblemError(_refused(against))
    _require_known(grant, context.registry_of(request))
    wanted = KeyRequest(caller.tenant, body.name, body.owner, grant, body.mode, expires_us)
    new = await asyncio.to_thread(issuer.issue, wanted, who=caller_name(request))
    await _heard(context)
    log.info("key.created", key=new.key.id, tenant=new.key.tenant, who=new.key.created_by)
    return _issued(context, new, None)


@resource.get("/v1/keys/{id}", KeyShape, "not_found", "storage_failed", scope=Scope.ADMIN)
async def read_key(context: Context, request: Request, id: str) -> Reply:  # noqa: A002 - its name
    """Read a stored key."""
    key = await asyncio.to_thread(_found, context, request, id)
    return respond(key_shape(key, context.platform.clock.now_us()))


@resource.post(
    "/v1/keys/{id}/rotate", IssuedKeyShape, *_CODES, "key_ended", scope=Scope.ADMIN, secret=True
)
async def rotate_key(
    context: Context,
    request: Request,
    id: str,  # noqa: A002 - its name
    body: RotateKeyBody,
) -> Reply:
    """Give a key another text; the one before works for a while beside it."""
    issuer = _issuer(context)
    key = await asyncio.to_thread(_found, context, request, id)
    overlap_us = body.overlap_seconds * 1_000_000
    new = await asyncio.to_thread(issuer.rotate, key, overlap_us=overlap_us)
    await _heard(context)
    log.info("key.rotated", key=key.id, tenant=key.tenant, who=caller_name(request))
    return _issued(context, new, to_rfc3339(context.platform.clock.now_us() + overlap_us))


@resource.post("/v1/keys/{id}/revoke", KeyShape, *_CODES, scope=Scope.ADMIN)
async def revoke_key(
    context: Context,
    request: Request,
    id: str,  # noqa: A002 - its name
    _body: NoBody,
) -> Reply:
    """End a key at once, on every replica."""
    await asyncio.to_thread(_found, context, request, id)
    now_us, who = context.platform.clock.now_us(), caller_name(request)
    revoked = await asyncio.to_thread(context.platform.keys.revoke, id, now_us=now_us, who=who)
    await _heard(context)
    log.info("key.revoked", key=id, tenant=revoked.tenant, who=who)
    return respond(key_shape(revoked, now_us))


def key_shape(key: StoredKey, now_us: int) -> KeyShape:
    """Return a key as it is shown."""
    return KeyShape(**_members(key, now_us))


def _members(key: StoredKey, now_us: int) -> dict[str, Any]:
    grant = key.grant
    lists = ("scopes", "metrics", "entities", "events", "statuses")
    instants = ("created", "expires", "revoked", "last_used")
    return {
        **{name: getattr(key, name) for name in ("id", "name", "owner", "tenant", "mode")},
        "status": status_of(key, now_us),
        **{name: _listed(getattr(grant, name)) for name in lists},
        **{f"{name}_at": _text(getattr(key, f"{name}_us")) for name in instants},
        **{name: getattr(key, name) for name in ("created_by", "revoked_by", "uses")},
    }


def status_of(key: StoredKey, now_us: int) -> str:
    """Return whether a key is in force."""
    if key.revoked_us is not None:
        return "revoked"
    expired = key.expires_us is not None and key.expires_us <= now_us
    return "expired" if expired else "active"


def _issued(context: Context, new: NewKey, previous_ends_at: str | None) -> Reply:
    now_us = context.platform.clock.now_us()
    members = _members(new.key, now_us)
    return respond(IssuedKeyShape(**members, key=new.text, previous_ends_at=previous_ends_at))


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


def _text(instant_us: int | None) -> str | None:
    return None if instant_us is None else to_rfc3339(instant_us)


def _names(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(dict.fromkeys(names))


def _issuer(context: Context) -> KeyIssuer:
    """Return what makes keys.

    Raises:
        ProblemError: This platform takes no stored keys.
    """
    platform, hashing = context.platform, context.stored_keys.hashing
    if hashing is None:
        raise ProblemError(_OFF)
    return KeyIssuer(platform.keys, hashing, platform.clock, secrets.token_bytes)


def _found(context: Context, request: Request, key_id: str) -> StoredKey:
    """Return a key of the caller's tenant.

    Raises:
        NotFoundError: There is none.
    """
    key = context.platform.keys.key(key_id)
    if key is None or key.tenant != tenant_of(request):
        raise unknown_key_id(printable(key_id))
    return key


async def _heard(context: Context) -> None:
    """Go by what was just changed at once, and not at the next look."""
    with suppress(UnavailableError, StorageError):  # the next look hears of it
        await context.stored_keys.look()


def _require_known(grant: Grant, registry: Registry) -> None:
    """Check that what a key is narrowed to exists: a slip would make a key that sees nothing.

    Raises:
        UnknownContractError: Something does not.
        ParameterError: A name has a version.
    """
    for names, pick in (
        (grant.metrics, registry.metric),
        (grant.entities, registry.entity),
        (grant.events, registry.event),
    ):
        for name in names or ():
            bare = pick(printable(name)).name
            if bare != name:
                raise ParameterError(
                    f"{quoted(name)} has a version, a key is narrowed by names",
                    hint=f"Write {quoted(bare)}: it is every version of it.",
                )


def _refused(against: list[Objection]) -> Problem:
    errors = tuple(
        Detail("member_invalid", printable(each.message), pointer=f"/{each.member}",
               hint=printable(each.hint))
        for each in against
    )  # fmt: skip
    return Problem("body_invalid", errors[0].message, errors[0].hint, errors)


_OFF: Final = Problem(
    "stored_keys_off",
    "this platform takes no stored keys",
    "Set AGENTFLOW_API_KEYS with a key for yourself and start it again, or make the first key with "
    "`agentflow keys create --data-dir DIR` while it is stopped. With AGENTFLOW_CONTROL_URL, set "
    "AGENTFLOW_KEY_SECRET as well, the same on every replica.",
)
