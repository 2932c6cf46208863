"""Avro: judged by fastavro, which must give back exactly what was written."""

import io
import json
from collections.abc import Callable
from decimal import Decimal

import fastavro
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentflow.contracts import EventContract, FieldContract, Registry
from agentflow.export import export

Values = Callable[[EventContract], st.SearchStrategy[dict[str, object]]]


def schema_of(registry: Registry, contract: EventContract) -> dict[str, object]:
    files = export(registry, "avro", name=str(contract.ref))
    found: dict[str, object] = json.loads(files[f"{contract.name}.v{contract.version}.avsc"])
    return found


def written(schema: dict[str, object], record: dict[str, object]) -> io.BytesIO:
    buffer = io.BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), record, strict=True)
    buffer.seek(0)
    return buffer


def test_every_schema_is_avro_under_its_own_name(registry: Registry) -> None:
    """A schema registry keeps them all in one namespace."""
    schemas = [json.loads(text) for text in export(registry, "avro").values()]

    names: dict[str, dict[object, object]] = {}
    for schema in schemas:
        fastavro.parse_schema(schema, named_schemas=names)  # refuses a name it knows already

    assert len(names) == len(registry.events)


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(choices=st.data())
def test_what_is_written_is_read_back(
    registry: Registry, values_of: Values, choices: st.DataObject
) -> None:
    """Decimals stay exact and instants keep their microsecond, or money is lost on the way."""
    contract = choices.draw(st.sampled_from(list(registry.events.values())))
    record = choices.draw(values_of(contract))
    schema = schema_of(registry, contract)

    read = fastavro.schemaless_reader(written(schema, record), fastavro.parse_schema(schema), None)

    assert read == record


def test_the_largest_amount_fits(every_type: Registry) -> None:
    """18 digits before the point and all of the scale behind it."""
    contract = every_type.event("probe.amended")
    record: dict[str, object] = {"order": "A", "price": Decimal("-999999999999999999.99")}
    schema = schema_of(every_type, contract)

    read = fastavro.schemaless_reader(written(schema, record), fastavro.parse_schema(schema), None)

    assert read == record


def test_a_new_optional_field_reads_old_records_and_is_skipped_by_old_readers(
    every_type: Registry,
) -> None:
    """The contract calls this change compatible, so Avro must too."""
    old = every_type.event("probe.amended")
    new = old.model_copy(
        update={"minor": 1, "fields": {**old.fields, "note": FieldContract(type="string")}}
    )
    record: dict[str, object] = {"order": "A", "price": Decimal("1.00")}
    before, after = schema_of(Registry.of([old]), old), schema_of(Registry.of([new]), new)

    forward = fastavro.schemaless_reader(written(before, record), before, after)
    backward = fastavro.schemaless_reader(written(after, {**record, "note": "x"}), after, before)

    assert forward == {**record, "note": None}
    assert backward == record
