"""A device's key and certificate."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leaderless.errors import NotPermittedError
from leaderless.identity import (
    BadCertificateError,
    certificate_key,
    device_id,
    load_or_create,
    self_signed,
    verify,
)


def test_an_identity_is_made_once_and_kept_secret(tmp_path: Path) -> None:
    """The second call finds the first one's key, and nobody else may read it."""
    first = load_or_create(tmp_path / "keys")
    assert load_or_create(tmp_path / "keys").public_key == first.public_key
    assert first.key_path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o700


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The error names the command that mends it."""
    made = load_or_create(tmp_path / "keys")
    made.key_path.chmod(0o644)
    with pytest.raises(NotPermittedError) as caught:
        load_or_create(tmp_path / "keys")
    assert caught.value.hint == f"chmod 600 {made.key_path}"


def test_a_certificate_of_another_key_is_refused(tmp_path: Path) -> None:
    """Key and certificate belong together."""
    one, other = load_or_create(tmp_path / "one"), load_or_create(tmp_path / "other")
    one.certificate_path.write_bytes(other.certificate_path.read_bytes())
    with pytest.raises(BadCertificateError):
        load_or_create(tmp_path / "one")


def test_signatures_hold_for_their_key_and_bytes(tmp_path: Path) -> None:
    """A signature fits the key and the bytes, and nothing else."""
    made = load_or_create(tmp_path)
    signature = made.sign(b"words")
    assert verify(made.public_key, signature, b"words")
    assert not verify(made.public_key, signature, b"other")
    assert not verify(b"short", signature, b"words")


def test_a_device_id_is_a_uuid_of_its_own_kind(tmp_path: Path) -> None:
    """Ids are UUIDv8, derived from the key alone."""
    made = load_or_create(tmp_path)
    assert uuid.UUID(bytes=made.device).version == 8
    assert made.device == device_id(made.public_key)
    assert certificate_key(made.certificate_der) == made.public_key


def _certificate(*, ca: bool | None = False, ours: bool = True, signer: object = None) -> bytes:
    private = Ed25519PrivateKey.generate() if ours else ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    made = builder.sign(signer or private, None if ours else hashes.SHA256())  # type: ignore[arg-type]
    return made.public_bytes(serialization.Encoding.DER)


@pytest.mark.parametrize(
    "der",
    [
        b"nothing",
        bytes(5_000),
        _certificate(ca=True),
        _certificate(ca=None),
        _certificate(ours=False),
        _certificate(signer=Ed25519PrivateKey.generate()),
    ],
)
def test_certificates_that_no_device_makes_are_refused(der: bytes) -> None:
    """One that could sign others, of another kind of key, or not its own, is refused."""
    with pytest.raises(BadCertificateError):
        certificate_key(der)


def test_a_certificate_follows_from_its_key_and_its_serial_number() -> None:
    """Made again under the same number it is the same bytes; else the number is drawn."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    der = serialization.Encoding.DER
    numbered = [self_signed(private, 7).public_bytes(der) for _ in range(2)]
    assert numbered[0] == numbered[1]
    assert self_signed(private).public_bytes(der) not in numbered
