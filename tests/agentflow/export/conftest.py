"""Contracts to export, documents that fit them, and the readers of the standards."""

import json
import subprocess
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import strategies as st

from agentflow.contracts import EventContract, FieldContract, Registry
from agentflow.contracts.model import EntityContract, MetricContract
from agentflow.lint import load

ROOT = Path(__file__).parents[3]
READERS = ROOT / "tools" / "node"
DEADLINE_SECONDS = 60

_FIELDS: dict[str, dict[str, object]] = {
    "order": {"type": "string", "required": True, "min_length": 1, "max_length": 8},
    "colour": {"type": "string", "enum": ["red", "dark-blue"], "examples": ["red"]},
    "code": {"type": "string", "pattern": "^[A-Z]{2}$"},
    "visitor": {"type": "string", "pii": True, "examples": ["ann@example.org"]},
    "count": {"type": "integer", "required": True, "minimum": 1, "unit": "pieces"},
    "serial": {"type": "integer", "examples": ["7"]},
    "price": {
        "type": "decimal",
        "scale": 2,
        "required": True,
        "minimum": 0,
        "unit": "colour",
        "examples": ["9.50"],
    },
    "whole": {"type": "decimal", "scale": 0},
    "load": {"type": "number", "minimum": 0, "maximum": 0.5, "examples": ["0.25"]},
    "fragile": {"type": "boolean", "examples": ["true"]},
    "taken_at": {"type": "timestamp", "required": True},
    "left_at": {"type": "timestamp"},
    "best_before": {"type": "date"},
}


@pytest.fixture(scope="session")
def shop() -> Registry:
    """The contracts we ship."""
    return load(ROOT / "contracts")


@pytest.fixture(scope="session")
def every_type() -> Registry:
    """Contracts that use every field type, aggregate, correction and function."""
    return Registry.of(every_type_contracts())


@pytest.fixture(params=["shop", "every_type"])
def registry(request: pytest.FixtureRequest) -> Registry:
    """Each of the two sets in turn."""
    found: Registry = request.getfixturevalue(request.param)
    return found


def every_type_contracts() -> list[EventContract | EntityContract | MetricContract]:
    """Return the contracts behind `every_type`."""
    common = {"status": "approved", "owner": "lab"}
    event = {"kind": "event", **common}
    metric = {"kind": "metric", **common, "windows": ["1h", "all"], "unit": "pieces"}
    probe = {
        **event,
        "name": "probe.taken",
        "description": 'A probe: "quotes", ünïcode and a\nsecond line.',
        "key": "order",
        "event_time": "taken_at",
        "fields": _FIELDS,
        "rules": [{"name": "left_after", "check": "left_at is null or left_at >= taken_at"}],
        "derived": {
            "size": "case when count < 10 then 'small' else 'large' end",
            "total": "price * count",
            "at_night": "hour(taken_at) in (0, 1, 2, 3)",
        },
    }
    shared = {"order": _FIELDS["order"]}
    corrected = {"event": "probe.taken@1", "on": "order"}
    moved = ["probe.amended@1", "probe.taken@1", "probe.voided@1"]
    return [
        EventContract.model_validate({**probe, "status": "deprecated", "sunset": "2030-01-01"}),
        EventContract.model_validate({**probe, "version": 2, "derived": {}, "rules": []}),
        EventContract.model_validate(
            {
                **event,
                "name": "probe.voided",
                "description": "It was none.",
                "fields": shared,
                "corrects": {**corrected, "effect": "retract"},
            }
        ),
        EventContract.model_validate(
            {
                **event,
                "name": "probe.amended",
                "description": "It was otherwise.",
                "fields": {**shared, "price": {"type": "decimal", "scale": 2}},
                "corrects": {**corrected, "effect": "replace"},
            }
        ),
        EntityContract.model_validate(
            {
                "kind": "entity",
                **common,
                "name": "probe",
                "description": "A thing in a bag.",
                "key": "order",
                "sources": [{"event": "probe.taken@1", "key": "order", "sets": {"hue": "colour"}}],
            }
        ),
        *(
            MetricContract.model_validate(
                {
                    **metric,
                    "name": name,
                    "description": "A number | with a pipe.",
                    "value": value,
                    "moved_by": moved,
                    "dimensions": ["order"],
                }
            )
            for name, value in {
                "total": "sum(probe.taken.total) filter (where starts_with(code, 'A'))",
                "odd_ones": "count(probe.taken) filter (where not fragile and contains(code, 'B'))",
                "everybody": "count(distinct probe.taken.order, probe.voided.order)",
                "dear": "count(distinct probe.taken.order, probe.amended.order)"
                " filter (where price > 10)",
                "events": "count(probe.taken, probe.voided)",
                "spread": "max(probe.taken.price) - min(probe.taken.price)",
                "median": "quantile(probe.taken.price, 0.5)",
                "mean": "avg(abs(probe.taken.serial))",
                "stay": "max(milliseconds_between(probe.taken.taken_at, probe.taken.left_at))",
                "long_codes": "count(probe.taken) filter (where length(code) > 1"
                " or ends_with(colour, 'ed') or coalesce(serial, 0) between 1 and 3)",
                "share": "sum(probe.taken.price) / count(probe.taken) * 100",
            }.items()
        ),
    ]


