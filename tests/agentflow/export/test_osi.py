"""OSI: judged by a schema written from the 1.0 text, and by running the SQL it carries.

No package we install carries the standard's own schema, so `SCHEMA` restates the tables of its
specification. That the SQL means what the contract means is proved on a database: every example of
every shipped metric is loaded and asked.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import duckdb
import pytest
import yaml
from jsonschema import Draft202012Validator

from agentflow.contracts import EventContract, MetricContract, Registry
from agentflow.contracts.model import MetricExample
from agentflow.contracts.scope import declared_scope
from agentflow.events import EventRef
from agentflow.events.table import slug
from agentflow.export import export
from agentflow.expressions import parse_scalar
from agentflow.expressions.sql import literal, quote_name, scalar_sql

NAME = {"type": "string", "minLength": 1}
NAMES = {"type": "array", "items": NAME, "minItems": 1}
DIALECTS = ["ANSI_SQL", "SNOWFLAKE", "MDX", "TABLEAU", "DATABRICKS"]
VENDORS = ["COMMON", "SNOWFLAKE", "SALESFORCE", "DBT", "DATABRICKS"]
EXPRESSION = {
    "type": "object",
    "properties": {
        "dialects": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"dialect": {"enum": DIALECTS}, "expression": NAME},
                "required": ["dialect", "expression"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["dialects"],
    "additionalProperties": False,
}
COMMON = {
    "name": NAME,
    "description": {"type": "string"},
    "ai_context": {"type": ["string", "object"]},
    "custom_extensions": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {"vendor_name": {"enum": VENDORS}, "data": {"type": "string"}},
            "required": ["vendor_name", "data"],
            "additionalProperties": False,
        },
    },
}


def entry(required: list[str], **properties: object) -> dict[str, object]:
    """Return the schema of a list of objects with the common properties and these."""
    item = {
        "type": "object",
        "properties": {**COMMON, **properties},
        "required": ["name", *required],
        "additionalProperties": False,
    }
    return {"type": "array", "items": item}


FIELDS = entry(
    ["expression"],
    expression=EXPRESSION,
    label={"type": "string"},
    dimension={
        "type": "object",
        "properties": {"is_time": {"type": "boolean"}},
        "additionalProperties": False,
    },
)
SCHEMA = {
    "type": "object",
    "properties": {
        "semantic_model": entry(
            ["datasets"],
            datasets=entry(
                ["source"],
                source=NAME,
                primary_key=NAMES,
                unique_keys={"type": "array", "items": NAMES},
                fields=FIELDS,
            ),
            relationships=entry(
                ["from", "to", "from_columns", "to_columns"],
                **{"from": NAME, "to": NAME, "from_columns": NAMES, "to_columns": NAMES},
            ),
            metrics=entry(["expression"], expression=EXPRESSION),
        )
    },
    "required": ["semantic_model"],
    "additionalProperties": False,
}
Row = dict[str, object]
Rows = dict[EventRef, list[Row]]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
COLUMN_TYPES = {
    "string": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
}


def model_of(registry: Registry, name: str | None = None) -> dict[str, list[dict[str, object]]]:
    document = yaml.safe_load(export(registry, "osi", name=name)["agentflow.osi.yaml"])
    Draft202012Validator(SCHEMA).validate(document)
    (model,) = document["semantic_model"]
    found: dict[str, list[dict[str, object]]] = model
    return found


def sql_of(item: dict[str, object]) -> str:
    expression = item["expression"]
    assert isinstance(expression, dict)
    (dialect,) = expression["dialects"]
    assert dialect["dialect"] == "ANSI_SQL"
    return str(dialect["expression"])


def test_the_model_follows_the_specification(registry: Registry) -> None:
    """Names are unique where the specification wants them to be."""
    model = model_of(registry)

    for part in ("datasets", "metrics"):
        names = [item["name"] for item in model[part]]
        assert len(set(names)) == len(names)
    assert len(model["metrics"]) == len(registry.metrics)


def test_extensions_hold_json(registry: Registry) -> None:
    """The specification wants JSON inside a string; what cannot be parsed is lost."""
    for metric in model_of(registry)["metrics"]:
        extensions = metric["custom_extensions"]
        assert isinstance(extensions, list)

        notes = json.loads(extensions[0]["data"])

        assert notes["moved_by"]


@pytest.fixture
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database with the schema of the event tables."""
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA events")
        yield connection


