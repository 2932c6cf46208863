"""ODCS: judged by the schema and the models of the Open Data Contract Standard's own package."""

import json
from importlib.resources import files

import duckdb
import pytest
import yaml
from jsonschema import Draft201909Validator
from open_data_contract_standard.model import OpenDataContractStandard

from agentflow.contracts import Registry
from agentflow.events import EventRef
from agentflow.export import export
from processing.lake.columns import layout

# not by the package's own function, which still calls a deprecated one
SCHEMA = json.loads((files("open_data_contract_standard") / "schema.json").read_text("utf-8"))
NEWER_THAN_3_1 = {"enum", "semanticType", "deprecated", "synonyms", "context", "map", "vendor"}


def keys_of(node: object) -> set[str]:
    """Return the keys of all mappings below *node*."""
    if isinstance(node, dict):
        return set(node).union(*(keys_of(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(keys_of(value) for value in node))
    return set()


def test_every_contract_fits_the_standard(registry: Registry) -> None:
    """The schema is the one the standard publishes, and the models read what it admits."""
    for text in export(registry, "odcs").values():
        Draft201909Validator(SCHEMA).validate(yaml.safe_load(text))

        read = OpenDataContractStandard.from_string(text)

        assert read.apiVersion == "v3.1.0"


def test_a_broken_contract_does_not_fit(every_type: Registry) -> None:
    """A reader that accepts anything proves nothing."""
    (text,) = export(every_type, "odcs", name="probe.voided").values()
    document = yaml.safe_load(text)
    document["schema"][0]["properties"][0]["logicalType"] = "text"

    assert not Draft201909Validator(SCHEMA).is_valid(document)


def test_nothing_newer_than_the_declared_version_is_used(registry: Registry) -> None:
    """The package's schema also admits 3.2; a 3.1 reader would not."""
    for text in export(registry, "odcs").values():
        assert not keys_of(yaml.safe_load(text)) & NEWER_THAN_3_1


def test_the_table_has_envelope_declared_and_derived_columns(every_type: Registry) -> None:
    """A consumer plans a query on it; derived columns say how they come about."""
    (text,) = export(every_type, "odcs", name="probe.taken@1").values()
    columns = {column["name"]: column for column in yaml.safe_load(text)["schema"][0]["properties"]}

    assert [name for name in columns if columns[name].get("primaryKey")] == [
        "tenant",
        "source",
        "event_id",
    ]
    assert columns["price"]["physicalType"] == "DECIMAL(20, 2)"
    assert columns["total"]["transformSourceObjects"] == ["count", "price"]
    assert columns["total"]["required"] is True
    assert columns["visitor"]["classification"] == "confidential"


def test_the_columns_are_those_of_the_lake(registry: Registry) -> None:
    """A contract about a table that looks different is worse than none."""
    iceberg = {
        "STRING": "string",
        "BIGINT": "long",
        "DOUBLE": "double",
        "BOOLEAN": "boolean",
        "TIMESTAMP WITH TIME ZONE": "timestamptz",
        "DATE": "date",
    }

    for ref, contract in registry.events.items():
        (text,) = export(registry, "odcs", name=str(ref)).values()
        (table,) = yaml.safe_load(text)["schema"]
        told = [
            (column["name"], iceberg.get(column["physicalType"], column["physicalType"].lower()))
            for column in table["properties"]
        ]
        stored = layout(contract)

        assert table["name"] == stored.table
        assert told == [(column.name, str(column.type)) for column in stored.columns]


@pytest.mark.parametrize(("on_fail", "severity"), [("reject", "error"), ("warn", "warning")])
def test_a_rule_that_rejects_is_an_error(every_type: Registry, on_fail: str, severity: str) -> None:
    """Who alerts on errors alone must hear of what the gate refuses, and of nothing else."""
    taken = every_type.events[EventRef("probe.taken", 1)]
    rules = tuple(rule.model_copy(update={"on_fail": on_fail}) for rule in taken.rules)
    others = [each for each in every_type.contracts() if each is not taken]
    registry = Registry.of([*others, taken.model_copy(update={"rules": rules})])

    (text,) = export(registry, "odcs", name="probe.taken@1").values()

    checks = yaml.safe_load(text)["schema"][0]["quality"]
    assert {check["severity"] for check in checks if check["type"] == "sql"} == {severity}


@pytest.mark.parametrize(
    ("left_at", "found"),
    [
        pytest.param("2026-01-01 00:00:01", 0, id="kept"),
        pytest.param("2025-12-31 23:59:59", 1, id="broken"),
        pytest.param(None, 0, id="null breaks nothing"),
    ],
)
def test_the_query_of_a_rule_finds_what_breaks_it(
    every_type: Registry, left_at: str | None, found: int
) -> None:
    """Other tools run the query; it must mean what the gate means."""
    (text,) = export(every_type, "odcs", name="probe.taken@1").values()
    query = yaml.safe_load(text)["schema"][0]["quality"][0]["query"]
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA events")
        connection.execute(
            "CREATE TABLE events.probe_taken_v1 AS SELECT TIMESTAMP '2026-01-01' AS taken_at,"
            " CAST(? AS TIMESTAMP) AS left_at",
            [left_at],
        )

        assert connection.execute(query).fetchone() == (found,)
