"""`agentflow topics`: what Kafka needs to have, compared with what it has."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agentflow.wording import counted
from agentflow_cli.failure import USAGE
from agentflow_cli.options import contracts_option, json_option, settings
from agentflow_cli.output import emit, say

if TYPE_CHECKING:
    from ingestion.kafka.admin import KafkaAdmin
    from ingestion.kafka.topic_plan import TopicChange, TopicPlan
    from ingestion.kafka.topics import Topic

_grow_option = click.option(
    "--grow", is_flag=True, help="Add missing partitions: keys move, so stop the producers first."
)


@click.group()
def topics() -> None:
    """Compare Kafka's topics with what the platform needs, and make them so.

    What is needed follows from the settings AGENTFLOW_KAFKA_*, and from the source contracts: the
    gate reads a topic for each captured table. Nothing is ever deleted or shrunk.
    """


@topics.command()
@_grow_option
@contracts_option
@json_option
def plan(*, grow: bool, contracts_dir: Path | None, as_json: bool) -> None:
    """Show what `apply` would change, and what it would not.

    Exit code 2 when the broker is not as wanted.
    """
    admin, wanted = _wanted(contracts_dir)
    found = _plan(admin, wanted, grow=grow)
    if as_json:
        emit(_document(found))
    else:
        for change in found.changes:
            click.echo(str(change))
        _show_drift(found)
        _show_count(found, wanted)
    if not found.settled:
        raise click.exceptions.Exit(USAGE)


@topics.command()
@_grow_option
@contracts_option
@json_option
def apply(*, grow: bool, contracts_dir: Path | None, as_json: bool) -> None:
    """Create and alter topics; run it again after a failure.

    Exit code 2 when something is left that people have to fix.
    """
    admin, wanted = _wanted(contracts_dir)
    applied: list[TopicChange] = []

    def done(change: TopicChange) -> None:
        applied.append(change)
        if not as_json:
            click.echo(str(change))

    admin.apply(_plan(admin, wanted, grow=grow).changes, done=done)
    left = _plan(admin, wanted, grow=grow)
    if as_json:
        emit({"applied": [_change(change) for change in applied], **_document(left)})
    else:
        _show_drift(left)
        _show_count(left, wanted)
    if not left.settled:
        raise click.exceptions.Exit(USAGE)


def _wanted(contracts_dir: Path | None) -> tuple[KafkaAdmin, tuple[Topic, ...]]:
    from ingestion.kafka.admin import KafkaAdmin
    from ingestion.kafka.topics import change_topics, wanted_topics
    from ingestion.kafka.wiring import kafka_config, topic_policy

    configured = settings()
    admin, policy = KafkaAdmin(kafka_config(configured)), topic_policy(configured)
    names = _captured(contracts_dir or configured.contracts_dir, given=contracts_dir is not None)
    # one that is there is the connector's own business
    there = {topic.name for topic in admin.find(names)} if names else set()
    missing = change_topics(policy, [name for name in names if name not in there])
    return admin, (*wanted_topics(policy), *missing)


def _captured(directory: Path, *, given: bool) -> tuple[str, ...]:
    """Return the topics that connectors write; none where there are no contracts at all."""
    from agentflow.lint import load
    from ingestion.cdc import Sources
    from ingestion.connectors import transaction_topics

    if not given and not directory.is_dir():
        return ()
    registry = load(directory)
    return (*Sources(registry).topics, *transaction_topics(registry))


def _plan(admin: KafkaAdmin, wanted: tuple[Topic, ...], *, grow: bool) -> TopicPlan:
    from ingestion.kafka.topic_plan import plan_topics

    return plan_topics(wanted, admin.find(topic.name for topic in wanted), grow=grow)


def _show_drift(found: TopicPlan) -> None:
    for drift in found.drift:
        click.echo(f"{click.style('drift', fg='yellow')}: {drift}")
        click.echo(f"       fix: {drift.fix}")


def _show_count(found: TopicPlan, wanted: tuple[Topic, ...]) -> None:
    if found.settled:
        say(f"{counted(len(wanted), 'topic')} as wanted")
    else:
        changes = counted(len(found.changes), "change")
        say(f"{changes} to apply, {counted(len(found.drift), 'difference')} to fix")


def _document(found: TopicPlan) -> dict[str, object]:
    return {
        "settled": found.settled,
        "blocked": found.blocked,
        "changes": [_change(change) for change in found.changes],
        "drift": [asdict(drift) for drift in found.drift],
    }


def _change(change: TopicChange) -> dict[str, object]:
    return {"kind": type(change).__name__.lower(), "text": str(change), **asdict(change)}
