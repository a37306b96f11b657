"""A certificate that one server's own parts know each other by, so that no other program can pass for one of them.

An authority is made for the one certificate that it signs, and its key is forgotten at once: nothing else can ever be
signed by it. Knows nothing of the server.
"""

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = timedelta(days=3650)
CLOCK_SLACK = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """Three files in PEM: the authority's certificate, and the certificate and key that both sides show."""

    authority: Path
    certificate: Path
    key: Path


def keep_certificate(directory: Path) -> Certificate:
    """The certificate in the directory, valid for 127.0.0.1 as server and as client; made where there is none."""
    kept = Certificate(directory / "authority.crt", directory / "own.crt", directory / "own.key")
    # The key is written last, so that a start cut short makes all three again.
    if not kept.key.exists():
        _make(kept)
    return kept


def _make(kept: Certificate) -> None:
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority_name, name = _name("leaktrace authority"), _name("leaktrace")
    authority = _builder(authority_name, authority_name, authority_key.public_key())
    authority = authority.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    own = _builder(name, authority_name, key.public_key())
    own = own.add_extension(x509.SubjectAlternativeName(_addresses()), critical=False)
    own = own.add_extension(x509.ExtendedKeyUsage(_usages()), critical=False)
    _write(
        kept.authority,
        authority.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
    )
    _write(
        kept.certificate, own.sign(authority_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    _write(kept.key, _pem(key))


def _builder(name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - CLOCK_SLACK).not_valid_after(now + VALID)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _addresses() -> list[x509.GeneralName]:
    return [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]


def _usages() -> list[x509.ObjectIdentifier]:
    return [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
