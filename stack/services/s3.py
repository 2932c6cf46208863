"""S3 on the file system: s3proxy, one jar."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stack import class_data, install, jvm, probe
from stack.home import LOOPBACK
from stack.process import Command
from stack.service import Service

_MAIN = "org.gaul.s3proxy.Main"
_HEAP_MB = 192
_ANSWERS = frozenset({200, 403})


class S3(Service):
    """An object store that checks signatures; `buckets` exist from the start."""

    name = "s3"
    version = "s3proxy 4.1.0"
    access_key = "agentflow"
    secret_key = "agentflow-loopback"  # noqa: S105 - of a store that only loopback reaches
    region = "us-east-1"

    def __init__(self, *, buckets: tuple[str, ...] = ("lake",)) -> None:
        super().__init__()
        self._buckets = buckets

    @property
    def endpoint(self) -> str:
        """What clients connect to, with path-style addresses."""
        return f"http://{LOOPBACK}:{self.port()}"

    @property
    def addresses(self) -> Mapping[str, str]:
        """The endpoint, the keys and the region to sign for."""
        return {
            "endpoint": self.endpoint,
            "access_key": self.access_key,
            "secret_key": self.secret_key,
            "region": self.region,
        }

    @property
    def file_io(self) -> dict[str, str]:
        """The properties by which Iceberg reaches it, the same for Java and PyIceberg."""
        return {
            "s3.endpoint": self.endpoint,
            "s3.access-key-id": self.access_key,
            "s3.secret-access-key": self.secret_key,
            "s3.path-style-access": "true",
            "s3.region": self.region,
            "client.region": self.region,
        }

    def make_bucket(self, name: str) -> None:
        """Make a bucket; it may exist. A bucket is a directory, so this works at any time."""
        (self.directory / "data" / name).mkdir(parents=True, exist_ok=True)

    def install(self) -> None:
        """Download the jar."""
        install.jars("s3", transitive=False)

    @property
    def archives(self) -> tuple[Path, ...]:
        """That of the server."""
        return (class_data.archive(_MAIN, install.jars("s3", transitive=False)),)

    def prepare(self) -> None:
        """Write the configuration and make the buckets."""
        for bucket in self._buckets:
            self.make_bucket(bucket)
        self._configuration.write_text(jvm.properties(self._settings()))

    def command(self, part: str) -> Command:
        """Run the server."""
        del part
        classpath = install.jars("s3", transitive=False)
        arguments = ("--properties", str(self._configuration))
        return Command(
            jvm.command(_MAIN, *arguments, classpath=classpath, heap_mb=_HEAP_MB, without_c2=True)
        )

    def healthy(self) -> bool:
        """Ask for the buckets without a signature: being refused is an answer."""
        return probe.http_status(self.endpoint) in _ANSWERS

    @property
    def _configuration(self) -> Path:
        return self.directory / "s3proxy.properties"

    def _settings(self) -> dict[str, object]:
        return {
            "s3proxy.endpoint": self.endpoint,
            "s3proxy.authorization": "aws-v2-or-v4",
            "s3proxy.identity": self.access_key,
            "s3proxy.credential": self.secret_key,
            "jclouds.provider": "filesystem",
            "jclouds.filesystem.basedir": self.directory / "data",
        }
