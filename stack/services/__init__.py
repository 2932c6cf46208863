"""One class per service; `with Kafka().running(directory) as kafka:` is all a caller needs."""

from stack.services.connect import Connect
from stack.services.flink import Flink, LakeFlink
from stack.services.iceberg_rest import IcebergRest
from stack.services.kafka import Kafka, Scram
from stack.services.mariadb import MariaDb
from stack.services.postgres import Postgres
from stack.services.redis import Redis
from stack.services.s3 import S3

__all__ = [
    "S3",
    "Connect",
    "Flink",
    "IcebergRest",
    "Kafka",
    "LakeFlink",
    "MariaDb",
    "Postgres",
    "Redis",
    "Scram",
]
