"""Pushes accepted events to subscribers, each exactly once and in order.

A subscriber is a position in the log and nothing else: it is served from the newest events in
memory, or from the log itself while it is too far behind for that, at its own pace.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from agentflow.errors import TokenError
from processing.platform import Platform
from processing.write.change_feed import VisibleChange
from processing.write.tokens import Token
from processing.write.visibility import PARTITION
from serving.push.event_pages import RING_EVENTS, EventPages
from serving.push.subscribers import HEARTBEAT, RETRY, Ending, Pulse, Subscribers
from serving.read.offsets import Offsets


class EventStreams:
    """Subscriptions to accepted events. One event loop; `close` ends every stream.

    Attributes:
        pages: What is sent.
    """

    def __init__(
        self,
        platform: Platform,
        subscribers: Subscribers | None = None,
        *,
        offsets: Offsets | None = None,
        ring_events: int = RING_EVENTS,
    ) -> None:
        self.pages = EventPages(platform, offsets or Offsets(), ring_events=ring_events)
        self._platform = platform
        self._subscribers = Subscribers() if subscribers is None else subscribers
        self._woken: set[asyncio.Event] = set()
        self._closed = False
        self._unsubscribe = platform.changes.subscribe(self._follow)

    @property
    def subscribers(self) -> int:
        """How many streams are open."""
        return len(self._woken)

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        self._unsubscribe()
        self.pages.close()
        for woken in self._woken:
            woken.set()

    def open(
        self,
        tenant: str,
        *,
        types: frozenset[str],
        from_start: bool,
        last_id: str | None,
        subscriber: str = "",
        ending: Ending | None = None,
    ) -> AsyncIterator[bytes]:
        """Return the bytes of a stream of the tenant's events; no types means all.

        Args:
            tenant: Whose events.
            types: Only events of these types.
            from_start: Begin with the first event there is, without an id.
            last_id: Id of the last event the subscriber has.
            subscriber: Whose stream it is, for the limit of streams.
            ending: Tells when the stream is to end.

        Raises:
            UnavailableError: The platform is not ready.
            TooManyStreamsError: There are too many subscribers.
            TokenError: *last_id* is not one of this log, so it is not known what would be missing.
        """
        self._subscribers.require_room(subscriber)
        self._platform.require_ready()
        position = self._start(from_start=from_start, last_id=last_id)
        return self._run(tenant, types, position, subscriber, ending or Ending())

    def _start(self, *, from_start: bool, last_id: str | None) -> int:
        if last_id:
            token = Token.decode(last_id, self._platform.tokens.seal)
            token.require_log(self._platform.accepted.log_id)
            if (position := token.ends.get(PARTITION)) is None:
                raise TokenError("the id names no position", hint="Send back the last id as it is.")
            return position
        return 0 if from_start else self._platform.engine.next_offset

    async def _run(
        self, tenant: str, types: frozenset[str], position: int, subscriber: str, ending: Ending
    ) -> AsyncIterator[bytes]:
        woken, pulse = asyncio.Event(), Pulse()
        self._woken.add(woken)
        with self._subscribers.entered(subscriber), ending.heard(woken):
            try:
                yield RETRY
                while not self._closed:
                    woken.clear()
                    await self._subscribers.turn()
                    if self._closed:
                        return
                    if ending.message is not None:
                        yield ending.message
                        return
                    page = await self.pages.page(tenant, types, position)
                    moved, position = page.position > position, page.position
                    if page.text or pulse.due:
                        pulse.written()
                        yield page.text or HEARTBEAT
                    elif not moved:
                        await pulse.wait(woken)
            except asyncio.CancelledError:
                if not self._closed:
                    raise
            finally:
                self._woken.discard(woken)

    def _follow(self, change: VisibleChange) -> None:
        self.pages.extend(change.events)
        for woken in self._woken:
            woken.set()
