"""A breaking contract cannot land: what is called compatible accepts every old document."""

import re
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from agentflow.contracts import Contract, EventContract, FieldContract, Registry, breaking, diff
from agentflow.contracts.model import SessionWindow, Supersession


def _with(registry: Registry, contract: Contract) -> Registry:
    """Replace the contract of the same kind, name and version."""
    key = (contract.kind, contract.name, contract.version)
    others = [c for c in registry.contracts() if (c.kind, c.name, c.version) != key]
    return Registry.of([*others, contract])


def _field(event: EventContract, name: str, **changes: object) -> EventContract:
    field = event.fields[name].model_copy(update=changes)
    return event.model_copy(update={"fields": {**event.fields, name: field}, "minor": 1})


def _without(event: EventContract, name: str) -> EventContract:
    fields = {key: field for key, field in event.fields.items() if key != name}
    return event.model_copy(update={"fields": fields, "minor": 1})


def _impacts(old: Registry, new: Registry) -> set[str]:
    return {change.impact for change in diff(old, new)}


def test_nothing_changed_is_no_change(shop: Registry) -> None:
    """The command is run on every commit."""
    assert diff(shop, shop) == ()


def test_a_removed_field_names_the_metrics_and_entities_it_breaks(shop: Registry) -> None:
    """The one who removes it must learn whom to talk to."""
    captured = shop.event("payment.captured")

    [change] = breaking(diff(shop, _with(shop, _without(captured, "processing_ms"))))

    assert change.path == "fields.processing_ms"
    assert change.metrics == ("fastest_payment@1", "p95_payment_time@1")
    assert change.entities == ()
    assert str(change) == (
        "breaking event payment.captured@1 fields.processing_ms: removed; "
        "hits metric fastest_payment@1, metric p95_payment_time@1"
    )


def test_a_field_hits_through_derived_fields(shop: Registry) -> None:
    """`large_order_share` never says `amount`, `order_size` does."""
    created = shop.event("order.created")

    [change] = breaking(diff(shop, _with(shop, _field(created, "amount", maximum=Decimal(10)))))

    assert "large_order_share@1" in change.metrics
    assert "page_views@1" not in change.metrics
    assert change.entities == ("order@1",)


def test_a_field_of_a_correction_hits_what_it_amends(shop: Registry) -> None:
    """An update without amount leaves revenue wrong in silence."""
    updated = shop.event("order.updated")

    changes = breaking(diff(shop, _with(shop, _without(updated, "amount"))))

    assert "revenue@2" in changes[0].metrics
    assert "distinct_buyers@1" not in changes[0].metrics


def test_a_new_required_field_hits_every_metric_of_the_event(shop: Registry) -> None:
    """Every old producer is refused, so everything the event moves stands still."""
    failed = shop.event("payment.failed")
    fields = {**failed.fields, "gateway": FieldContract(type="string", required=True)}
    new = _with(shop, failed.model_copy(update={"fields": fields, "minor": 1}))

    [change] = breaking(diff(shop, new))

    assert change.metrics == tuple(
        sorted(f"{m.name}@{m.version}" for m in shop.moved_by(failed.ref))
    )


def test_a_renamed_field_is_recognised(shop: Registry) -> None:
    """The message should say what probably happened."""
    opened = shop.event("support.ticket_opened")
    fields = {("title" if k == "subject" else k): field for k, field in opened.fields.items()}
    new = _with(shop, opened.model_copy(update={"fields": fields, "minor": 1}))

    assert [change.message for change in breaking(diff(shop, new))] == [
        'removed, renamed to "title"?'
    ]


def test_growth_is_compatible_and_needs_a_minor_version(shop: Registry) -> None:
    """Readers tell the two shapes apart by it."""
    created = shop.event("order.created")
    fields = {**created.fields, "voucher": FieldContract(type="string")}
    grown = created.model_copy(update={"fields": fields})

    assert [change.path for change in breaking(diff(shop, _with(shop, grown)))] == ["minor"]
    raised = grown.model_copy(update={"minor": 1})
    assert _impacts(shop, _with(shop, raised)) == {"compatible"}


