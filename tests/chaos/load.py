"""Clients that send until they are told to stop, and note in the ledger what became of it."""

from __future__ import annotations

import json
from random import Random
from threading import Event, Thread

from tests.chaos.ledger import Ledger
from tests.chaos.servers import Answer, Client
from tests.chaos.shop import Document, Shop


class Sender:
    """One sender: new events, batches, repetitions, nonsense. Survives any number of platforms."""

    def __init__(self, ledger: Ledger, tenant: str, name: str, random: Random) -> None:
        self._ledger = ledger
        self._tenant = tenant
        self._random = random
        self._shop = Shop(name, random)
        self._known: list[Document] = []
        self.refusals: list[Answer] = []

    def send(self, client: Client) -> None:
        """Send one request. Raises OSError when there is no answer."""
        draw = self._random.random()
        if draw < 0.45:
            self._post(client, [self._new()], single=True)
        elif draw < 0.75:
            batch = [self._new() for _ in range(self._random.randrange(2, 40))]
            self._post(client, batch + self._again(self._random.randrange(4)))
        elif draw < 0.95:
            self._post(client, self._again(self._random.randrange(1, 8)))
        else:
            self._post(client, self._nonsense())

    def _nonsense(self) -> list[Document | bytes]:
        return [self._shop.spoiled(), self._new(), self._shop.spoiled()]

    def _new(self) -> Document:
        document = self._shop.event()
        self._known.append(document)
        return document

    def _again(self, number: int) -> list[Document]:
        return self._random.choices(self._known, k=number) if self._known else [self._new()]

    def _post(
        self,
        client: Client,
        documents: list[Document | bytes] | list[Document],
        *,
        single: bool = False,
    ) -> None:
        self._ledger.sending(self._tenant, documents)
        lines = [
            each if isinstance(each, bytes) else json.dumps(each).encode() for each in documents
        ]
        if single:
            answer = client.post("/v1/events", lines[0])
        else:
            answer = client.post(
                "/v1/events", b"\n".join(lines), content_type="application/x-ndjson"
            )
        if answer.status in {200, 207}:
            self._ledger.answered(self._tenant, answer.json["events"])
        else:
            self.refusals.append(answer)

    def resend_everything(self, client: Client) -> None:
        """Send all that was ever sent once more, as a client does that lost its own state."""
        for start in range(0, len(self._known), 500):
            self._post(client, self._known[start : start + 500])


class Load:
    """Several senders at work, each in a thread of its own, against one life of the platform."""

    def __init__(self, senders: list[Sender], url: str, tenants: list[str]) -> None:
        self._ended = Event()
        self._threads = [
            Thread(target=self._run, args=(sender, url, tenant), daemon=True)
            for sender, tenant in zip(senders, tenants, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, sender: Sender, url: str, tenant: str) -> None:
        client = Client(url, tenant, seconds=20)
        while not self._ended.is_set():
            try:
                sender.send(client)
            except (OSError, ValueError):
                return  # the platform is gone; a torn answer acknowledges nothing
        client.close()

    def end(self) -> None:
        """Let every sender finish what it is doing."""
        self._ended.set()
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a request was never answered"
