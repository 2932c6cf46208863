"""`agentflow gate`: what judges events and writes the lake on the light bus."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--contracts-dir", type=click.Path(path_type=Path), help="Where the contracts live.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where the lake is.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when it is ready.")
def command(as_json: bool, **options: object) -> None:  # noqa: FBT001 - click passes it by name
    """Judge events that come over Redis and write the lake, until interrupted.

    AGENTFLOW_BUS=redis and AGENTFLOW_REDIS_URL say where. Run it beside `agentflow up`, with the
    same contracts and data directory; a second one waits, and takes over when the first is gone.
    """
    import json

    from agentflow_cli.service import people, settings_with
    from processing.stream_gate.wiring import run_gate
    from serving.wiring import run

    settings = settings_with(options)
    console = people()

    def ready() -> None:
        console.print("the gate runs; Ctrl-C stops it", highlight=False)
        if as_json:
            print(json.dumps({"gate": "running", "prefix": settings.redis_prefix}), flush=True)

    def waits(why: str) -> None:
        console.print(f"{why}; waiting to take over", highlight=False)

    raise SystemExit(run(lambda: run_gate(settings, ready=ready, waits=waits)))
