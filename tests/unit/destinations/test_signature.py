"""Signatures against the specification's vector and against its public library."""

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from onefold.destinations.signature import Signer
from onefold.errors import SettingsError
from onefold.model.signing import SigningSecret


def test_the_vector_of_the_specification() -> None:
    """The specification's own example comes out."""
    signer = Signer([SigningSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])
    headers = signer.headers("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.binary(min_size=24, max_size=64), st.text().map(str.encode), st.integers(1, 1 << 32))
def test_same_as_the_public_library(key: bytes, body: bytes, timestamp_s: int) -> None:
    """For any key and body the signature is the library's."""
    secret = "whsec_" + base64.b64encode(key).decode()
    ours = Signer([SigningSecret(secret)]).headers("id", timestamp_s, body)["webhook-signature"]
    at = datetime.fromtimestamp(timestamp_s, UTC)
    assert ours == Webhook(secret).sign("id", at, body.decode())


def test_a_former_secret_signs_until_it_ends() -> None:
    """While both are in force a receiver verifies with either; from the former's end on only with the new one."""
    new, old = ("whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
    signer = Signer([SigningSecret(new), SigningSecret(old, until_ms=1_000_000)])
    at_s, ended_s = 999, 1_000
    for timestamp_s, secrets in ((at_s, [new, old]), (ended_s, [new])):
        at = datetime.fromtimestamp(timestamp_s, UTC)
        signed = signer.headers("id", timestamp_s, b"{}")["webhook-signature"]
        assert signed.split(" ") == [Webhook(secret).sign("id", at, "{}") for secret in secrets]


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_AAAA", "whsec_!!!", "A" * 44, "whsec_" + "A" * 96])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    """A secret has the prefix and 24 to 64 bytes."""
    with pytest.raises(SettingsError):
        Signer([SigningSecret(secret)])
