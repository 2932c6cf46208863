"""What an operator and an owner of metrics ask: contracts, dead letters, lineage, health."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from agentflow_sdk import _calls
from agentflow_sdk._async_connection import AsyncConnection
from agentflow_sdk._calls import Json
from agentflow_sdk._wire import parameters
from agentflow_sdk.models import DeadLetter, DeadLetterPage, Verification

_PAGE = 20
"""Windows of metrics that are checked with one request."""


class AsyncOperations:
    """The part of the client that looks after the platform."""

    _connection: AsyncConnection

    async def wait(self, token: str, *, seconds: float = 2) -> None:
        """Return as soon as reads see everything that the token covers.

        Raises:
            NotYetVisibleError: That took longer.
        """
        await self._connection.do(_calls.batch([], wait=token, wait_seconds=seconds))

    async def verify(
        self, *, progress: Callable[[Verification], None] | None = None
    ) -> Verification:
        """Recompute every metric from the lake and compare it with its live value.

        Windows are checked a page at a time; what could not be checked says why.

        Args:
            progress: Told after each page what was found so far (`done` of `checks`).
        """
        found = await self._connection.do(_calls.verify(limit=_PAGE, cursor=None))
        while True:
            if progress is not None:
                progress(found)
            if found.next_cursor is None:
                return found
            call = _calls.verify(limit=_PAGE, cursor=found.next_cursor)
            found = found.joined(await self._connection.do(call))

    async def health(self) -> Json:
        """Return the state of every part of the platform."""
        return await self._connection.do(_calls.get("/v1/health"))

    async def catalog(self) -> Json:
        """Return every event, entity and metric with its fields."""
        return await self._connection.do(_calls.get("/v1/catalog"))

    async def graph(self) -> Json:
        """Return which event moves which metric and sets which entity, as nodes and edges."""
        return await self._connection.do(_calls.get("/v1/graph"))

    async def contracts(self, *, kind: str | None = None) -> Json:
        """List the contracts."""
        return await self._connection.do(_calls.get("/v1/contracts", parameters(kind=kind)))

    async def contract(self, kind: str, name: str, *, version: int | None = None) -> Json:
        """Return a contract: one version, or a list of its versions.

        Raises:
            NotFoundError: There is none.
        """
        return await self._connection.do(_calls.get(_calls.contract_path(kind, name, version)))

    async def contract_text(self, kind: str, name: str, *, version: int, format: str) -> str:  # noqa: A002
        """Return a contract in another format: `yaml`, `json-schema`, `avro` and others."""
        path = _calls.contract_path(kind, name, version)
        return await self._connection.do(_calls.get_text(path, parameters(format=format)))

    async def contract_diff(self, kind: str, name: str, *, old: int, new: int) -> Json:
        """Return what changed between two versions of a contract, and what that breaks."""
        params = {"kind": kind, "name": name, "from": str(old), "to": str(new)}
        return await self._connection.do(_calls.get("/v1/contracts/diff", params))

    async def validate(self, event: str, data: Mapping[str, object]) -> Json:
        """Check the data of an event against its contract; nothing is stored."""
        path = f"/v1/contracts/{_calls.segment(event)}/validate"
        return await self._connection.do(_calls.post(path, data, repeatable=True))

    async def publish(self) -> Json:
        """Make the server read its contracts again: backfill, compare, swap."""
        return await self._connection.do(_calls.publish())

    async def lineage_of_event(self, event_id: str, *, source: str | None = None) -> Json:
        """Return the way an event took, hop by hop."""
        path = f"/v1/lineage/event/{_calls.segment(event_id)}"
        return await self._connection.do(_calls.get(path, parameters(source=source)))

    async def lineage_of_metric(self, name: str) -> Json:
        """Return the tables, snapshots and offsets a metric is made of."""
        return await self._connection.do(_calls.get(f"/v1/lineage/metric/{_calls.segment(name)}"))

    async def changelog(self) -> Json:
        """Return what happened to the contracts."""
        return await self._connection.do(_calls.get("/v1/changelog"))

    async def search(self, text: str) -> Json:
        """Find contracts, fields and entities by text."""
        return await self._connection.do(_calls.get("/v1/search", {"q": text}))

    async def dead_letter_page(
        self,
        *,
        reason: str | None = None,
        type: str | None = None,  # noqa: A002  # the parameter's name
        status: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> DeadLetterPage:
        """Return some dead letters and how many there are by reason."""
        return await self._connection.do(
            _calls.dead_letters(reason=reason, type=type, status=status, limit=limit, cursor=cursor)
        )

    async def dead_letters(
        self,
        *,
        reason: str | None = None,
        type: str | None = None,  # noqa: A002  # the parameter's name
        status: str | None = None,
    ) -> AsyncIterator[DeadLetter]:
        """Go through all dead letters, page by page."""
        cursor: str | None = None
        while True:
            page = await self.dead_letter_page(
                reason=reason, type=type, status=status, cursor=cursor
            )
            for letter in page.dead_letters:
                yield letter
            cursor = page.next_cursor
            if cursor is None:
                return

    async def dead_letter(self, offset: int, *, reveal: bool = False) -> DeadLetter:
        """Return one dead letter; with *reveal*, which needs the scope admin, nothing is masked.

        Raises:
            NotFoundError: There is none at that offset.
        """
        return await self._connection.do(_calls.dead_letter(offset, reveal=reveal))

    async def fix(
        self,
        offset: int,
        *,
        set: Mapping[str, object] | None = None,  # noqa: A002  # the body's name
        remove: Sequence[str] = (),
        event: Mapping[str, object] | None = None,
    ) -> Json:
        """Correct a dead letter and replay it; its id stays, so it counts once.

        Args:
            offset: Which one.
            set: JSON pointer → new value, `{"/data/amount": "1.00"}`.
            remove: JSON pointers of what must go.
            event: The whole corrected event, instead of the two.
        """
        body: dict[str, object] = {}
        if event is not None:
            body["event"] = event
        if set:
            body["set"] = set
        if remove:
            body["remove"] = list(remove)
        return await self._connection.do(_calls.post(f"/v1/deadletter/{offset}/fix", body))

    async def replay(self, offset: int) -> Json:
        """Judge a dead letter once more, as it is."""
        return await self._connection.do(_calls.post(f"/v1/deadletter/{offset}/replay", {}))

    async def replay_all(self, *, reason: str | None = None, type: str | None = None) -> Json:  # noqa: A002
        """Judge all matching dead letters once more."""
        body = parameters(reason=reason, type=type)
        return await self._connection.do(_calls.post("/v1/deadletter/replay", body))

    async def discard(self, offset: int) -> Json:
        """Mark a dead letter as one that will never be sent; it stays in the record."""
        return await self._connection.do(_calls.post(f"/v1/deadletter/{offset}/discard", {}))

    async def keys(self) -> list[Json]:
        """Return the stored API keys of your tenant, oldest first; needs the scope admin."""
        found: list[Json] = []
        cursor: str | None = None
        while True:
            call = _calls.get("/v1/keys", parameters(limit=1000, cursor=cursor))
            page = await self._connection.do(call)
            found += page["keys"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def key(self, key_id: str) -> Json:
        """Return one stored API key by its id.

        Raises:
            NotFoundError: There is none.
        """
        return await self._connection.do(_calls.get(_calls.key_path(key_id)))

    async def create_key(self, name: str, scopes: Sequence[str], **more: object) -> Json:
        """Make an API key; it is in `key` of the answer, and is not shown again.

        Args:
            name: What it is for.
            scopes: What it may do, as in `["metrics:read"]`.
            more: What narrows it and says more about it: `metrics`, `entities`, `events`,
                `statuses`, `owner`, `mode`, `expires_at`.
        """
        body = {"name": name, "scopes": list(scopes), **more}
        return await self._connection.do(_calls.post("/v1/keys", body))

    async def rotate_key(self, key_id: str, *, overlap_seconds: int | None = None) -> Json:
        """Give an API key another text; the one before works for a day, or as long as is said."""
        body = {} if overlap_seconds is None else {"overlap_seconds": overlap_seconds}
        return await self._connection.do(_calls.post(_calls.key_path(key_id, "rotate"), body))

    async def revoke_key(self, key_id: str) -> Json:
        """End an API key at once, on every replica."""
        return await self._connection.do(_calls.post(_calls.key_path(key_id, "revoke"), {}))
