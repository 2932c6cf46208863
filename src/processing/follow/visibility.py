"""What is visible, in offsets of the raw topic: a token says where events went in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta

from agentflow.errors import NotYetVisibleError
from processing.live import LiveEngine
from processing.write.results import EventResult
from processing.write.tokens import Token
from processing.write.visibility import PARTITION, Arrivals


class StreamVisibility:
    """Visibility by raw partition. One event loop.

    A token may also hold a position of `validated`, as the ids of event streams do.
    """

    def __init__(self, log_id: str, engine: LiveEngine) -> None:
        self._log_id = log_id
        self._engine = engine
        self._frontiers: dict[str, int] = {}
        self._arrivals: dict[str, Arrivals] = {}
        self._settled = asyncio.Event()

    def settle(self) -> None:
        """Say that accounts are complete: what lies before a frontier is visible from now on."""
        self._settled.set()

    def advance(self, frontiers: Mapping[str, int]) -> None:
        """Move to where raw partitions are accounted for, and wake who waited for that."""
        self._frontiers.update(frontiers)
        for partition in (*frontiers, PARTITION):
            if arrivals := self._arrivals.get(partition):
                arrivals.arrived(self._reached(partition))

    def token(self) -> Token:
        """Return a token that covers everything visible now."""
        return Token(self._log_id, dict(self._frontiers) if self._settled.is_set() else {})

    def token_of(self, results: Sequence[EventResult]) -> Token:
        """Return a token that covers the events in *results*."""
        ends: dict[str, int] = {}
        for result in results:
            if result.raw is not None:
                partition, offset = result.raw
                ends[partition] = max(ends.get(partition, 0), offset + 1)
        return Token(self._log_id, ends)

    def covers(self, token: Token) -> bool:
        """Tell whether everything behind *token* is visible.

        Raises:
            TokenError: It belongs to another log.
        """
        token.require_log(self._log_id)
        return self._settled.is_set() and not self._missing(token)

    async def reach(self, token: Token, *, within: timedelta) -> None:
        """Return once everything behind *token* is visible.

        Raises:
            TokenError: It belongs to another log.
            NotYetVisibleError: That took longer than *within*.
        """
        token.require_log(self._log_id)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within.total_seconds()
        try:
            async with asyncio.timeout_at(deadline):
                await self._settled.wait()
        except TimeoutError:
            raise NotYetVisibleError(
                "the platform has not caught up with the stream yet",
                hint="Retry, or allow more time with the header `Prefer: wait=5`.",
            ) from None
        while missing := self._missing(token):
            left = timedelta(seconds=max(deadline - loop.time(), 0))
            partition, end = missing[0]
            arrivals = self._arrivals.setdefault(partition, Arrivals())
            try:
                await arrivals.wait(end, within=left)
            finally:
                if not arrivals:
                    self._arrivals.pop(partition, None)

    def _missing(self, token: Token) -> list[tuple[str, int]]:
        return [
            (partition, end)
            for partition, end in token.ends.items()
            if self._reached(partition) < end
        ]

    def _reached(self, partition: str) -> int:
        if partition == PARTITION:
            return self._engine.next_offset
        return self._frontiers.get(partition, 0)
