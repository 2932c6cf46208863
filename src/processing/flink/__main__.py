"""`python -m processing.flink gate`: start the gate from Flink's environment.

FLINK_HOME names the installation whose `lib` has the Kafka connector.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

from agentflow.contracts import load
from agentflow.errors import AgentFlowError
from agentflow.settings import Settings
from ingestion.cdc import Sources
from ingestion.kafka.wiring import kafka_config
from processing.flink.bundle import pack
from processing.flink.settings import JobSettings


def main(arguments: Sequence[str] | None = None) -> int:
    """Submit the job; print its id."""
    chosen = _parser().parse_args(arguments)
    try:
        settings, contracts = configured(chosen)
    except AgentFlowError as error:
        sys.stderr.write(f"{error}\n{error.hint or ''}\n")
        return 2
    from processing.flink.job import submit

    job = submit(settings, contracts)
    sys.stdout.write(f"{job.get_job_id()}\n")
    sys.stdout.flush()
    if settings.cluster is None:
        job.get_job_execution_result().result()
    return 0


def configured(chosen: argparse.Namespace) -> tuple[JobSettings, bytes]:
    """Return what is to run: options win over the `AGENTFLOW_` variables.

    Raises:
        AgentFlowError: Settings or contracts are not right.
    """
    given = {name: value for name, value in vars(chosen).items() if value is not None}
    known = Settings()
    kafka = kafka_config(known)
    named = {
        name: given[f"kafka_{name}"] for name in ("bootstrap", "prefix") if f"kafka_{name}" in given
    }
    directory = given.get("contracts_dir", known.contracts_dir)
    topics = Sources(load(directory)).topics
    own = {each.name: given[each.name] for each in fields(JobSettings) if each.name in given}
    settings = JobSettings(kafka=replace(kafka, **named), change_topics=topics, **own)
    return settings, pack(directory)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m processing.flink", description=__doc__)
    gate = parser.add_subparsers(required=True, metavar="JOB").add_parser(
        "gate", help="raw records become validated events, dead letters and receipts"
    )
    gate.add_argument("--contracts-dir", type=Path)
    gate.add_argument("--kafka-bootstrap")
    gate.add_argument("--kafka-prefix")
    gate.add_argument("--cluster", help="host:port of a session cluster; else one in this process")
    gate.add_argument("--ttl", type=_seconds, help="seconds an identity is remembered")
    gate.add_argument("--parallelism", type=int)
    gate.add_argument("--checkpoint-interval", type=_seconds, help="seconds")
    gate.add_argument("--checkpoint-directory", help="URI")
    gate.add_argument("--from-checkpoint", help="URI of a checkpoint or savepoint")
    gate.add_argument("--mode", choices=("thread", "process"))
    gate.add_argument("--state-backend", choices=("hashmap", "rocksdb"))
    return parser


def _seconds(text: str) -> timedelta:
    return timedelta(seconds=float(text))


if __name__ == "__main__":
    sys.exit(main())
