"""What the routes of one API share, and how they answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from starlette.requests import Request

from agentflow.clock import to_rfc3339
from agentflow.contracts import Registry
from processing.definitions import Definitions
from processing.platform import Platform
from serving.access.callers import Caller
from serving.access.scopes import Scope
from serving.access.stored_keys import StoredKeys
from serving.access.views import Views
from serving.api.openapi import Reference
from serving.api.telemetry import Telemetry
from serving.http.entity_tags import NO_STORE
from serving.http.replies import JSON, Headers, Reply
from serving.push.event_stream import EventStreams
from serving.push.metric_stream import MetricStreams
from serving.push.subscribers import Ending
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
        stored_keys: What callers with stored keys are found by.
        views: The contracts in force as each caller sees them.
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
    stored_keys: StoredKeys
    views: Views
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

    def registry_of(self, request: Request) -> Registry:
        """Return the contracts in force that exist for the caller."""
        return self.views.of(request.scope.get("caller"))

    def definitions_of(self, request: Request) -> Definitions:
        """Return the same, compiled."""
        caller: Caller = request.scope["caller"]
        return self.views.definitions(caller.sight)

    def ending_of(self, request: Request) -> Ending:
        """Return what tells a stream that its caller may not read it any more."""
        caller: Caller = request.scope["caller"]
        request_id: str = request.scope["request_id"]
        return Ending(
            lambda tell: self.stored_keys.follow(
                caller, lambda problem: tell(encode(problem.document(request_id)))
            )
        )

    def now(self) -> str:
        """Return the present instant as text."""
        return to_rfc3339(self.platform.clock.now_us())


def tenant_of(request: Request) -> str:
    """Return the tenant of the key that the request came with."""
    caller: Caller = request.scope["caller"]
    return caller.tenant


def scopes_of_caller(request: Request) -> frozenset[Scope]:
    """Return what the caller may do; nothing, where no key is needed and none was recognised."""
    caller: Caller | None = request.scope.get("caller")
    return frozenset() if caller is None else caller.scopes


def realm_of(request: Request) -> str:
    """Return what tells callers apart who are told different things."""
    caller: Caller = request.scope["caller"]
    return caller.realm


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
