"""The fold of corrections: one value, from which lint, live engine and exported SQL take it."""

from __future__ import annotations

from agentflow.contracts import EventContract, Registry
from agentflow.contracts.fold import fold_of
from agentflow.export.rows import effective_rows
from agentflow.lint import lint

COMMON = {"kind": "event", "status": "approved", "owner": "tests", "description": "For tests."}
FIELDS: dict[str, dict[str, object]] = {
    "sale_id": {"type": "string", "required": True},
    "at": {"type": "timestamp", "required": True},
    "price": {"type": "decimal", "scale": 2},
    "place": {"type": "string", "required": True},
}


def event(name: str, *fields: str, **keys: object) -> EventContract:
    chosen = {field: FIELDS[field] for field in fields}
    return EventContract.model_validate({**COMMON, "name": name, "fields": chosen, **keys})


def correcting(effect: str, on: str = "sale_id") -> dict[str, object]:
    return {"corrects": {"event": "sale@1", "on": on, "effect": effect}}


SALE = event("sale", "sale_id", "at", "price", "place", event_time="at")
PRICED = event("sale.priced", "sale_id", "at", "price", **correcting("replace"))
MOVED = event("sale.moved", "sale_id", "price", "place", **correcting("replace"))
UNDONE = event("sale.undone", "sale_id", **correcting("retract"))


def test_a_field_may_come_from_any_correction_that_gives_it() -> None:
    """Event time and the key stay as they are."""
    fold = fold_of(SALE, [PRICED, SALE, UNDONE, MOVED])

    assert fold.retractions == (UNDONE,)
    assert fold.replacements == {"price": (PRICED, MOVED), "place": (MOVED,)}


def test_exported_rows_keep_event_time() -> None:
    """A correction that carries the event-time field moves no event to another window."""
    text = effective_rows(Registry.of([SALE, PRICED, MOVED, UNDONE]), SALE)

    assert "e.at" in text
    assert "c.at" not in text


def test_corrections_of_one_event_are_tied_by_one_field() -> None:
    """An event belongs to one group."""
    elsewhere = event("sale.voided", "place", **correcting("retract", on="place"))

    problems = lint(Registry.of([SALE, UNDONE, elsewhere]))

    assert [problem.message for problem in problems] == [
        'must be "sale_id", by which "sale.undone@1" corrects it too'
    ]


def test_a_correction_that_shares_only_event_time_replaces_nothing() -> None:
    """Lint asks the fold, as the engines do."""
    late = event("sale.late", "sale_id", "at", **correcting("replace"))

    (problem,) = lint(Registry.of([SALE, late]))

    assert problem.message.endswith("so it replaces nothing")
