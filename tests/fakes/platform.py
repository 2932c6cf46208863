"""A platform that keeps a list and counts by hand; it answers the HTTP surface for client tests."""

# ruff: noqa: ANN401  # ASGI and JSON are untyped
from __future__ import annotations

import asyncio
import copy
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from agentflow.contracts import Registry
from agentflow.contracts.graph import graph
from agentflow.contracts.model import EventContract, MetricContract

Json = dict[str, Any]


class RefusedError(Exception):
    """A problem on its way to the client."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.body = {"type": f"urn:agentflow:problem:{code}", "title": code, "status": status}
        self.body |= {"code": code, "detail": detail, "errors": [], **more}


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass
class FakePlatform:
    """Counts events per metric; a metric whose unit is `currency` adds up their amounts."""

    registry: Registry
    events: list[Json] = field(default_factory=list)
    letters: dict[int, Json] = field(default_factory=dict)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    moves: list[tuple[str, int]] = field(default_factory=list)

    def token(self) -> str:
        return f"t{len(self.events)}"

    def reached(self, token: str) -> None:
        if not (token.startswith("t") and token[1:].isdigit()):
            raise RefusedError(400, "token_invalid", f'token "{token}" is malformed')
        if int(token[1:]) > len(self.events):
            raise RefusedError(504, "not_yet_visible", "the read did not reach its token in time")

    async def ingest(self, envelopes: list[Any]) -> Json:
        outcomes = [self._take(index, envelope) for index, envelope in enumerate(envelopes)]
        async with self.news:
            self.news.notify_all()
        counts = {
            name: sum(o["status"] == name for o in outcomes)
            for name in ("accepted", "duplicate", "rejected")
        }
        totals = {
            "accepted": counts["accepted"],
            "duplicates": counts["duplicate"],
            "rejected": counts["rejected"],
        }
        return {"token": self.token(), **totals, "events": outcomes}

    def _take(self, index: int, envelope: Any) -> Json:
        errors = self.violations(envelope)
        known = envelope if isinstance(envelope, dict) else {}
        outcome = {
            "index": index,
            "id": known.get("id"),
            "type": known.get("type"),
            "errors": errors,
        }
        outcome |= {
            "offset": None,
            "warnings": [],
            "dead_letter": None,
            "identified_by": None if errors else "id",
        }
        if errors:
            offset = len(self.letters)
            self.letters[offset] = {
                "offset": offset,
                "received_at": now(),
                "reason": errors[0]["code"],
                "type": known.get("type"),
                "event_id": known.get("id"),
                "errors": errors,
                "status": "open",
                "raw": copy.deepcopy(envelope),
            }
            return outcome | {"status": "rejected", "dead_letter": offset}
        for offset, before in enumerate(self.events):
            if (before["source"], before["id"]) == (known.get("source"), known.get("id")):
                return outcome | {"status": "duplicate", "offset": offset}
        event = {"time": now(), "source": "urn:agentflow:unknown", **known, "ingested_at": now()}
        self.events.append(event)
        self.moves += [(metric.name, len(self.events)) for metric in self.moved(event)]
        return outcome | {"status": "accepted", "offset": len(self.events) - 1}

    def violations(self, envelope: Any) -> list[Json]:
        """Check type, required fields and decimals: enough to see clients show errors."""
        if not isinstance(envelope, dict) or "type" not in envelope:
            return [
                {"pointer": "/type", "code": "type_missing", "message": "is required", "hint": None}
            ]
        contract = self.event_contract(envelope["type"])
        if contract is None:
            message = f'event type "{envelope["type"]}" is in no contract'
            return [
                {
                    "pointer": "/type",
                    "code": "type_unknown",
                    "message": message,
                    "hint": "See /v1/catalog.",
                }
            ]
        data, errors = envelope.get("data") or {}, []
        for name, spec in contract.fields.items():
            pointer = f"/data/{name}"
            if data.get(name) is None:
                if spec.required:
                    errors.append(
                        {
                            "pointer": pointer,
                            "code": "field_missing",
                            "message": "is required",
                            "hint": None,
                        }
                    )
                continue
            if spec.type == "decimal":
                errors += self._decimal(pointer, data[name], spec.minimum)
            if spec.enum and data[name] not in spec.enum:
                hint = f"One of {', '.join(spec.enum)}."
                errors.append(
                    {"pointer": pointer, "code": "enum", "message": "is not allowed", "hint": hint}
                )
        for name in data.keys() - contract.fields.keys():
            errors.append(
                {
                    "pointer": f"/data/{name}",
                    "code": "field_unknown",
                    "message": "is no field",
                    "hint": None,
                }
            )
        return errors

    def _decimal(self, pointer: str, value: Any, minimum: Decimal | None) -> list[Json]:
        try:
            number = Decimal(value) if isinstance(value, str | int) else Decimal("NaN")
        except InvalidOperation:
            number = Decimal("NaN")
        if not number.is_finite():
            return [
                {"pointer": pointer, "code": "type", "message": "is not a decimal", "hint": None}
            ]
        if minimum is not None and number < minimum:
            return [
                {
                    "pointer": pointer,
                    "code": "minimum",
                    "message": f"must be at least {minimum}",
                    "hint": None,
                }
            ]
        return []

    def event_contract(self, name: str) -> EventContract | None:
        return next((c for c in self.registry.events.values() if c.name == name), None)

    def moved(self, event: Mapping[str, Any]) -> list[MetricContract]:
        return [
            metric
            for metric in self.registry.metrics.values()
            if metric.status != "deprecated" and event["type"] in {ref.type for ref in metric.refs}
        ]

    def answer(self, name: str, asked: Mapping[str, str]) -> Json:
        metric = self._metric(name, asked)
        where = {key: value for key, value in asked.items() if key in metric.dimensions}
        events = [
            (offset, event)
            for offset, event in enumerate(self.events)
            if metric in self.moved(event)
            and all(str(event["data"].get(key, "")) == value for key, value in where.items())
        ]
        by = [key for key in asked.get("by", "").split(",") if key]
        money = metric.unit == "currency"
        if money and "currency" not in where and "currency" not in by:
            by.append("currency")
        body = self._head(metric, asked, where)
        body |= self._value(metric, events) | {
            "events": len(events),
            "causes": [self._cause(offset, event, metric) for offset, event in events[-3:][::-1]],
        }
        if by:
            groups = self._groups(metric, events, by)
            start = int(asked.get("cursor", "0"))
            end = start + int(asked.get("limit", "1000"))
            left_out = max(len(groups) - end, 0)
            body |= {"groups": groups[start:end], "left_out": left_out}
            body["next_cursor"] = str(end) if left_out else None
            if money and "currency" not in where:
                single = groups[0] if len(groups) == 1 and len(by) == 1 else None
                body |= {
                    "value": single["value"] if single else None,
                    "unit": single["unit"] if single else None,
                }
        if asked.get("explain") == "full":
            same = {
                "value": body["value"],
                "equal": True,
                "rows": len(events),
                "snapshots": {"orders": 7},
            }
            body["recompute"] = same | {"ms": 1.5, "sql": "SELECT sum(amount)\nFROM order_created"}
        if "grain" in asked:
            point = {
                "start": asked["start"],
                "end": asked["end"],
                "value": body["value"],
                "events": len(events),
            }
            body["series"] = [point | {"status": "fresh", "dimensions": where}]
        return body

    def _metric(self, name: str, asked: Mapping[str, str]) -> MetricContract:
        versions = [
            c for c in self.registry.metrics.values() if c.name == name and c.status != "deprecated"
        ]
        if not versions:
            known = sorted({contract.name for contract in self.registry.metrics.values()})
            hint = f"Known names: {', '.join(known)}."
            raise RefusedError(404, "metric_unknown", f'metric "{name}" does not exist', hint=hint)
        metric = versions[-1]
        window = asked.get("window", metric.windows[0])
        if window not in metric.windows:
            hint = f"Windows: {', '.join(metric.windows)}."
            raise RefusedError(
                400, "window_unknown", f'metric "{name}" has no window "{window}"', hint=hint
            )
        allowed = {
            "window",
            "by",
            "version",
            "grain",
            "start",
            "end",
            "as_of",
            "at_least",
            "explain",
            "limit",
            "cursor",
        }
        for key in asked.keys() - allowed - set(metric.dimensions):
            raise RefusedError(
                400, "dimension_unknown", f'metric "{name}" has no dimension "{key}"'
            )
        if "at_least" in asked:
            self.reached(asked["at_least"])
        return metric

    def _head(self, metric: MetricContract, asked: Mapping[str, str], where: Json) -> Json:
        return {
            "metric": metric.name,
            "status": "fresh",
            "window": {"name": asked.get("window", metric.windows[0]), "start": None, "end": None},
            "dimensions": where,
            "contract": {
                "version": metric.version,
                "fingerprint": "sha256:0123abcd",
                "status": metric.status,
            },
            "watermark": now() if self.events else None,
            "age_ms": 41 if any(name == metric.name for name, _ in self.moves) else None,
            "source_idle_ms": 41 if self.events else None,
            "token": self.token(),
            "exact": True,
            "error_bound": None,
        }

    def _value(self, metric: MetricContract, events: list[tuple[int, Json]]) -> Json:
        if metric.unit != "currency":
            return {"value": len(events), "unit": metric.unit}
        amounts = [Decimal(str(event["data"].get("amount", "0.00"))) for _, event in events]
        currencies = {event["data"].get("currency") for _, event in events}
        return {
            "value": str(sum(amounts, Decimal("0.00"))),
            "unit": currencies.pop() if len(currencies) == 1 else None,
        }

    def _groups(
        self, metric: MetricContract, events: list[tuple[int, Json]], by: list[str]
    ) -> list[Json]:
        parts: dict[tuple[Any, ...], list[tuple[int, Json]]] = defaultdict(list)
        for offset, event in events:
            parts[tuple(event["data"].get(key) for key in by)].append((offset, event))
        return [
            {
                "dimensions": dict(zip(by, key, strict=True)),
                **self._value(metric, part),
                "events": len(part),
                "exact": True,
            }
            for key, part in sorted(parts.items(), key=str)
        ]

    def _cause(self, offset: int, event: Json, metric: MetricContract) -> Json:
        moved = event["data"].get("amount", "0") if metric.unit == "currency" else 1
        head = {"event_id": event["id"], "type": event["type"], "occurred_at": event["time"]}
        return head | {"moved": moved, "offset": offset}

    def dry_run(self, envelope: Json) -> Json:
        errors = self.violations(envelope)
        if errors:
            return {
                "accepted": False,
                "errors": errors,
                "event": None,
                "duplicate": False,
                "moves": [],
            }
        duplicate = any(
            (e["source"], e["id"]) == (envelope["source"], envelope["id"]) for e in self.events
        )
        moves = []
        for metric in [] if duplicate else self.moved(envelope):
            after = FakePlatform(self.registry, [*self.events, {"time": now(), **envelope}])
            where = {
                k: str(envelope["data"][k]) for k in metric.dimensions if k in envelope["data"]
            }
            asked = {"window": metric.windows[0], **where}
            old, new = self.answer(metric.name, asked), after.answer(metric.name, asked)
            moved = Decimal(str(new["value"])) - Decimal(str(old["value"]))
            moves.append(
                {
                    "metric": metric.name,
                    "version": metric.version,
                    "window": asked["window"],
                    "dimensions": where,
                    "before": old["value"],
                    "after": new["value"],
                    "moved": str(moved) if metric.unit == "currency" else int(moved),
                    "unit": new["unit"],
                }
            )
        return {
            "accepted": True,
            "errors": [],
            "event": envelope,
            "duplicate": duplicate,
            "moves": moves,
        }

    def entity(self, kind: str, key: str) -> Json:
        found = [e for e in self.events if e["data"].get(f"{kind}_id") == key]
        if not found:
            raise RefusedError(404, "not_found", f'{kind} "{key}" does not exist')
        attributes: Json = {}
        for event in found:
            attributes |= event["data"]
        times = {"first_seen": found[0]["time"], "last_seen": found[-1]["time"]}
        timeline = [
            {
                "event_id": e["id"],
                "type": e["type"],
                "occurred_at": e["time"],
                "ingested_at": e["ingested_at"],
                "offset": 0,
                "data": e["data"],
            }
            for e in found
        ]
        body = {"entity": kind, "id": key, "attributes": attributes, "set_by": {}, "relations": {}}
        cursors = {"next_cursor": None, "sessions": None, "next_sessions_cursor": None}
        return body | times | {"events": len(found), "timeline": timeline} | cursors

    def catalog(self) -> Json:
        dump = {"mode": "json", "exclude_none": True}
        return {
            "events": [c.model_dump(**dump) for c in self.registry.events.values()],
            "entities": [c.model_dump(**dump) for c in self.registry.entities.values()],
            "metrics": self.metrics()["metrics"],
        }

    def metrics(self) -> Json:
        return {
            "metrics": [
                {
                    **c.model_dump(
                        mode="json",
                        include={
                            "name",
                            "version",
                            "status",
                            "unit",
                            "description",
                            "owner",
                            "dimensions",
                            "moved_by",
                            "freshness",
                            "tags",
                        },
                    ),
                    "windows": [{"name": name, "step": "1m"} for name in c.windows],
                    "fingerprint": self.registry.fingerprint(c),
                }
                for c in self.registry.metrics.values()
            ]
        }

    def graph(self) -> Json:
        drawn = graph(self.registry)
        nodes = [
            {
                "id": f"{node.kind}:{node.name}",
                "kind": node.kind,
                "name": node.name.partition("@")[0],
                "version": int(node.name.partition("@")[2] or 0) or None,
                "status": None if node.kind == "dimension" else "approved",
            }
            for node in drawn.nodes
        ]
        edges = [
            {
                "from": f"{edge.source.kind}:{edge.source.name}",
                "to": f"{edge.target.kind}:{edge.target.name}",
                "kind": edge.kind,
                "fields": list(edge.fields),
            }
            for edge in drawn.edges
        ]
        return {"nodes": nodes, "edges": edges}

    def letter(self, offset: int) -> Json:
        """Return a dead letter as it may be shown: personal data is masked."""
        if offset not in self.letters:
            raise RefusedError(404, "not_found", f"dead letter {offset} does not exist")
        shown = copy.deepcopy(self.letters[offset])
        raw = shown["raw"]
        if isinstance(raw, dict) and "user_id" in raw.get("data", {}):
            raw["data"]["user_id"] = "***"
        return shown | {
            "raw": json.dumps(raw),
            "raw_base64": None,
            "masked": "***" in json.dumps(raw),
        }
