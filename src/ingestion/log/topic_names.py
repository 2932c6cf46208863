"""What a topic may be called: the name ends up in statements, files, broker topics and keys."""

from __future__ import annotations

import re

from agentflow.errors import ParameterError
from agentflow.wording import quoted

_TOPIC = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")


def valid_topic(topic: str) -> bool:
    """Tell whether a topic may have that name."""
    return _TOPIC.match(topic) is not None


def checked_topic(topic: str) -> str:
    """Return *topic* itself.

    Raises:
        ParameterError: The name is not lower case letters, digits and underscores.
    """
    if not valid_topic(topic):
        raise ParameterError(
            f"topic {quoted(topic)} is not a valid name",
            hint="Use lower case letters, digits and underscores, starting with a letter.",
        )
    return topic
