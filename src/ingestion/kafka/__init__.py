"""Kafka: the bus port, the producer of the intake, topics as code, CloudEvents in records."""