Ask = Callable[[str, Iterable[str]], list[list[str]]]


@pytest.fixture(scope="session")
def problems_of() -> "Ask":
    """Ask the reader of a standard what is wrong with each text; needs `make setup`."""

    def ask(reader: str, texts: Iterable[str]) -> list[list[str]]:
        if not (READERS / "node_modules").is_dir():
            pytest.fail("the readers are not installed: run `make setup`", pytrace=False)
        done = subprocess.run(
            ["node", "check.mjs", reader],
            cwd=READERS,
            input=json.dumps(list(texts)),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        answers: list[list[str]] = json.loads(done.stdout)
        return answers

    return ask


@pytest.fixture(scope="session")
def values_of() -> Callable[[EventContract], st.SearchStrategy[dict[str, object]]]:
    """Strategy of an event's data as Python values; an absent field is None."""

    def values(contract: EventContract) -> st.SearchStrategy[dict[str, object]]:
        return st.fixed_dictionaries(
            {
                name: _value(field) if field.required else st.none() | _value(field)
                for name, field in contract.fields.items()
            }
        )

    return values


@pytest.fixture(scope="session")
def as_json() -> Callable[[dict[str, object]], dict[str, object]]:
    """Render values as producers send them: exact numbers and instants are text."""
    return lambda values: {name: _json(value) for name, value in values.items()}


def _json(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date):
        return value.isoformat()
    return value


def _value(  # noqa: PLR0911 - one for each type
    field: FieldContract,
) -> st.SearchStrategy[object]:
    match field.type:
        case "string":
            return _string(field)
        case "integer":
            low = -(2**63) if field.minimum is None else int(field.minimum)
            high = 2**63 - 1 if field.maximum is None else int(field.maximum)
            return st.integers(low, high)
        case "decimal":
            return st.decimals(
                Decimal(-(10**18) + 1) if field.minimum is None else field.minimum,
                Decimal(10**18 - 1) if field.maximum is None else field.maximum,
                places=field.scale,
            )
        case "number":
            bounds = [None if b is None else float(b) for b in (field.minimum, field.maximum)]
            return st.floats(*bounds, allow_nan=False, allow_infinity=False)
        case "boolean":
            return st.booleans()
        case "timestamp":
            return st.datetimes(datetime(1970, 1, 1), datetime(2099, 1, 1)).map(  # noqa: DTZ001
                lambda instant: instant.replace(tzinfo=UTC)
            )
        case "date":
            return st.dates(date(1970, 1, 1), date(2099, 1, 1))


def _string(field: FieldContract) -> st.SearchStrategy[object]:
    if field.enum:
        return st.sampled_from(field.enum)
    if field.pattern:
        return st.from_regex(field.pattern.removesuffix("$") + r"\Z")
    low, high = field.min_length or 0, field.max_length or 40
    return st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        min_size=low,
        max_size=high,
    )
