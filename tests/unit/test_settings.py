"""Settings from files, variables and flags; the section, and what is not shown."""

from pathlib import Path

import pytest

from onefold.errors import SettingsError
from onefold.runtime.supervisor import decode_settings, encode_settings
from onefold.settings import KafkaSecurity, load

SECTION = """
kafka = "kafka-1:9093"
[kafka_security]
protocol = "SASL_SSL"
sasl_mechanism = "SCRAM-SHA-512"
sasl_username = "onefold"
"""
SECRETS = {
    "ONEFOLD_DATABASE": "postgresql://onefold:s3cret-a@db/onefold",
    "ONEFOLD_DATABASE_PASSWORD": "s3cret-b",
    "ONEFOLD_KAFKA_OPTIONS": '{"sasl.password": "s3cret-c"}',
    "ONEFOLD_KAFKA_SECURITY_SASL_PASSWORD": "s3cret-d",
    "ONEFOLD_KAFKA_SECURITY_SSL_KEY_PASSWORD": "s3cret-e",
}


def test_a_section_is_a_table_and_its_variables_are_stronger(tmp_path: Path) -> None:
    """What the variables do not name is as the file has it."""
    (tmp_path / "onefold.toml").write_text(SECTION)
    environ = {
        "ONEFOLD_KAFKA_SECURITY_SASL_USERNAME": "other",
        "ONEFOLD_KAFKA_SECURITY_SASL_PASSWORD_FILE": "/run/secrets/kafka",
    }
    found = load({"data": tmp_path}, environ).kafka_security
    assert found == KafkaSecurity(
        protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="other",
        sasl_password_file="/run/secrets/kafka",
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[kafka_security]\nprotocol = "TLS"', "kafka_security.protocol"),
        ('[kafka_security]\nsasl_pasword = "s3cret"', "sasl_pasword"),
        ("[kafka_security]\nsasl_password = 5", "kafka_security.sasl_password"),
        ('kafka_security = "SSL"', "kafka_security"),
    ],
)
def test_a_wrong_section_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    """The error names the setting, and shows no value that may be secret."""
    (tmp_path / "onefold.toml").write_text(text)
    with pytest.raises(SettingsError, match=told) as caught:
        load({"data": tmp_path}, {})
    assert "s3cret" not in str(caught.value)


def test_no_secret_is_printed(tmp_path: Path) -> None:
    """Wherever settings are printed, passwords are not; a role is told them all the same."""
    chosen = load({"data": tmp_path}, SECRETS)
    for text in (repr(chosen), str(chosen), repr(chosen.__rich_repr__())):
        assert "s3cret" not in text
        assert "127.0.0.1" in text
    assert decode_settings(encode_settings(chosen)) == chosen
    assert chosen.kafka_security.sasl_password == "s3cret-d"
