"""Devices of one library as their first start finds them: keys, statements, one file each.

Keys and certificates follow from the seed, so that ids, and every order that hangs on them, do too.
The files are copies of an empty schema that is made once a process.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leaderless.identity import Identity, certificate_key, self_signed
from leaderless.protocol.hashing import EMPTY_SET
from leaderless.protocol.membership import (
    NO_LIBRARY,
    Role,
    Signed,
    Statement,
    StatementKind,
    library_of,
    membership_of,
    signed_part,
)
from leaderless.store import engine, meta, state
from leaderless.store.statements import keep_statements
from registry.changes import Incarnation
from scripts.simulation.device import START_MS

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from pathlib import Path


def identity_of(chance: random.Random, folder: Path) -> Identity:
    """Return a device's identity; nothing of it is written to disk."""
    private = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
    der = self_signed(private, chance.getrandbits(64)).public_bytes(serialization.Encoding.DER)
    public = private.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    return Identity(folder / "key", folder / "certificate", der, public, private)


def statements_of(identities: Sequence[Identity], names: Sequence[str]) -> tuple[Signed, ...]:
    """Return the signed statements that make these devices members, the first one being the founder."""
    founder = identities[0]
    genesis = _statement(founder, founder, NO_LIBRARY, "home")
    library = library_of(genesis)
    others = zip(identities[1:], names[1:], strict=True)
    return (genesis, *(_statement(founder, other, library, name) for other, name in others))


def _statement(author: Identity, subject: Identity, library: bytes, name: str) -> Signed:
    body = Statement(
        library,
        StatementKind.GENESIS if library == NO_LIBRARY else StatementKind.ADD,
        subject.certificate_der,
        Role.ADMIN,
        name,
        author.public_key,
        (),
        START_MS,
        b"nonce",
    ).encode()
    return Signed(body, author.sign(signed_part(body)))


def make_file(path: Path, identity: Identity, nonce: bytes, said: tuple[Signed, ...]) -> None:
    """Make the library of a device, as `create_store` does, from a copy of the empty schema."""
    empty = path.with_name("empty.db")
    if not empty.exists():
        writer = engine.writer_engine(empty)
        engine.migrate(writer, empty)
        writer.dispose()
    shutil.copyfile(empty, path)
    library = library_of(said[0])
    writer = engine.writer_engine(path)
    with writer.begin() as connection:
        epoch = state.add_incarnation(connection, identity.device, Incarnation(1, nonce))
        meta.put(connection, meta.OWN_DEVICE, identity.device)
        meta.put(connection, meta.OWN_EPOCH, epoch)
        meta.put(connection, meta.LIBRARY, library)
        meta.put(connection, meta.SHARED_HASH, EMPTY_SET)
        keep_statements(connection, said, START_MS)
        members = membership_of(library, said, certificate_key)
        meta.put(connection, meta.MEMBERSHIP, members.digest)
    writer.dispose()
