"""Every kind of bad event, made from a good one; each is surely refused by any gate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Literal, TypeAlias, get_args

import msgspec

from agentflow.clock import MICROSECOND
from agentflow.contracts import EventContract, FieldContract
from agentflow.contracts.model import duration
from ingestion.generate.draws import DrawnValue
from ingestion.generate.journeys import Draft, rules_of

Flaw: TypeAlias = Literal[
    "malformed",
    "not_utf8",
    "not_an_object",
    "not_a_number",
    "unknown_type",
    "unknown_version",
    "unknown_field",
    "missing_field",
    "wrong_type",
    "not_in_enum",
    "out_of_bounds",
    "breaks_rule",
    "future",
    "ancient",
]
FLAWS: tuple[Flaw, ...] = get_args(Flaw)
Document: TypeAlias = "dict[str, object]"
Write: TypeAlias = Callable[[Draft], Document]
"""Makes the CloudEvents document of a draft."""

_encode = msgspec.json.Encoder(decimal_format="string").encode
_YEAR_US = 365 * 86_400 * 1_000_000
_EARLIEST_US = -62_000_000_000 * 1_000_000
_ATTEMPTS = 100


class EventCorrupter:
    """Spoils events; draws which flaw, and passes over those that an event type cannot have."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._rules: dict[str, Callable[[Mapping[str, DrawnValue]], str | None]] = {}

    def spoil(self, draft: Draft, write: Write) -> tuple[Flaw, bytes]:
        """Return a flaw and the bytes that have it; *draft* stays as it is."""
        while True:
            flaw = FLAWS[int(self._random.random() * len(FLAWS))]
            value = self._spoiled(flaw, draft, write)
            if value is not None:
                return flaw, value

    def _spoiled(self, flaw: Flaw, draft: Draft, write: Write) -> bytes | None:
        if flaw in {"future", "ancient"}:
            accepted = duration(draft.contract.lateness.accept) // MICROSECOND
            moved = draft.moved(10 * _YEAR_US if flaw == "future" else -accepted - _YEAR_US)
            return _encode(write(moved)) if moved.occurred_us > _EARLIEST_US else None
        document = write(draft)
        if flaw in {"malformed", "not_utf8", "not_an_object", "not_a_number"}:
            return self._broken_text(flaw, document)
        if flaw in {"unknown_type", "unknown_version"}:
            unheard = {"type": f"{draft.contract.name}.unheard_of"}
            return _encode(
                document | (unheard if flaw == "unknown_type" else {"dataversion": "999"})
            )
        if flaw == "breaks_rule":
            broken = self._breaking_a_rule(draft)
            return None if broken is None else _encode(write(broken))
        data = self._spoiled_data(flaw, draft.contract, dict(_object(document["data"])))
        return None if data is None else _encode({**document, "data": data})

    def _broken_text(self, flaw: Flaw, document: Document) -> bytes:
        text = _encode(document)
        match flaw:
            case "malformed":
                return text[: 1 + int(self._random.random() * (len(text) - 1))]
            case "not_utf8":
                return text.replace(b'"data"', b'"\xff\xfe"', 1)
            case "not_an_object":
                return b"[" + text + b"]"
            case _:
                return text.replace(b'"data":{', b'"data":{"nan":NaN,', 1).replace(b",}", b"}")

    def _spoiled_data(
        self, flaw: Flaw, contract: EventContract, data: dict[str, object]
    ) -> dict[str, object] | None:
        fields = contract.fields
        match flaw:
            case "missing_field":
                name = self._one(name for name in data if fields[name].required)
                return None if name is None else {key: data[key] for key in data if key != name}
            case "wrong_type":
                name = self._one(data)
                return None if name is None else {**data, name: {"not": "this"}}
            case "not_in_enum":
                name = self._one(name for name in data if fields[name].enum)
                return None if name is None else {**data, name: "no_such_option"}
            case "out_of_bounds":
                name = self._one(name for name in data if fields[name].minimum is not None)
                return None if name is None else {**data, name: _below(fields[name])}
            case _:
                return {**data, "no_such_field": 1}

    def _breaking_a_rule(self, draft: Draft) -> Draft | None:
        """Leave optional fields out and swap values of one type until a rule says no."""
        contract = draft.contract
        if not any(rule.on_fail == "reject" for rule in contract.rules):
            return None
        broken = self._rules.setdefault(str(contract.ref), rules_of(contract))
        random = self._random.random
        for _ in range(_ATTEMPTS):
            tried = {
                name: value
                for name, value in draft.values.items()
                if contract.fields[name].required or random() < 0.5  # noqa: PLR2004 - a coin
            }
            one, two = self._one(tried), self._one(tried)
            if one and two and _alike(contract.fields[one], contract.fields[two]):
                tried[one], tried[two] = tried[two], tried[one]
            if broken(tried) is not None:
                return Draft(contract, draft.timestamps, draft.occurred_us, tried)
        return None

    def _one(self, names: Iterable[str]) -> str | None:
        listed = list(names)
        return listed[int(self._random.random() * len(listed))] if listed else None


def _alike(one: FieldContract, two: FieldContract) -> bool:
    return (one.type, one.enum, one.pattern) == (two.type, two.enum, two.pattern)


def _below(declared: FieldContract) -> object:
    below = int(declared.minimum or 0) - 1
    return str(below) if declared.type == "decimal" else below


def _object(value: object) -> dict[str, object]:
    assert isinstance(value, dict)  # noqa: S101 - made by us
    return value
