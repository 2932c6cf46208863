"""The answers of every resource, as values: what is sent is what the API reference says."""

from __future__ import annotations

from typing import Any

import msgspec

from quality.verdict import Violation
from serving.api.problems import Detail

Json = dict[str, Any]


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


class WindowShape(msgspec.Struct, frozen=True):
    """A window a metric declares. `step` is how far it moves at a time; null if it never does."""

    name: str
    step: str | None


class MetricShape(msgspec.Struct, frozen=True):
    """What a metric means and how it may be asked."""

    name: str
    version: int
    status: str
    unit: str
    description: str
    owner: str
    windows: list[WindowShape]
    dimensions: list[str]
    moved_by: list[str]
    freshness: dict[str, str]
    fingerprint: str
    tags: list[str]
    value: str
    sunset: str | None


class MetricsShape(msgspec.Struct, frozen=True):
    """Every version of every metric."""

    metrics: list[MetricShape]


class BatchShape(msgspec.Struct, frozen=True):
    """Several answers of one instant, in the order asked; one that failed is a problem."""

    token: str
    as_of: str
    answers: list[Json]


class MoveShape(msgspec.Struct, frozen=True):
    """How one number of one metric would change."""

    metric: str
    version: int
    window: str
    dimensions: Json
    before: int | str | None
    after: int | str | None
    moved: int | str | None
    unit: str | None


class DryRunShape(msgspec.Struct, frozen=True):
    """What an event would do. `event` is the event as it would be stored, enriched."""

    accepted: bool
    errors: list[Detail]
    warnings: list[Detail]
    event: Json | None
    duplicate: bool
    moves: list[MoveShape]


class SetByShape(msgspec.Struct, frozen=True):
    """The event an attribute has its value from."""

    event_id: str
    type: str
    occurred_at: str


class TimelineShape(msgspec.Struct, frozen=True):
    """One event in the life of an entity."""

    event_id: str
    type: str
    occurred_at: str
    ingested_at: str
    offset: int
    data: Json


class RelationShape(msgspec.Struct, frozen=True):
    """The entity that a relation leads to."""

    entity: str
    id: str


class SessionShape(msgspec.Struct, frozen=True):
    """One session of an entity, and what its events alone say.

    Attributes:
        end: The last event and the gap; an event up to there still joins.
        duration_ms: From the first event to the last.
        open: The instant that was asked about, or else the platform's clock, is before `end`.
    """

    start: str
    end: str
    events: int
    duration_ms: int
    open: bool
    attributes: Json


class EntityShape(msgspec.Struct, frozen=True):
    """What is known of one entity.

    Attributes:
        sessions: Newest first; null when the contract names no gap.
    """

    entity: str
    id: str
    attributes: Json
    set_by: dict[str, SetByShape]
    relations: dict[str, RelationShape]
    events: int
    first_seen: str
    last_seen: str
    timeline: list[TimelineShape]
    next_cursor: str | None
    sessions: list[SessionShape] | None
    next_sessions_cursor: str | None


class CatalogShape(msgspec.Struct, frozen=True):
    """Every contract in force, whole."""

    events: list[Json]
    entities: list[Json]
    metrics: list[Json]


class ContractSummary(msgspec.Struct, frozen=True):
    """One version of one contract."""

    kind: str
    name: str
    version: int
    status: str
    owner: str
    description: str
    fingerprint: str


class ContractsShape(msgspec.Struct, frozen=True):
    """Contracts, by kind, name and version."""

    contracts: list[ContractSummary]


class VersionsShape(msgspec.Struct, frozen=True):
    """The versions of one contract; `current` is used when none is named."""

    kind: str
    name: str
    current: int
    versions: list[ContractSummary]


class ContractShape(msgspec.Struct, frozen=True):
    """One version of one contract, whole."""

    kind: str
    name: str
    version: int
    fingerprint: str
    file: str
    contract: Json


