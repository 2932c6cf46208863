"""The root of the command line: commands by name, each imported only when it is run."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import NamedTuple

import click

from agentflow.wording import quoted
from agentflow_cli.failure import Failure, failing


class Lazy(NamedTuple):
    """Where a command is, and the line that describes it without importing it."""

    place: str
    help: str


COMMANDS: Mapping[str, Lazy] = {
    "backup": Lazy("agentflow_cli.backup:backup", "Save the data directory while it runs."),
    "connectors": Lazy("agentflow_cli.connectors:connectors", "Capture changes of databases."),
    "contracts": Lazy("agentflow_cli.contracts:contracts", "Check, test, compare, export."),
    "deadletter": Lazy("agentflow_cli.deadletter:deadletter", "Look at what was rejected."),
    "demo": Lazy("agentflow_cli.demo:command", "Run it with a generator and watch."),
    "doctor": Lazy("agentflow_cli.doctor:doctor", "Say what is missing, and how to fix it."),
    "entity": Lazy("agentflow_cli.entity:entity", "Show what is known of an order, a user…"),
    "explain": Lazy("agentflow_cli.explain:explain", "Show why a metric is what it is."),
    "gate": Lazy("agentflow_cli.gate:command", "Judge events that come over Redis."),
    "keys": Lazy("agentflow_cli.keys:keys", "Make, list, rotate and revoke API keys."),
    "lake": Lazy("agentflow_cli.lake:lake", "Make the tables of a lake behind a catalog."),
    "metric": Lazy("agentflow_cli.metric:metric", "Show a metric, or list all."),
    "replay": Lazy("agentflow_cli.replay:replay", "Send a file of the past as events."),
    "restore": Lazy("agentflow_cli.backup:restore", "Make a data directory of a backup."),
    "send": Lazy("agentflow_cli.send:send", "Send an event and see what it moves."),
    "smoke": Lazy("agentflow_cli.smoke:smoke", "Send one event and time every hop."),
    "tail": Lazy("agentflow_cli.tail:tail", "Follow events or metrics as they come."),
    "topics": Lazy("agentflow_cli.topics:topics", "Compare Kafka's topics with what is needed."),
    "up": Lazy("agentflow_cli.up:command", "Run the platform on your contracts."),
    "verify": Lazy("agentflow_cli.verify:verify", "Compare every number with the lake."),
}


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def __init__(self, commands: Mapping[str, Lazy], **settings: object) -> None:
        super().__init__(**settings)  # type: ignore[arg-type]  # click's own settings
        self.places = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, sorted."""
        del ctx
        return sorted(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        lazy = self.places.get(cmd_name)
        if lazy is None:
            return None
        module, _, name = lazy.place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the first argument, or say which one was probably meant."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from agentflow.suggestions import did_you_mean

            meant = did_you_mean(args[0], self.places)
            if not meant or args[0] in self.places:
                raise
            message = f"No such command {quoted(args[0])}. {meant}"
            raise click.UsageError(message, ctx) from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table alone."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.places[name].help) for name in sorted(self.places)])

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; errors made on purpose end it with a message and their exit code."""
        try:
            with failing():
                return super().invoke(ctx)
        except Failure as failure:
            failure.as_json = bool(ctx.meta.get("agentflow.json"))
            raise


@click.command(
    cls=LazyGroup,
    commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Data goes to stdout, words to stderr. Exit codes: 0 yes, 1 no, 2 usage, breaking "
    "or drift, 3 platform not reached, 4 refused, "
    "130 interrupted.",
)
@click.version_option(package_name="agentflow", prog_name="agentflow")
def main() -> None:
    """Contracts in, live provable metrics out."""