def create_table(
    connection: duckdb.DuckDBPyConnection, contract: EventContract, rows: list[Row]
) -> None:
    """Store events the way the lake lays them out; derived columns come from our own SQL."""
    columns = {
        "tenant": "VARCHAR",
        "source": "VARCHAR",
        "event_id": "VARCHAR",
        "occurred_at": "TIMESTAMP",
        "ingested_at": "TIMESTAMP",
        "log_offset": "BIGINT",
        "ce_subject": "VARCHAR",
        "ce_correlation_id": "VARCHAR",
    }
    for name, field in contract.fields.items():
        precision = 18 + (field.scale or 0)
        decimal = f"DECIMAL({precision}, {field.scale})"
        columns[name] = COLUMN_TYPES.get(field.type, decimal)
    declared = ", ".join(f"{quote_name(name)} {kind}" for name, kind in columns.items())
    table = slug(contract.ref)
    connection.execute(f"CREATE OR REPLACE TABLE main.raw_{table} ({declared})")
    for row in rows:
        marks = ", ".join("?" for _ in columns)
        connection.execute(
            f"INSERT INTO main.raw_{table} VALUES ({marks})", [row.get(name) for name in columns]
        )
    scope = declared_scope(contract)
    derived = "".join(
        f", {scalar_sql(parse_scalar(text), field=quote_name, scope=scope)} AS {quote_name(name)}"
        for name, text in contract.derived.items()
    )
    connection.execute(
        f"CREATE OR REPLACE TABLE events.{table} AS SELECT *{derived} FROM main.raw_{table}"
    )


def store(connection: duckdb.DuckDBPyConnection, registry: Registry, rows: Rows) -> None:
    for ref, contract in registry.events.items():
        create_table(connection, contract, rows.get(ref, []))


def rows_of(registry: Registry, metric: MetricContract, example: MetricExample) -> Rows:
    """Return an example's events as rows, each one second after the one before."""
    pins = {ref.type: ref for ref in metric.refs}
    rows: Rows = {}
    for index, event in enumerate(example.given):
        ((name, fields),) = event.items()
        contract = registry.events[pins.get(name) or registry.event(name).ref]
        instant = fields.get("time") or fields.get(contract.event_time or "")
        rows.setdefault(contract.ref, []).append(
            {
                "source": "urn:test",
                "event_id": f"{index:04}",
                "tenant": "default",
                "ingested_at": NOON,
                **fields,
                "occurred_at": instant or NOON + timedelta(seconds=index),
            }
        )
    return rows


def ask(
    connection: duckdb.DuckDBPyConnection,
    model: dict[str, list[dict[str, object]]],
    metric: str,
    where: str,
) -> Decimal | None:
    """Answer a metric the way a semantic layer does: filter each dataset, never fan out."""
    (found,) = (item for item in model["metrics"] if item["name"] == metric)
    used = [str(item["name"]) for item in model["datasets"] if f"{item['name']}." in sql_of(found)]
    for dataset in model["datasets"]:
        source = str(dataset["source"])
        rows = f"({source})" if " " in source else source
        connection.execute(
            f"CREATE OR REPLACE VIEW main.{dataset['name']} AS"
            f" SELECT * FROM {rows} AS q{where if dataset['name'] in used else ''}"
        )
    joined = " FULL OUTER JOIN ".join(used) + " ON FALSE" * (len(used) - 1)
    row = connection.execute(f"SELECT {sql_of(found)} FROM {joined}").fetchone()
    assert row is not None
    return None if row[0] is None else Decimal(str(row[0]))


