"""Emit when numbers changed last: SQL beside that of the numbers themselves.

A number changes when an event begins to count in it, no longer counts in it, or counts with another
value. An event has an image for as long as the same corrections of it are known; it ends when a
retraction or a newer version comes. Each image changes the cell that it counts in when it begins
and when it ends, unless the image beside it gives the same. What changes a range after it has
closed restates it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from agentflow.contracts.fold import replaceable
from agentflow.contracts.model import EventContract
from agentflow.contracts.reads import declared
from agentflow.events import EventRef
from agentflow.expressions.sql import quote_name
from agentflow.metrics.effective import NEWEST_US, current_columns, indented, select
from agentflow.metrics.plan import MetricPlan
from agentflow.metrics.query import QueryBuilder, QuerySpec, SqlQuery

# no field can be called like these
_SINCE, _GONE, _UNTIL = '"known since"', '"gone since"', '"known until"'
_AMENDED = '"is amended"'
_GIVEN, _BEFORE, _AFTER = '"given now"', '"given before"', '"given after"'
_MOMENT = "STRUCT(us BIGINT, place BIGINT)"


def touched_query(
    plan: MetricPlan, spec: QuerySpec, *, events: Mapping[EventRef, EventContract]
) -> SqlQuery:
    """Return SQL whose rows are `bucket_us` (with a grain), the `by` dimensions, `touched_us`.

    `touched_us` is when the newest event came that changed the number; null where none did.
    """
    builder = QueryBuilder(plan, spec, events)
    histories = [_History(builder, ref) for ref in plan.scopes]
    steps = ",\n".join(step for history in histories for step in history.steps())
    moved = "\nUNION ALL\n".join(history.rows() for history in histories)
    groups = builder.groups()
    columns = ", ".join([*groups, "MAX(touched_us) AS touched_us"])
    grouped = f"\nGROUP BY {', '.join(groups)}" if groups else ""
    touched = f"touched AS (\n{indented(moved)}\n)"
    return builder.query(f"WITH\n{steps},\n{touched}\nSELECT {columns}\nFROM touched{grouped}")


def first_known_query(plan: MetricPlan, tenant: str) -> SqlQuery:
    """Return SQL of one number: when the first event came that can move a metric; null if none."""
    reads = plan.contract.refs
    firsts = "\nUNION ALL\n".join(
        select(["MIN(ingested_us) AS first_us"], quote_name(str(ref)), ["tenant = $tenant"])
        for ref in reads
    )
    text = f"SELECT MIN(first_us) AS first_us\nFROM (\n{indented(firsts)}\n)"
    return SqlQuery(text, {"tenant": tenant}, reads)


class _History:
    """Writes what became of the events of one type: their images, in the order they were known."""

    def __init__(self, builder: QueryBuilder, ref: EventRef) -> None:
        self._builder = builder
        self._ref = ref
        self._contract = builder.events[ref]
        currency = builder.plan.currency
        # An answer says its currency, asked for or not: what is 1 EUR changes when it is 1 USD.
        self._currency = frozenset({currency} if currency else ())
        self._used = builder.used(ref) | self._currency
        roots = declared(self._used, self._contract)
        self._replacing: dict[EventRef, tuple[str, ...]] = {}
        self._retracting: list[EventRef] = []
        for each in builder.events.values():
            if each.corrects is None or each.corrects.ref != ref:
                continue
            if each.corrects.effect == "retract":
                self._retracting.append(each.ref)
            elif names := tuple(n for n in replaceable(each, self._contract) if n in roots):
                self._replacing[each.ref] = names
        self._replaced = frozenset(n for names in self._replacing.values() for n in names)
        builder.reads.update(dict.fromkeys((ref, *self._retracting, *self._replacing)))

    def steps(self) -> Iterator[str]:
        """Yield the named parts that the rows are made of."""
        yield self._step("came", self._came())
        if ends := [*map(self._retraction, self._retracting), *self._supersession()]:
            every = indented("\nUNION ALL\n".join(ends))
            first = f"SELECT log_offset, MIN({_GONE}) AS {_GONE}"
            ended = f"{first}\nFROM (\n{every}\n)\nGROUP BY log_offset"
            yield self._step("gone", ended)
        if self._replacing:
            yield self._step("amended", "\nUNION ALL BY NAME\n".join(self._amendments()))
            yield self._step("folded", self._folded())
        yield self._step("image", self._images(ended=bool(ends)))

    def rows(self) -> str:
        """Return a SELECT of the cells that images counted in, and when that changed them."""
        columns = [*self._builder.buckets(), *map(quote_name, self._builder.spec.by)]
        given = [self._builder.given(self._builder.plan.atoms[index], item, self._ref)
                 for index, item in self._builder.inputs(self._ref)]  # fmt: skip
        counts = [*self._builder.where(), f"({' OR '.join(f'({v}) IS NOT NULL' for v in given)})"]
        source = self._name("image")
        lone = [f"GREATEST({_SINCE}.us, {_GONE}.us) AS touched_us", *columns]
        if not self._replacing:
            return select(lone, source, counts)
        names = sorted({*self._builder.spec.by, *self._builder.spec.where, *self._currency})
        content = ", ".join([*map(quote_name, names), *given])
        beside = select(
            [
                "*",
                f"ROW({content}) AS {_GIVEN}",
                f"LAG({_GIVEN}) OVER known AS {_BEFORE}",
                f"LEAD({_GIVEN}) OVER known AS {_AFTER}",
                f"LEAD({_SINCE}) OVER known AS {_UNTIL}",
            ],
            source,
            [f"{_AMENDED}\nWINDOW known AS (PARTITION BY log_offset ORDER BY {_SINCE})"],
        )
        began = f"CASE WHEN {_GIVEN} IS DISTINCT FROM {_BEFORE} THEN {_SINCE}.us END"
        ended = (
            f"CASE WHEN {_UNTIL} IS NULL THEN {_GONE}.us"
            f" WHEN {_GIVEN} IS DISTINCT FROM {_AFTER} THEN {_UNTIL}.us END"
        )
        columns = [f"GREATEST({began}, {ended}) AS touched_us", *columns]
        one = select(lone, source, [*counts, f"NOT {_AMENDED}"])  # most have one image
        return f"{one}\nUNION ALL\n{select(columns, f'({beside})', counts)}"

    # -- parts

    def _name(self, part: str) -> str:
        return quote_name(f"{part} {self._ref}")

    def _step(self, part: str, text: str) -> str:
        return f"{self._name(part)} AS (\n{indented(text)}\n)"

    def _known(self, alias: str) -> list[str]:
        return [f"{alias}.{condition}" for condition in self._builder.known()]

    def _came(self) -> str:
        """Return the events of the range as they came."""
        view, known, more = quote_name(str(self._ref)), self._builder.known(), []
        superseding = self._contract.supersedes
        names = self._used | declared(self._used, self._contract)
        names |= {each.corrects.on for each in self._correcting() if each.corrects}
        if superseding is not None:
            names |= {superseding.sequence}
            sequence = quote_name(superseding.sequence)
            later = (
                f"MIN({_moment()}) OVER (PARTITION BY {quote_name(superseding.on)} "
                f"ORDER BY {sequence}, event_id, source "
                f"ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS {_GONE}"
            )
            view, more = f"(\n{indented(select(['*', later], view, known))}\n)", [_GONE]
            known = []
        columns = ["occurred_us", "log_offset", "ingested_us", *more]
        columns += map(quote_name, sorted(names))
        return select(columns, view, [*known, *self._builder.range()] or ["TRUE"])

    def _correcting(self) -> Iterator[EventContract]:
        for ref in (*self._retracting, *self._replacing):
            yield self._builder.events[ref]

    def _joined(self, correcting: EventRef) -> str:
        correction = self._builder.events[correcting].corrects
        assert correction is not None  # noqa: S101 - those without are not here
        key = quote_name(correction.on)
        return (
            f"{self._name('came')} AS base"
            f"\nJOIN {quote_name(str(correcting))} AS later ON later.{key} = base.{key}"
        )

    def _retraction(self, ref: EventRef) -> str:
        conditions = self._known("later")
        if self._contract.supersedes is not None:
            sequence = quote_name(self._contract.supersedes.sequence)
            conditions.append(f"later.{sequence} > base.{sequence}")
        columns = ["base.log_offset", f"MIN({_moment('later')}) AS {_GONE}"]
        return f"{select(columns, self._joined(ref), conditions)}\nGROUP BY base.log_offset"

    def _supersession(self) -> Iterable[str]:
        if self._contract.supersedes is not None:
            yield select(["log_offset", _GONE], self._name("came"), [f"{_GONE} IS NOT NULL"])

    def _amendments(self) -> Iterator[str]:
        """Yield SELECTs of what replaces fields: since when it is known beside its event."""
        for ref, names in self._replacing.items():
            fields = [f"later.{quote_name(name)}" for name in names]
            columns = [
                "base.log_offset",
                f"GREATEST({_moment('base')}, {_moment('later')}) AS {_SINCE}",
                *(f"later.{name}" for name in NEWEST_US),
                *fields,
            ]
            carries = " OR ".join(f"{each} IS NOT NULL" for each in fields)
            yield select(columns, self._joined(ref), [*self._known("later"), f"({carries})"])

    def _folded(self) -> str:
        """Return the replaced fields of each amended event, each time that one changed."""
        amended = self._name("amended")
        first = select(
            ["log_offset", f"{_moment()} AS {_SINCE}"],
            self._name("came"),
            [f"log_offset IN (\n{select(['log_offset'], amended, ['TRUE'])}\n)"],
        )
        newest = f"({', '.join(NEWEST_US)})"
        columns = [
            "log_offset",
            _SINCE,
            *(
                f"arg_max({quote_name(name)}, {newest}) OVER known AS {quote_name(name)}"
                for name in sorted(self._replaced)
            ),
        ]
        together = f"{first}\nUNION ALL BY NAME\nFROM {amended}"
        window = f"WINDOW known AS (PARTITION BY log_offset ORDER BY {_SINCE})"
        listed = ",\n".join(indented(column) for column in columns)
        return f"SELECT DISTINCT\n{listed}\nFROM (\n{indented(together)}\n)\n{window}"

    def _images(self, *, ended: bool) -> str:
        source, since, more = f"{self._name('came')} AS base", _moment("base"), list[str]()
        if self._replacing:
            source += f"\nLEFT JOIN {self._name('folded')} AS newest USING (log_offset)"
            more = [f"newest.{_SINCE} IS NOT NULL AS {_AMENDED}"]
            since = f"COALESCE(newest.{_SINCE}, {since})"
        if ended:
            source += f"\nLEFT JOIN {self._name('gone')} AS ended USING (log_offset)"
        gone = f"ended.{_GONE}" if ended else f"CAST(NULL AS {_MOMENT})"
        columns = [
            "base.occurred_us",
            "base.log_offset",
            f"{since} AS {_SINCE}",
            f"{gone} AS {_GONE}",
            *more,
            *current_columns(self._contract, self._used, self._replaced),
        ]
        conditions = [f"({gone} IS NULL OR {gone} > {since})"] if ended else ["TRUE"]
        return select(columns, source, conditions)


def _moment(alias: str = "") -> str:
    """Return since when an event is known: of two of one instant, the earlier in the log first."""
    of = f"{alias}." if alias else ""
    return f"{{'us': {of}ingested_us, 'place': {of}log_offset}}"
