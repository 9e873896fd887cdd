"""Who signs: the configured certificate, or a development certificate of this machine.

A development certificate proves that a file was not altered since it was signed, and nothing about
who signed it: its maker vouches for it, nobody else. It is made once and kept, with its key, in
``development.pem`` in the folder of settings, readable by its owner alone. The key of the authority
above it is forgotten at once, so that nothing else can be signed in its name.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from visavis.errors import InputError, MissingExtra
from visavis.media.kinds import regular_file, shown
from visavis.provenance.policy import Policy, config_folder

_FILE_NAME = "development.pem"
_LARGEST = 256 * 1024
_KEY_START = b"-----BEGIN PRIVATE KEY-----"
_CERTIFICATE_START = b"-----BEGIN CERTIFICATE-----"
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Credentials:
    """What signs: ``chain`` PEM certificates, leaf first; ``key`` PEM; ``algorithm`` C2PA's name.

    ``is_development``: made by this machine for itself.
    """

    chain: bytes
    key: bytes
    algorithm: str
    is_development: bool


def credentials(policy: Policy) -> Credentials:
    """Return what signs under ``policy``.

    Raises:
        InputError: the configured certificate or key cannot be used.
        MissingExtra: the package that reads and makes certificates is not installed.
    """
    if not policy.certificate:
        return development_credentials()
    chain = _read(policy.certificate, "a PEM file with the certificate chain, leaf first")
    if _CERTIFICATE_START not in chain:
        raise InputError(f"{shown(policy.certificate)} holds no PEM certificate.")
    key = _read(policy.key, "a PEM file with the private key")
    return Credentials(chain, key, _algorithm(key, policy.key), is_development=False)


def development_credentials() -> Credentials:
    """Return this machine's development certificate; it is made when there is none.

    Where the folder of settings cannot be written to, the certificate is used once and not kept.

    Raises:
        MissingExtra: the package that makes certificates is not installed.
    """
    pem = _kept() or _keep(_made())
    key_at, chain_at = pem.index(_KEY_START), pem.index(_CERTIFICATE_START)
    return Credentials(pem[chain_at:], pem[key_at:chain_at], "es256", is_development=True)


def development_chain() -> bytes:
    """Return the certificates of development kept here (PEM, leaf first), empty without any."""
    pem = _kept() or b""
    return pem[pem.find(_CERTIFICATE_START) :]


def serial_of(chain: bytes) -> str:
    """Return the serial number of the first certificate in ``chain`` (PEM)."""
    from cryptography.x509 import load_pem_x509_certificate

    return str(load_pem_x509_certificate(chain).serial_number)


def trusted_pem(policy: Policy) -> str:
    """Return the certificates that ``policy`` trusts, as PEM; "" where it names none.

    Raises:
        InputError: the file cannot be used.
    """
    if not policy.trusted:
        return ""
    pem = _read(policy.trusted, "a PEM file with the certificates to trust")
    if _CERTIFICATE_START not in pem:
        raise InputError(f"{shown(policy.trusted)} holds no PEM certificate.")
    return pem.decode("utf-8", "replace")


def _read(path: str, accepted: str) -> bytes:
    """Return the contents of a small file.

    Raises:
        InputError: it cannot be read.
    """
    place = regular_file(Path(path).expanduser(), accepted)
    with place.open("rb") as file:
        return file.read(_LARGEST)


def _algorithm(pem: bytes, path: str) -> str:
    """Return C2PA's name of the signature that the private key ``pem`` makes (spec 13.2).

    Raises:
        InputError: not a key, locked by a password, or of a kind that C2PA does not know.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{shown(path)} is no PEM private key without a password. "
            "Convert it: openssl pkcs8 -topk8 -nocrypt."
        ) from error
    if isinstance(key, Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, RSAPrivateKey):
        return "ps256"
    if isinstance(key, EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    raise InputError(f"{shown(path)} is a key C2PA cannot use; give P-256, P-384, RSA or Ed25519.")


def _kept() -> bytes | None:
    """Return the PEM file kept in the folder of settings, None without a whole one."""
    with suppress(OSError, InputError):
        pem = (config_folder() / _FILE_NAME).read_bytes()
        if pem.startswith(_KEY_START) and pem.count(_CERTIFICATE_START) == 2:
            return pem
    return None


def _keep(pem: bytes) -> bytes:
    """Put ``pem`` into the folder of settings; return what is kept there.

    That is another's where another process was faster, and ``pem`` where nothing can be kept.
    """
    with suppress(OSError, InputError):
        place = config_folder() / _FILE_NAME
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".visavis-", dir=place.parent)  # owner's alone
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(pem)
            if place.exists() and _kept() is None:  # damaged
                place.unlink()
            with suppress(FileExistsError):
                os.link(name, place)
        finally:
            Path(name).unlink()
    return _kept() or pem


def _made() -> bytes:
    """Return a fresh key and its certificates.

    Raises:
        MissingExtra: the package that makes certificates is not installed.
    """
    try:
        from visavis.provenance.development import made
    except ImportError as error:
        raise MissingExtra("Signing needs cryptography: pip install c2pa-python") from error
    return made()
