"""The log on a Kafka that takes clients over TLS only, by password or certificate, with the rights that it asks for."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from msgspec import structs

from onefold.errors import OnefoldError, Refused, SettingsError
from onefold.runtime import doctor
from onefold.settings import KafkaSecurity, Settings
from onefold.storage.kafka.group import KafkaMembership
from onefold.storage.kafka.log import KafkaLogReader, KafkaLogWriter, KafkaOptions
from onefold.storage.kafka.security import properties
from onefold.storage.place import Place
from onefold.testing.conformance.log import AnyLog
from onefold.testing.servers import kafka_security
from onefold.testing.servers.certificates import Authority
from onefold.testing.servers.kafka import KafkaCluster
from onefold.testing.servers.kafka_security import STRANGER, USER, Security
from tests.services import test_log_kafka
from tests.services.kafka_logs import everything, fresh, until

pytestmark = pytest.mark.services
BRIEF_S = 2.0
REFUSED_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the broker does not know, and that does not know it."""
    return Authority(tmp_path_factory.mktemp("strangers"), "strangers")


def by_password(security: Security, mechanism: str = "SCRAM-SHA-512") -> KafkaSecurity:
    """As USER over SASL_SSL; the password lies in a file."""
    file = security.authority.file.with_name("password")
    file.write_text(f"{security.password}\n")
    return KafkaSecurity(
        protocol="SASL_SSL",
        ssl_ca_location=str(security.authority.file),
        sasl_mechanism=mechanism,  # type: ignore[arg-type]  # one of its values
        sasl_username=USER,
        sasl_password_file=str(file),
    )


def by_certificate(security: Security, authority: Authority | None = None, password: str = "") -> KafkaSecurity:
    """As USER over SSL."""
    pair = (authority or security.authority).issue(USER, password=password.encode())
    return KafkaSecurity(
        protocol="SSL",
        ssl_ca_location=str(security.authority.file),
        ssl_certificate_location=str(pair.certificate),
        ssl_key_location=str(pair.key),
        ssl_key_password=password,
    )


def options(cluster: KafkaCluster, chosen: KafkaSecurity, host: str = "localhost") -> KafkaOptions:
    """A new workspace, reached so."""
    listener = chosen.protocol if chosen.protocol != "PLAINTEXT" else "SASL_SSL"
    return structs.replace(fresh(cluster), bootstrap=cluster.secured(listener, host), extra=properties(chosen, {}))


class TestSecuredLog(test_log_kafka.TestKafkaLog):
    """The suite of every log, over TLS and a password, as a user with the rights that docs/kafka.md names."""

    @pytest.fixture
    def log(self, secured: KafkaCluster, security: Security, kind: type[test_log_kafka.OnKafka]) -> Iterator[AnyLog]:
        with ExitStack() as stack:
            yield kind(options(secured, by_password(security)), stack.enter_context)


@pytest.mark.parametrize("mechanism", kafka_security.MECHANISMS)
def test_each_mechanism_lets_in(secured: KafkaCluster, security: Security, mechanism: str) -> None:
    """With the right password records are written, read, followed and shared among workers."""
    serves(options(secured, by_password(security, mechanism)))


@pytest.mark.parametrize("password", ["", "of-the-key"])
def test_a_certificate_lets_in(secured: KafkaCluster, security: Security, password: str) -> None:
    """A client's certificate, its key encrypted or not, is as good as a password."""
    serves(options(secured, by_certificate(security, password=password)))


def serves(chosen: KafkaOptions) -> None:
    """A log can be written, read and shared there."""
    with closing(KafkaLogWriter(chosen, 2)) as writer, closing(KafkaLogReader(chosen)) as reader:
        assert writer.append({0: [b"a", b"b"], 1: [b"c"]}) == {0: 1, 1: 0}
        assert everything(reader) == [b"a", b"b"]
    member = KafkaMembership(chosen)
    with closing(member.reader), closing(member):
        until(lambda: member.partitions() == {0, 1})


