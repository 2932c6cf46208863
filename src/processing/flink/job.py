"""Builds the job from its statements and hands it to a cluster."""

from __future__ import annotations

from typing import Any

from pyflink.common import Configuration, JobClient
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import DataTypes, StreamTableEnvironment
from pyflink.table.udf import udf
from pyflink.util.java_utils import to_jarray

from processing.flink.judge import Judge, JudgeChange, answer_type
from processing.flink.options import options
from processing.flink.settings import JobSettings
from processing.flink.statements import JUDGE, JUDGE_CHANGE, gate_statements


def submit(settings: JobSettings, contracts: bytes) -> JobClient:
    """Start the gate and return its handle; the job goes on without this process.

    Without a cluster it runs inside this process, as long as that lives.
    """
    environment = _environment(settings)
    tables = StreamTableEnvironment.create(environment)
    for name, value in options(settings).items():
        tables.get_config().set(name, value)
    tables.create_temporary_function(JUDGE, udf(Judge(contracts), result_type=answer_type()))
    if settings.change_topics:
        many = DataTypes.ARRAY(answer_type())
        judge_change = udf(JudgeChange(contracts), result_type=many)
        tables.create_temporary_function(JUDGE_CHANGE, judge_change)
    statements = gate_statements(settings)
    for definition in statements.definitions:
        tables.execute_sql(definition)
    inserts = tables.create_statement_set()
    for insert in statements.inserts:
        inserts.add_insert_sql(insert)
    inserts.attach_as_datastream()
    return environment.execute_async(settings.name)


def _environment(settings: JobSettings) -> StreamExecutionEnvironment:
    configuration = Configuration()
    for name, value in options(settings).items():
        configuration.set_string(name, value)
    if settings.cluster is None:
        return StreamExecutionEnvironment.get_execution_environment(configuration)
    return StreamExecutionEnvironment(_remote(settings.cluster, configuration))


def _remote(cluster: str, configuration: Configuration) -> Any:  # noqa: ANN401 - a Java object
    """Return Java's environment of a session cluster; pyflink has no call for it."""
    java = get_gateway().jvm
    host, _, port = cluster.rpartition(":")
    factory = java.org.apache.flink.streaming.api.environment.StreamExecutionEnvironment
    jars = to_jarray(java.String, [])
    return factory.createRemoteEnvironment(host, int(port), configuration._j_configuration, jars)  # noqa: SLF001
