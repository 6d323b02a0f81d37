"""A secret that webhooks are signed with, and for how long."""

from msgspec import Struct

from onefold.limits import NEVER_MS


class SigningSecret(Struct, frozen=True):
    """`whsec_` and base64, as Standard Webhooks writes it. Nothing is signed with it from `until_ms` on."""

    secret: str
    until_ms: int = NEVER_MS
