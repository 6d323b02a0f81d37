"""Signatures of the Standard Webhooks specification: `v1`, HMAC-SHA256 over `id.timestamp.body`."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from onefold.errors import SettingsError
from onefold.model.signing import SigningSecret

_PREFIX = "whsec_"


class Signer:
    """Signs with every secret that is in force: while secrets change, a receiver may know the old or the new one."""

    def __init__(self, secrets: Sequence[SigningSecret]) -> None:
        """Raises `SettingsError` for a secret that is not `whsec_` and 24 to 64 bytes in base64."""
        assert secrets
        self._keyed = [(hmac.new(_key(one.secret), digestmod=hashlib.sha256), one.until_ms) for one in secrets]

    def headers(self, key: str, timestamp_s: int, body: bytes) -> dict[str, str]:
        """The three headers of one attempt. `key` is the same in every attempt and has no dot."""
        at_ms = timestamp_s * 1000
        assert "." not in key
        signed = b"%b.%d.%b" % (key.encode(), timestamp_s, body)
        return {
            "webhook-id": key,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": " ".join(
                "v1," + _sign(keyed, signed) for keyed, until_ms in self._keyed if at_ms < until_ms
            ),
        }


def _sign(keyed: hmac.HMAC, signed: bytes) -> str:
    mac = keyed.copy()
    mac.update(signed)
    return binascii.b2a_base64(mac.digest(), newline=False).decode()


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except binascii.Error as error:
        raise SettingsError(f"a signing secret is `{_PREFIX}` and base64: {error}") from error
    if not secret.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        raise SettingsError(f"a signing secret is `{_PREFIX}` and 24 to 64 bytes in base64")
    return key
