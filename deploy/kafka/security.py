"""A node that is reached by SASL_SSL alone: its key, its users, and access by ACL. Made for tests and for trying.

One self-signed certificate for 127.0.0.1 is both the nodes' key and what clients trust. Every user may log in by
PLAIN, SCRAM-SHA-512 or OAUTHBEARER, with the same rights: none, until an ACL gives some; ``admin`` has all. The
token of OAUTHBEARER is unsigned (RFC 7519, section 6), so whoever knows a name can make one: loopback only. Nodes
know each other by the certificate. No secret is put on a command line.
Sources: Apache Kafka 4.1, Security (7.3, 7.4, 7.5); keytool(1).
"""

import base64
import json
import secrets
import subprocess
from pathlib import Path
from typing import Final

from deploy.kafka.jars import java

ADMIN: Final = "admin"
KEY_DAYS: Final = 30
TOKEN_S: Final = 3600
_SECURITY: Final = "org.apache.kafka.common.security"
_CN: Final = "rasfleet-node"
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-512", "OAUTHBEARER")


class Keys:
    """The files of a secured cluster: key store, trusted certificate, users. They are readable by their owner."""

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()  # what is written into files holds wherever they are read
        self.store = folder / "node.p12"
        self.trusted = folder / "trusted.pem"  # what a client trusts
        self.users = folder / "users.json"  # name -> password
        self.admin = folder / "admin.properties"  # how Kafka's own programs log in as ``admin``
        self._password = folder / "node.password"

    def make(self, names: tuple[str, ...]) -> None:
        """A new key, and a new password for each user and for ``admin``."""
        written(self._password, secrets.token_hex(16))
        written(self.users, json.dumps({name: secrets.token_hex(16) for name in (ADMIN, *names)}))
        self.store.unlink(missing_ok=True)
        self._keytool(
            "-genkeypair", "-keyalg", "EC", "-groupname", "secp256r1", "-dname", f"CN={_CN}",
            "-ext", "san=ip:127.0.0.1,dns:localhost", "-validity", str(KEY_DAYS), "-storetype", "PKCS12",
        )  # fmt: skip
        for name, password in self.passwords().items():
            written(self.login(name), self._login_of(name, password))
        written(self.admin, "".join(f"{name}={value}\n" for name, value in self._administering().items()))
        self._keytool("-exportcert", "-rfc", "-file", str(self.trusted))
        self.store.chmod(0o600)

    def passwords(self) -> dict[str, str]:
        """By user."""
        found: dict[str, str] = json.loads(self.users.read_text())
        return found

    def login(self, name: str) -> Path:
        """The settings with which rasfleet logs in as a user."""
        return self.users.with_name(f"{name}.toml")

    def _login_of(self, name: str, password: str) -> str:
        fields = {"ca": str(self.trusted), "mechanism": "SCRAM-SHA-512", "user": name, "password": password}
        return "".join(f"{field} = {json.dumps(value)}\n" for field, value in fields.items())

    def _administering(self) -> dict[str, str]:
        own = f'username="{ADMIN}" password="{self.passwords()[ADMIN]}"'
        return {
            "security.protocol": "SASL_SSL",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.trusted),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.jaas.config": _login("scram.Scram", own),
        }

    def settings(self) -> dict[str, str]:
        """What a node's settings need on top of the plain ones."""
        users = self.passwords()
        plain = " ".join(f'user_{name}="{password}"' for name, password in users.items())
        own = f'username="{ADMIN}" password="{users[ADMIN]}"'
        return _ACCESS | {
            "ssl.keystore.location": str(self.store),
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.password": self._password.read_text(),
            "ssl.truststore.location": str(self.trusted),
            "ssl.truststore.type": "PEM",
            "listener.name.client.plain.sasl.jaas.config": _login("plain.Plain", f"{own} {plain}"),
            "listener.name.client.scram-sha-512.sasl.jaas.config": _login("scram.Scram", own),
            "listener.name.client.oauthbearer.sasl.jaas.config": _login(
                "oauthbearer.OAuthBearer", f'unsecuredLoginStringClaim_sub="{ADMIN}"'
            ),
        }

    def scram(self) -> list[str]:
        """What StorageTool is told, so that the users are there from the first start."""
        given = (f"SCRAM-SHA-512=[name={name},password={word}]" for name, word in self.passwords().items())
        return [part for user in given for part in ("--add-scram", user)]

    def _keytool(self, *words: str) -> None:
        where = ["-alias", "node", "-keystore", str(self.store), "-storepass:file", str(self._password)]
        subprocess.run([java("keytool"), *words, *where], check=True, capture_output=True)  # noqa: S603 (our own words)


_ACCESS: Final = {
    "listener.security.protocol.map": "CONTROLLER:SSL,CLIENT:SASL_SSL",
    "listener.name.controller.ssl.client.auth": "required",
    "sasl.enabled.mechanisms": ",".join(MECHANISMS),
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.client.oauthbearer.sasl.server.callback.handler.class": (
        f"{_SECURITY}.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
    ),
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "false",
    "super.users": f"User:{ADMIN};User:CN={_CN}",
}


def _login(module: str, options: str) -> str:
    return f"{_SECURITY}.{module}LoginModule required {options};"


def token(user: str, *, now_s: int) -> str:
    """An unsigned JWT that names a user, good for an hour. Source: RFC 7519, section 6.1."""
    claims = {"sub": user, "iat": now_s, "exp": now_s + TOKEN_S}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join([*(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts), ""])


def written(path: Path, content: str) -> None:
    """Write a file that only its owner reads, from its first byte on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(content)
