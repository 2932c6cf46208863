"""Apache Iceberg's own REST catalog, on SQLite, its tables in S3.

The fixture's own `main` listens on all interfaces. Its servlet is public, so Jetty's XML starts
it here on loopback, without a line of Java.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template
from xml.sax.saxutils import escape

from stack import class_data, install, jvm, probe
from stack.home import LOOPBACK
from stack.process import Command
from stack.service import Service
from stack.services.s3 import S3

_MAIN = "org.eclipse.jetty.xml.XmlConfiguration"
_HEAP_MB = 256
_TEMPLATE = Path(__file__).with_name("iceberg_rest.xml")


class IcebergRest(Service):
    """A catalog whose warehouse is a bucket of `s3`."""

    name = "iceberg-rest"
    version = "1.11.0"

    def __init__(self, s3: S3, *, bucket: str = "lake") -> None:
        super().__init__()
        self.s3 = s3
        self.warehouse = f"s3://{bucket}/warehouse"
        self._bucket = bucket

    @property
    def uri(self) -> str:
        """What catalog clients connect to."""
        return f"http://{LOOPBACK}:{self.port()}"

    @property
    def addresses(self) -> Mapping[str, str]:
        """The catalog and where its tables are."""
        return {"uri": self.uri, "warehouse": self.warehouse}

    @property
    def client(self) -> dict[str, str]:
        """The properties of a PyIceberg or Java client: catalog and store."""
        return {"type": "rest", "uri": self.uri, **self.s3.file_io}

    @property
    def platform_settings(self) -> dict[str, str]:
        """The settings with which the platform and the lake job find the lake."""
        return {
            "AGENTFLOW_LAKE_CATALOG": self.uri,
            "AGENTFLOW_LAKE_WAREHOUSE": self.warehouse,
            "AGENTFLOW_LAKE_S3_ENDPOINT": self.s3.endpoint,
            "AGENTFLOW_LAKE_S3_ACCESS_KEY": self.s3.access_key,
            "AGENTFLOW_LAKE_S3_SECRET_KEY": self.s3.secret_key,
        }

    def install(self) -> None:
        """Download the catalog and its server."""
        install.jars("iceberg-rest")

    @property
    def archives(self) -> tuple[Path, ...]:
        """That of the server."""
        return (class_data.archive(_MAIN, install.jars("iceberg-rest")),)

    def prepare(self) -> None:
        """Write the server's description."""
        self.s3.make_bucket(self._bucket)
        entries = "\n".join(
            f"<Put name={_quoted(name)}>{escape(value)}</Put>"
            for name, value in self._catalog().items()
        )
        text = Template(_TEMPLATE.read_text()).substitute(
            host=LOOPBACK, port=self.port(), properties=entries
        )
        self._configuration.write_text(text)

    def command(self, part: str) -> Command:
        """Run Jetty."""
        del part
        classpath = install.jars("iceberg-rest")
        arguments = (str(self._configuration),)
        return Command(
            jvm.command(_MAIN, *arguments, classpath=classpath, heap_mb=_HEAP_MB, without_c2=True)
        )

    def healthy(self) -> bool:
        """List namespaces: that needs the database as well."""
        return probe.http_status(f"{self.uri}/v1/namespaces") == probe.OK

    @property
    def _configuration(self) -> Path:
        return self.directory / "server.xml"

    def _catalog(self) -> dict[str, str]:
        return {
            "catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
            "uri": f"jdbc:sqlite:{self.directory / 'catalog.db'}?busy_timeout=30000",
            "jdbc.schema-version": "V1",
            # SQLite has one writer: one connection makes the others wait instead of fail.
            "clients": "1",
            "warehouse": self.warehouse,
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            **self.s3.file_io,
        }


def _quoted(text: str) -> str:
    return f'"{escape(text)}"'
