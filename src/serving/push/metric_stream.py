"""Pushes answers to subscribers of metrics; a slow one does not slow down the others.

A subscriber holds no queue but the set of questions that changed since it was last written to.
However slowly it reads, it costs one number for each, and when it can take something it is given
the newest answers, all from one instant.

An id says what its receiver has: `log.told.end.done.at.meaning`. Everything that moved before
`told`; and for the questions up to number `done` everything that moved before `end`; at the instant
`at`; of the questions, in their order and with the meaning, that `meaning` is a hash of.

When contracts change, a stream asks its questions again under the new ones: what means something
new is sent, and a stream that cannot be answered any more ends and says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Final, NamedTuple

from agentflow.errors import AgentFlowError, UnavailableError
from agentflow.metrics import MetricPlan
from agentflow.metrics.windows import parse_window
from processing.definitions import Definitions
from processing.live import MetricId
from processing.platform import Platform
from processing.write.change_feed import VisibleChange
from serving.push.subscribers import (
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    RETRY,
    Ending,
    Pulse,
    Subscribers,
    end_message,
)
from serving.read.metric_query import MetricQuery
from serving.read.prepared import PreparedAnswer, PreparedAnswers

_SECOND_US: Final = 1_000_000
_COMMIT_US: Final = 50_000
_ID_PARTS: Final = 6
_MAX_DIGITS: Final = 19
_NOTHING: Final = -1


@dataclass(frozen=True, slots=True)
class _Position:
    """What the receiver of an id has."""

    told: int
    end: int
    done: int
    at_us: int


class _Told(NamedTuple):
    """What a subscriber was told of one question."""

    etag: bytes
    valid_until_us: int
    status: str


def _told(prepared: PreparedAnswer) -> _Told:
    document = prepared.answer.document
    return _Told(prepared.etag, prepared.answer.valid_until_us, document.status)


class Subscription:
    """What one subscriber has not been told yet, and what it was told last."""

    def __init__(
        self, tenant: str, bind: Callable[[], Sequence[MetricQuery]], definitions: Definitions
    ) -> None:
        self.tenant = tenant
        self.woken = asyncio.Event()
        self._bind = bind
        self._hold(bind(), definitions)

    def _hold(self, queries: Sequence[MetricQuery], definitions: Definitions) -> None:
        self.queries = queries
        self.definitions = definitions
        self.meaning = _meaning(queries, definitions)
        self.changed: set[int] = set()
        self.told: dict[int, _Told] = {}
        self.fresh = True  # every answer was told as fresh
        self._by_metric: dict[MetricId, list[int]] = {}
        for index, item in enumerate(queries):
            self._by_metric.setdefault(item.plan.id, []).append(index)

    def rebind(self, definitions: Definitions) -> None:
        """Ask the same questions under other contracts; those whose answer may differ changed.

        Raises:
            AgentFlowError: One of them cannot be asked any more.
        """
        queries, meaning = self._bind(), self.meaning
        changed, told, fresh = self.changed, self.told, self.fresh
        self._hold(queries, definitions)
        if self.meaning == meaning:  # the same questions in the same order
            self.changed, self.told, self.fresh = changed, told, fresh
        else:
            self.changed = set(range(len(queries)))

    def mark(self, metric: MetricId) -> None:
        """Remember that a metric moved."""
        indexes = self._by_metric.get(metric)
        if indexes is not None:
            self.changed.update(indexes)
            self.woken.set()

    def mark_expired(self, now_us: int) -> None:
        """Remember whose window has moved on."""
        self.changed.update(
            index for index, told in self.told.items() if told.valid_until_us <= now_us
        )

    def mark_status(self, status: Callable[[MetricPlan], str]) -> None:
        """Remember which answers may not be read any more as they were told."""
        self.changed.update(
            index
            for index, told in self.told.items()
            if told.status != status(self.queries[index].plan)
        )

    def patience(self, now_us: int) -> float:
        """Return the seconds until the first window moves on."""
        if not self.told:
            return HEARTBEAT_SECONDS
        first_us = min(told.valid_until_us for told in self.told.values())
        return max(first_us - now_us, 0) / _SECOND_US


class MetricStreams:
    """Subscriptions to metrics. One event loop; `close` ends every stream."""

    def __init__(
        self,
        platform: Platform,
        answers: PreparedAnswers,
        subscribers: Subscribers | None = None,
    ) -> None:
        self._platform = platform
        self._answers = answers
        self._subscribers = Subscribers() if subscribers is None else subscribers
        self._by_tenant: dict[str, set[Subscription]] = {}
        self._moved_at: dict[tuple[str, MetricId], int] = {}
        self._definitions = platform.definitions
        self._closed = False
        self._unsubscribe = platform.changes.subscribe(self._follow)

    @property
    def subscribers(self) -> int:
        """How many streams are open."""
        return sum(len(found) for found in self._by_tenant.values())

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        self._unsubscribe()
        for found in self._by_tenant.values():
            for subscription in found:
                subscription.woken.set()

    def open(
        self,
        tenant: str,
        bind: Callable[[], Sequence[MetricQuery]],
        *,
        last_id: str | None,
        told_why: Callable[[AgentFlowError], bytes],
        subscriber: str = "",
        ending: Ending | None = None,
    ) -> AsyncIterator[bytes]:
        """Return the bytes of a stream: the answers the subscriber lacks, then every change.

        Args:
            tenant: Whose metrics.
            bind: Returns the questions under the contracts in force, in the order in which ids
                count them; called again whenever contracts change.
            last_id: Id of the last message the subscriber has; what it has is not repeated.
            told_why: Renders why the questions cannot be asked any more, as JSON.
            subscriber: Whose stream it is, for the limit of streams.
            ending: Tells when the stream is to end.

        Raises:
            UnavailableError: The platform is not ready.
            TooManyStreamsError: There are too many subscribers.
            AgentFlowError: What *bind* raises.
        """
        self._subscribers.require_room(subscriber)
        self._platform.require_ready()
        subscription = Subscription(tenant, bind, self._platform.definitions)
        return self._run(subscription, last_id, told_why, subscriber, ending or Ending())

    async def _run(
        self,
        subscription: Subscription,
        last_id: str | None,
        told_why: Callable[[AgentFlowError], bytes],
        subscriber: str,
        ending: Ending,
    ) -> AsyncIterator[bytes]:
        clock, pulse = self._platform.clock, Pulse()
        entered, heard = self._subscribers.entered(subscriber), ending.heard(subscription.woken)
        with entered, heard, self._found(subscription):
            told: int | None = None
            yield RETRY
            while not self._closed:
                subscription.woken.clear()
                await self._subscribers.turn()
                if ending.message is not None:
                    yield ending.message
                    return
                if subscription.definitions is not self._platform.definitions:
                    try:
                        subscription.rebind(self._platform.definitions)
                    except AgentFlowError as error:
                        yield end_message(told_why(error))
                        return
                if told is None:
                    told = self._resume(subscription, last_id)
                subscription.mark_expired(clock.now_us())
                if pulse.due or not subscription.fresh or self._something_waits(clock.now_us()):
                    subscription.mark_status(
                        partial(self._platform.health.status, tenant=subscription.tenant)
                    )
                text, told = await self._messages(subscription, told)
                if text or pulse.due:
                    pulse.written()
                    yield text or HEARTBEAT
                elif not subscription.changed:
                    patience = subscription.patience(clock.now_us())
                    await pulse.wait(subscription.woken, at_most=patience)

    def _something_waits(self, now_us: int) -> bool:
        """Tell whether answers may be stale; what waits for one commit is not worth a look."""
        since_us = self._platform.intake.waiting_since_us
        return since_us is not None and now_us - since_us > _COMMIT_US

    @contextmanager
    def _found(self, subscription: Subscription) -> Iterator[None]:
        """Tell *subscription* of changes while the body runs."""
        found = self._by_tenant.setdefault(subscription.tenant, set())
        found.add(subscription)
        try:
            yield
        finally:
            found.discard(subscription)

    async def _messages(self, subscription: Subscription, told: int) -> tuple[bytes, int]:
        """Return one message for each changed answer, all from one instant, and its offset."""
        if not subscription.changed:
            return b"", self._platform.engine.next_offset
        changed, subscription.changed = sorted(subscription.changed), set()
        queries = [subscription.queries[index] for index in changed]
        try:
            async with self._answers.together(queries, subscription.tenant) as begun:
                end, now_us = self._platform.engine.next_offset, self._platform.clock.now_us()
                found = [await each.finish() for each in begun]
        except UnavailableError:
            if subscription.definitions is self._platform.definitions:
                raise
            subscription.changed.update(changed)  # to be asked under other contracts
            return b"", told
        log_id = self._platform.accepted.log_id
        parts = []
        for index, prepared in zip(changed, found, strict=True):
            known = subscription.told.get(index)
            subscription.told[index] = _told(prepared)
            if known is None or known.etag != prepared.etag:
                place = f"{log_id}.{told + 1:012}.{end:012}.{index:03}.{now_us}"
                place = f"{place}.{subscription.meaning}"
                name = self._platform.tokens.seal.write(place.encode()).encode()
                body = prepared.answer.render(now_us)
                parts.append(b"id: %b\nevent: metric\ndata: %b\n\n" % (name, body))
        subscription.fresh = all(told.status == "fresh" for told in subscription.told.values())
        return b"".join(parts), end

    def _opened(self, last_id: str | None) -> str | None:
        try:
            return None if last_id is None else self._platform.tokens.seal.read(last_id).decode()
        except ValueError:
            return None

    def _resume(self, subscription: Subscription, last_id: str | None) -> int:
        """Mark what the subscriber lacks and return up to where it was told everything."""
        log_id = self._platform.accepted.log_id
        position = _position(self._opened(last_id), log_id, subscription.meaning)
        if position is None:
            subscription.changed = set(range(len(subscription.queries)))
            return _NOTHING
        now_us = self._platform.clock.now_us()
        for index, query in enumerate(subscription.queries):
            if self._lacks(subscription.tenant, index, query, position, now_us):
                subscription.changed.add(index)
                continue
            prepared = self._answers.at_once(query, subscription.tenant)
            if prepared is None:  # it takes long to make, and may move meanwhile
                subscription.changed.add(index)
            else:
                subscription.told[index] = _told(prepared)
        return position.told

    def _lacks(
        self, tenant: str, index: int, query: MetricQuery, position: _Position, now_us: int
    ) -> bool:
        """Tell whether an answer may have changed since *position*."""
        window = parse_window(query.window)
        if window.bounds(position.at_us) != window.bounds(now_us):
            return True
        # A metric that has not moved since this process started may have moved just before.
        moved_at = self._moved_at.get((tenant, query.plan.id), self._platform.engine.next_offset)
        return moved_at > (position.end if index <= position.done else position.told)

    def _follow(self, change: VisibleChange) -> None:
        if self._definitions is not self._platform.definitions:
            self._definitions = self._platform.definitions
            for found in self._by_tenant.values():
                for subscription in found:
                    subscription.woken.set()
        for moved in change.moved:
            self._moved_at[(moved.tenant, moved.metric)] = change.next_offset
            for subscription in self._by_tenant.get(moved.tenant, ()):
                subscription.mark(moved.metric)
        # What waited is counted now, perhaps: a number that did not move may be fresh again.
        for found in self._by_tenant.values():
            for subscription in found:
                if not subscription.fresh:
                    subscription.woken.set()


def _meaning(queries: Sequence[MetricQuery], definitions: Definitions) -> str:
    """Return a hash of the questions, their order and what their metrics mean."""
    parts = [
        f"{item.key!r} {definitions.meanings[item.plan.id]} {item.plan.contract!r}"
        for item in queries
    ]
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _position(last_id: str | None, log_id: str, meaning: str) -> _Position | None:
    """Read an id; one that was not given for this log and these questions says nothing."""
    parts = (last_id or "").split(".")
    if len(parts) != _ID_PARTS or (parts[0], parts[-1]) != (log_id, meaning):
        return None
    if not all(part.isdecimal() and len(part) <= _MAX_DIGITS for part in parts[1:-1]):
        return None
    told, end, done, at_us = map(int, parts[1:-1])
    return _Position(told - 1, end, done, at_us)