def test_a_minor_version_never_goes_back(shop: Registry) -> None:
    """Readers tell two shapes apart by it: an older one would be taken for the newer."""
    created = shop.event("order.created").model_copy(update={"minor": 2})
    old = _with(shop, created)

    [change] = breaking(diff(old, _with(old, created.model_copy(update={"minor": 1}))))

    assert (change.path, change.message) == ("minor", "went back from 2 to 1")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, Supersession(on="order_id", sequence="version")),
        (Supersession(on="order_id", sequence="version"), None),
        (
            Supersession(on="order_id", sequence="version"),
            Supersession(on="order_id", sequence="position"),
        ),
    ],
)
def test_which_version_of_a_row_counts_is_part_of_the_meaning(
    shop: Registry, before: Supersession | None, after: Supersession | None
) -> None:
    """Every number over the event changes with it."""
    created = shop.event("order.created").model_copy(update={"supersedes": before})
    old = _with(shop, created)
    new = _with(old, created.model_copy(update={"supersedes": after, "minor": created.minor + 1}))

    [change] = breaking(diff(old, new))

    assert (change.path, change.message) == ("supersedes", "which version counts changed")
    assert "revenue@2" in change.metrics


def test_full_compatibility_refuses_widening(shop: Registry) -> None:
    """Old readers would meet values they do not know."""
    created = shop.event("order.created").model_copy(update={"compatibility": "full"})
    old = _with(shop, created)
    wider = _field(created, "channel", enum=("web", "ios", "android", "store", "kiosk"))

    assert [change.message for change in breaking(diff(old, _with(old, wider)))] == [
        "kiosk allowed too"
    ]


def test_no_compatibility_breaks_nothing(shop: Registry) -> None:
    """Such an event promised nothing; its metrics are still judged by themselves."""
    viewed = shop.event("page.viewed").model_copy(update={"compatibility": "none"})
    old = _with(shop, viewed)

    assert breaking(diff(old, _with(old, _without(viewed, "referrer")))) == ()


@pytest.mark.parametrize(
    ("changes", "impact", "path"),
    [
        ({"value": "sum(order.created.amount)"}, "breaking", "value"),
        ({"unit": "EUR"}, "breaking", "unit"),
        ({"scale": 0}, "breaking", "scale"),
        ({"windows": ("all",)}, "breaking", "windows"),
        ({"dimensions": ("currency",)}, "breaking", "dimensions"),
        ({"description": "Else."}, "documentation", "description"),
        ({"owner": "shop"}, "documentation", "owner"),
    ],
)
def test_a_metric_keeps_its_meaning_under_its_version(
    shop: Registry, changes: dict[str, object], impact: str, path: str
) -> None:
    """A changed definition is a new version beside the old one."""
    revenue = shop.metric("revenue").model_copy(update=changes)

    found = diff(shop, _with(shop, revenue))

    assert {(change.impact, change.path) for change in found} == {(impact, path)}
    if impact == "breaking":
        assert found[0].metrics == ("revenue@2",)


def test_a_new_version_beside_the_old_is_compatible(shop: Registry) -> None:
    """That is the way to change a definition."""
    third = shop.metric("revenue").model_copy(update={"version": 3, "unit": "EUR"})

    assert [str(change) for change in diff(shop, Registry.of([*shop.contracts(), third]))] == [
        "compatible metric revenue@3: new version"
    ]


def test_a_derived_field_computed_otherwise_breaks_its_readers(shop: Registry) -> None:
    """The stored values of yesterday mean something else than those of today."""
    created = shop.event("order.created")
    derived = {"order_size": "case when amount < 51 then 'small' else 'large' end"}
    new = _with(shop, created.model_copy(update={"derived": derived, "minor": 1}))

    [change] = breaking(diff(shop, new))

    assert change.path == "derived.order_size"
    assert change.metrics == ("large_order_share@1", "order_count@1")


