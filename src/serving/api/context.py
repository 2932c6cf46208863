"""What the routes of one API share, and how they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from starlette.requests import Request

from agentflow.clock import to_rfc3339
from agentflow.contracts import Registry
from processing.platform import Platform
from serving.access.keys import Caller, Scope
from serving.api.openapi import Reference
from serving.api.telemetry import Telemetry
from serving.http.entity_tags import NO_STORE
from serving.http.replies import JSON, Headers, Reply
from serving.push.event_stream import EventStreams
from serving.push.metric_stream import MetricStreams
from serving.read.answer import Answerer
from serving.read.cursors import Cursors
from serving.read.event_document import EventDocuments, as_text
from serving.read.group_pages import GroupCursors
from serving.read.offsets import Offsets
from serving.read.prepared import PreparedAnswers

encode: Final = msgspec.json.Encoder(enc_hook=as_text).encode


@dataclass(slots=True)
class Context:
    """The platform and what stands between it and the routes.

    Attributes:
        load_contracts: Reads the contract files again, to publish them.
        caller_of: Tells who holds an API key, for routes that need none.
    """

    platform: Platform
    answerer: Answerer
    answers: PreparedAnswers
    cursors: Cursors
    offsets: Offsets
    metric_streams: MetricStreams
    event_streams: EventStreams
    telemetry: Telemetry
    reference: Reference
    load_contracts: Callable[[], Registry]
    caller_of: Callable[[bytes | None], Caller | None]
    _documents: EventDocuments | None = field(default=None)

    @property
    def documents(self) -> EventDocuments:
        """Renders events by the contracts in force."""
        registry = self.platform.registry
        if self._documents is None or self._documents.registry is not registry:
            self._documents = EventDocuments(registry, self.offsets)
        return self._documents

    def groups_of(self, tenant: str) -> GroupCursors:
        """Return the cursors of one tenant's groups."""
        return GroupCursors(self.cursors, tenant)

    def scopes_of(self, key: str | None) -> frozenset[Scope]:
        """Return what the holder of *key*, or a caller without one, may do."""
        caller = self.caller_of(None if key is None else key.encode("latin-1"))
        return frozenset() if caller is None else caller.scopes

    def now(self) -> str:
        """Return the present instant as text."""
        return to_rfc3339(self.platform.clock.now_us())


def tenant_of(request: Request) -> str:
    """Return the tenant of the key that the request came with."""
    caller: Caller = request.scope["caller"]
    return caller.tenant


def may_see_all_tenants(request: Request) -> bool:
    """Tell whether the caller may see figures that count the events of all tenants."""
    caller: Caller = request.scope["caller"]
    return Scope.OPERATE in caller.scopes


def caller_name(request: Request) -> str:
    """Return who decides something, without saying their key."""
    caller: Caller = request.scope["caller"]
    return caller.bucket


def respond(
    value: object, *, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()
) -> Reply:
    """Return a value as JSON that no cache keeps."""
    return Reply(status, (JSON, NO_STORE, *headers), encode(value))


def text_response(text: str | bytes, content_type: str, *extra: tuple[bytes, bytes]) -> Reply:
    """Return a document that is not JSON."""
    body = text.encode() if isinstance(text, str) else text
    headers: Headers = [(b"content-type", content_type.encode()), *extra]
    return Reply(200, tuple(headers), body)
