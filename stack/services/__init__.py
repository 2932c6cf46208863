"""One class per service; `with Kafka().running(directory) as kafka:` is all a caller needs."""

from stack.services.kafka import Kafka

__all__ = ["Kafka"]
