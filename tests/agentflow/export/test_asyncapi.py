"""AsyncAPI: judged by the parser of the AsyncAPI initiative."""

from collections.abc import Callable

import yaml

from agentflow.contracts import Registry
from agentflow.export import export

Ask = Callable[[str, list[str]], list[list[str]]]


def test_the_parser_finds_nothing_wrong(
    shop: Registry, every_type: Registry, problems_of: Ask
) -> None:
    """Only the parser checks references, payload schemas and bindings together."""
    texts = [export(registry, "asyncapi")["asyncapi.yaml"] for registry in (shop, every_type)]

    assert problems_of("asyncapi", texts) == [[], []]


def test_the_parser_is_awake(every_type: Registry, problems_of: Ask) -> None:
    """A reader that accepts anything proves nothing."""
    text = export(every_type, "asyncapi")["asyncapi.yaml"]
    dangling = text.replace("#/channels/probe_voided'", "#/channels/nowhere'")
    bad_payload = text.replace("type: object", "type: thing")

    answers = problems_of("asyncapi", [dangling, bad_payload])

    assert all(answers)


def test_versions_of_an_event_share_a_channel(every_type: Registry) -> None:
    """They arrive at one address; a subscriber must see both shapes there."""
    document = yaml.safe_load(export(every_type, "asyncapi")["asyncapi.yaml"])

    channel = document["channels"]["probe_taken"]

    assert channel["address"] == "probe.taken"
    assert list(channel["messages"]) == ["probe_taken_v1", "probe_taken_v2"]


def test_every_event_can_be_sent(registry: Registry) -> None:
    """What is not in the document does not exist for its readers."""
    document = yaml.safe_load(export(registry, "asyncapi")["asyncapi.yaml"])

    titles = {message["title"] for message in document["components"]["messages"].values()}

    assert titles == {str(ref) for ref in registry.events}


def test_the_version_moves_with_the_contracts(shop: Registry) -> None:
    """Two documents with one version must be the same document."""
    whole = yaml.safe_load(export(shop, "asyncapi")["asyncapi.yaml"])
    part = yaml.safe_load(export(shop, "asyncapi", name="order.created")["asyncapi.yaml"])

    assert whole["info"]["version"] != part["info"]["version"]
