"""Why a cluster lets nobody in: what librdkafka has said of it, and what one look at a broker shows besides.

librdkafka tries again for ever, says the same of an unknown authority and of a wrong host name, and nothing of a broker
that speaks TLS where it does not. Who cannot reach a cluster at all is to be told what is to be changed.
"""

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress

from onefold.errors import Refused, SettingsError

_LOOK_S = 2.0
"""For a connection, and again for a handshake."""
_ADDRESSES = 3
"""Of the bootstrap addresses, in turn, until one answers."""
_KAFKA_PORT = 9092
_SETTING = "`kafka_security.{}`"
RIGHTS = {
    "CLUSTER_AUTHORIZATION_FAILED", "DELEGATION_TOKEN_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED",
    "TOPIC_AUTHORIZATION_FAILED", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
}  # fmt: skip
"""Errors of a cluster that knows the user, who may not do what was asked."""


def without_rights(bootstrap: str, doing: str, what: str) -> Refused:
    """The cluster's ACLs are in the way."""
    return Refused(
        f"Kafka at {bootstrap} does not let this user {doing} ({what}): grant it what docs/kafka.md asks of the cluster"
    )


def found(bootstrap: str, properties: Mapping[str, str], said: str) -> Refused | None:
    """What is wrong, where nobody could be reached; None: nothing that can be seen from here.

    `said`: the last that librdkafka said of authentication, or nothing. Connects to a broker, for some seconds at most.
    """
    if said:
        return Refused(f"Kafka at {bootstrap} refuses {_who(properties)}: {said}; {_advice(properties, said)}")
    protocol = properties.get("security.protocol", "PLAINTEXT").upper()
    for host, port in _addresses(bootstrap)[:_ADDRESSES]:
        with suppress(OSError), socket.create_connection((host, port), _LOOK_S) as connection:
            looked = _looked(connection, host, protocol, properties)
            return Refused(f"Kafka at {host}:{port} {looked}") if looked else None
    return None


def _who(properties: Mapping[str, str]) -> str:
    mechanism = properties.get("sasl.mechanism") or properties.get("sasl.mechanisms") or "GSSAPI"
    user = properties.get("sasl.username") or properties.get("sasl.oauthbearer.client.id") or "this client"
    return f"{user} ({mechanism})"


def _advice(properties: Mapping[str, str], said: str) -> str:
    if "mechanism" in said and "nsupported" in said:
        return f"set {_SETTING.format('sasl_mechanism')} to one that its listener has"
    if "OAUTHBEARER" in properties.get("sasl.mechanism", ""):
        return f"check {_SETTING.format('sasl_oauthbearer_token_endpoint_url')}, the client's id and its secret"
    return f"check {_SETTING.format('sasl_username')}, the password, and whether the user is for this mechanism"


def _looked(connection: socket.socket, host: str, protocol: str, properties: Mapping[str, str]) -> str:
    """What a handshake shows; empty: all is well as far as it goes."""
    connection.settimeout(_LOOK_S)
    if not protocol.endswith("SSL"):
        return _speaks_tls(connection, protocol)
    try:
        context = _context(properties)
        with context.wrap_socket(connection, server_hostname=host) as wrapped:
            # Under TLS 1.3 a server says only after the handshake that it wants another certificate.
            wrapped.settimeout(_LOOK_S / 4)
            with suppress(TimeoutError):
                wrapped.recv(1)
    except ssl.SSLCertVerificationError as error:
        return f"cannot be trusted: {error.verify_message}; {_verification_advice(error, host, properties)}"
    except ssl.SSLError as error:
        return _alerted(error, protocol)
    if protocol == "SSL":
        return (
            f"speaks TLS, and nothing after it: if it wants a password, set {_SETTING.format('protocol')} to SASL_SSL"
        )
    return ""


def _context(properties: Mapping[str, str]) -> ssl.SSLContext:
    """As librdkafka verifies: by these authorities, or by the system's."""
    context = ssl.create_default_context(cafile=properties.get("ssl.ca.location"))
    certificate, key = properties.get("ssl.certificate.location"), properties.get("ssl.key.location")
    if certificate and key:
        try:
            context.load_cert_chain(certificate, key, properties.get("ssl.key.password", ""))
        except ssl.SSLError as error:
            raise SettingsError(f"{certificate} and {key} are no certificate and its key: {error.reason}") from error
    return context


def _verification_advice(error: ssl.SSLCertVerificationError, host: str, properties: Mapping[str, str]) -> str:
    if "ostname" in error.verify_message or "IP address" in error.verify_message:
        return f"name the broker in `kafka` as its certificate does, or have it issued for {host}"
    if "expired" in error.verify_message or "not yet" in error.verify_message:
        return "have the certificate renewed, and see whether this machine's clock is right"
    trusted = properties.get("ssl.ca.location") or "those that this system trusts"
    return f"set {_SETTING.format('ssl_ca_location')} to the authority that issued it; asked were {trusted}"


def _alerted(error: ssl.SSLError, protocol: str) -> str:
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "alert" in reason:
        location = _SETTING.format("ssl_certificate_location")
        return f"wants a certificate of the client that it trusts ({reason}): set {location} and its key"
    plain = protocol.replace("_SSL", "_PLAINTEXT") if "_" in protocol else "PLAINTEXT"
    setting = _SETTING.format("protocol")
    return f"does not speak TLS ({reason}): name the port of its listener for {protocol}, or set {setting} to {plain}"


def _speaks_tls(connection: socket.socket, protocol: str) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # Nothing is sent: only whether anybody answers is asked.
    try:
        context.wrap_socket(connection).close()
    except (ssl.SSLError, OSError):
        return ""
    secure = "SASL_SSL" if protocol.startswith("SASL") else "SSL or SASL_SSL"
    return f"speaks TLS, and {_SETTING.format('protocol')} is {protocol}: set it to {secure}"


def _addresses(bootstrap: str) -> list[tuple[str, int]]:
    found = []
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition("://")[2].rpartition(":")
        host, port = (host, port) if host and port.isdigit() else (f"{host}:{port}".strip(":"), str(_KAFKA_PORT))
        found.append((host.strip("[]"), int(port)))
    return found
