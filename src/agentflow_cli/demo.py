"""`agentflow demo`: the platform with a generator, a moving table, and a check at the end."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--seconds", type=click.FloatRange(min=0.1), help="End by itself after so long.")
@click.option("--rate", type=click.FloatRange(min=0.1), default=200, help="Events a second.")
@click.option("--seed", type=int, default=1, help="One seed, one stream of events.")
@click.option("--contracts-dir", type=click.Path(path_type=Path), help="Where the contracts live.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Keep the data here; else none.")
@click.option("--host", help="Address to listen on; the default is this machine only.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port; 0 picks a free one.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on stdout.")
def command(
    seconds: float | None,
    rate: float,
    seed: int,
    as_json: bool,  # noqa: FBT001 - click passes it by name
    **options: object,
) -> None:
    """Start everything, feed it believable events and watch the metrics move.

    At the end (--seconds, or Ctrl-C) every metric is computed again from the lake and compared.
    The exit code is 0 when all are equal.
    """
    from agentflow_cli.service import demo_settings, people
    from serving.demo import DemoOptions, demonstrate
    from serving.wiring import run

    demo = DemoOptions(seed=seed, rate=rate, seconds=seconds)
    with demo_settings(options) as settings:
        code = run(lambda: demonstrate(settings, demo, console=people(), as_json=as_json))
    raise SystemExit(code)
