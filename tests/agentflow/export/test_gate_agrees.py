"""The exported schema and the gate: what the one lets through, the other does not refuse."""

import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agentflow.contracts import EventContract, Registry
from agentflow.events import RawEvent
from agentflow.export import export
from quality import codes
from quality.gate import Gate
from quality.verdict import Accepted

Values = Callable[[EventContract], st.SearchStrategy[dict[str, object]]]
AsJson = Callable[[dict[str, object]], dict[str, object]]
BEYOND_SCHEMAS = {
    # what no schema can say: conditions across fields, and the clock
    codes.RULE_FAILED,
    codes.DERIVED_OUT_OF_RANGE,
    codes.TOO_EARLY,
    codes.TOO_LATE,
}
RECEIVED_US = 1_767_268_800_000_000  # 2026-01-01T12:00:00Z


@pytest.fixture
def gate(registry: Registry) -> Gate:
    return Gate(registry)


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(choices=st.data())
def test_what_fits_the_schema_passes_the_gate(
    registry: Registry, gate: Gate, values_of: Values, as_json: AsJson, choices: st.DataObject
) -> None:
    """A producer that tests against the schema must not meet a surprise in production."""
    contract = choices.draw(st.sampled_from(list(registry.events.values())))
    document = {
        "specversion": "1.0",
        "id": "1",
        "source": "urn:test",
        "type": contract.name,
        "dataversion": contract.version,
        "time": "2026-01-01T12:00:00Z",
        "data": as_json(choices.draw(values_of(contract))),
    }
    files = export(registry, "json-schema", name=str(contract.ref))
    Draft202012Validator(
        json.loads(files[f"{contract.name}.v{contract.version}.schema.json"])
    ).validate(document)

    verdict = gate.judge(
        RawEvent(json.dumps(document).encode(), tenant="lab", received_us=RECEIVED_US)
    )

    if not isinstance(verdict, Accepted):
        assert {violation.code for violation in verdict.violations} <= BEYOND_SCHEMAS
