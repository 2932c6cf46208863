"""A certificate for loopback, made by the keytool that comes with Java."""

from __future__ import annotations

import shutil
from pathlib import Path

from stack import install
from stack.home import java, program

PASSWORD = "agentflow-loopback"  # noqa: S105 - of a key that only this machine ever sees
_ALIAS = "loopback"
_FIX = "Install a whole Java runtime: scripts/install-debian openjdk-17-jre-headless."


def issue(keystore: Path, certificate: Path) -> None:
    """Make a key with a self-signed certificate for 127.0.0.1, and the certificate as PEM."""
    keystore.unlink(missing_ok=True)
    store = ("-keystore", str(keystore), "-storetype", "PKCS12", "-storepass", PASSWORD)
    entry = ("-alias", _ALIAS, *store)
    _keytool(
        *("-genkeypair", *entry, "-keyalg", "EC", "-groupname", "secp256r1"),
        *("-dname", "CN=localhost", "-ext", "san=ip:127.0.0.1,dns:localhost"),
        *("-validity", "3650"),
    )
    _keytool("-exportcert", *entry, "-rfc", "-file", str(certificate))


def _keytool(*arguments: str) -> None:
    beside = Path(java()).resolve().with_name("keytool")
    keytool = shutil.which(str(beside)) or program("keytool", packages="openjdk-17-jre-headless")
    install.run([keytool, *arguments], within=60, fix=_FIX)
