"""From a question to a number with its proof: the main path of every read.

`Asked` is a validated question; `Answerer.answer` reads the live engine once, so that all parts of
an answer belong to one cut. An `Answer` knows its own revision: as long as neither an event moved
the metric nor time moved events through its window, the same bytes are right, but for `age_ms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b

import msgspec

from agentflow.clock import to_rfc3339
from agentflow.contracts.model import duration
from agentflow.contracts.scope import attribute_of
from agentflow.metrics import Measured, MetricPlan, MetricState, measure
from agentflow.metrics.arithmetic import Value
from agentflow.metrics.evaluator import Cell
from agentflow.metrics.windows import BEGINNING_US
from processing.live import MetricId
from processing.platform import Platform
from serving.asked import Asked
from serving.causes import CauseDocument, Causes, Place
from serving.group_pages import page, write_cursor
from serving.offsets import Offsets
from serving.units import unit_of, unit_of_total
from serving.warnings import WarningDocument, truncated, unseen

_AGES = b'"age_ms":null,"source_idle_ms":null'


class GroupDocument(msgspec.Struct, frozen=True):
    """One group of an answer, on the wire."""

    dimensions: dict[str, object]
    value: int | str | None
    unit: str | None
    events: int
    exact: bool = True
    error_bound: float = 0.0


class AnswerDocument(msgspec.Struct, frozen=True):
    """An answer on the wire; `age_ms` and `source_idle_ms` are spliced in when it is sent."""

    metric: str
    value: int | str | None
    unit: str | None
    status: str
    window: dict[str, str | None]
    dimensions: dict[str, object]
    contract: dict[str, object]
    watermark: str | None
    token: str
    events: int
    exact: bool
    error_bound: float
    causes: list[CauseDocument]
    warnings: list[WarningDocument]
    groups: list[GroupDocument] | msgspec.UnsetType = msgspec.UNSET
    left_out: int | msgspec.UnsetType = msgspec.UNSET
    next_cursor: str | None = None
    age_ms: int | None = None
    source_idle_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A rendered answer.

    Attributes:
        etag: Changes when an event moves the metric for the tenant, or leaves its window.
        valid_until_us: When the window moves on; the answer must be made again after it.
        moves: The revision of the metric it was made from.
        moved_at_us: When the newest event came that moved this number, in the cell and window
            asked; None if none of the newest that moved the metric did.
        arrived_us: When the newest event came that can move the metric; None before any did.
    """

    etag: str
    valid_until_us: int
    moves: int
    moved_at_us: int | None
    arrived_us: int | None
    document: AnswerDocument
    _head: bytes = field(repr=False)
    _tail: bytes = field(repr=False)

    def render(self, now_us: int) -> bytes:
        """Return the JSON body for a reader whose clock says *now_us*."""
        moved_us, arrived_us = self.moved_at_us, self.arrived_us
        if moved_us is None or arrived_us is None:
            ages = _since(moved_us, now_us), _since(arrived_us, now_us)
            return b'%s"age_ms":%s,"source_idle_ms":%s%s' % (self._head, *ages, self._tail)
        # Every read comes by here.
        age_ms, idle_ms = (now_us - moved_us) // 1000, (now_us - arrived_us) // 1000
        return b'%s"age_ms":%d,"source_idle_ms":%d%s' % (
            self._head,
            max(0, age_ms),
            max(0, idle_ms),
            self._tail,
        )


