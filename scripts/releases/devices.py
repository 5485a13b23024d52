"""The devices of a release's fixtures: keys that are known to everybody, and files to open.

Their keys follow from their numbers, so whoever reads the fixtures can go on as these devices.
"""

from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leaderless.identity import CERTIFICATE_NAME, KEY_NAME, self_signed

if TYPE_CHECKING:
    from pathlib import Path

DEVICES: Final = 4
"""0 is the one whose library is kept, 1 a peer, 2 a newer one, 3 has heard of nothing yet."""


def write_keys(folder: Path) -> None:
    """Write the key and certificate of each device: `folder`/keyN, as tests.replicas has them."""
    for at in range(DEVICES):
        home = folder / f"key{at}"
        home.mkdir(mode=0o700)
        seed = hashlib.sha256(b"a device of the fixtures, number %d" % at).digest()
        private = Ed25519PrivateKey.from_private_bytes(seed)
        key = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (home / KEY_NAME).write_bytes(key)
        (home / KEY_NAME).chmod(0o600)
        certificate = self_signed(private, serial=at + 1)
        (home / CERTIFICATE_NAME).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def unpack(packed: Path, target: Path) -> None:
    """Write the database that a fixture holds."""
    target.write_bytes(gzip.decompress(packed.read_bytes()))
