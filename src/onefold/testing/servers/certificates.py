"""Certificates for servers that tests start: an authority of their own, and what it vouches for.

Needs `cryptography`, which the extra `dev` brings.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_VALID = timedelta(days=2)
_SLACK = timedelta(hours=1)
"""Clocks may differ, and a certificate that begins later is none."""


class Pair(NamedTuple):
    """Files in PEM."""

    certificate: Path
    key: Path

    def joined(self, file: Path) -> Path:
        """Key and certificate in one file, as a broker of Kafka wants them."""
        _write(file, self.key.read_bytes() + self.certificate.read_bytes())
        return file


class Authority:
    """Vouches for servers and users. Everything it makes lies in one directory."""

    def __init__(self, directory: Path, name: str = "Onefold's tests") -> None:
        """Make its own certificate."""
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        built = _builder(self._name, self._name, self._key)
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.file = directory / "authority.pem"
        """What whoever is to trust it is given."""
        _write(self.file, built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))

    def issue(self, name: str, hosts: Sequence[str] = (), password: bytes = b"") -> Pair:
        """A certificate of a user, or of a server that goes by these names and addresses.

        With a password the key is encrypted.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        built = _builder(_named(name), self._name, key)
        if hosts:
            built = built.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        pair = Pair(self._directory / f"{name}.pem", self._directory / f"{name}.key")
        locked: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
        _write(pair.certificate, built.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM))
        _write(pair.key, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
        return pair


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SLACK)
        .not_valid_after(now + _VALID)
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(file: Path, data: bytes) -> None:
    """Only for who made it: libpq takes no key that others can read."""
    file.touch(0o600)
    file.write_bytes(data)