@pytest.mark.parametrize(
    ("case", "told"),
    [
        ("password", "refuses onefold (SCRAM-SHA-512)"),
        ("user", "refuses nobody (SCRAM-SHA-512)"),
        ("rights", "does not let this user make the topic"),
        ("authority", "cannot be trusted: unable to get local issuer certificate"),
        ("system", "cannot be trusted: unable to get local issuer certificate"),
        ("host", "IP address mismatch"),
        ("plain", "speaks TLS, and `kafka_security.protocol` is PLAINTEXT"),
        ("no TLS", "does not speak TLS"),
        ("no SASL", "set `kafka_security.protocol` to SASL_SSL"),
        ("no certificate", "wants a certificate of the client"),
        ("certificate", "wants a certificate of the client that it trusts"),
    ],
)
def test_who_is_not_let_in_is_told_why(
    secured: KafkaCluster, security: Security, strangers: Authority, case: str, told: str
) -> None:
    """It ends in seconds with `Refused`, which names the address and what to change, and shows no secret."""
    right, foreign = by_password(security), str(strangers.file)
    replaced = structs.replace
    chosen = {
        "password": lambda: options(secured, replaced(right, sasl_password="wr0ng", sasl_password_file="")),
        "user": lambda: options(secured, replaced(right, sasl_username="nobody")),
        "rights": lambda: options(secured, replaced(right, sasl_username=STRANGER)),
        "authority": lambda: options(secured, replaced(right, ssl_ca_location=foreign)),
        "system": lambda: options(secured, replaced(right, ssl_ca_location="")),
        "host": lambda: options(secured, right, "127.0.0.1"),
        "plain": lambda: options(secured, KafkaSecurity()),
        "no TLS": lambda: replaced(options(secured, right), bootstrap=secured.bootstrap),
        "no SASL": lambda: replaced(
            options(secured, KafkaSecurity(protocol="SSL", ssl_ca_location=right.ssl_ca_location)),
            bootstrap=secured.secured("SASL_SSL"),
        ),
        "no certificate": lambda: options(
            secured, KafkaSecurity(protocol="SSL", ssl_ca_location=right.ssl_ca_location)
        ),
        "certificate": lambda: options(secured, by_certificate(security, strangers)),
    }[case]()
    began_s = time.monotonic()
    with pytest.raises(Refused) as caught:
        KafkaLogWriter(replaced(chosen, timeout_s=BRIEF_S), 1)
    assert time.monotonic() - began_s < REFUSED_WITHIN_S
    message = str(caught.value)
    assert told in message
    assert chosen.bootstrap in message
    assert security.password not in message
    assert "wr0ng" not in message


def test_a_wrong_key_is_a_wrong_setting(secured: KafkaCluster, security: Security, tmp_path: Path) -> None:
    """What librdkafka cannot even begin with is told as a setting, without a try."""
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    with pytest.raises(SettingsError, match=r"ssl\.ca\.location"):
        KafkaLogWriter(options(secured, structs.replace(by_password(security), ssl_ca_location=str(junk))), 1)


def test_the_doctor_says_the_same(secured: KafkaCluster, security: Security, tmp_path: Path) -> None:
    """With the password in a file all is well; with another one the finding names the user, and shows neither."""
    right = by_password(security)
    chosen = fresh(secured)
    settings = Settings(
        data=tmp_path / "data",
        workspace=chosen.workspace,
        kafka=secured.secured("SASL_SSL"),
        kafka_security=right,
        history=False,
    )
    Place.open(settings).log_writer().close()
    (well,) = (finding for finding in doctor.examine(settings) if finding.name == "log")
    assert well.verdict == "ok", well
    Path(right.sasl_password_file).write_text("an0ther")
    (ill,) = (finding for finding in doctor.examine(settings) if finding.name == "log")
    assert ill.verdict == "fail"
    assert f"refuses {USER}" in ill.detail
    assert "backup" not in ill.advice
    shown = repr((settings, ill, chosen))
    assert "an0ther" not in shown
    assert security.password not in shown


def test_errors_of_secrets_show_none(secured: KafkaCluster, security: Security) -> None:
    """Options, and errors of what cannot be, hold no password when they are printed."""
    chosen = options(secured, by_password(security))
    assert security.password not in repr(chosen)
    with pytest.raises(OnefoldError) as caught:
        KafkaLogWriter(structs.replace(chosen, extra={**chosen.extra, "sasl.mechanism": "NONE"}), 1)
    assert security.password not in str(caught.value)