def _since(instant_us: int | None, now_us: int) -> bytes:
    """Return the milliseconds since an instant, as JSON."""
    return b"null" if instant_us is None else b"%d" % (max(now_us - instant_us, 0) // 1000)


class Answerer:
    """Answers from live state. Belongs to the platform's event loop."""

    def __init__(self, platform: Platform, offsets: Offsets | None = None) -> None:
        self._platform = platform
        self._offsets = offsets or Offsets()
        self._encode = msgspec.json.Encoder(enc_hook=_text).encode
        self._causes: dict[MetricId, tuple[MetricPlan, Causes]] = {}

    def answer(self, asked: Asked, tenant: str) -> Answer:
        """Answer a question now."""
        platform = self._platform
        now_us = platform.clock.now_us()
        state = platform.engine.read(asked.plan.id, tenant, now_us=now_us)
        start_us, end_us = state.bounds(asked.window)
        where = {attribute_of(name): value for name, value in asked.where.items()}
        place = Place(where, start_us, end_us)
        causes, moved_at_us = self._causes_of(asked.plan).of(state.causes, place)
        document = self._document(asked, tenant, state, causes)
        body = self._encode(document)
        head, _, tail = body.rpartition(_AGES)
        return Answer(
            etag=etag(asked, tenant, state, platform),
            valid_until_us=end_us,
            moves=state.moves,
            moved_at_us=moved_at_us,
            arrived_us=platform.engine.arrived_us(tenant, asked.plan.contract.refs),
            document=document,
            _head=head,
            _tail=tail,
        )

    def _document(
        self, asked: Asked, tenant: str, state: MetricState, causes: list[CauseDocument]
    ) -> AnswerDocument:
        plan, platform = asked.plan, self._platform
        cells = state.group(asked.window, by=asked.by, where=asked.where)
        keys, left_out = page(cells.keys(), after=asked.after, limit=asked.limit)
        groups = [
            _group(plan, dict(zip(asked.by, key, strict=True)), asked, cells[key]) for key in keys
        ]
        total = self._total(asked, state, cells)
        start_us, end_us = state.bounds(asked.window)
        unbounded = start_us == BEGINNING_US
        watermark_us = platform.engine.watermark_us.get(tenant)
        events = sum(cell[-1] for cell in cells.values())
        return AnswerDocument(
            metric=plan.contract.name,
            value=wire(total.value) if total else None,
            unit=unit_of_total(asked, cells),
            status=platform.status(plan, tenant),
            window={
                "name": asked.window,
                "start": None if unbounded else to_rfc3339(start_us),
                "end": None if unbounded else to_rfc3339(end_us),
            },
            dimensions=dict(asked.where),
            contract=contract_document(plan, platform),
            watermark=None if watermark_us is None else to_rfc3339(watermark_us),
            token=platform.token(),
            events=events,
            exact=True,
            error_bound=0.0,
            causes=causes,
            warnings=[
                *truncated(
                    platform.truncations.of(plan.contract, platform.registry, tenant),
                    tenant,
                    self._offsets,
                ),
                *([] if events else unseen(plan, platform.registry, asked.where, state.values)),
            ],
            groups=groups if asked.by else msgspec.UNSET,
            left_out=left_out if asked.by else msgspec.UNSET,
            next_cursor=write_cursor(asked.by, keys[-1]) if left_out else None,
        )

    def _causes_of(self, plan: MetricPlan) -> Causes:
        held = self._causes.get(plan.id)
        if held is None or held[0] is not plan:
            held = self._causes[plan.id] = (plan, Causes(plan))
        return held[1]

    def _total(
        self, asked: Asked, state: MetricState, cells: Mapping[tuple[object, ...], Cell]
    ) -> Measured | None:
        """Return the one number, or None where adding would mix currencies."""
        plan = asked.plan
        if plan.currency is not None and plan.currency not in asked.where:
            position = asked.by.index(plan.currency)
            if len({key[position] for key in cells}) > 1:
                return None
        if len(cells) > 1:  # the total is kept ready; adding up large sets takes milliseconds
            ready = (plan.currency,) if plan.currency else ()
            cells = state.group(asked.window, by=ready, where=asked.where)
        if len(cells) == 1:
            return measure(plan, next(iter(cells.values())))
        return measure(plan, state.merged(cells.values()))


def etag(asked: Asked, tenant: str, state: MetricState, platform: Platform) -> str:
    """Return the entity tag of an answer: live state, question, contract and revision."""
    parts = (
        platform.epoch,
        platform.definitions.meanings[asked.plan.id],
        tenant,
        repr(asked.key),
        str(state.moves),
        str(state.expiries(asked.window)),
    )
    return blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()


def contract_document(plan: MetricPlan, platform: Platform) -> dict[str, object]:
    """Return which contract a number was computed by."""
    contract = plan.contract
    return {
        "version": contract.version,
        "fingerprint": platform.registry.fingerprint(contract),
        "status": contract.status,
        "freshness_p95_ms": int(duration(contract.freshness.p95).total_seconds() * 1000),
    }


def wire(value: Value) -> int | str | None:
    """Render a value: integers as numbers, decimals as text that keeps every digit."""
    return f"{value:f}" if isinstance(value, Decimal) else value


def _group(
    plan: MetricPlan, dimensions: dict[str, object], asked: Asked, cell: Cell
) -> GroupDocument:
    measured = measure(plan, cell)
    return GroupDocument(
        dimensions=dimensions,
        value=wire(measured.value),
        unit=unit_of(plan, {**asked.where, **dimensions}),
        events=measured.events,
    )


def _text(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise NotImplementedError(type(value))
