"""The lake job: topics to Iceberg, exactly once by checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyflink.common import JobClient
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import DataTypes
from pyflink.table.udf import udf

from agentflow.contracts import Registry
from processing.flink.cluster import environment_of, insert, tables_of
from processing.flink.judge import RowOf
from processing.flink.lake_decode import CARRIED, UNREAD, Decoder, layouts_of
from processing.flink.lake_slots import WIRES, all_slots
from processing.flink.lake_sql import DECODE, LakeJob, definitions, insertions
from processing.transformations.layout import Layout


def row_type(layouts: Sequence[Layout]) -> Any:  # noqa: ANN401 - pyflink has no types
    """Return the type of what `Decoder.row` returns."""
    text, whole = DataTypes.STRING(), DataTypes.BIGINT()
    fields = [DataTypes.FIELD("place", text), DataTypes.FIELD("identity", DataTypes.BYTES())]
    fields += [DataTypes.FIELD(name, text) for name in (*CARRIED, *UNREAD)]
    kinds = dict(zip(WIRES, (text, whole, DataTypes.DOUBLE(), DataTypes.BOOLEAN()), strict=True))
    fields += [DataTypes.FIELD(slot, kinds[slot.split("_")[0]]) for slot in all_slots(layouts)]
    return DataTypes.ROW(fields)


def submit(
    job: LakeJob, registry: Registry, *, cluster: str | None, since: str | None = None
) -> JobClient:
    """Start the job and return its handle; the lake's tables must exist.

    Args:
        job: What it is told.
        registry: The contracts whose events have tables.
        cluster: `host:port` of a session cluster; None runs it inside this process.
        since: URI of the checkpoint or savepoint to start from.
    """
    return build(job, registry, cluster=cluster, since=since).execute_async(job.name)


def build(
    job: LakeJob, registry: Registry, *, cluster: str | None = None, since: str | None = None
) -> StreamExecutionEnvironment:
    """Return the environment with the job's graph in it."""
    interval_ms = int(job.checkpoint_seconds * 1000)
    settings = {
        # rows wait for the next commit anyway: nothing is handed on, or asked for, one at a time
        "execution.buffer-timeout.interval": "100 ms",
        "execution.checkpointing.interval": f"{interval_ms} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        "parallelism.default": "1",  # the order of one partition is what progress is measured in
        "pipeline.object-reuse": "true",
        "python.execution-mode": "thread",
        # while a worker, the catalog or S3 is down, for however long
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "200 ms",
        "restart-strategy.exponential-delay.max-backoff": "10 s",
    }
    if since is not None:
        settings["execution.state-recovery.path"] = since
    environment = environment_of(cluster, settings)
    planning = {
        "table.exec.state.ttl": f"{job.identities_hours} h",
        "table.exec.sink.upsert-materialize": "NONE",
        "table.exec.sink.keyed-shuffle": "NONE",
        # otherwise the planner decodes once for every table
        "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",
        "table.exec.iceberg.use-v2-sink": "false",  # 7 tasks, not 41 (ADR 0015)
        "table.exec.uid.generation": "ALWAYS",
        "table.local-time-zone": "UTC",
    }
    tables = tables_of(environment, planning)
    layouts = layouts_of(registry)
    function = udf(RowOf(tuple(registry.contracts()), Decoder), result_type=row_type(layouts))
    tables.create_temporary_function(DECODE, function)
    for statement in definitions(job):
        tables.execute_sql(statement)
    insert(tables, insertions(layouts))
    return environment
