"""From a question to a number with its proof: the main path of every read.

`MetricQuery` is a question that was checked; `Answerer.answer` reads the live engine once, so that
all parts of an answer belong to one cut. An `Answer` knows its own revision: as long as neither an
event moved the metric nor time moved events through its window, the same bytes are right, but for
`age_ms`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import blake2b
from typing import Final

import msgspec

from agentflow.clock import to_rfc3339
from agentflow.contracts.model import duration
from agentflow.contracts.scope import attribute_of
from agentflow.metrics import GroupPage, MetricPlan, MetricState, MetricValue
from agentflow.metrics.windows import BEGINNING_US
from processing.live import MetricId
from processing.platform import Platform
from processing.runtime.slices import SLICED_ABOVE, at_once, in_slices
from serving.read.answer_document import AnswerShape, PastGroup, rendered
from serving.read.causes import Causes, CellsInWindow
from serving.read.cursors import Cursors
from serving.read.group_pages import GroupCursors
from serving.read.metric_query import MetricQuery
from serving.read.offsets import Offsets
from serving.read.units import unit_of, unit_of_total
from serving.read.warnings import truncated, unseen

_ATTEMPTS: Final = 8
"""Time goes on while a question is prepared: a window may have moved on at the end of it."""
_AGES = b'"age_ms":null,"source_idle_ms":null'


@dataclass(frozen=True, slots=True)
class Answer:
    """A rendered answer.

    Attributes:
        etag: Changes when an event moves the metric for the tenant, or leaves its window.
        valid_until_us: When the window moves on; the answer must be made again after it.
        state: What it was made from.
        moves: The revision of the metric it was made from.
        moved_at_us: When the newest event came that moved this number, in the cell and window
            asked; None if none of the newest that moved the metric did.
        arrived_us: When the newest event came that can move the metric; None before any did.
    """

    etag: str
    valid_until_us: int
    state: MetricState
    moves: int
    moved_at_us: int | None
    arrived_us: int | None
    document: AnswerShape
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


def since_ms(instant_us: int | None, now_us: int) -> int | None:
    """Return the milliseconds since an instant."""
    return None if instant_us is None else max(now_us - instant_us, 0) // 1000


def _since(instant_us: int | None, now_us: int) -> bytes:
    """Return the milliseconds since an instant, as JSON."""
    since = since_ms(instant_us, now_us)
    return b"null" if since is None else b"%d" % since


class Answerer:
    """Answers from live state. Belongs to the platform's event loop."""

    def __init__(self, platform: Platform, offsets: Offsets | None = None) -> None:
        self._platform = platform
        self._offsets = offsets or Offsets()
        self._causes: dict[MetricId, tuple[MetricPlan, Causes]] = {}

    def answer(self, query: MetricQuery, tenant: str) -> Answer:
        """Answer a question now, however long it takes."""
        answering = self.begin(query, tenant)
        at_once(answering.steps())
        return answering.answer()

    def begin(self, query: MetricQuery, tenant: str) -> Answering:
        """Begin to answer a question as of this instant."""
        causes = self._causes_of(query.plan)
        return Answering(self._platform, query, tenant, causes, offsets=self._offsets)

    async def prepare(self, query: MetricQuery, tenant: str) -> None:
        """Get ready what would take long at the beginning: windows, and the order of the groups."""
        plan, platform = query.plan, self._platform
        for _ in range(_ATTEMPTS):
            await platform.refresh(plan.id, tenant)
            if query.by and query.by == plan.dimensions and not query.where:
                state = platform.engine.settled(plan.id, tenant)
                await in_slices(state.order(query.window).steps())
            if not self._laborious(plan, tenant):
                return

    def _laborious(self, plan: MetricPlan, tenant: str) -> bool:
        now_us = self._platform.clock.now_us()
        return self._platform.engine.laborious(plan.id, tenant, now_us=now_us, most=SLICED_ABOVE)

    def quick(self, query: MetricQuery, tenant: str) -> bool:
        """Tell whether a question is answered quickly enough to do so on the event loop."""
        if self._laborious(query.plan, tenant):
            return False
        ready = {query.plan.currency} if query.plan.currency else set()
        if set(query.by) <= ready and query.where.keys() <= ready:
            return True
        state = self._platform.engine.state(query.plan.id, tenant)
        return state.width(query.window) <= SLICED_ABOVE

    def _causes_of(self, plan: MetricPlan) -> Causes:
        held = self._causes.get(plan.id)
        if held is None or held[0] is not plan:
            held = self._causes[plan.id] = (plan, Causes(plan))
        return held[1]


