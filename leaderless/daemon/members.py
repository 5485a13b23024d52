"""Statements that this device signs, and the welcome it gives to a new member."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.errors import InvalidDataError, NotFoundError, NotPermittedError
from leaderless.identity import certificate_key, device_id, fingerprint, verify
from leaderless.protocol import membership
from leaderless.protocol.membership import (
    NO_LIBRARY,
    Membership,
    Role,
    Signed,
    Statement,
    StatementKind,
    membership_of,
)
from leaderless.protocol.packing import pack, unpack

if TYPE_CHECKING:
    from leaderless.identity import Identity
    from leaderless.protocol.membership import Former, Member

_MAX_WELCOME_BYTES = 256 << 10
_OTHER_SHAPE = "the welcome has another shape; is the other side newer?"


def genesis(identity: Identity, library_name: str, now_ms: int, nonce: bytes) -> Signed:
    """Return the statement that makes a library with this device as its first admin."""
    body = Statement(
        NO_LIBRARY,
        StatementKind.GENESIS,
        identity.certificate_der,
        Role.ADMIN,
        library_name,
        identity.public_key,
        (),
        now_ms,
        nonce,
    ).encode()
    return Signed(body, identity.sign(membership.signed_part(body)))


def admission(
    identity: Identity,
    members: Membership,
    certificate: bytes,
    name: str,
    now_ms: int,
    nonce: bytes,
    since: int = 0,
) -> Signed:
    """Return the statement that makes the holder of `certificate` a member.

    One who was revoked begins at generation `since`. Raises NotPermittedError if this device may not
    admit others.
    """
    if not members.may_admit(identity.public_key):
        raise NotPermittedError("this device may not admit others")
    body = Statement(
        members.library,
        StatementKind.ADD,
        certificate,
        Role.ADMIN,
        name[:64],
        identity.public_key,
        members.heads,
        now_ms,
        nonce,
        since,
    ).encode()
    return Signed(body, identity.sign(membership.signed_part(body)))


def revocation(
    identity: Identity, members: Membership, device: bytes, now_ms: int, nonce: bytes
) -> Signed:
    """Return the statement that takes a device's membership away.

    Raises NotPermittedError if this device may not say so or nobody would be left who may, and
    NotFoundError if that device is no member.
    """
    subject = next((m for m in members.members.values() if device_id(m.public_key) == device), None)
    if subject is None:
        raise NotFoundError("that device is no member", hint="leaderless device list")
    if not members.may_admit(identity.public_key):
        raise NotPermittedError("this device may not revoke others: it is no admin")
    admins = [key for key, member in members.members.items() if member.role is Role.ADMIN]
    if admins == [subject.public_key]:
        raise NotPermittedError(
            "this device is the last that may admit and revoke others",
            hint="leaderless pair admits another one first",
        )
    body = Statement(
        members.library,
        StatementKind.REVOKE,
        subject.certificate,
        Role.MEMBER,
        subject.name,
        identity.public_key,
        members.heads,
        now_ms,
        nonce,
    ).encode()
    return Signed(body, identity.sign(membership.signed_part(body)))


def certificates(members: Membership) -> dict[bytes, bytes]:
    """Return by their fingerprints the certificates of all that are or were members.

    Who was one proves it, too: it is to be told why it is none.
    """
    known: dict[bytes, Member | Former] = {**members.former, **members.members}
    return {fingerprint(key): device.certificate for key, device in known.items()}


class Welcome(NamedTuple):
    """What a new member gets: the library, who is in it, and where its host takes calls."""

    library: bytes
    statements: tuple[Signed, ...]
    addresses: tuple[str, ...]


def encode_welcome(welcome: Welcome) -> bytes:
    """Return the bytes of a welcome."""
    said = [[signed.body, signed.signature] for signed in welcome.statements]
    return pack([1, welcome.library, said, list(welcome.addresses)])


def decode_welcome(data: bytes, own_key: bytes, host_key: bytes) -> tuple[Welcome, Membership]:
    """Return a welcome and the membership it proves.

    Raises InvalidDataError unless every statement is signed and both devices are members by them.
    """
    match unpack(data, _MAX_WELCOME_BYTES):
        case [1, bytes(library), list(said), list(addresses)]:
            statements = tuple(_signed(item) for item in said)
        case _:
            raise InvalidDataError(_OTHER_SHAPE)
    for signed in statements:
        statement = membership.decode(signed.body)
        covered = membership.signed_part(signed.body)
        if not verify(statement.author_key, signed.signature, covered):
            raise InvalidDataError("a statement in the welcome is not signed by its author")
    members = membership_of(library, statements, certificate_key)
    if own_key not in members.members or host_key not in members.members:
        raise InvalidDataError("the welcome does not make this device a member")
    return Welcome(library, statements, tuple(str(item) for item in addresses)), members


def _signed(item: object) -> Signed:
    match item:
        case [bytes(body), bytes(signature)]:
            return Signed(body, signature)
    raise InvalidDataError(_OTHER_SHAPE)
