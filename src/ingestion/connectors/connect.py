"""Kafka Connect over its REST interface: what is there, how it differs, and how it is made so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from agentflow.errors import UnavailableError
from ingestion.connectors.configuration import Connector
from ingestion.connectors.health import ConnectorProblem, diagnose

_TIMEOUT_SECONDS = 30.0
_NOT_FOUND = 404
_ERROR = 400
_HINT = "See the log of the Connect worker."
_OURS = frozenset({"name"})


@dataclass(frozen=True, slots=True)
class ConnectorDrift:
    """How one connector differs from what it should be.

    Attributes:
        missing: It does not exist.
        differences: Key → (what it is, what it should be); None is absent.
    """

    connector: str
    missing: bool
    differences: Mapping[str, tuple[str | None, str | None]]

    @property
    def settled(self) -> bool:
        """Whether nothing differs."""
        return not self.missing and not self.differences


class ConnectClient:
    """One Connect cluster.

    Every method raises `UnavailableError` when it does not answer or refuses.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = httpx2.Client(timeout=_TIMEOUT_SECONDS, trust_env=False)

    def drift(self, wanted: Iterable[Connector]) -> tuple[ConnectorDrift, ...]:
        """Compare connectors with what they should be; others on the cluster are left alone."""
        return tuple(self._drift(connector) for connector in wanted)

    def apply(self, connector: Connector) -> None:
        """Create or reconfigure one connector."""
        names = ", ".join(connector.environment)
        hint = f"See the log of the Connect worker. Before it starts, it needs {names}."
        self._call("PUT", f"/connectors/{connector.name}/config", dict(connector.config), hint=hint)

    def status(self, name: str) -> Mapping[str, Any] | None:
        """Return the state of a connector and its tasks; None when it does not exist."""
        found: Mapping[str, Any] | None = self._call("GET", f"/connectors/{name}/status")
        return found

    def placed(self, name: str) -> bool:
        """Tell whether a connector has stored its place in the source, from where it goes on."""
        found = self._call("GET", f"/connectors/{name}/offsets")
        return bool(found and found.get("offsets"))

    def problems(self, name: str) -> tuple[ConnectorProblem, ...]:
        """Return what is wrong with a connector; nothing when it runs and has stored its place."""
        return diagnose(name, self.status(name), placed=self.placed(name))

    def restart(self, name: str) -> None:
        """Start what has failed of a connector again."""
        self._call("POST", f"/connectors/{name}/restart?includeTasks=true&onlyFailed=true")

    def stop(self, name: str) -> None:
        """Stop a connector; it keeps its place in the source."""
        self._call("PUT", f"/connectors/{name}/stop")

    def resume(self, name: str) -> None:
        """Let a stopped connector go on."""
        self._call("PUT", f"/connectors/{name}/resume")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _drift(self, connector: Connector) -> ConnectorDrift:
        found = self._call("GET", f"/connectors/{connector.name}/config")
        if found is None:
            return ConnectorDrift(connector.name, missing=True, differences={})
        held = {key: value for key, value in found.items() if key not in _OURS}
        differences = {
            key: (held.get(key), connector.config.get(key))
            for key in sorted(held.keys() | connector.config.keys())
            if held.get(key) != connector.config.get(key)
        }
        return ConnectorDrift(connector.name, missing=False, differences=differences)

    def _call(self, method: str, path: str, body: object = None, *, hint: str = _HINT) -> Any:  # noqa: ANN401 - JSON
        try:
            answer = self._http.request(method, f"{self._url}{path}", json=body)
        except httpx2.HTTPError as error:
            message = f"Kafka Connect does not answer: {error}"
            raise UnavailableError(message, hint="Start it, or correct --connect-url.") from error
        if answer.status_code == _NOT_FOUND and method == "GET":
            return None
        if answer.status_code >= _ERROR:
            message = f"Kafka Connect refuses {method} {path}: {_reason(answer)}"
            raise UnavailableError(message, hint=hint)
        return answer.json() if answer.content else None


def _reason(answer: httpx2.Response) -> str:
    try:
        return str(answer.json().get("message", answer.status_code))
    except (ValueError, AttributeError):
        return str(answer.status_code)
