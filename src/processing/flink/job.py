"""Builds the job from its statements and hands it to a cluster."""

from __future__ import annotations

from pyflink.common import JobClient
from pyflink.table import DataTypes, Schema, StreamTableEnvironment
from pyflink.table.udf import udf

from processing.flink.cluster import environment_of, insert, tables_of
from processing.flink.judge import ConflictLetter, Judge, JudgeChange, answer_type
from processing.flink.options import options
from processing.flink.settings import GateSettings
from processing.flink.statements import (
    CHANGES,
    CONFLICT,
    FANNED,
    JUDGE,
    JUDGE_CHANGE,
    gate_statements,
)


def submit(settings: GateSettings, contracts: bytes) -> JobClient:
    """Start the gate and return its handle; the job goes on without this process.

    Without a cluster it runs inside this process, as long as that lives.
    """
    environment = environment_of(settings.cluster, options(settings))
    tables = tables_of(environment, options(settings))
    for name, function in ((JUDGE, Judge), (CONFLICT, ConflictLetter)):
        answering = udf(function(contracts), result_type=answer_type())
        tables.create_temporary_function(name, answering)
    if settings.change_topics:
        many = DataTypes.ARRAY(answer_type())
        judge_change = udf(JudgeChange(contracts), result_type=many)
        tables.create_temporary_function(JUDGE_CHANGE, judge_change)
    statements = gate_statements(settings)
    for definition in statements.changes:
        tables.execute_sql(definition)
    if statements.changes:
        _cut(tables)
    for definition in statements.definitions:
        tables.execute_sql(definition)
    insert(tables, statements.inserts)
    return environment.execute_async(settings.name)


def _cut(tables: StreamTableEnvironment) -> None:
    """Plan what comes before the changes' answers once for all readers."""
    stream = tables.to_data_stream(tables.from_path(FANNED))
    arriving = Schema.new_builder().column_by_expression("arrival", "PROCTIME()").build()
    tables.create_temporary_view(CHANGES, tables.from_data_stream(stream, arriving))
