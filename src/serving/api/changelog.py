"""`/v1/changelog`: what was published, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec
from pydantic import Field
from starlette.requests import Request

from agentflow.clock import to_rfc3339
from agentflow.contracts import Registry
from agentflow.contracts.registry import key_of
from control_store.changelog.port import ContractChange
from serving.api.context import Context, respond, tenant_of
from serving.api.resource import Resource
from serving.http.replies import Reply


class ChangelogEntry(msgspec.Struct, frozen=True):
    """One published change."""

    number: int
    published_at: str
    kind: str
    name: str
    version: int
    fingerprint: str
    summary: str


class ChangelogShape(msgspec.Struct, frozen=True):
    """The history of contracts, oldest first."""

    changes: list[ChangelogEntry]
    next_cursor: str | None


resource = Resource("contracts")


@resource.get("/v1/changelog", ChangelogShape, "parameter_invalid", "cursor_invalid")
async def read_changelog(
    context: Context,
    request: Request,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Field(max_length=200)] = None,
) -> Reply:
    """Read the history of contracts."""
    question = ("changelog", tenant_of(request))
    after = context.cursors.read(cursor, *question) or 0
    shown = context.registry_of(request)
    found = await asyncio.to_thread(_changes, context, shown, after, limit + 1)
    page = found[:limit]
    more = len(found) > limit
    return respond(
        ChangelogShape(
            [
                ChangelogEntry(
                    number,
                    to_rfc3339(change.published_us),
                    change.kind,
                    change.name,
                    change.version,
                    change.fingerprint,
                    change.summary,
                )
                for number, change in page
            ],
            context.cursors.write(page[-1][0], *question) if more else None,
        )
    )


def _changes(
    context: Context, shown: Registry, after: int, limit: int
) -> Sequence[tuple[int, ContractChange]]:
    """Return changes of contracts that exist for the caller; of one that is gone, nobody's."""
    changes = context.platform.changelog.changes
    if not shown.narrowed:
        return changes(after=after, limit=limit)
    known = {key_of(contract) for contract in shown.contracts()}
    found: list[tuple[int, ContractChange]] = []
    while len(found) < limit and (page := changes(after=after, limit=limit)):
        after = page[-1][0]
        found += [each for each in page if (each[1].kind, each[1].name, each[1].version) in known]
    return found[:limit]
