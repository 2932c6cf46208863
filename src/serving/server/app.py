"""Puts the API together: routes, then the edge around them, then the hot path in front."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from agentflow.contracts import Registry
from agentflow.errors import UnavailableError
from processing.platform import Platform
from processing.write.sealing import Seal
from serving.access.guard import Guard, RequestIds
from serving.access.keys import ApiKey, Keys, token_secret
from serving.access.limits import LocalQuotas, RateLimiter, RateLimitPolicy
from serving.access.origins import Origins
from serving.access.port import Quotas
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
    """

    any_host: bool = False
    wrong_keys_per_minute: int = 30
    streams: int = MAX_SUBSCRIBERS
    streams_per_key: int = MAX_STREAMS_OF_ONE
    token_secret: str = field(default="", repr=False)


class Api(HotPath):
    """The whole API as one ASGI app.

    Attributes:
        context: What its operations share.
    """

    context: Context

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
    secret = token_secret(access.token_secret, known)
    platform.tokens.seal = Seal(secret)
    guard = Guard(
        Keys(known, secret=secrets.token_bytes(32)),
        None if policy is None else RateLimiter(policy, quotas or LocalQuotas(policy)),
        platform.clock,
        origins=Origins(any_host=access.any_host),
        wrong_keys=WrongKeys(access.wrong_keys_per_minute),
    )
    context = build_context(
        platform,
        load_contracts or _no_contracts,
        Subscribers(access.streams, each=access.streams_per_key),
        guard.keys,
        Offsets(secret if known else b""),
    )
    request_ids = RequestIds()
    edge = EdgeApp(
        Routes(OPERATIONS, context),
        guard=guard,
        idempotency=Idempotency(platform.idempotency, platform.clock),
        request_ids=request_ids,
        telemetry=context.telemetry,
    )
    more = [guard.limiter.policy_header] if guard.limiter else []
    api = Api(
        edge,
        reads=PlainReads(
            context.answers, partial(_check_query, platform), groups_of=context.groups_of, more=more
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
        reference=Reference(OPERATIONS, keyed=not keys.anonymous),
        load_contracts=load_contracts,
        caller_of=keys.caller,
    )


def _check_query(platform: Platform, name: str, **question: object) -> MetricQuery:
    return check_query(platform.definitions, name, **question)  # type: ignore[arg-type]


def _no_contracts() -> Registry:
    raise UnavailableError(
        "this server does not know where contract files are",
        hint="Start it with --contracts-dir.",
    )