def where_clause(dimensions: str) -> str:
    """Turn `currency=EUR,country=DE` into SQL."""
    pairs = [pair.strip().partition("=") for pair in dimensions.split(",") if pair.strip()]
    tests = [f"{quote_name(name)} = {literal(value)}" for name, _, value in pairs]
    return f" WHERE {' AND '.join(tests)}" if tests else ""


def test_every_example_holds_on_a_database(
    shop: Registry, database: duckdb.DuckDBPyConnection
) -> None:
    """Corrections included: what other tools compute from the model is what the contract says."""
    asked = 0

    for metric in shop.metrics.values():
        model = model_of(shop, f"{metric.name}@{metric.version}")
        (item,) = model["metrics"]
        for example in metric.examples:
            store(database, shop, rows_of(shop, metric, example))
            for dimensions, expected in example.then.items():
                answer = ask(database, model, str(item["name"]), where_clause(dimensions))
                wanted = None if expected is None else Decimal(expected)
                if answer is not None and wanted is not None:
                    answer = answer.quantize(wanted, ROUND_HALF_UP)
                assert answer == wanted, f"{metric.name} v{metric.version}: {example} {dimensions}"
                asked += 1

    assert asked >= len(shop.metrics)


def probe(second: int, order: str, price: str | None, **fields: object) -> Row:
    """Return a row of the laboratory's events, `second` seconds past noon."""
    instant = NOON + timedelta(seconds=second)
    given = {"order": order, "price": price and Decimal(price), "taken_at": instant, **fields}
    return {"event_id": f"{order}{second}", **given, "tenant": "lab", "occurred_at": instant}


LABORATORY: Rows = {
    EventRef("probe.taken", 1): [
        probe(
            1,
            "A",
            "10.00",
            count=2,
            code="AB",
            fragile=False,
            serial=-4,
            left_at=NOON + timedelta(seconds=2, microseconds=1_000),
        ),
        probe(1, "B", "20.00", count=20, code="AC", serial=3),
        probe(1, "C", "100.00", count=1, code="AB", fragile=False),
        probe(1, "D", "7.00", count=1, colour="red"),
    ],
    EventRef("probe.amended", 1): [
        probe(8, "A", "12.00"),
        probe(7, "A", "11.00"),
        probe(9, "A", None),
        {**probe(5, "B", "21.00"), "event_id": "1"},
        {**probe(5, "B", "22.00"), "event_id": "2"},
        {**probe(9, "D", "9000.00"), "tenant": "another"},
    ],
    EventRef("probe.voided", 1): [probe(0, "C", None)],
}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        pytest.param("total", "464.00", id="derived fields follow the last amendment"),
        pytest.param("spread", "15.00", id="the later event wins, then the greater id, never null"),
        pytest.param("median", "12.00", id="nearest rank"),
        pytest.param("odd_ones", "1", id="null is not true"),
        pytest.param("everybody", "4", id="distinct across event types"),
        pytest.param("dear", "2", id="distinct across event types, filtered"),
        pytest.param("events", "4", id="count of two event types"),
        pytest.param("mean", "3.500000", id="average"),
        pytest.param("stay", "1001", id="whole milliseconds, which a float misses by one"),
        pytest.param("long_codes", "3", id="functions"),
        pytest.param("share", "1366.666667", id="division"),
    ],
)
def test_corrections_and_functions_hold_on_a_database(
    every_type: Registry, database: duckdb.DuckDBPyConnection, metric: str, expected: str
) -> None:
    """What no shipped metric happens to use; C is voided before it is taken, D is another's."""
    store(database, every_type, LABORATORY)

    answer = ask(database, model_of(every_type), metric, " WHERE tenant = 'lab'")

    assert answer == Decimal(expected)
