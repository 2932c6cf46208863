"""JSON Schema: judged by the metaschema and by two validators that share no code."""

import json
from collections.abc import Callable, Iterable

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agentflow.contracts import EventContract, Registry
from agentflow.export import export

Values = Callable[[EventContract], st.SearchStrategy[dict[str, object]]]
Ask = Callable[[str, Iterable[str]], list[list[str]]]
AsJson = Callable[[dict[str, object]], dict[str, object]]
PROBE: dict[str, object] = {
    "order": "A",
    "count": 1,
    "price": "9.50",
    "taken_at": "2026-01-01T00:00:00Z",
}
EVENT = {"specversion": "1.0", "id": "1", "source": "urn:lab", "type": "probe.taken", "data": PROBE}


def schema_of(registry: Registry, name: str, *, data: bool = False) -> dict[str, object]:
    files = export(registry, "json-schema", name=name)
    plain, _, version = name.partition("@")
    kind = "data.schema" if data else "schema"
    found: dict[str, object] = json.loads(files[f"{plain}.v{version}.{kind}.json"])
    return found


def test_every_schema_is_a_schema(registry: Registry) -> None:
    """The metaschema of the 2020-12 dialect is the standard's own word."""
    files = export(registry, "json-schema")

    for text in files.values():
        Draft202012Validator.check_schema(json.loads(text))
        jsonschema_rs.validator_for(json.loads(text))

    assert len(files) == 2 * len(registry.events)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(choices=st.data())
def test_what_fits_the_contract_fits_the_schema(
    registry: Registry, values_of: Values, as_json: AsJson, choices: st.DataObject
) -> None:
    """A schema that refuses good events would stop a producer that did nothing wrong."""
    contract = choices.draw(st.sampled_from(list(registry.events.values())))
    document = as_json(choices.draw(values_of(contract)))

    schema = schema_of(registry, str(contract.ref), data=True)

    Draft202012Validator(schema).validate(document)
    jsonschema_rs.validator_for(schema).validate(document)


def test_the_examples_of_every_metric_fit_the_schemas(shop: Registry) -> None:
    """People copy the examples; what they copy must be sendable."""
    reserved = {"time", "id", "tenant", "source"}
    checked = 0

    for metric in shop.metrics.values():
        pins = {ref.type: ref for ref in metric.refs}
        for example in metric.examples:
            for event in example.given:
                for name, fields in event.items():
                    ref = pins.get(name) or shop.event(name).ref
                    sent = {key: fields[key] for key in fields.keys() - reserved}
                    Draft202012Validator(schema_of(shop, str(ref), data=True)).validate(sent)
                    checked += 1

    assert checked > len(shop.metrics)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"price": 9.5}, id="a float where the number must be exact"),
        pytest.param({"price": "9.505"}, id="more digits than the scale"),
        pytest.param({"price": "1" * 19}, id="more digits than 18"),
        pytest.param({"price": "09.50"}, id="a leading zero"),
        pytest.param({"price": "NaN"}, id="not a number"),
        pytest.param({"price": None}, id="null where a value is required"),
        pytest.param({"count": 0}, id="below the minimum"),
        pytest.param({"count": 2**63}, id="more than 64 bits"),
        pytest.param({"count": "1"}, id="a number as text"),
        pytest.param({"count": True}, id="a boolean as a number"),
        pytest.param({"order": ""}, id="too short"),
        pytest.param({"order": "123456789"}, id="too long"),
        pytest.param({"colour": "green"}, id="not in the enum"),
        pytest.param({"code": "de"}, id="pattern"),
        pytest.param({"load": 0.51}, id="above the maximum"),
        pytest.param({"taken_at": "2026-01-01T00:00:00"}, id="no zone"),
        pytest.param({"taken_at": "2026-01-01T24:00:00Z"}, id="no such hour"),
        pytest.param({"taken_at": 1767225600}, id="a number as an instant"),
        pytest.param({"best_before": "2026-1-1"}, id="not a date"),
        pytest.param({"ordr": "A"}, id="an unknown field"),
    ],
)
def test_what_breaks_the_contract_breaks_the_schema(
    every_type: Registry, change: dict[str, object]
) -> None:
    """Producers test against the schema; what it lets through must not die at the gate."""
    schema = schema_of(every_type, "probe.taken@1", data=True)

    assert Draft202012Validator(schema).is_valid(PROBE)
    assert not Draft202012Validator(schema).is_valid({**PROBE, **change})
    assert not jsonschema_rs.validator_for(schema).is_valid({**PROBE, **change})


def test_an_optional_field_may_be_null(every_type: Registry) -> None:
    """Null and absent mean the same, and the enum must not forbid it."""
    schema = schema_of(every_type, "probe.taken@2", data=True)

    assert Draft202012Validator(schema).is_valid({**PROBE, "colour": None, "left_at": None})


def test_personal_data_shows_no_examples(every_type: Registry) -> None:
    """Exports leave the house; an example of a personal field may be somebody's."""
    text = "".join(
        "".join(export(every_type, form).values()) for form in ("json-schema", "odcs", "osi")
    )

    assert "ann@example.org" not in text


def test_a_version_that_is_not_the_default_must_be_named(every_type: Registry) -> None:
    """Without `dataversion` the event would be judged by the newest contract, not by this one."""
    old, new = (
        Draft202012Validator(schema_of(every_type, f"probe.taken@{version}")) for version in (1, 2)
    )

    assert new.is_valid(EVENT)
    assert not old.is_valid(EVENT)
    assert old.is_valid({**EVENT, "dataversion": 1})
    assert old.is_valid({**EVENT, "dataversion": "1"})
    assert not new.is_valid({**EVENT, "dataversion": 1})


LEGAL: list[dict[str, object]] = [
    {},
    {"time": "2026-01-01T00:00:00.123456Z"},
    {"time": "2026-01-01T01:00:00+01:00", "datacontenttype": "application/json"},
    {"subject": "A", "traceparent": "00-1-2-01", "correlationid": "c"},
    {"myextension1": "x", "tenant": "lab", "dataschema": "https://example.org/schema"},
]
ILLEGAL: list[dict[str, object]] = [
    {"source": ""},
    {"My_Extension": "x"},
    {"datacontenttype": 1},
    {"subject": ""},
]


def test_the_envelope_admits_and_refuses_what_the_cloudevents_sdk_does(
    every_type: Registry, problems_of: Ask
) -> None:
    """Any CloudEvents library must be able to produce for us."""
    documents = [{**EVENT, **change} for change in [*LEGAL, *ILLEGAL]]
    validator = Draft202012Validator(schema_of(every_type, "probe.taken@2"))

    ours = [validator.is_valid(document) for document in documents]
    theirs = [not found for found in problems_of("cloudevents", map(json.dumps, documents))]

    assert ours == theirs == [True] * len(LEGAL) + [False] * len(ILLEGAL)


@pytest.mark.parametrize(
    "change",
    [{"specversion": "0.3"}, {"id": ""}, {"type": "probe.voided"}, {"myextension": {"a": 1}}],
)
def test_the_envelope_is_stricter_than_the_sdk(
    every_type: Registry, change: dict[str, object]
) -> None:
    """The SDK also speaks 0.3 and makes up an id; a schema of version 1.0 must not."""
    validator = Draft202012Validator(schema_of(every_type, "probe.taken@2"))

    assert not validator.is_valid({**EVENT, **change})
