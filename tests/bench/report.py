"""Prints figures, writes `build/bench.json`, and keeps the tables of `docs/benchmarks.md`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import isfinite
from pathlib import Path

import msgspec

from tests.bench.figures import Context, Figure
from tests.bench.world import ROOT

BUILD = ROOT / "build"
DOCUMENT = ROOT / "docs" / "benchmarks.md"


class Row(msgspec.Struct, frozen=True):
    """A figure as `bench.json` has it; what could not be measured has no value."""

    name: str
    value: float | None
    goal: float
    unit: str
    met: bool


def rows(figures: Sequence[Figure]) -> list[Row]:
    """Return what is published."""
    return [
        Row(
            figure.name,
            round(figure.value, 4) if isfinite(figure.value) else None,
            figure.goal,
            figure.unit,
            figure.met,
        )
        for figure in figures
    ]


def record(
    figures: Sequence[Figure], *, name: str, machine: Context | None = None, build: Path = BUILD
) -> None:
    """Write `<name>.json`, and beside it what the figures were measured under."""
    build.mkdir(parents=True, exist_ok=True)
    (build / f"{name}.json").write_bytes(_pretty(rows(figures)))
    context = {
        "machine": machine or {},
        "figures": {figure.name: figure.context for figure in figures},
    }
    (build / f"{name}-context.json").write_bytes(_pretty(context))


def _pretty(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def print_table(figures: Sequence[Figure]) -> None:
    """Print the figures for people; the margin is how many times better than its goal one is."""
    width = max((len(figure.name) for figure in figures), default=0)
    for figure in figures:
        sign = "≤" if figure.sense == "at_most" else "≥"
        said = "met" if figure.met else "MISSED"
        sys.stdout.write(
            f"{figure.name:<{width}}  {shown(figure.value):>10} {figure.unit:<16} "
            f"goal {sign} {shown(figure.goal):<8} margin {figure.margin:5.2f}  {said}\n"
        )


def shown(value: float) -> str:
    """Return a number with three significant digits, whole from a hundred on."""
    if not isfinite(value):
        return "never"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rewrite(figures: Sequence[Figure], machine: Context, *, document: Path = DOCUMENT) -> None:
    """Replace the generated part of the document."""
    text = document.read_text()
    for name, part in (("machine", _machine_lines(machine)), ("figures", _table_lines(figures))):
        begin, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise ValueError(f"{document} has no generated part {name}")
        text = "\n".join([before + begin, "", *part, "", end + after])
    document.write_text(text)


def _machine_lines(machine: Context) -> list[str]:
    names = {name: value for name, value in machine.items() if not name.startswith("load")}
    before, after = machine.get("load_before", "?"), machine.get("load_after", "?")
    return [
        "; ".join(f"{name.replace('_', ' ')} {_number(value)}" for name, value in names.items())
        + ".",
        f"Load average over a minute: {before} before, {after} after the run.",
    ]


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _table_lines(figures: Sequence[Figure]) -> list[str]:
    lines = ["| what | measured | goal | margin | |", "|---|---:|---:|---:|---|"]
    for figure in figures:
        sign = "≤" if figure.sense == "at_most" else "≥"
        lines.append(
            f"| {figure.name} | {shown(figure.value)} {figure.unit} "
            f"| {sign} {shown(figure.goal)} | {figure.margin:.2f} "
            f"| {'met' if figure.met else '**missed**'} |"
        )
    lines.append("")
    for figure in figures:
        context = "; ".join(
            f"{name.replace('_', ' ')} {shown(value) if isinstance(value, float) else value}"
            for name, value in figure.context.items()
        )
        lines.append(f"- {figure.name}: {context}.")
    return lines
