"""Puts the API together: routes, then the edge around them, then the hot path in front."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from agentflow.contracts import Registry
from agentflow.errors import StorageError, UnavailableError
from control_store.keys.hashing import KeyHashing
from processing.platform import Platform
from processing.write.sealing import Seal
from serving.access.callers import Caller
from serving.access.guard import Guard, RequestIds
from serving.access.keys import ApiKey, Keys, token_secret
from serving.access.limits import LocalQuotas, RateLimiter, RateLimitPolicy
from serving.access.origins import Origins
from serving.access.port import Quotas
from serving.access.stored_keys import AWAY_SECONDS, StoredKeys
from serving.access.views import Views
from serving.access.wrong_keys import WrongKeys
from serving.api import (
    batch,
    catalog,
    changelog,
    contracts,
    dead_letters,
    entities,
    events,
    health,
    keys,
    lineage,
    metrics,
    page,
    publication,
    reference,
    streams,
    verification,
)
from serving.api.context import Context
from serving.api.openapi import Reference
from serving.api.resource import Operation
from serving.api.routes import Routes
from serving.api.telemetry import Telemetry
from serving.push.event_stream import EventStreams
from serving.push.metric_stream import MetricStreams
from serving.push.subscribers import MAX_STREAMS_OF_ONE, MAX_SUBSCRIBERS, Subscribers
from serving.read.answer import Answerer
from serving.read.cursors import Cursors
from serving.read.metric_query import MetricQuery, check_query
from serving.read.offsets import Offsets
from serving.read.prepared import PreparedAnswers
from serving.server.edge import EdgeApp
from serving.server.hot import HotPath
from serving.server.idempotency import Idempotency
from serving.server.reads import PlainReads

OPERATIONS: Final[tuple[Operation, ...]] = tuple(
    operation
    for resource in (
        events.resource,
        metrics.resource,
        batch.resource,
        entities.resource,
        catalog.resource,
        contracts.resource,
        publication.resource,
        lineage.resource,
        changelog.resource,
        dead_letters.resource,
        verification.resource,
        streams.resource,
        keys.resource,
        health.resource,
        reference.resource,
        page.resource,
    )
    for operation in resource.operations
)
"""Everything that the API answers; of two operations for one address, the first that fits."""


@dataclass(frozen=True, slots=True)
class AccessOptions:
    """Who is let in at all.

    Attributes:
        any_host: Whether other names than those of this machine are answered without keys too.
        wrong_keys_per_minute: How many wrong keys one address may send; 0 means no limit.
        streams: How many streams may be open.
        streams_per_key: How many of them one key may have.
        token_secret: What tokens and cursors are sealed with; made from the keys when it is empty.
        key_hashing: What stored keys are found by; without it, none is taken.
        keys_away_seconds: For so long stored keys are taken that are known, while their store is
            away.
    """

    any_host: bool = False
    wrong_keys_per_minute: int = 30
    streams: int = MAX_SUBSCRIBERS
    streams_per_key: int = MAX_STREAMS_OF_ONE
    token_secret: str = field(default="", repr=False)
    key_hashing: KeyHashing | None = None
    keys_away_seconds: float = AWAY_SECONDS


class Api(HotPath):
    """The whole API as one ASGI app.

    Attributes:
        context: What its operations share.
    """

    context: Context

    def start(self) -> Sequence[asyncio.Task[None]]:
        """Begin what runs in the background, on the running loop; cancel it to end it."""
        return self.context.stored_keys.start(self.context.platform.supervisor)

    async def finish(self) -> None:
        """Write down what is not noted yet, if the control store answers."""
        with suppress(UnavailableError, StorageError):
            await self.context.stored_keys.note_uses()

    def close(self) -> None:
        """End every stream, so that the server can stop."""
        self.context.metric_streams.close()
        self.context.event_streams.close()


def create_app(
    platform: Platform,
    *,
    keys: Iterable[ApiKey] = (),
    policy: RateLimitPolicy | None = None,
    quotas: Quotas | None = None,
    load_contracts: Callable[[], Registry] | None = None,
    access: AccessOptions | None = None,
) -> Api:
    """Build the API over *platform*, which may still be starting.

    Args:
        platform: What answers.
        keys: Who may ask; without any, every caller may do everything as tenant `default`.
        policy: The rate limit of each key; None means no limit.
        quotas: Where rate limits are counted; in this process unless told otherwise.
        load_contracts: Reads the contract files again, for `POST /v1/contracts/publish`.
        access: Who is let in at all; as documented unless told otherwise.
    """
    known, access = tuple(keys), access or AccessOptions()
    hashing = access.key_hashing
    secret = token_secret(access.token_secret, known)
    if hashing is not None and not secret:
        secret = hashing.secret_for("tokens")
    platform.tokens.seal = Seal(secret)
    stored = StoredKeys(
        platform.key_directory,
        hashing,
        clock=platform.clock,
        timers=platform.supervisor.timers,
        away_seconds=access.keys_away_seconds,
    )
    held = Keys(
        known,
        secret=secrets.token_bytes(32),
        stored=hashing is not None,
        seconds=platform.supervisor.timers.seconds,
    )
    stored.attach(held)
    guard = Guard(
        held,
        None if policy is None else RateLimiter(policy, quotas or LocalQuotas(policy)),
        platform.clock,
        origins=Origins(any_host=access.any_host),
        wrong_keys=WrongKeys(access.wrong_keys_per_minute),
        stored=stored,
    )
    context = build_context(
        platform,
        load_contracts or _no_contracts,
        Subscribers(access.streams, each=access.streams_per_key),
        guard.keys,
        Offsets(b"" if held.anonymous else secret),
        stored,
    )
    request_ids = RequestIds()
    edge = EdgeApp(
        Routes(OPERATIONS, context),
        guard=guard,
        idempotency=Idempotency(
            platform.idempotency,
            platform.clock,
            Seal(hashing.secret_for("answers") if hashing else secrets.token_bytes(32)),
        ),
        request_ids=request_ids,
        telemetry=context.telemetry,
    )
    more = [guard.limiter.policy_header] if guard.limiter else []
    api = Api(
        edge,
        reads=PlainReads(
            context.answers,
            partial(_check_query, context.views),
            groups_of=context.groups_of,
            more=more,
        ),
        guard=guard,
        request_ids=request_ids,
        telemetry=context.telemetry,
    )
    api.context = context
    return api


def build_context(
    platform: Platform,
    load_contracts: Callable[[], Registry],
    subscribers: Subscribers,
    keys: Keys,
    offsets: Offsets,
    stored: StoredKeys,
) -> Context:
    """Build what the routes share."""
    answerer = Answerer(platform, offsets)
    answers = PreparedAnswers(platform, answerer)
    figures = health.PlatformFigures(platform)
    return Context(
        platform=platform,
        answerer=answerer,
        answers=answers,
        cursors=Cursors(platform.tokens.seal),
        offsets=offsets,
        metric_streams=MetricStreams(platform, answers, subscribers),
        event_streams=EventStreams(platform, subscribers, offsets=offsets),
        telemetry=Telemetry(lambda: (figures,)),
        reference=Reference(OPERATIONS, keyed=lambda: keys.anonymous is None),
        load_contracts=load_contracts,
        stored_keys=stored,
        views=Views(platform),
    )


def _check_query(views: Views, caller: Caller, name: str, **question: object) -> MetricQuery:
    return check_query(views.definitions(caller.sight), name, **question)  # type: ignore[arg-type]


def _no_contracts() -> Registry:
    raise UnavailableError(
        "this server does not know where contract files are",
        hint="Start it with --contracts-dir.",
    )
