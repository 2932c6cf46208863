"""Faults planted in the code under test, and how many streams of the law it takes to notice each.

python -m tests.processing.laws.mutants ["rank one too far" …]
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

STREAMS = 80
_OURS = ("agentflow", "ingestion", "processing", "quality", "tests.processing.laws")


@dataclass(frozen=True)
class Mutant:
    """A change of source that makes a number wrong.

    Attributes:
        pack: The contracts whose streams shall notice it.
    """

    name: str
    module: str
    old: str
    new: str
    pack: str = "corners"


_ATOMS = "agentflow.metrics.atoms"
_EVALUATOR = "agentflow.metrics.evaluator"
_ROLLING = "agentflow.metrics.rolling"
_TIERS = "agentflow.metrics.tiers"
_DISTINCTS = "agentflow.metrics.distincts"
_SUMS = "agentflow.metrics.window_cells"
_DISTINCT_VALUES = "agentflow.metrics.distinct_values"
_SEEN = "agentflow.metrics.seen"
_HASH_MAP = "agentflow.metrics.hash_map"
_STATE = "agentflow.metrics.state"
_SQL = "agentflow.metrics.sql"
_QUERY = "agentflow.metrics.query"
_ROWS = "agentflow.metrics.rows"
_EFFECTIVE = "agentflow.metrics.effective"
_CORRECTIONS = "processing.live.corrections"
_VERSIONS = "processing.live.versions"
_ENGINE = "processing.live.engine"

MUTANTS: tuple[Mutant, ...] = (
    # versions of rows
    Mutant("an older version wins", _VERSIONS, "self._age < age", "self._age != age"),
    Mutant("gone for ever", _VERSIONS, "self._gone > self._age[0]", "self._gone is not None"),
    Mutant("every version counts in SQL", _EFFECTIVE, "{rank} = 1", "{rank} >= 1"),
    Mutant("the oldest version counts in SQL", _EFFECTIVE, '{name} DESC"', '{name}"'),
    Mutant("gone for ever in SQL", _EFFECTIVE, "{alias}.{sequence} > base.{sequence}", "TRUE"),
    # generated movers
    Mutant("sum not taken back", _ATOMS, 'c[{index}] {sign}= {value}"', 'c[{index}] += {value}"'),
    Mutant("count not taken back", _ATOMS, '"c[{index}] {sign}= 1"', '"c[{index}] += 1"'),
    Mutant("value not taken back", _ATOMS, "m.get(v, 0) {sign} 1", "m.get(v, 0) + 1"),
    Mutant("events not taken back", _EVALUATOR, "c[-1] {sign}= 1", "c[-1] += 1"),
    Mutant("filter forgotten", _EVALUATOR, "guarded = update.condition and", "guarded = False and"),
    Mutant("null added", _EVALUATOR, "if infer(item.value, scope).nullable:", "if False:"),
    Mutant(
        "merged with the wrong sign",
        _EVALUATOR,
        "into.a{index} {sign}= cell.a{index}",
        "into.a{index} += cell.a{index}",
        "flights",
    ),
    # windows and buckets
    Mutant(
        "window without its first step",
        _ROLLING,
        "if running.start_us <= start_us < running.end_us",
        "if running.start_us < start_us < running.end_us",
    ),
    Mutant(
        "window with the step after it",
        _ROLLING,
        "if running.start_us <= start_us < running.end_us",
        "if running.start_us <= start_us <= running.end_us",
    ),
    Mutant(
        "bucket on the edge stays",
        _TIERS,
        "if start_us <= bucket_us < end_us and cells",
        "if start_us < bucket_us < end_us and cells",
    ),
    Mutant(
        "bucket that left is not subtracted",
        _ROLLING,
        "yield from own.shift(cells, self._functions.subtract, sign=-1)",
        "pass",
    ),
    Mutant(
        "what never entered is subtracted",
        _ROLLING,
        "left = (running.start_us, min(start_us, running.end_us))",
        "left = (running.start_us, start_us)",
    ),
    Mutant(
        "what was jumped over is added",
        _ROLLING,
        "entered = (max(running.end_us, start_us), end_us)",
        "entered = (running.end_us, end_us)",
    ),
    Mutant(
        "future events never enter",
        _ROLLING,
        "entered = (max(running.end_us, start_us), end_us)",
        "entered = (end_us, end_us)",
    ),
    Mutant(
        "buckets forgotten on demotion",
        _TIERS,
        "if wider is not None and start_us >= wider.floor_us:",
        "if False:",
    ),
    Mutant(
        "buckets demoted into the next one",
        _TIERS,
        "into = wider.bucket(start_us)",
        "into = wider.bucket(start_us + width_us)",
    ),
    Mutant(
        "tiers hold too little",
        _TIERS,
        "longest + 2 * step_us",
        "longest // 2",
    ),
    Mutant(
        "currencies added up",
        _DISTINCTS,
        "if plan.currency else None",
        "if False else None",
    ),
    Mutant(
        "window ends with the last whole step",
        "agentflow.metrics.windows",
        "end = now_us - now_us % self.step_us + self.step_us",
        "end = now_us - now_us % self.step_us",
    ),
    # multisets and distinct sets
    Mutant(
        "rank rounded down",
        _STATE,
        "rank = -(-q[0] * self.size // q[1])",
        "rank = q[0] * self.size // q[1]",
    ),
    Mutant("rank one too far", _STATE, "if seen >= rank", "if seen > rank"),
    Mutant("empty counts kept", _STATE, "into.pop(value, None)", "into[value] = 0"),
    Mutant("size only grows", _STATE, "self.size += sign * sum", "self.size += sum"),
    Mutant("hash found nowhere", _HASH_MAP, "if self._rests[page][at] == rest:", "if False:"),
    # distinct values in one place
    Mutant(
        "value of two cells counted twice",
        _SEEN,
        "if one[1] and not other)",
        "if one[1])",
    ),
    Mutant("value added where it was", _SEEN, "now[slot] += change", "now[slot] = change"),
    Mutant("bucket's values stay", _SUMS, "self.slot, sign=sign)", "self.slot, sign=1)"),
    # corrections
    Mutant("retraction ignored", _CORRECTIONS, "group.retracted = True", "pass"),
    Mutant("oldest update wins", _CORRECTIONS, "newest[name] < age", "newest[name] > age"),
    Mutant("update by arrival", _CORRECTIONS, "name not in newest or newest[name] < age", "True"),
    Mutant("absent field replaces", _CORRECTIONS, "if value is not None and", "if"),
    Mutant(
        "groups not in memory are lost",
        _CORRECTIONS,
        "        for key in keys:\n            self._keep(key, found.get(key, ()))",
        "        for key in keys:\n            self._keep(key, ())",
    ),
    Mutant(
        "groups of tenants mixed",
        _CORRECTIONS,
        "event.tenant, role.base, role.on, getattr",
        '"t", role.base, role.on, getattr',
    ),
    Mutant("amended event counted twice", _ENGINE, "base.retract(effect", "_nothing(effect"),
    Mutant(
        "redelivery counted",
        _ENGINE,
        "            next_offset = offset + 1",
        "            next_offset = offset",
    ),
    # SQL
    Mutant(
        "update loses against the original",
        _EFFECTIVE,
        "COALESCE(newest.{column}, base.{column})",
        "COALESCE(base.{column}, newest.{column})",
    ),
    Mutant("SQL: oldest update wins", _EFFECTIVE, "arg_max(", "arg_min("),
    Mutant(
        "SQL: derived field kept",
        _EFFECTIVE,
        "if declared(frozenset({name}), contract) & replaced:",
        "if False:",
    ),
    Mutant(
        "SQL: only one sort of update",
        _EFFECTIVE,
        "for each in replacing\n    ]",
        "for each in replacing[:1]\n    ]",
    ),
    Mutant("SQL: retraction ignored", _EFFECTIVE, 'f"NOT {_exists(', 'f"TRUE OR {_exists('),
    Mutant(
        "SQL: one offset too many",
        _QUERY,
        "log_offset < $up_to_offset",
        "log_offset <= $up_to_offset",
    ),
    Mutant("SQL: start excluded", _QUERY, "occurred_us >= $start", "occurred_us > $start"),
    Mutant("SQL: end included", _QUERY, "occurred_us < $end", "occurred_us <= $end"),
    Mutant("SQL: rank rounded down", _ATOMS, " + {denominator - 1}) //", ") //"),
    Mutant("SQL: tenants mixed", _QUERY, '["tenant = $tenant"]', '["tenant >= $tenant"]'),
    Mutant("SQL: events counted twice", _SQL, "COUNT(DISTINCT log_offset)", "COUNT(log_offset)"),
    Mutant("SQL: sum of nothing is null", _ATOMS, "COALESCE(SUM({name}), 0)", "SUM({name})"),
    Mutant(
        "SQL: half of a wide sum", _ATOMS, "(SUM({low}), 0)", "(SUM({low}) * 0, 0)", pack="shop"
    ),
    Mutant("recompute: rounded down", _ROWS, "+ (rest >= Fraction(1, 2))", "", pack="shop"),
    Mutant("recompute: difference is a sum", _ROWS, '"-": sub', '"-": add'),
    Mutant(
        "recompute: a quotient is rounded before the end",
        _ROWS,
        '"/": truediv',
        '"/": lambda a, b: Fraction(round(a / b, 6))',
    ),
    # reading and arithmetic
    Mutant(
        "difference turned round",
        "agentflow.metrics.arithmetic",
        "a * d - c * b",
        "c * b - a * d",
    ),
    Mutant(
        "ratio over nothing is zero",
        "agentflow.metrics.arithmetic",
        "if c else None",
        "if c else (0, 1)",
        pack="shop",
    ),
    Mutant(
        "largest is least",
        _ATOMS,
        "_multiset(state).maximum()",
        "_multiset(state).minimum()",
    ),
    Mutant(
        "flights: rank rounded down",
        _STATE,
        "rank = -(-q[0] * self.size // q[1])",
        "rank = q[0] * self.size // q[1]",
        pack="flights",
    ),
    Mutant(
        "flights: day-long buckets left out",
        _TIERS,
        "if start_us <= bucket_us < end_us and cells",
        "if start_us < bucket_us < end_us and cells",
        pack="flights",
    ),
)


class DoesNotFitError(Exception):
    """A mutant of code that is not there any more."""


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module with one change in its source."""

    def __init__(self, mutant: Mutant, path: str) -> None:
        super().__init__(mutant.module, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text()
        if self._mutant.old not in source:
            raise DoesNotFitError(f'"{self._mutant.name}" does not fit {fullname} any more')
        mutated = source.replace(self._mutant.old, self._mutant.new)
        return compile(mutated, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the mutated module first."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(self._mutant, spec.origin)
        return spec


def streams_to_notice(mutant: Mutant | None, *, pack: str = "corners") -> int | None:
    """Run the law over freshly imported, mutated code; None when nothing was noticed."""
    finder = _Finder(mutant) if mutant else None
    _forget()
    if finder:
        sys.meta_path.insert(0, finder)
    try:
        campaign = importlib.import_module("tests.processing.laws.campaign")
        lint = importlib.import_module("agentflow.lint")
        law = campaign.Law(lint.load(campaign.PACKS[mutant.pack if mutant else pack]))
        try:
            return next((n for n in range(STREAMS) if not _holds(law, n)), None)
        finally:
            law.close()
    finally:
        if finder:
            sys.meta_path.remove(finder)
        _forget()


def _holds(law: object, seed: int) -> bool:
    try:
        return bool(law.holds(seed))  # type: ignore[attr-defined]
    except DoesNotFitError:
        raise
    except Exception:  # noqa: BLE001 - a crash is noticed as well
        return False


def _forget() -> None:
    for name in list(sys.modules):
        if name.startswith(_OURS) and name != __name__:
            del sys.modules[name]


def main() -> int:
    """Print, for every mutant, the stream that noticed it; one JSON object."""
    wanted = sys.argv[1:]
    found: dict[str, int | None] = {}
    for mutant in MUTANTS:
        if not wanted or mutant.name in wanted:
            found[mutant.name] = streams_to_notice(mutant)
            print(f"{mutant.name}: {found[mutant.name]}", file=sys.stderr, flush=True)
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
