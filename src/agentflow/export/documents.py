"""Documents and how they become text: the same contracts always give the same bytes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TypeAlias

import yaml

Document: TypeAlias = dict[str, object]

_UNBROKEN = 4096  # a folded expression or pattern is hard to read and to search for


def to_json(document: Document) -> str:
    """Render JSON the way people diff it; keys stay in the order they were given."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def to_yaml(document: Document) -> str:
    """Render YAML without anchors or folding; keys stay in the order they were given."""
    return yaml.dump(
        document, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=_UNBROKEN
    )


def number(value: Decimal) -> int | float:
    """Return a bound as JSON can carry it.

    >>> number(Decimal("1.00")), number(Decimal("0.5"))
    (1, 0.5)
    """
    return int(value) if value == value.to_integral_value() else float(value)


class _PlainDumper(yaml.SafeDumper):
    """Repeats equal parts: a reader who copies one part out must not lose an anchor."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True
