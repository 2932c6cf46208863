"""`agentflow contracts export`: contracts in the words of other tools."""

from __future__ import annotations

from pathlib import Path

import click

from agentflow.wording import counted
from agentflow_cli.options import contracts_directory, contracts_option, json_option
from agentflow_cli.output import emit, say


@click.command()
@click.argument("format")
@click.option("--name", help="Only this contract, `order.created` or `order.created@1`.")
@click.option("--out", type=click.Path(path_type=Path), help="Directory to write files into.")
@contracts_option
@json_option
def export(
    *,
    format: str,  # noqa: A002  # the argument's name
    name: str | None,
    out: Path | None,
    contracts_dir: Path | None,
    as_json: bool,
) -> None:
    """Write the contracts in FORMAT.

    json-schema, avro, asyncapi, odcs, osi, mermaid, dot or reference. Without --out the text goes
    to stdout.
    """
    from agentflow.export import export
    from agentflow.lint import load

    files = export(load(contracts_directory(contracts_dir)), format, name=name)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (out / file).write_text(text, "utf-8")
        say(f"{counted(len(files), 'file')} written to {out}")
    if as_json:
        emit({"files": sorted(files) if out is not None else files})
        return
    if out is not None:
        for file in files:
            click.echo(out / file)
        return
    for file, text in files.items():
        if len(files) > 1:
            say(f"# {file}")
        click.echo(text, nl=not text.endswith("\n"))