def test_removing_what_is_approved_breaks_and_what_is_deprecated_does_not(shop: Registry) -> None:
    """Deprecation is the notice that was given."""
    old = shop.metric("revenue", 1)
    kept = Registry.of([c for c in shop.contracts() if c != old])
    lost = Registry.of([c for c in shop.contracts() if c != shop.metric("revenue")])

    assert breaking(diff(shop, kept)) == ()
    assert [change.metrics for change in breaking(diff(shop, lost))] == [("revenue@2",)]


def test_an_attribute_that_is_no_longer_set_breaks_its_entity(shop: Registry) -> None:
    """Readers of the entity find it empty."""
    order = shop.entity("order")
    sources = (
        order.sources[0].model_copy(update={"sets": {"status": "'new'"}}),
        *order.sources[1:],
    )
    new = _with(shop, order.model_copy(update={"sources": sources}))

    found = breaking(diff(shop, new))

    assert {change.entities for change in found} == {("order@1",)}
    assert "sources.order.created@1.sets.amount" in {change.path for change in found}


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("30m", "15m", [("breaking", "session.gap")]),
        ("30m", "1h", [("breaking", "session.gap")]),
        ("30m", None, [("breaking", "session")]),
        (None, "30m", [("compatible", "session")]),
        ("30m", "1800s", []),
    ],
)
def test_another_gap_breaks_the_sessions_of_an_entity(
    shop: Registry, before: str | None, after: str | None, found: list[tuple[str, str]]
) -> None:
    """Every session of the past is cut elsewhere; nobody is told by the answer."""
    visit = shop.entity("visit")
    old, new = (
        visit.model_copy(update={"session": gap and SessionWindow(gap=gap)})
        for gap in (before, after)
    )

    changes = diff(_with(shop, old), _with(shop, new))

    assert [(change.impact, change.path) for change in changes] == found
    assert all(change.name == "visit" for change in changes)


def test_a_proposal_breaks_nobody(shop: Registry) -> None:
    """It is there to be argued about."""
    proposed = shop.metric("gross_merchandise_value").model_copy(update={"unit": "EUR"})

    assert breaking(diff(shop, _with(shop, proposed))) == ()


# The law below needs a judge that shares no code with the product.


@dataclass(frozen=True)
class Judge:
    """Accepts a document as the reference page says, in the plainest way."""

    event: EventContract

    def accepts(self, document: dict[str, object]) -> bool:
        known = all(name in self.event.fields for name in document)
        return known and all(
            (not field.required if name not in document else self._fits(field, document[name]))
            for name, field in self.event.fields.items()
        )

    @staticmethod
    def _fits(field: FieldContract, value: object) -> bool:
        types = {"string": str, "integer": int, "decimal": Decimal}
        if field.type not in types or type(value) is not types[field.type]:
            return False
        if isinstance(value, str):
            return (
                (field.enum is None or value in field.enum)
                and (field.pattern is None or re.search(field.pattern, value) is not None)
                and len(value) >= (field.min_length or 0)
                and (field.max_length is None or len(value) <= field.max_length)
            )
        assert isinstance(value, int | Decimal)
        exponent = Decimal(value).as_tuple().exponent
        assert isinstance(exponent, int)
        return (
            (field.minimum is None or value >= field.minimum)
            and (field.maximum is None or value <= field.maximum)
            and -exponent <= (field.scale or 0)
        )


