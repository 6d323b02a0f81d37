"""The section `kafka_security` of the settings as properties of librdkafka, refused where its parts contradict.

A password that would not be sent, or a certificate that would not be looked at, is a mistake and no detail: whoever
wrote it believes that it protects something.
"""

from collections.abc import Mapping
from pathlib import Path

from onefold.errors import SettingsError
from onefold.settings import KafkaSecurity
from onefold.storage.secret import secret

_SECTION = "kafka_security"
_FILES = ("ssl_ca_location", "ssl_certificate_location", "ssl_key_location")
_OAUTH = "sasl_oauthbearer_"


def properties(security: KafkaSecurity, options: Mapping[str, str]) -> dict[str, str]:
    """What a client is told: this section, and the setting `kafka_options` beside it.

    Reads the files of passwords. Raises `SettingsError` naming the setting, and no secret.
    """
    if security == KafkaSecurity():
        return dict(options)
    made = {"security.protocol": security.protocol, **_tls(security), **_sasl(security)}
    if both := sorted(made.keys() & options.keys()):
        raise SettingsError(f"`kafka_options` and `{_SECTION}` both set {', '.join(both)}: leave one out")
    return {**options, **made}


def _tls(security: KafkaSecurity) -> dict[str, str]:
    given = _given(security, "ssl_")
    if given and not security.protocol.endswith("SSL"):
        raise _refused(f"{given[0]}` is of no use with `protocol` = {security.protocol}: did you mean SSL or SASL_SSL?")
    if bool(security.ssl_certificate_location) != bool(security.ssl_key_location):
        raise _refused("ssl_certificate_location` and `ssl_key_location` belong together: give both, or none")
    made = {}
    for name in _FILES:
        if file := getattr(security, name):
            _must_be_readable(name, file)
            made[name.replace("_", ".")] = file
    if password := _secret(security, "ssl_key_password"):
        made["ssl.key.password"] = password
    return made


def _sasl(security: KafkaSecurity) -> dict[str, str]:
    given = _given(security, "sasl_")
    if not security.protocol.startswith("SASL"):
        if given:
            raise _refused(f"{given[0]}` is of no use with `protocol` = {security.protocol}: did you mean SASL_SSL?")
        return {}
    password = _secret(security, "sasl_password")
    missing = [name for name in ("sasl_mechanism", "sasl_username") if not getattr(security, name)]
    if missing or not password:
        raise _refused(f"{(*missing, 'sasl_password')[0]}` is missing: {security.protocol} wants one")
    made = {"sasl.mechanism": security.sasl_mechanism}
    if security.sasl_mechanism == "OAUTHBEARER":
        return made | _oauth(security, password)
    if oauth := _given(security, _OAUTH):
        raise _refused(f"{oauth[0]}` is of no use with {security.sasl_mechanism}: it is for OAUTHBEARER")
    return made | {"sasl.username": security.sasl_username, "sasl.password": password}


def _oauth(security: KafkaSecurity, password: str) -> dict[str, str]:
    """The library gets the tokens itself, and new ones in time."""
    if not security.sasl_oauthbearer_token_endpoint_url:
        raise _refused(f"{_OAUTH}token_endpoint_url` is missing: OAUTHBEARER wants one")
    told = {name.replace("_", "."): getattr(security, name) for name in _given(security, _OAUTH)}
    return {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.client.id": security.sasl_username,
        "sasl.oauthbearer.client.secret": password,
        **told,
    }


def _given(security: KafkaSecurity, prefix: str) -> list[str]:
    fields = type(security).__struct_fields__
    return [name for name in fields if name.startswith(prefix) and getattr(security, name)]


def _secret(security: KafkaSecurity, name: str) -> str:
    return secret(f"{_SECTION}.{name}", getattr(security, name), getattr(security, f"{name}_file"))


def _must_be_readable(name: str, file: str) -> None:
    """The library says of a file that it cannot read only which property failed."""
    try:
        Path(file).open("rb").close()
    except OSError as error:
        raise _refused(f"{name}`: {file} cannot be read: {error.strerror}") from error


def _refused(what: str) -> SettingsError:
    return SettingsError(f"`{_SECTION}.{what}")
