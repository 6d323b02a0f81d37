"""Roles as processes over a Kafka and a PostgreSQL that speak TLS only, set up by variables; and their refusals."""

import os
import subprocess
import sys
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from onefold.settings import load
from onefold.storage.place import Place
from onefold.testing.roles import Roles
from onefold.testing.servers.kafka import KafkaCluster
from onefold.testing.servers.kafka_security import USER, Security
from onefold.testing.servers.postgres import PostgresServer
from tests.services.kafka_logs import until

pytestmark = pytest.mark.services
UNREACHABLE = 3
WITHIN_S = 240.0
"""A role is refused within ten seconds; on a machine that also builds something, within minutes."""


@pytest.fixture
def variables(
    secured: KafkaCluster, secured_postgres: PostgresServer, security: Security, tmp_path: Path
) -> Iterator[dict[str, str]]:
    """Where the engines are, and how they are reached; passwords lie in files."""
    plain = secured_postgres.create_database()
    head, _, name = plain.rpartition("@")
    for file, password in (("kafka", security.password), ("database", head.rpartition(":")[2])):
        (tmp_path / file).write_text(f"{password}\n")
    where = name.replace("127.0.0.1", "localhost")
    yield {
        "ONEFOLD_WORKSPACE": f"secured_{tmp_path.name[-1]}",
        "ONEFOLD_KAFKA": secured.secured("SASL_SSL"),
        "ONEFOLD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "ONEFOLD_KAFKA_SECURITY_SSL_CA_LOCATION": str(security.authority.file),
        "ONEFOLD_KAFKA_SECURITY_SASL_MECHANISM": "SCRAM-SHA-512",
        "ONEFOLD_KAFKA_SECURITY_SASL_USERNAME": USER,
        "ONEFOLD_KAFKA_SECURITY_SASL_PASSWORD_FILE": str(tmp_path / "kafka"),
        "ONEFOLD_DATABASE": f"postgresql://onefold@{where}?sslmode=verify-full&sslrootcert={security.authority.file}",
        "ONEFOLD_DATABASE_PASSWORD_FILE": str(tmp_path / "database"),
        "ONEFOLD_PARTITIONS": "2",
    }
    secured_postgres.drop_database(plain)


def test_an_event_is_folded_over_tls(variables: dict[str, str], tmp_path: Path) -> None:
    """Collect acknowledges it, a worker folds it, and neither a log nor a list of processes shows a password."""
    place = Place.open(load({}, variables))
    with closing(place.catalog()) as catalog:
        keys = catalog.bootstrap()
    assert keys is not None
    log = tmp_path / "roles.log"
    with Roles(variables, {"collect": 1, "worker": 1}, log) as roles, closing(place.state()) as state:
        roles.await_ready()
        told = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in roles.pids())
        _send(roles.url("collect-0"), keys[0])
        until(lambda: state.counts().get("admitted"))
    for file in ("kafka", "database"):
        password = (tmp_path / file).read_text().strip()
        assert password not in log.read_text()
        assert password.encode() not in told


def _send(url: str, write_key: str) -> None:
    event = {"type": "track", "event": "Ordered", "userId": "u1", "messageId": "m1"}
    key = b64encode(f"{write_key}:".encode()).decode()
    headers = {"Authorization": f"Basic {key}", "Content-Type": "application/json"}
    asked = urllib.request.Request(f"{url}/v1/track", msgspec.json.encode(event), headers)
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(
    ("verb", "file", "told"),
    [
        (["collect", "--port", "0"], "kafka", f"refuses {USER} (SCRAM-SHA-512)"),
        (["worker"], "kafka", f"refuses {USER} (SCRAM-SHA-512)"),
        (["api", "--port", "0"], "database", "check user and password"),
        (["deliver"], "database", "check user and password"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else None,
)
def test_a_role_that_is_refused_ends_and_says_why(
    variables: dict[str, str], tmp_path: Path, verb: list[str], file: str, told: str
) -> None:
    """It does not try again for ever: exit code 3, one message with what to change, and no password."""
    (tmp_path / file).write_text("wr0ng")
    done = subprocess.run(
        [sys.executable, "-m", "onefold", *verb], env={**os.environ, **variables}, capture_output=True, text=True,
        timeout=WITHIN_S, check=False,
    )  # fmt: skip
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == UNREACHABLE, said
    assert told in said
    assert "wr0ng" not in said
    assert "Traceback" not in said
