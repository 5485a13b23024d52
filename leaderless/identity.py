"""A device's key and certificate: made once, kept 0600, and what follows from them.

The device id is a UUIDv8 (RFC 9562) of the first bytes of the SHA-256 of the raw public key; the
whole hash is the fingerprint that connections are compared by. The certificate is self-signed,
names nobody and never expires: it is only a vessel for the key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import stat
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509.oid import NameOID

from leaderless.errors import InvalidDataError, NotPermittedError

if TYPE_CHECKING:
    from pathlib import Path

KEY_NAME = "device.key"
CERTIFICATE_NAME = "device.crt"
_MAX_CERTIFICATE_BYTES = 4096
_KNOWN_CERTIFICATES = 256
"""Read ones whose keys are remembered: members are judged anew whenever one more statement comes."""


@dataclass(frozen=True)
class Identity:
    """Who this device is, and the power to sign as it."""

    key_path: Path
    certificate_path: Path
    certificate_der: bytes
    public_key: bytes
    private_key: Ed25519PrivateKey

    @property
    def fingerprint(self) -> bytes:
        """Return the SHA-256 of the public key."""
        return fingerprint(self.public_key)

    @property
    def device(self) -> bytes:
        """Return the 16-byte id of this device."""
        return device_id(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte Ed25519 signature of `data`."""
        return self.private_key.sign(data)


class BadCertificateError(InvalidDataError):
    """A certificate that no device of ours would have made."""

    code = "bad_certificate"


_UNREADABLE = (
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


def fingerprint(public_key: bytes) -> bytes:
    """Return the SHA-256 of a raw public key."""
    return hashlib.sha256(public_key).digest()


def device_id(public_key: bytes) -> bytes:
    """Return the id of the device with that key: a UUIDv8 of its fingerprint's first bytes."""
    head = bytearray(fingerprint(public_key)[:16])
    head[6] = head[6] & 0x0F | 0x80
    head[8] = head[8] & 0x3F | 0x80
    return bytes(head)


def verify(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Return whether `signature` is that key's on `data`."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


@lru_cache(_KNOWN_CERTIFICATES)
def certificate_key(der: bytes) -> bytes:
    """Return the raw Ed25519 key in a self-signed certificate.

    Raises BadCertificateError for another kind of key, a certificate that could sign others (its
    holder could mint devices), one not signed by its own key, or one that is too large.
    """
    if len(der) > _MAX_CERTIFICATE_BYTES:
        raise BadCertificateError("a certificate is too large")
    try:
        with warnings.catch_warnings():
            # Oddities that the library only warns of are no reason to trust, or to print.
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(der)
            key = certificate.public_key()
            extensions = certificate.extensions
    except _UNREADABLE as error:
        raise BadCertificateError(f"bytes are no certificate: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadCertificateError("a certificate holds another kind of key than Ed25519")
    try:
        certificate.verify_directly_issued_by(certificate)
        constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    except (InvalidSignature, ValueError, TypeError) as error:
        raise BadCertificateError("a certificate is not signed by its own key") from error
    except x509.ExtensionNotFound as error:
        raise BadCertificateError("a certificate does not say what it may sign") from error
    if constraints.ca:
        raise BadCertificateError("a certificate could sign others")
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def load_or_create(directory: Path) -> Identity:
    """Return the identity kept in `directory`, made on the first call.

    Raises NotPermittedError where others could read the key.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key_path, certificate_path = directory / KEY_NAME, directory / CERTIFICATE_NAME
    if not key_path.exists():
        private = Ed25519PrivateKey.generate()
        _write(
            key_path,
            private.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )
    _check_mode(key_path)
    loaded = serialization.load_pem_private_key(key_path.read_bytes(), password=None)
    if not isinstance(loaded, Ed25519PrivateKey):
        raise BadCertificateError(f"{key_path} is no Ed25519 key")
    if not certificate_path.exists():
        _write(certificate_path, self_signed(loaded).public_bytes(serialization.Encoding.PEM))
    certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    der = certificate.public_bytes(serialization.Encoding.DER)
    public = loaded.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    if certificate_key(der) != public:
        raise BadCertificateError(f"{certificate_path} belongs to another key")
    return Identity(key_path, certificate_path, der, public, loaded)


def self_signed(private: Ed25519PrivateKey, serial: int | None = None) -> x509.Certificate:
    """Return a certificate of a key by itself; its serial number is drawn unless it is given."""
    # The same name and dates for everyone: a certificate tells nothing but its key, and a clock
    # that is years off breaks no handshake.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaderless")])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(dt.datetime(1970, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(9999, 12, 31, tzinfo=dt.UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, None)
    )


def _check_mode(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise NotPermittedError(
            f"{path} can be read by others (mode {mode:04o})", hint=f"chmod 600 {path}"
        )


def _write(path: Path, data: bytes) -> None:
    """Write a file that nobody else can read, whole or not at all."""
    partial = path.with_suffix(path.suffix + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
