"""How a Kafka cluster of the tests lets clients in over TLS, by passwords or by certificates.

The listener PLAINTEXT is for the brokers themselves and for the tests, who may do everything there. Who comes over
SASL_SSL or SSL may do what the cluster's ACLs allow. Brokers call themselves `localhost` there, and their certificate
says so: at 127.0.0.1 they go by a name that it does not vouch for.
"""

import secrets
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from onefold.storage.kafka.client import library
from onefold.testing.servers.certificates import Authority

USER = "onefold"
"""May do what docs/kafka.md asks for; `Security.password` is its password under each mechanism."""
STRANGER = "stranger"
"""Has the same password, and no rights."""
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_ITERATIONS = 4096
_ANSWER_S = 30
_LOGIN = "org.apache.kafka.common.security"


class Security(NamedTuple):
    """What brokers are given, and what their clients need. Made by `make`."""

    authority: Authority
    identity: Path
    """The brokers' key and certificate."""
    password: str
    scratch: tempfile.TemporaryDirectory[str]
    listeners: tuple[str, ...] = ("SASL_SSL", "SSL")
    """Beside the plain one. SSL wants a certificate of the client."""

    def settings(self) -> dict[str, object]:
        """The broker's, besides its addresses."""
        users = "".join(f' user_{name}="{self.password}"' for name in (USER, STRANGER))
        scram = f"{_LOGIN}.scram.ScramLoginModule required;"
        listener = "listener.name.sasl_ssl"
        return {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self.identity,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.authority.file,
            "listener.name.ssl.ssl.client.auth": "required",
            "ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            f"{listener}.plain.sasl.jaas.config": f"{_LOGIN}.plain.PlainLoginModule required{users};",
            f"{listener}.scram-sha-256.sasl.jaas.config": scram,
            f"{listener}.scram-sha-512.sasl.jaas.config": scram,
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def admit(self, bootstrap: str) -> None:
        """Tell the cluster of its users, and of what they may do."""
        admin = library("confluent_kafka.admin")
        client = admin.AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
        calls = [client.create_acls([_allowed(*rule) for rule in _RULES])]
        # A request may name a user once.
        for kind in (admin.ScramMechanism.SCRAM_SHA_256, admin.ScramMechanism.SCRAM_SHA_512):
            made = admin.ScramCredentialInfo(kind, _ITERATIONS)
            told = [admin.UserScramCredentialUpsertion(name, made, self.password.encode()) for name in (USER, STRANGER)]
            calls.append(client.alter_user_scram_credentials(told))
        for future in (future for answers in calls for future in answers.values()):
            future.result(timeout=_ANSWER_S)

    def close(self) -> None:
        """Remove the files."""
        self.scratch.cleanup()


_RULES = (
    *(("TOPIC", "onefold.", what) for what in ("CREATE", "DESCRIBE", "DESCRIBE_CONFIGS", "READ", "WRITE", "DELETE")),
    ("GROUP", "onefold.", "READ"),
)
"""What docs/kafka.md asks of a cluster, and no more."""


def make(hosts: tuple[str, ...] = ("localhost",)) -> Security:
    """An authority, a certificate for brokers that are called so, and a password."""
    scratch = tempfile.TemporaryDirectory(prefix="onefold-security-")
    directory = Path(scratch.name)
    authority = Authority(directory)
    identity = authority.issue("broker", hosts).joined(directory / "broker.identity.pem")
    return Security(authority, identity, secrets.token_hex(16), scratch)


def _allowed(kind: str, prefix: str, operation: str) -> Any:
    """An ACL for USER on all that begins so."""
    admin = library("confluent_kafka.admin")
    return admin.AclBinding(
        admin.ResourceType[kind],
        prefix,
        admin.ResourcePatternType.PREFIXED,
        f"User:{USER}",
        "*",
        admin.AclOperation[operation],
        admin.AclPermissionType.ALLOW,
    )