class ChangeShape(msgspec.Struct, frozen=True):
    """One difference between two versions, and what it hits."""

    impact: str
    path: str
    message: str
    metrics: list[str]
    entities: list[str]


class DiffShape(msgspec.Struct, frozen=True):
    """What changed between two versions of a contract."""

    kind: str
    name: str
    from_version: int = msgspec.field(name="from")
    to_version: int = msgspec.field(name="to")
    breaking: bool
    changes: list[ChangeShape]


class ValidationShape(msgspec.Struct, frozen=True):
    """Whether a sample fits an event contract; `data` has the derived fields too."""

    valid: bool
    version: int | None
    errors: list[Detail]
    warnings: list[Detail]
    data: Json | None


class PublishedContract(msgspec.Struct, frozen=True):
    """A contract that is new, or means something new."""

    kind: str
    name: str
    version: int
    change: str


class BackfilledMetric(msgspec.Struct, frozen=True):
    """A metric computed from history and compared before it was put in force."""

    metric: str
    version: int
    backfilled_events: int
    compared: int
    equal: bool
    catch_up_ms: float


class PublishedShape(msgspec.Struct, frozen=True):
    """What a publication did."""

    published: list[PublishedContract]
    metrics: list[BackfilledMetric]
    removed: list[str]


class NodeShape(msgspec.Struct, frozen=True):
    """A contract or a dimension, as a node."""

    id: str
    kind: str
    name: str
    version: int | None
    status: str | None


class EdgeShape(msgspec.Struct, frozen=True):
    """An arrow, in the direction in which change flows."""

    source: str = msgspec.field(name="from")
    target: str = msgspec.field(name="to")
    kind: str
    fields: list[str]


class GraphShape(msgspec.Struct, frozen=True):
    """Which event moves which metric and sets which entity."""

    nodes: list[NodeShape]
    edges: list[EdgeShape]


class HopShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place an event has really been: what is not known to have happened is not listed.

    Attributes:
        snapshot_id: The lake's commit; only to a key with `operate`, as `file` is.
        file: Relative to the lake.
    """

    hop: str
    at: str | None = None
    topic: str | None = None
    offset: int | None = None
    table: str | None = None
    snapshot_id: int | None = None
    file: str | None = None
    metrics: list[str] | None = None


class EventLineageShape(msgspec.Struct, frozen=True):
    """The way of one event."""

    event_id: str
    source: str
    type: str
    hops: list[HopShape]


class MetricSource(msgspec.Struct, frozen=True):
    """An event type a metric is computed from, and where its history is.

    Attributes:
        rows: Rows of all tenants; null to a key without the scope `operate`, as `files` and
            `snapshot_id` are.
    """

    event: str
    table: str
    snapshot_id: int | None
    rows: int | None
    files: int | None


class MetricLineageShape(msgspec.Struct, frozen=True):
    """What a metric is made of, now.

    Attributes:
        live_offset: Up to where live state holds the log of all tenants; null to a key without the
            scope `operate`, as `lake_offset` is.
    """

    metric: str
    version: int
    contract: Json
    sources: list[MetricSource]
    live_offset: int | None
    lake_offset: int | None


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


class Hit(msgspec.Struct, frozen=True):
    """Something that was found. `match` is the text it was found by."""

    kind: str
    name: str
    version: int | None
    match: str
    url: str


class SearchShape(msgspec.Struct, frozen=True):
    """What was found, best first."""

    hits: list[Hit]


class DeadLetterShape(msgspec.Struct, frozen=True):
    """An event that was not accepted, why, and where it stands.

    Attributes:
        raw: What arrived. Values of personal fields, and of fields its contract does not declare,
            are masked; None when it is no JSON object, in which nothing can be told apart.
        raw_base64: What arrived, when it is no text; only where it is revealed.
        masked: Whether something that arrived is not shown.
        conflicts_with: The event that was accepted under the same identity, of an `id_conflict`.
    """

    offset: int
    received_at: str
    reason: str
    type: str | None
    event_id: str | None
    errors: list[Detail]
    status: str
    note: str
    replayed_as: int | None
    size_bytes: int
    raw: str | None
    raw_base64: str | None
    masked: bool
    conflicts_with: Json | None


class DeadLettersShape(msgspec.Struct, frozen=True):
    """Dead letters, newest first.

    `counts` is by reason, of all there are; `open` of those neither replayed nor discarded.
    """

    dead_letters: list[DeadLetterShape]
    next_cursor: str | None
    counts: dict[str, int]
    open: dict[str, int]


class ReplayShape(msgspec.Struct, frozen=True):
    """What became of a dead letter that was sent again."""

    dead_letter: int
    status: str
    id: str | None
    type: str | None
    offset: int | None
    errors: list[Detail]


class ReplaysShape(msgspec.Struct, frozen=True):
    """What became of all that were sent again."""

    replayed: int
    refused: int
    results: list[ReplayShape]


class CheckedWindow(msgspec.Struct, frozen=True):
    """One number, live and recomputed: that of a window, or of a cell that differs.

    `cells` is how many numbers by dimensions were compared for it, `differing` how many of them
    are not equal, `reason` why it could not be computed again.
    """

    window: str
    dimensions: Json
    live: int | str | None
    recomputed: int | str | None
    equal: bool
    cells: int
    differing: int
    seconds: float
    reason: str | None


class CheckedMetric(msgspec.Struct, frozen=True):
    """One metric, live against recomputed."""

    metric: str
    version: int
    equal: bool
    numbers: int
    seconds: float
    windows: list[CheckedWindow]


class VerificationShape(msgspec.Struct, frozen=True):
    """Whether every live number of this page equals its recompute from the lake.

    `done` of `checks` are behind it; without `next_cursor` it is the last page. `failed` checks
    could not be done.
    """

    verified: bool
    checked_at: str
    token: str
    numbers: int
    failed: int
    done: int
    checks: int
    metrics: list[CheckedMetric]
    seconds: float
    next_cursor: str | None


class ComponentShape(msgspec.Struct, frozen=True, omit_defaults=True):
    """The state of one part, and what to do about it; a key without `operate` sees its status."""

    status: str
    detail: str = ""
    fix: str | None = None


class TableShape(msgspec.Struct, frozen=True):
    """One table of the lake, from metadata alone."""

    rows: int
    files: int
    snapshots: int
    bytes: int
    last_commit_at: str | None


class LagShape(msgspec.Struct, frozen=True):
    """How far the lake is behind the log of all tenants; null to a key without `operate`."""

    seconds: float | None
    events: int | msgspec.UnsetType = msgspec.UNSET


class StreamShape(msgspec.Struct, frozen=True):
    """How far behind the stream is what reads can see; present when events come over one.

    A key without `operate` sees whether it is connected: the rest is of all tenants.
    """

    connected: bool
    seconds: float | None
    events: int | msgspec.UnsetType = msgspec.UNSET
    unread: int | msgspec.UnsetType = msgspec.UNSET
    drained_per_second: float | msgspec.UnsetType = msgspec.UNSET
    skipped_offsets: int | msgspec.UnsetType = msgspec.UNSET
    unreadable: int | msgspec.UnsetType = msgspec.UNSET


class HealthShape(msgspec.Struct, frozen=True):
    """Whether the platform does what it is for.

    Without a key there is the status alone. A key with the scope `read` sees the status of each
    part, one with `operate` everything: details count the events of all tenants.
    """

    status: str
    components: dict[str, ComponentShape] | msgspec.UnsetType = msgspec.UNSET
    lake: dict[str, TableShape] | msgspec.UnsetType = msgspec.UNSET
    lag: LagShape | msgspec.UnsetType = msgspec.UNSET
    token: str | msgspec.UnsetType = msgspec.UNSET
    stream: StreamShape | msgspec.UnsetType | None = msgspec.UNSET


class AliveShape(msgspec.Struct, frozen=True):
    """A yes or no, in a status code too."""

    status: str
