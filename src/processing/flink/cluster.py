"""Where a job runs: on a session cluster by its address, or inside this process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment
from pyflink.util.java_utils import to_jarray


def environment_of(cluster: str | None, options: Mapping[str, str]) -> StreamExecutionEnvironment:
    """Return the environment of a job with its options.

    Args:
        cluster: `host:port` of the JobManager's REST interface; None runs the job here.
        options: Flink's, by dotted name.
    """
    configuration = Configuration()
    for name, value in options.items():
        configuration.set_string(name, value)
    if cluster is None:
        return StreamExecutionEnvironment.get_execution_environment(configuration)
    return StreamExecutionEnvironment(_remote(cluster, configuration))


def tables_of(
    environment: StreamExecutionEnvironment, options: Mapping[str, str]
) -> StreamTableEnvironment:
    """Return the tables of a job, planned by its options."""
    tables = StreamTableEnvironment.create(environment)
    for name, value in options.items():
        tables.get_config().set(name, value)
    return tables


def insert(tables: StreamTableEnvironment, statements: Iterable[str]) -> None:
    """Let all of them run as one job once the environment is executed."""
    inserts = tables.create_statement_set()
    for statement in statements:
        inserts.add_insert_sql(statement)
    inserts.attach_as_datastream()


def _remote(cluster: str, configuration: Configuration) -> Any:  # noqa: ANN401 - a Java object
    """Return Java's environment of a session cluster; pyflink has no call for it."""
    java = get_gateway().jvm
    host, _, port = cluster.rpartition(":")
    factory = java.org.apache.flink.streaming.api.environment.StreamExecutionEnvironment
    jars = to_jarray(java.String, [])
    return factory.createRemoteEnvironment(host, int(port), configuration._j_configuration, jars)  # noqa: SLF001
