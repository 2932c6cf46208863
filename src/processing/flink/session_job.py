"""The sessions job: what the validated topic says of entities, window by window."""

from __future__ import annotations

from pyflink.common import JobClient
from pyflink.table import DataTypes
from pyflink.table.types import DataType
from pyflink.table.udf import udf

from agentflow.contracts import Registry
from processing.flink.cluster import environment_of, insert, tables_of
from processing.flink.judge import RowOf
from processing.flink.options import options
from processing.flink.session_keys import SessionKeys, key_columns
from processing.flink.session_sql import KEYS, session_statements
from processing.flink.settings import SessionSettings


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
    tables = tables_of(environment, options(settings))
    function = udf(RowOf(tuple(registry.contracts()), SessionKeys), result_type=row_type(registry))
    tables.create_temporary_function(KEYS, function)
    for definition in statements.definitions:
        tables.execute_sql(definition)
    insert(tables, statements.inserts)
    return environment.execute_async(settings.name)
