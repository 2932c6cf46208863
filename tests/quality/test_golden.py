"""The golden corpus: what every engine that judges events must answer, byte for byte.

`AGENTFLOW_GOLDEN=write pytest tests/quality/test_golden.py` writes it anew; a difference is a
change of the public contract.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

import msgspec

from agentflow.contracts import Registry
from agentflow.events import RawEvent
from processing.transformations import Linker
from quality import Accepted, Gate, Verdict, codes

GOLDEN = Path(__file__).parents[1] / "golden"
CORPUS = GOLDEN / "gate.jsonl"
INPUTS = GOLDEN / "inputs.json"
NOW_US = 1_795_252_802_000_000


def test_verdicts_are_what_they_were(registry: Registry, gate: Gate) -> None:
    """Flink workers, the embedded process and next year's release judge alike."""
    links = Linker(registry)
    lines = [_line(case, gate, links) for case in json.loads(INPUTS.read_text())]
    if os.environ.get("AGENTFLOW_GOLDEN") == "write":
        CORPUS.write_text("".join(f"{line}\n" for line in lines))

    assert CORPUS.read_text().splitlines() == lines


def test_the_corpus_knows_every_reason(gate: Gate) -> None:
    """A reason no example shows is a reason nobody has read."""
    verdicts = [_judge(case, gate) for case in json.loads(INPUTS.read_text())]
    shown = {
        violation.code
        for verdict in verdicts
        for violation in (verdict.warnings if isinstance(verdict, Accepted) else verdict.violations)
    }

    known = {value for name, value in vars(codes).items() if name.isupper()}
    assert shown == known - {codes.ID_CONFLICT}  # said by what knows identities, not by the gate


def _raw(case: dict[str, Any]) -> RawEvent:
    """Read an input: an object, text as it arrived, base64, or text that repeats."""
    if "document" in case:
        value = json.dumps(case["document"]).encode()
    elif "base64" in case:
        value = b64decode(case["base64"])
    else:
        value = (case["text"] + case.get("repeat", "") * case.get("times", 0)).encode()
    return RawEvent(value, "acme", NOW_US)


def _judge(case: dict[str, Any], gate: Gate) -> Verdict:
    return gate.judge(_raw(case))


def _line(case: dict[str, Any], gate: Gate, linker: Linker) -> str:
    verdict = _judge(case, gate)
    answer: dict[str, object] = {"name": case["name"]}
    if isinstance(verdict, Accepted):
        answer["accepted"] = msgspec.to_builtins(verdict.event)
        answer["identity"] = verdict.identity.hex()
        answer["key"] = None if verdict.key is None else verdict.key.decode()
        answer["warnings"] = msgspec.to_builtins(verdict.warnings)
        answer["record"] = b64encode(gate.encode(verdict.event)).decode()
        answer["links"] = [link.hex() for link in linker.links(verdict.event)]
    else:
        answer["rejected"] = msgspec.to_builtins(verdict)
    return msgspec.json.encode(answer).decode()
