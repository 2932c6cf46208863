"""An Iceberg REST catalog in this process: PyIceberg's client talks to it as over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import CommitTableRequest, Table
from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter

from processing.lake.remote import CheckedRestCatalog

Fault = Callable[[PreparedRequest, Response], Response]
"""What becomes of an answer on its way back; it may raise what a cut connection raises."""


class CatalogServer(BaseAdapter):
    """Answers the requests of the REST protocol from a SQLite catalog."""

    def __init__(self, store: SqlCatalog) -> None:
        super().__init__()
        self._store = store
        self.fault: Fault = lambda _request, response: response

    def send(self, request: PreparedRequest, **_options: Any) -> Response:  # noqa: ANN401 - the library's
        """Do what is asked, then let the fault have the answer."""
        status, document = self._answer(request)
        return self.fault(request, answer(request, status, document))

    def close(self) -> None:
        """Nothing is open."""

    def _answer(self, request: PreparedRequest) -> tuple[int, object]:
        path = request.path_url.partition("?")[0].removeprefix("/v1/").split("/")
        body = json.loads(request.body) if request.body else {}
        try:
            return 200, self._done(request.method or "", path, body)
        except (
            CommitFailedException,
            NamespaceAlreadyExistsError,
            TableAlreadyExistsError,
        ) as error:
            return 409, problem(409, type(error).__name__, str(error))
        except NoSuchTableError as error:
            return 404, problem(404, "NoSuchTableException", str(error))

    def _done(self, method: str, path: list[str], body: dict[str, Any]) -> object:
        match method, path:
            case "POST", ["namespaces"]:
                self._store.create_namespace(tuple(body["namespace"]))
            case "GET", ["namespaces", space, "tables"]:
                names = [name[-1] for name in self._store.list_tables(space)]
                return {"identifiers": [{"namespace": [space], "name": name} for name in names]}
            case "POST", ["namespaces", space, "tables"]:
                return _described(self._create(space, body))
            case "GET", ["namespaces", space, "tables", table]:
                return _described(self._store.load_table((space, table)))
            case "POST", ["namespaces", space, "tables", table]:
                wish = CommitTableRequest.model_validate(body)
                current = self._store.load_table((space, table))
                changed = self._store.commit_table(current, wish.requirements, wish.updates)
                return json.loads(changed.model_dump_json(by_alias=True))
        return {"defaults": {}, "overrides": {}, "namespace": body.get("namespace", [])}

    def _create(self, space: str, body: dict[str, Any]) -> Table:
        return self._store.create_table(
            (space, body["name"]),
            Schema.model_validate(body["schema"]),
            location=body["location"],
            partition_spec=PartitionSpec.model_validate(body["partition-spec"]),
            properties=body["properties"],
        )


class ClientOfServer(CheckedRestCatalog):
    """PyIceberg's client, wired to a server of this process."""

    def __init__(self, server: CatalogServer) -> None:
        self._server = server
        super().__init__("agentflow", uri="http://catalog.invalid")

    def _create_session(self) -> Session:
        session = super()._create_session()
        session.mount("http://", self._server)
        return session


def answer(request: PreparedRequest, status: int, document: object) -> Response:
    """Return an HTTP answer with a JSON body."""
    response = Response()
    response.status_code = status
    response.request = request
    response.url = request.url or ""
    response._content = json.dumps(document).encode()  # noqa: SLF001 - there is no other way in
    return response


def problem(status: int, kind: str, message: str) -> object:
    """Return the body of an error as the protocol has it."""
    return {"error": {"message": message, "type": kind, "code": status}}


def _described(table: Table) -> object:
    metadata = json.loads(table.metadata.model_dump_json(by_alias=True))
    return {"metadata-location": table.metadata_location, "metadata": metadata, "config": {}}
