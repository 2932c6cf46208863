"""The sessions job: what the validated topic says of entities, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyflink.common import JobClient, Row
from pyflink.table import DataTypes, StreamTableEnvironment
from pyflink.table.types import DataType
from pyflink.table.udf import ScalarFunction, udf

from agentflow.contracts import Contract, Registry
from processing.flink.cluster import environment_of
from processing.flink.options import options
from processing.flink.session_keys import SessionKeys, key_columns
from processing.flink.session_sql import KEYS, session_statements
from processing.flink.settings import SessionSettings


class KeysOf(ScalarFunction):  # type: ignore[misc] # pyflink has no types
    """`SessionKeys` as a function of Flink: the contracts travel with the job."""

    def __init__(self, contracts: Sequence[Contract]) -> None:
        self._contracts = contracts
        self._row: Any = None

    def open(self, function_context: object) -> None:
        """Compile the contracts, once per worker."""
        del function_context
        self._row = SessionKeys(self._contracts, Row).row

    def is_deterministic(self) -> bool:
        """Say no: of a function that says yes, the planner makes one call for each use."""
        return False

    def eval(self, record: bytes | None, kind: str | None, version: str | None) -> Any:  # noqa: ANN401
        """Return the row of one record."""
        return self._row(record, kind, version)


def row_type(registry: Registry) -> DataType:
    """Return the type of what `SessionKeys.row` returns."""
    keys = [column for columns in key_columns(registry).values() for column in columns]
    names = ("tenant", "identity", *keys)
    return DataTypes.ROW([DataTypes.FIELD(name, DataTypes.STRING()) for name in names])


def submit(settings: SessionSettings, registry: Registry) -> JobClient:
    """Start the job and return its handle; it goes on without this process.

    Without a cluster it runs inside this process, as long as that lives.

    Raises:
        ParameterError: No entity has sessions.
    """
    statements = session_statements(settings, registry)
    environment = environment_of(settings.cluster, options(settings))
    tables = StreamTableEnvironment.create(environment)
    for name, value in options(settings).items():
        tables.get_config().set(name, value)
    function = udf(KeysOf(tuple(registry.contracts())), result_type=row_type(registry))
    tables.create_temporary_function(KEYS, function)
    for definition in statements.definitions:
        tables.execute_sql(definition)
    inserts = tables.create_statement_set()
    for insert in statements.inserts:
        inserts.add_insert_sql(insert)
    inserts.attach_as_datastream()
    return environment.execute_async(settings.name)
