"""Where the lake of a cluster is, and how to get in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

TIMEOUT_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class Location:
    """Where the lake of a cluster is, and how to get in.

    Attributes:
        catalog: Address of the REST catalog.
        warehouse: Where its tables are, for example `s3://lake/agentflow`.
        endpoint: Address of the S3 server; empty for Amazon's.
        token: Bearer token of the catalog, if it wants one.
        answers_within_seconds: How long the catalog may keep silent. One whose own store is down
            does not refuse, it lets its callers wait.
    """

    catalog: str
    warehouse: str
    endpoint: str = ""
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    region: str = "us-east-1"
    token: str = field(default="", repr=False)
    answers_within_seconds: float = 10.0

    def properties(self) -> dict[str, str]:
        """Return what PyIceberg wants to be told."""
        told = {
            "uri": self.catalog,
            "warehouse": self.warehouse,
            "token": self.token,
            "s3.endpoint": self.endpoint,
            "s3.access-key-id": self.access_key,
            "s3.secret-access-key": self.secret_key,
            "s3.region": self.region,
            "s3.connect-timeout": "5",
            "s3.request-timeout": str(TIMEOUT_SECONDS),
            "py-io-impl": "pyiceberg.io.pyarrow.PyArrowFileIO",
        }
        return {key: value for key, value in told.items() if value}
