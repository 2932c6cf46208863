"""Answers that are still right, shared by all callers with the same question.

An answer is kept with the revision it was made at. It is given again only while neither an event
moved the metric, nor a window moved on, nor the contracts changed: there is nothing to invalidate,
so nothing can be forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import msgspec

from agentflow.errors import UnavailableError
from agentflow.metrics import MetricState
from processing.definitions import Definitions
from processing.platform import Platform
from processing.runtime.slices import in_slices
from serving.read.answer import Answer, Answerer, Answering
from serving.read.metric_query import MetricQuery

MAX_KEPT: Final = 4_096
MAX_KEPT_GROUPS: Final = 100_000
_LONG_AT_ONCE: Final = 4
_RECHECK_US: Final = 200_000


class PreparedAnswer:
    """One question of one tenant, and its newest answer. Belongs to the event loop.

    `status` (fresh, stale) can change without an event, so no answer is kept for long.
    """

    __slots__ = (
        "_platform",
        "_state",
        "_until_us",
        "answer",
        "definitions",
        "etag",
        "query",
        "tenant",
    )  # fmt: skip

    def __init__(self, query: MetricQuery, tenant: str, platform: Platform) -> None:
        self.query = query
        self.tenant = tenant
        self._platform = platform
        self.definitions: Definitions = platform.definitions

    @property
    def outdated(self) -> bool:
        """Whether the contracts changed since the question was checked against them."""
        return self._platform.definitions is not self.definitions

    def current(self, now_us: int) -> bool:
        """Tell whether the answer is still right."""
        return (
            self._state.moves == self.answer.moves
            and now_us < self._until_us
            and self._platform.definitions is self.definitions
        )

    def take(self, answer: Answer, now_us: int) -> None:
        """Hold another answer, which is of the instant *now_us*."""
        self.answer = answer
        self._state: MetricState = answer.state
        self._until_us = min(answer.valid_until_us, now_us + _RECHECK_US)
        status = answer.document.status
        mark = "" if status == "fresh" else f".{status}"
        self.etag = f'"{answer.etag}{mark}"'.encode()

    @property
    def groups(self) -> int:
        """How many groups the answer holds: what it costs to keep."""
        groups = self.answer.document.groups
        return 0 if isinstance(groups, msgspec.UnsetType) else len(groups)


class Begun:
    """A question whose answer is ready, or is being made of the instant at which it was asked."""

    def __init__(
        self,
        prepared: PreparedAnswer,
        answering: Answering | None,
        *,
        now_us: int,
        keep: Callable[[PreparedAnswer], None],
    ) -> None:
        self._prepared = prepared
        self._answering = answering
        self._now_us = now_us
        self._keep = keep

    async def finish(self) -> PreparedAnswer:
        """Return the answer; others are answered meanwhile."""
        if self._answering is not None:
            await in_slices(self._answering.steps())
            self._prepared.take(self._answering.answer(), self._now_us)
            self._answering = None
            self._keep(self._prepared)
        return self._prepared

    def close(self) -> None:
        """Give up what is not finished."""
        if self._answering is not None:
            self._answering.close()


class PreparedAnswers:
    """The questions asked lately; forgets all of them rather than grow beyond what is allowed."""

    def __init__(self, platform: Platform, answerer: Answerer) -> None:
        self._platform = platform
        self._answerer = answerer
        self._kept: dict[tuple[object, ...], PreparedAnswer] = {}
        self._groups = 0
        self._long = asyncio.Semaphore(_LONG_AT_ONCE)

    @property
    def ready(self) -> bool:
        """Whether there is live state to answer from."""
        return self._platform.ready

    def covers(self, text: str) -> bool:
        """Tell whether a token is one of this log, and everything behind it is visible."""
        return self._platform.tokens.covers(text)

    def at_once(self, query: MetricQuery, tenant: str) -> PreparedAnswer | None:
        """Return the current answer to a question; None if it takes long to make.

        Raises:
            UnavailableError: The platform is starting or stopping.
        """
        self._platform.require_ready()
        prepared = self._kept.get((tenant, query.key))
        if prepared is None or prepared.outdated or prepared.query.plan is not query.plan:
            if not self._answerer.quick(query, tenant):
                return None
            prepared = PreparedAnswer(query, tenant, self._platform)
            self._refresh(prepared)
            self._keep(prepared)
            return prepared
        return prepared if self.refresh(prepared, self._platform.clock.now_us()) else None

    def refresh(self, prepared: PreparedAnswer, now_us: int) -> bool:
        """Answer again, unless the answer is current; False if it takes long to make."""
        if prepared.current(now_us):
            return True
        if not self._answerer.quick(prepared.query, prepared.tenant):
            return False
        self._refresh(prepared)
        return True

    def _refresh(self, prepared: PreparedAnswer) -> None:
        now_us = self._platform.clock.now_us()
        prepared.take(self._answerer.answer(prepared.query, prepared.tenant), now_us)

    async def get(self, query: MetricQuery, tenant: str) -> PreparedAnswer:
        """Return the current answer to a question, however long it takes to make.

        Raises:
            UnavailableError: The platform is starting or stopping.
        """
        prepared = self.at_once(query, tenant)
        if prepared is None:
            async with self.together([query], tenant) as (begun,):
                prepared = await begun.finish()
        return prepared

    @asynccontextmanager
    async def together(
        self, queries: Sequence[MetricQuery], tenant: str
    ) -> AsyncIterator[Sequence[Begun]]:
        """Begin to answer all of *questions* at one instant: the one at which the body begins.

        Only a few are answered in slices at a time, for what that costs in memory and patience.

        Raises:
            UnavailableError: The platform is starting or stopping.
        """
        self._platform.require_ready()
        if all(self._answerer.quick(query, tenant) for query in queries):
            yield [self._begin(query, tenant) for query in queries]
            return
        async with self._long:
            for query in queries:
                self._require_bound(query)
                await self._answerer.prepare(query, tenant)
            for query in queries:
                self._require_bound(query)
            begun = [self._begin(query, tenant) for query in queries]
            try:
                yield begun
            finally:
                for each in begun:
                    each.close()

    def _begin(self, query: MetricQuery, tenant: str) -> Begun:
        now_us = self._platform.clock.now_us()
        prepared = self.at_once(query, tenant)
        if prepared is not None:
            status = self._platform.health.status(query.plan, tenant)
            if prepared.answer.document.status != status and self._answerer.quick(query, tenant):
                self._refresh(prepared)
            if prepared.answer.document.status == status:
                return Begun(prepared, None, now_us=now_us, keep=self._keep)
        prepared = PreparedAnswer(query, tenant, self._platform)
        answering = self._answerer.begin(query, tenant)
        return Begun(prepared, answering, now_us=now_us, keep=self._keep)

    def _require_bound(self, query: MetricQuery) -> None:
        """Refuse a question whose contract changed while it waited."""
        self._platform.require_ready()
        if self._platform.definitions.plans.get(query.plan.id) is not query.plan:
            raise UnavailableError(
                "the contracts changed while the question waited", hint="Ask it again."
            )

    def _keep(self, prepared: PreparedAnswer) -> None:
        self._groups += prepared.groups
        if len(self._kept) >= MAX_KEPT or self._groups > MAX_KEPT_GROUPS:
            self._kept.clear()
            self._groups = prepared.groups
        self._kept[prepared.tenant, prepared.query.key] = prepared
