"""`python -m processing.flink gate|lake|sessions`: start a job from Flink's environment.

FLINK_HOME names the installation whose `lib` has the Kafka connector.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from agentflow.contracts import Registry
from agentflow.errors import AgentFlowError, ContractFilesError, ParameterError
from agentflow.lint import load
from agentflow.settings import Settings
from ingestion.cdc import Sources
from ingestion.kafka.config import KafkaConfig
from ingestion.kafka.wiring import kafka_config
from processing.flink.bundle import pack
from processing.flink.lake_decode import layouts_of
from processing.flink.lake_sql import LakeJob, written_tables
from processing.flink.preflight import require_alone, require_catalog, require_tables
from processing.flink.settings import GateSettings, JobSettings, SessionSettings
from processing.flink.tables import security
from quality.compilable import gate_problems

if TYPE_CHECKING:
    from pyflink.common import JobClient

_S = TypeVar("_S", bound=JobSettings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Submit a job; print its id."""
    chosen = _parser().parse_args(arguments)
    try:
        job = chosen.start(chosen)
    except AgentFlowError as error:
        sys.stderr.write(f"{error}\n{error.hint or ''}\n")
        return 2
    sys.stdout.write(f"{job.get_job_id()}\n")
    sys.stdout.flush()
    if chosen.cluster is None:
        job.get_job_execution_result().result()
    return 0


def _start_gate(chosen: argparse.Namespace) -> JobClient:
    directory = _contracts(chosen)
    topics = Sources(_registry(directory)).topics
    settings = replace(configured(chosen, GateSettings), change_topics=topics)
    from processing.flink.job import submit

    return submit(settings, pack(directory))


def _start_sessions(chosen: argparse.Namespace) -> JobClient:
    settings = configured(chosen, SessionSettings)
    registry = _registry(_contracts(chosen))
    from processing.flink.session_job import submit

    return submit(settings, registry)


def _start_lake(chosen: argparse.Namespace) -> JobClient:
    known = Settings()
    job = lake_settings(known, _kafka(chosen, known), chosen.checkpoint_interval)
    registry = _registry(_contracts(chosen))
    require_catalog(job.catalog, token=job.token)
    require_tables(
        job.catalog, written_tables(layouts_of(registry)), warehouse=job.warehouse, token=job.token
    )
    if chosen.cluster is not None:
        require_alone(chosen.cluster, job.name)
    from processing.flink.lake_job import submit

    return submit(job, registry, cluster=chosen.cluster, since=chosen.from_checkpoint)


def configured(chosen: argparse.Namespace, kind: type[_S]) -> _S:
    """Return what a job is told: options win over the `AGENTFLOW_` variables.

    Raises:
        ParameterError: Settings are not right.
    """
    given = {name: value for name, value in vars(chosen).items() if value is not None}
    own = {each.name: given[each.name] for each in fields(kind) if each.name in given}
    return kind(kafka=_kafka(chosen, Settings()), **own)


def _registry(directory: Path) -> Registry:
    """Read contracts that the gate compiles: a job that cannot would restart without end.

    Raises:
        ContractFilesError: Something is wrong, or does not compile.
    """
    registry = load(directory)
    if problems := tuple(gate_problems(registry)):
        raise ContractFilesError(problems)
    return registry


def _contracts(chosen: argparse.Namespace) -> Path:
    return chosen.contracts_dir or Settings().contracts_dir


def lake_settings(known: Settings, kafka: KafkaConfig, interval: timedelta | None) -> LakeJob:
    """Return what the lake job is told.

    Raises:
        ParameterError: No catalog is configured.
    """
    if not known.lake_catalog or not known.lake_warehouse:
        raise ParameterError(
            "the lake job needs a catalog and a warehouse",
            hint="Set AGENTFLOW_LAKE_CATALOG and AGENTFLOW_LAKE_WAREHOUSE.",
        )
    prefix = "properties."
    return LakeJob(
        bootstrap=kafka.bootstrap,
        prefix=kafka.prefix,
        catalog=known.lake_catalog,
        warehouse=known.lake_warehouse,
        endpoint=known.lake_s3_endpoint,
        access_key=known.lake_s3_access_key,
        secret_key=known.lake_s3_secret_key,
        region=known.lake_s3_region,
        token=known.lake_catalog_token,
        checkpoint_seconds=(interval or timedelta(seconds=10)).total_seconds(),
        kafka={key.removeprefix(prefix): value for key, value in security(kafka).items()},
    )


def _kafka(chosen: argparse.Namespace, known: Settings) -> KafkaConfig:
    named = {
        name: value
        for name in ("bootstrap", "prefix")
        if (value := getattr(chosen, f"kafka_{name}")) is not None
    }
    return replace(kafka_config(known), **named)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m processing.flink", description=__doc__)
    jobs = parser.add_subparsers(required=True, metavar="JOB")
    gate = jobs.add_parser(
        "gate", help="raw records become validated events, dead letters and receipts"
    )
    lake = jobs.add_parser(
        "lake", help="validated events and dead letters become Iceberg tables, which must exist"
    )
    sessions = jobs.add_parser(
        "sessions", help="validated events become sessions of the entities that have them"
    )
    starts = ((gate, _start_gate), (lake, _start_lake), (sessions, _start_sessions))
    for each, start in starts:
        each.set_defaults(start=start)
        each.add_argument("--contracts-dir", type=Path)
        each.add_argument("--kafka-bootstrap")
        each.add_argument("--kafka-prefix")
        each.add_argument(
            "--cluster", help="host:port of a session cluster; else one in this process"
        )
        each.add_argument("--checkpoint-interval", type=_seconds, help="seconds")
        each.add_argument("--from-checkpoint", help="URI of a checkpoint or savepoint")
    gate.add_argument("--ttl", type=_seconds, help="seconds an identity is remembered")
    sessions.add_argument(
        "--out-of-order", type=_seconds, help="seconds of event time the watermark waits"
    )
    sessions.add_argument(
        "--idle", type=_seconds, help="seconds after which a silent partition is not waited for"
    )
    for each in (gate, sessions):
        each.add_argument("--parallelism", type=int)
        each.add_argument("--checkpoint-directory", help="URI")
        each.add_argument("--mode", choices=("thread", "process"))
        each.add_argument("--state-backend", choices=("hashmap", "rocksdb"))
    return parser


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text))


if __name__ == "__main__":
    sys.exit(main())
