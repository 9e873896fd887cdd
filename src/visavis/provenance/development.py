"""Making a development certificate: an authority that forgets its key, and one it vouches for.

Certificates follow the profile of the C2PA specification 2.2, section 14.5.1. Needs the package
``cryptography``, which comes with c2pa-python.
"""

from __future__ import annotations

from datetime import datetime, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DEVELOPMENT = "Visavis local development"
"""The organisation that development certificates name."""

_FROM = datetime(2026, 1, 1, tzinfo=timezone.utc)
_UNTIL = datetime(2046, 1, 1, tzinfo=timezone.utc)


def made() -> bytes:
    """Return a fresh key, the certificate that goes with it, and the authority above, as PEM."""
    above, own = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _name("Visavis development authority of one machine")
    root = _certificate(authority, authority, above.public_key(), above, is_authority=True)
    signer = _name("Visavis development certificate")
    leaf = _certificate(signer, authority, own.public_key(), above, is_authority=False)
    pem = serialization.Encoding.PEM
    unlocked = serialization.NoEncryption()
    key = own.private_bytes(pem, serialization.PrivateFormat.PKCS8, unlocked)
    return key + leaf.public_bytes(pem) + root.public_bytes(pem)


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    above: ec.EllipticCurvePrivateKey,
    is_authority: bool,
) -> x509.Certificate:
    """Return the certificate that ``issuer``, with the key ``above``, gives to ``subject``."""
    signing = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(above.public_key())
    own = x509.SubjectKeyIdentifier.from_public_key(public)
    depth = 0 if is_authority else None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(is_authority, depth), critical=True)
        .add_extension(_usage(is_authority), critical=True)
        .add_extension(own, critical=False)
    )
    if not is_authority:
        builder = builder.add_extension(signing, critical=True)
        builder = builder.add_extension(issued_by, critical=False)
    return builder.sign(above, hashes.SHA256())


def _name(common: str) -> x509.Name:
    """Return the name of a development certificate."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, DEVELOPMENT),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(is_authority: bool) -> x509.KeyUsage:
    """Return what a key may be used for: certificates, or files."""
    return x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
