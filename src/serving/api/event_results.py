"""What `POST /v1/events` does and answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from agentflow.clock import Clock
from agentflow.events import RawEvent
from agentflow.wording import quoted
from ingestion.log.port import DEAD_LETTERS, VALIDATED
from processing.write.issuing import Tokens
from processing.write.results import EventResult
from quality.verdict import Violation
from serving.http.cloudevents import (
    MAX_EVENTS,
    MEDIA_TYPES,
    MediaTypeError,
    NotABatchError,
    RepeatedHeaderError,
    TooManyEventsError,
    binary_mode,
    content_type_of,
    mode_of,
    split,
    structured,
)
from serving.http.problems import Detail, Problem
from serving.http.replies import JSON, Reply
from serving.read.offsets import Offsets

ListDetail = Literal["all", "errors"]
Seen: TypeAlias = Callable[[str, int | None], int | None]
"""Returns the number by which the sender knows an offset of a topic."""
DEPRECATED: Final = (b"deprecation", b"@0")
_encode = msgspec.json.Encoder().encode


class EventItem(msgspec.Struct, frozen=True, gc=False):
    """What became of one event of a request.

    Attributes:
        index: Its place in the request, from 0.
        offset: Names its place in the log; for a duplicate, where it was first accepted.
        dead_letter: Names its place among the dead letters, when it was rejected.
        identified_by: `id`, or `content` when it came without one: an equal event is a duplicate.
    """

    index: int
    id: str | None
    type: str | None
    status: str
    offset: int | None
    warnings: tuple[Violation, ...]
    errors: tuple[Violation, ...]
    dead_letter: int | None
    identified_by: str | None


class EventsShape(msgspec.Struct, frozen=True, gc=False):
    """What became of a request; `token` covers all of it."""

    token: str
    accepted: int
    duplicates: int
    rejected: int
    events: list[EventItem]


class EventSink(Protocol):
    """What events are given to."""

    async def ingest(self, raws: Sequence[RawEvent]) -> Sequence[EventResult]:
        """Make events durable and visible."""
        ...

    @property
    def tokens(self) -> Tokens:
        """Issues tokens that cover them."""
        ...


async def take_events(  # noqa: PLR0913 - each is another part of one request
    sink: EventSink,
    clock: Clock,
    offsets: Offsets,
    *,
    tenant: str,
    headers: Iterable[tuple[bytes, bytes]],
    body: bytes,
    detail: ListDetail,
    request_id: str,
) -> Reply:
    """Split *body*, ingest it and say what became of each event.

    Raises:
        StorageError: Nothing was stored.
        UnavailableError: The platform is starting or stopping.
    """
    parts = _parts(tuple(headers), body)
    if isinstance(parts, Problem):
        return parts.reply(request_id)
    single, values = parts
    now_us = clock.now_us()
    raws = [RawEvent(value, tenant, now_us) for value in values]
    results = await sink.ingest(raws)
    token = sink.tokens.of(results)
    seen = partial(offsets.shown_or_none, tenant)
    if single and results[0].status == "rejected":
        return _rejection(results[0], token, seen).reply(request_id)
    return _reply(results, token, detail, seen)


def _parts(
    headers: tuple[tuple[bytes, bytes], ...], body: bytes
) -> tuple[bool, Sequence[bytes]] | Problem:
    """Return whether the request is about one event, and the bytes of each."""
    try:
        if binary_mode(headers):
            return True, (structured(headers, body),)
        mode = mode_of(content_type_of(headers), body)
        return mode == "one", split(mode, body)
    except RepeatedHeaderError as error:
        return repeated_header(error)
    except MediaTypeError as error:
        hint = f"Use one of: {', '.join(MEDIA_TYPES)}; or ce- headers with a JSON body."
        return Problem("media_type_unsupported", f"events do not come as {quoted(error)}", hint)
    except TooManyEventsError:
        message = f"the request holds more than {MAX_EVENTS} events"
        return Problem("too_many_events", message, "Send them in several requests.")
    except NotABatchError:
        message = "the body is not a JSON array whose items can be told apart; nothing was stored"
        return Problem("malformed_json", message, "Send a JSON array, or one event a line.")


def repeated_header(error: RepeatedHeaderError) -> Problem:
    """Return the problem of a request that says twice what its body is."""
    message = f"header {quoted(error)} is there more than once"
    return Problem("header_invalid", message, "Send it once.")


def _reply(results: Sequence[EventResult], token: str, detail: ListDetail, seen: Seen) -> Reply:
    counts = {"accepted": 0, "duplicate": 0, "rejected": 0}
    deprecated = False
    items = []
    for index, result in enumerate(results):
        counts[result.status] += 1
        if result.violations and result.status != "rejected":
            deprecated |= any(item.code == "event_deprecated" for item in result.violations)
        if detail == "all" or result.status != "accepted":
            items.append(_item(index, result, seen))
    answer = EventsShape(token, counts["accepted"], counts["duplicate"], counts["rejected"], items)
    headers = (JSON, DEPRECATED) if deprecated else (JSON,)
    return Reply(207 if counts["rejected"] else 200, headers, _encode(answer))


def _item(index: int, result: EventResult, seen: Seen) -> EventItem:
    rejected = result.status == "rejected"
    return EventItem(
        index,
        result.id,
        result.type,
        result.status,
        seen(VALIDATED, result.offset),
        () if rejected else result.violations,
        result.violations if rejected else (),
        seen(DEAD_LETTERS, result.dead_letter),
        result.identified_by,
    )


def _rejection(result: EventResult, token: str, seen: Seen) -> Problem:
    """Return the problem of a single event that was rejected: everything wrong with it at once."""
    first = result.violations[0]
    dead_letter = seen(DEAD_LETTERS, result.dead_letter)
    return Problem(
        "event_rejected",
        f"{first.message}; the event is {_named(dead_letter)}",
        first.hint,
        tuple(detail_of(item) for item in result.violations),
        {"dead_letter": dead_letter, "token": token},
    )


def _named(dead_letter: int | None) -> str:
    """Name a dead letter; over a stream its number is not known yet."""
    return "a dead letter" if dead_letter is None else f"dead letter {dead_letter}"


def detail_of(violation: Violation) -> Detail:
    """Return a violation as a problem lists it."""
    return Detail(violation.code, violation.message, pointer=violation.pointer, hint=violation.hint)
