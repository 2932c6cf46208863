"""`name=value` arguments as the data of an event, typed by its contract."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from agentflow.clock import SystemClock, to_datetime
from agentflow.suggestions import did_you_mean
from agentflow.versions import versioned
from agentflow.wording import quoted
from agentflow_cli.json_text import json_of

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_KEY_LENGTH = 6
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")


def contract_of(catalog: Mapping[str, Any], name: str, version: int | None) -> Mapping[str, Any]:
    """Find the contract of an event type; without a version, the one events are judged by.

    The type may say its version itself, `order.created@1`.

    Raises:
        UsageError: There is none; it says which one was probably meant.
    """
    name, version = versioned(name, version)
    events: Sequence[Mapping[str, Any]] = catalog.get("events", ())
    found = [e for e in events if e["name"] == name and version in {None, e["version"]}]
    if found:
        return max(found, key=lambda e: (e.get("status") == "approved", e["version"]))
    names = sorted({str(e["name"]) for e in events})
    hint = did_you_mean(name, names) or f"Known: {', '.join(names)}."
    raise click.UsageError(f"event type {quoted(name)} is in no contract. {hint}")


def data_of(contract: Mapping[str, Any], arguments: Sequence[str]) -> dict[str, object]:
    """Type `name=value` by the contract; `name:=JSON` is taken as it is.

    Raises:
        UsageError: An argument is malformed, or names no field.
    """
    fields: Mapping[str, Mapping[str, Any]] = contract["fields"]
    data: dict[str, object] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        raw = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise click.UsageError(f"{quoted(argument)} is not of the form name=value")
        if name in data:
            raise click.UsageError(f"{quoted(name)} is given twice")
        if raw:
            data[name] = _json(name, text)
        elif name in fields:
            data[name] = typed(text, str(fields[name]["type"]))
        else:
            hint = did_you_mean(name, fields) or f"It has {', '.join(fields)}."
            raise click.UsageError(
                f"{quoted(contract['name'])} has no field {quoted(name)}. {hint}"
            )
    return data


def typed(text: str, kind: str) -> object:
    """Give a value the JSON type its field has; what does not fit stays text for the gate to judge.

    >>> typed("3", "integer"), typed("99.50", "decimal"), typed("true", "boolean")
    (3, '99.50', True)
    """
    if kind == "integer" and _INTEGER.fullmatch(text):
        return int(text)
    if kind == "boolean" and text in {"true", "false"}:
        return text == "true"
    if kind == "number":
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, int | float) else text
    return text


def fresh_key(contract: Mapping[str, Any], data: Mapping[str, object]) -> tuple[str, str] | None:
    """Return name and a fresh value for the key of an event that was given none."""
    key = contract.get("key")
    if not key or key in data or contract["fields"].get(key, {}).get("type") != "string":
        return None
    letters = "".join(secrets.choice(_ALPHABET) for _ in range(_KEY_LENGTH))
    return str(key), f"{str(key).removesuffix('_id')[:3].upper()}-{letters}"


def now() -> datetime:
    """Return the instant it is by this machine's clock."""
    return to_datetime(SystemClock().now_us())


def completed(
    contract: Mapping[str, Any], data: Mapping[str, object], *, at: datetime
) -> dict[str, object]:
    """Return the data with what an event is useless without: a fresh key, and when it happened.

    >>> at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    >>> fields = {"paid_at": {"type": "timestamp", "required": True}}
    >>> completed({"name": "paid", "event_time": "paid_at", "fields": fields}, {}, at=at)
    {'paid_at': '2026-01-31T12:00:00.000000Z'}
    """
    found = dict(data)
    if (key := fresh_key(contract, found)) is not None:
        found[key[0]] = key[1]
    field = contract.get("event_time")
    declared = contract["fields"].get(field, {})
    if field and field not in found and declared.get("required", True):
        kind = declared.get("type")
        found[str(field)] = f"{at:%Y-%m-%d}" if kind == "date" else _instant(at)
    return found


def _instant(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def _json(name: str, text: str) -> object:
    hint = f"Write a text in double quotes, or as {name}=TEXT."
    return json_of(text, f"the value of {quoted(name)}", hint=hint)
