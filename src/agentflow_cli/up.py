"""`agentflow up`: run the platform with any contracts."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--contracts-dir", type=click.Path(path_type=Path), help="Where the contracts live.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Where everything is stored.")
@click.option("--host", help="Address to listen on; the default is this machine only.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port; 0 picks a free one.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON when it is ready.")
def command(as_json: bool, **options: object) -> None:  # noqa: FBT001 - click passes it by name
    """Run the platform until it is interrupted: API, page, live metrics, lake."""
    from agentflow_cli.service import people, settings_with
    from serving.demo import run_up
    from serving.wiring import run

    settings = settings_with(options)
    raise SystemExit(run(lambda: run_up(settings, console=people(), as_json=as_json)))