class Answering:
    """An answer that is being made: of the instant at which it began, whatever moves meanwhile.

    Go through `steps`, then ask for the `answer`; `close` it in any case.
    """

    def __init__(
        self,
        platform: Platform,
        query: MetricQuery,
        tenant: str,
        causes: Causes,
        *,
        offsets: Offsets,
    ) -> None:
        plan, self._query, self._platform = query.plan, query, platform
        self._cursors = GroupCursors(Cursors(platform.tokens.seal), tenant)
        now_us = platform.clock.now_us()
        state = self._state = platform.engine.read(plan.id, tenant, now_us=now_us)
        self._bounds = state.bounds(query.window)
        where = {attribute_of(name): value for name, value in query.where.items()}
        self._causes, self._moved_at_us = causes.of(
            state.causes, CellsInWindow(where, *self._bounds)
        )
        self._etag = etag(query, tenant, state, platform)
        self._moves = state.moves
        self._arrived_us = platform.engine.arrived_us(tenant, plan.contract.refs)
        self._status = platform.health.status(plan, tenant)
        self._watermark_us = platform.engine.watermark_us.get(tenant)
        self._token = platform.tokens.now()
        emptied = platform.health.truncations.of(plan.contract, platform.registry, tenant)
        self._emptied = truncated(emptied, tenant, offsets)
        self._contract = contract_document(plan, platform)
        page = GroupPage(query.after, query.limit)
        self._groups = state.groups(query.window, by=query.by, where=query.where, page=page)
        self._documents: list[PastGroup] = []

    def steps(self) -> Iterator[None]:
        """Work, a group or less in each step."""
        yield from self._groups.steps()
        if self._query.by:
            for key, measured in self._groups.found.items():
                self._documents.append(_group(self._query, key, measured))
                yield

    def close(self) -> None:
        """Follow no changes any more."""
        self._groups.close()

    def answer(self) -> Answer:
        """Return the answer, once all steps are done."""
        document = self._document()
        head, _, tail = _encode(document).rpartition(_AGES)
        return Answer(
            etag=self._etag,
            valid_until_us=self._bounds[1],
            state=self._state,
            moves=self._moves,
            moved_at_us=self._moved_at_us,
            arrived_us=self._arrived_us,
            document=document,
            _head=head,
            _tail=tail,
        )

    def _document(self) -> AnswerShape:
        query, plan, found = self._query, self._query.plan, self._groups
        start_us, end_us = self._bounds
        unbounded = start_us == BEGINNING_US
        mixed = len(found.units) > 1
        total = None if mixed else found.total
        state, registry = self._state, self._platform.registry
        unseen_values = (
            []
            if found.events
            else unseen(plan, registry, query.where, state.values, state.departed)
        )
        return AnswerShape(
            metric=plan.contract.name,
            value=rendered(total.value) if total else None,
            unit=unit_of_total(query, found.units),
            status=self._status,
            window={
                "name": query.window,
                "start": None if unbounded else to_rfc3339(start_us),
                "end": None if unbounded else to_rfc3339(end_us),
            },
            dimensions=dict(query.where),
            contract=self._contract,
            watermark=None if self._watermark_us is None else to_rfc3339(self._watermark_us),
            token=self._token,
            events=found.events,
            exact=True,
            error_bound=0.0,
            age_ms=None,
            source_idle_ms=None,
            causes=self._causes,
            warnings=[*self._emptied, *unseen_values],
            groups=self._documents if query.by else msgspec.UNSET,
            left_out=found.left_out if query.by else msgspec.UNSET,
            next_cursor=(
                self._cursors.write(query.listing, next(reversed(found.found)))
                if found.left_out
                else None
            ),
        )


def etag(query: MetricQuery, tenant: str, state: MetricState, platform: Platform) -> str:
    """Return the entity tag of an answer: live state, question, contract and revision."""
    parts = (
        platform.epoch,
        platform.definitions.meanings[query.plan.id],
        tenant,
        repr(query.key),
        str(state.moves),
        str(state.expiries(query.window)),
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


def _group(query: MetricQuery, key: tuple[object, ...], measured: MetricValue) -> PastGroup:
    dimensions = dict(zip(query.by, key, strict=True))
    return PastGroup(
        dimensions=dimensions,
        value=rendered(measured.value),
        unit=unit_of(query.plan, {**query.where, **dimensions}),
        events=measured.events,
    )


def _text(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    raise NotImplementedError(type(value))


_encode = msgspec.json.Encoder(enc_hook=_text).encode
