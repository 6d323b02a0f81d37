"""The section `kafka_security` as properties of librdkafka, and mistakes that are refused before anybody connects."""

from pathlib import Path

import pytest
from msgspec import structs

from onefold.errors import SettingsError
from onefold.settings import KafkaSecurity
from onefold.storage.kafka.security import properties

SCRAM = KafkaSecurity(
    protocol="SASL_SSL", sasl_mechanism="SCRAM-SHA-256", sasl_username="onefold", sasl_password="s3cret"
)
OAUTH = structs.replace(
    SCRAM,
    sasl_mechanism="OAUTHBEARER",
    sasl_oauthbearer_token_endpoint_url="https://id.example/token",
    sasl_oauthbearer_extensions="logicalCluster=lkc-1",
)


def test_without_a_section_nothing_is_said() -> None:
    """Clients are told what `kafka_options` says, as they were before there was a section."""
    assert properties(KafkaSecurity(), {"client.rack": "a"}) == {"client.rack": "a"}


def test_a_password_becomes_properties(tmp_path: Path) -> None:
    """User, mechanism and the password, from the setting or from its file without the end of the line."""
    wanted = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-256",
        "sasl.username": "onefold",
        "sasl.password": "s3cret",
        "client.rack": "a",
    }
    assert properties(SCRAM, {"client.rack": "a"}) == wanted
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    held = structs.replace(SCRAM, sasl_password="", sasl_password_file=str(file))
    assert properties(held, {"client.rack": "a"}) == wanted


def test_certificates_become_properties(tmp_path: Path) -> None:
    """Files are named to the library, which reads them."""
    ca, certificate, key = (tmp_path / name for name in ("ca", "certificate", "key"))
    for file in (ca, certificate, key):
        file.touch()
    chosen = KafkaSecurity(
        protocol="SSL",
        ssl_ca_location=str(ca),
        ssl_certificate_location=str(certificate),
        ssl_key_location=str(key),
        ssl_key_password="s3cret",
    )
    assert properties(chosen, {}) == {
        "security.protocol": "SSL",
        "ssl.ca.location": str(ca),
        "ssl.certificate.location": str(certificate),
        "ssl.key.location": str(key),
        "ssl.key.password": "s3cret",
    }


def test_tokens_are_the_librarys_own_business() -> None:
    """OAUTHBEARER is OpenID Connect by librdkafka: the client's id and secret are the user and the password."""
    assert properties(OAUTH, {}) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "OAUTHBEARER",
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": "onefold",
        "sasl.oauthbearer.client.secret": "s3cret",
        "sasl.oauthbearer.token.endpoint.url": "https://id.example/token",
        "sasl.oauthbearer.extensions": "logicalCluster=lkc-1",
    }


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"protocol": "SSL"}, "sasl_mechanism` is of no use"),
        ({"protocol": "PLAINTEXT"}, "sasl_mechanism` is of no use"),
        ({"sasl_password": ""}, "sasl_password` is missing"),
        ({"sasl_username": ""}, "sasl_username` is missing"),
        ({"sasl_mechanism": ""}, "sasl_mechanism` is missing"),
        ({"sasl_password_file": "/nonexistent"}, "are both given"),
        ({"sasl_password": "", "sasl_password_file": "/nonexistent"}, "/nonexistent cannot be read"),
        ({"ssl_ca_location": "/nonexistent"}, "ssl_ca_location`: /nonexistent cannot be read"),
        ({"ssl_key_location": __file__}, "belong together"),
        ({"protocol": "SASL_PLAINTEXT", "ssl_ca_location": __file__}, "ssl_ca_location` is of no use"),
        ({"sasl_oauthbearer_scope": "kafka"}, "sasl_oauthbearer_scope` is of no use"),
        ({"sasl_mechanism": "OAUTHBEARER"}, "token_endpoint_url` is missing"),
    ],
    ids=lambda each: each if isinstance(each, str) else "-".join(each),
)
def test_what_contradicts_itself_is_refused(changes: dict[str, str], told: str) -> None:
    """Whoever wrote it believes that it protects something: the error names the setting, and no secret."""
    with pytest.raises(SettingsError) as caught:
        properties(structs.replace(SCRAM, **changes), {})
    assert told in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_nothing_is_said_twice() -> None:
    """A property of the section that `kafka_options` sets as well would be a guess."""
    with pytest.raises(SettingsError, match=r"both set sasl\.password"):
        properties(SCRAM, {"sasl.password": "other"})
