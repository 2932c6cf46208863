"""Answers that are still right, shared by everybody who asks the same question.

An answer is kept with the revision it was made at. It is given again only while neither an event
moved the metric, nor a window moved on, nor the contracts changed: there is nothing to invalidate,
so nothing can be forgotten.
"""

from __future__ import annotations

from typing import Final

from agentflow.metrics import MetricState
from processing.definitions import Definitions
from processing.platform import Platform
from serving.answer import Answer, Answerer
from serving.asked import Asked

MAX_KEPT: Final = 4_096
_RECHECK_US: Final = 200_000


class Prepared:
    """One question of one tenant, and its newest answer. Belongs to the event loop.

    `status` (fresh, stale) can change without an event, so no answer is kept for long.
    """

    __slots__ = ("_answerer", "_definitions", "_platform", "_state", "_until_us", "answer", "asked",
                 "etag", "tenant")  # fmt: skip

    def __init__(self, asked: Asked, tenant: str, platform: Platform, answerer: Answerer) -> None:
        self.asked = asked
        self.tenant = tenant
        self._platform = platform
        self._answerer = answerer
        self._definitions: Definitions = platform.definitions
        self.refresh(platform.clock.now_us())

    @property
    def outdated(self) -> bool:
        """Whether the contracts changed since the question was checked against them."""
        return self._platform.definitions is not self._definitions

    def current(self, now_us: int) -> bool:
        """Tell whether the answer is still right."""
        return (
            self._state.moves == self.answer.moves
            and now_us < self._until_us
            and self._platform.definitions is self._definitions
        )

    def refresh(self, now_us: int) -> None:
        """Answer again."""
        self.answer: Answer = self._answerer.answer(self.asked, self.tenant)
        self._state: MetricState = self._platform.engine.state(self.asked.plan.id, self.tenant)
        self._until_us = min(self.answer.valid_until_us, now_us + _RECHECK_US)
        status = self.answer.document.status
        mark = "" if status == "fresh" else f".{status}"
        self.etag = f'"{self.answer.etag}{mark}"'.encode()


class PreparedAnswers:
    """The questions asked lately; forgets all of them rather than grow beyond `MAX_KEPT`."""

    def __init__(self, platform: Platform, answerer: Answerer) -> None:
        self._platform = platform
        self._answerer = answerer
        self._kept: dict[tuple[object, ...], Prepared] = {}

    @property
    def ready(self) -> bool:
        """Whether there is live state to answer from."""
        return self._platform.ready

    def covers(self, text: str) -> bool:
        """Tell whether a token is one of this log, and everything behind it is visible."""
        return self._platform.covers(text)

    def get(self, asked: Asked, tenant: str) -> Prepared:
        """Return the current answer to a question.

        Raises:
            UnavailableError: The platform is starting or stopping.
        """
        self._platform.require_ready()
        key = (tenant, asked.key)
        prepared = self._kept.get(key)
        if prepared is None or prepared.outdated or prepared.asked.plan is not asked.plan:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            prepared = self._kept[key] = Prepared(asked, tenant, self._platform, self._answerer)
            return prepared
        now_us = self._platform.clock.now_us()
        if not prepared.current(now_us):
            prepared.refresh(now_us)
        return prepared
