"""Events of callers for whom only some contracts exist: of another type, there is no such event.

The whole gate judges what is sent on, and so that its hints and its dead letters say nothing of
other types, what a gate of the caller's own contracts judges otherwise never gets that far.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request

from agentflow.events import RawEvent
from processing.write.issuing import Tokens
from processing.write.results import EventResult
from quality.codes import EVENT_UNKNOWN
from quality.gate import Gate
from quality.verdict import Accepted, Rejected, Verdict, Violation
from serving.access.callers import Caller
from serving.api.context import Context
from serving.api.event_results import EventSink


def refusal(context: Context, request: Request, raw: RawEvent) -> Rejected | None:
    """Return why an event is none for its sender; None when it is judged as everyone's is."""
    caller: Caller = request.scope["caller"]
    if caller.sight.whole:
        return None
    whole = context.platform.judge(raw)
    own = _gate(context, caller).judge(raw)
    if _alike(whole, own):
        return None
    return own if isinstance(own, Rejected) else _UNKNOWN


def sink_of(context: Context, request: Request) -> EventSink:
    """Return what takes the events of a caller."""
    caller: Caller = request.scope["caller"]
    return context.platform if caller.sight.whole else _NarrowedSink(context, request)


class _NarrowedSink:
    """Takes events of the types that exist for a caller; the others are refused and not stored."""

    def __init__(self, context: Context, request: Request) -> None:
        self._context = context
        self._request = request

    @property
    def tokens(self) -> Tokens:
        """Issues tokens that cover what was taken."""
        return self._context.platform.tokens

    async def ingest(self, raws: Sequence[RawEvent]) -> Sequence[EventResult]:
        """Make events durable and visible."""
        refused = [refusal(self._context, self._request, raw) for raw in raws]
        sent = [raw for raw, verdict in zip(raws, refused, strict=True) if verdict is None]
        taken = iter(await self._context.platform.ingest(sent) if sent else ())
        return [next(taken) if each is None else _result(each) for each in refused]


def _gate(context: Context, caller: Caller) -> Gate:
    return context.views.gate(caller.sight)


def _alike(one: Verdict, other: Verdict) -> bool:
    if isinstance(one, Accepted) and isinstance(other, Accepted):
        return one.event.ref == other.event.ref
    return isinstance(one, Rejected) and one == other


def _result(verdict: Rejected) -> EventResult:
    return EventResult("rejected", verdict.event_id, verdict.type, None, None, verdict.violations)


_UNKNOWN = Rejected(
    EVENT_UNKNOWN,
    (Violation(EVENT_UNKNOWN, "/type", "there is no such event", "GET /v1/catalog lists events."),),
)