FIELDS = st.one_of(
    st.builds(
        lambda required, enum, low, high: FieldContract(
            type="string", required=required, enum=enum, min_length=low, max_length=high
        ),
        st.booleans(),
        st.one_of(
            st.none(),
            st.lists(st.sampled_from(["a", "bb", "ccc"]), min_size=1, unique=True).map(tuple),
        ),
        st.one_of(st.none(), st.integers(0, 1)),
        st.one_of(st.none(), st.integers(1, 3)),
    ),
    st.builds(
        lambda required, pattern: FieldContract(type="string", required=required, pattern=pattern),
        st.booleans(),
        st.sampled_from([None, "^a", "^[a-c]+$"]),
    ),
    st.builds(
        lambda required, low, high: FieldContract(
            type="integer", required=required, minimum=low, maximum=high
        ),
        st.booleans(),
        st.one_of(st.none(), st.integers(0, 2)),
        st.one_of(st.none(), st.integers(3, 5)),
    ),
    st.builds(
        lambda required, scale: FieldContract(type="decimal", required=required, scale=scale),
        st.booleans(),
        st.integers(0, 2),
    ),
)
VALUES = st.one_of(
    st.sampled_from(["", "a", "bb", "ccc", "dddd", "ab"]),
    st.integers(-1, 6),
    st.sampled_from([Decimal(1), Decimal("1.5"), Decimal("0.25")]),
)
EVENTS = st.dictionaries(st.sampled_from(["f", "g", "h"]), FIELDS, min_size=1, max_size=3)


def _event(fields: dict[str, FieldContract], minor: int) -> EventContract:
    return EventContract(
        kind="event",
        name="thing.happened",
        minor=minor,
        status="approved",
        owner="o",
        description="d",
        fields=fields,
    )


def _documents(data: st.DataObject, event: EventContract) -> list[dict[str, object]]:
    """Draw documents the old contract accepts, near its limits."""
    drawn = data.draw(
        st.lists(
            st.fixed_dictionaries({}, optional=dict.fromkeys(event.fields, VALUES)), max_size=30
        )
    )
    return [document for document in drawn if Judge(event).accepts(document)]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(old_fields=EVENTS, new_fields=EVENTS, keep=st.booleans(), data=st.data())
def test_what_is_called_compatible_accepts_every_old_document(
    old_fields: dict[str, FieldContract],
    new_fields: dict[str, FieldContract],
    *,
    keep: bool,
    data: st.DataObject,
) -> None:
    """Promise 12 on 200 generated pairs: a producer that is not told need not know."""
    new_fields = {**old_fields, **new_fields} if keep else new_fields
    old, new = _event(old_fields, 0), _event(new_fields, 1)
    found = breaking(diff(Registry.of([old]), Registry.of([new])))
    refused = [document for document in _documents(data, old) if not Judge(new).accepts(document)]

    if not found:
        assert refused == []
    for name in {name for document in refused for name in document if name not in new_fields}:
        assert f"fields.{name}" in {change.path for change in found}


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_breaks_the_shop_names_the_metrics_that_read_it(
    shop: Registry, data: st.DataObject
) -> None:
    """Promise 12: generated removals and narrowings of shipped events."""
    event = data.draw(st.sampled_from(list(shop.events.values())))
    name = data.draw(st.sampled_from(list(event.fields)))
    field = event.fields[name]
    narrowed = {
        "retype": {"type": "boolean" if field.type != "boolean" else "string"},
        "require": {"required": True},
        "narrow": {"enum": field.enum[:1]} if field.enum else {"max_length": 1},
    }
    how = data.draw(st.sampled_from(["remove", *narrowed]))
    assume(how != "require" or not field.required)
    assume(how != "narrow" or field.type == "string")
    changed = _without(event, name) if how == "remove" else _field(event, name, **narrowed[how])

    found = [c for c in breaking(diff(shop, _with(shop, changed))) if c.kind == "event"]

    assert found
    assert all(change.path.split(".")[1] == name for change in found)
    spoken = re.compile(rf"\b{re.escape(event.name)}\.{name}\b")
    for metric in shop.metrics.values():
        if spoken.search(metric.value) or (
            name in metric.dimensions and re.search(rf"\b{re.escape(event.name)}\b", metric.value)
        ):
            assert f"{metric.name}@{metric.version}" in found[0].metrics
    for entity in shop.entities_of(event.ref):
        used = {
            field
            for source in entity.sources
            if source.ref == event.ref
            for field in (source.key, *source.sets.values())
        }
        assert (f"{entity.name}@{entity.version}" in found[0].entities) >= (name in used)
