"""Images with C2PA Content Credentials, signed by an authority that nobody trusts, made anew for each test run."""

from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SIGNER, ISSUER, PROGRAM = "Test Signer", "Test Authority", "Test Painter"
SOURCE_TYPE = "trainedAlgorithmicMedia"


def sign(data: bytes, *, remote_url: str | None = None) -> bytes:
    """A JPEG with a manifest in it, or with only the address of one."""
    action = {
        "action": "c2pa.created",
        "digitalSourceType": f"http://cv.iptc.org/newscodes/digitalsourcetype/{SOURCE_TYPE}",
    }
    manifest = {
        "claim_generator_info": [{"name": PROGRAM, "version": "1.2"}],
        "title": "painted.jpg",
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }
    signed = BytesIO()
    with c2pa.Builder(manifest) as builder, _signer() as signer:
        if remote_url is not None:
            builder.set_remote_url(remote_url)
            builder.set_no_embed()
        builder.sign(signer, "image/jpeg", BytesIO(data), signed)
    return signed.getvalue()


def _signer() -> c2pa.Signer:
    chain, key = _chain()
    return c2pa.Signer.from_info(
        c2pa.C2paSignerInfo(alg=c2pa.C2paSigningAlg.ES256, sign_cert=chain, private_key=key, ta_url=None)
    )


@cache
def _chain() -> tuple[bytes, bytes]:
    authority, signer = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    certificates = (
        _certificate(SIGNER, key=signer, issuer_key=authority, is_authority=False),
        _certificate(ISSUER, key=authority, issuer_key=authority, is_authority=True),
    )
    key = signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates), key


def _certificate(
    name: str,
    *,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    is_authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(ISSUER))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=is_authority,
                crl_sign=is_authority,
                encipher_only=False,
                decipher_only=False,
                **usage,
            ),
            critical=True,
        )
    )
    if not is_authority:
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False
        )
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, f"{common_name} Organisation"),
        ]
    )
