"""Who is a member: a pure function of a set of signed statements.

::

    statement = [1, library, kind, certificate, role, name, author key, [parent, …], issued ms,
                 nonce]

Kinds: `genesis` makes a library and its first admin (its library field is zeros, for the library's
id is the first 16 bytes of the statement's hash, so nobody can forge another root); `add` makes a
device a member. The signature covers the domain `leaderless/statement/1` and these bytes. A
statement counts once its parents count and its author is an admin by what it had seen. The
certificate is the subject's self-signed one: it is what a TLS context pins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from leaderless.protocol.errors import MalformedError
from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import pack, unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DOMAIN = b"leaderless/statement/1\0"
NO_LIBRARY = bytes(16)
_MAX_STATEMENT = 16 << 10


class StatementKind(Enum):
    """What a statement says about its subject."""

    GENESIS = "genesis"
    ADD = "add"


class Role(Enum):
    """What a member may do beside taking part."""

    ADMIN = "admin"
    """May admit others."""
    MEMBER = "member"


@dataclass(frozen=True, slots=True)
class Statement:
    """One signed sentence about a device; `name` is the library's (genesis) or the device's."""

    library: bytes
    kind: StatementKind
    certificate: bytes
    role: Role
    name: str
    author_key: bytes
    parents: tuple[bytes, ...]
    issued_ms: int
    nonce: bytes

    def encode(self) -> bytes:
        """Return the bytes that are signed, without the domain."""
        return pack(
            [
                1,
                self.library,
                self.kind.value,
                self.certificate,
                self.role.value,
                self.name,
                self.author_key,
                list(self.parents),
                self.issued_ms,
                self.nonce,
            ]
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement as it travels and is stored: the signed bytes and the signature."""

    body: bytes
    signature: bytes

    @property
    def hash(self) -> bytes:
        """Return the 32 bytes that name this statement."""
        return digest(self.body)


@dataclass(frozen=True, slots=True)
class Member:
    """A device that takes part; its name is what it was admitted as, if anybody said."""

    public_key: bytes
    certificate: bytes
    role: Role
    name: str


@dataclass(frozen=True, slots=True)
class Membership:
    """The members of a library by public key, its name, and the statements that make it so."""

    library: bytes
    library_name: str
    members: Mapping[bytes, Member] = field(default_factory=dict)
    heads: tuple[bytes, ...] = ()
    digest: bytes = bytes(32)

    def may_admit(self, public_key: bytes) -> bool:
        """Return whether that device may add others."""
        member = self.members.get(public_key)
        return member is not None and member.role is Role.ADMIN


def signed_part(body: bytes) -> bytes:
    """Return the bytes that a statement's signature covers."""
    return DOMAIN + body


def decode(body: bytes) -> Statement:
    """Return the statement in `body`; raises MalformedError."""
    fields = unpack(body, _MAX_STATEMENT)
    match fields:
        case [
            1,
            bytes(library),
            str(kind),
            bytes(certificate),
            str(role),
            str(name),
            bytes(author_key),
            list(parents),
            int(issued_ms),
            bytes(nonce),
        ] if (
            len(library) == 16
            and len(author_key) == 32
            and all(isinstance(parent, bytes) for parent in parents)
        ):
            try:
                return Statement(
                    library,
                    StatementKind(kind),
                    certificate,
                    Role(role),
                    name,
                    author_key,
                    tuple(parents),
                    issued_ms,
                    nonce,
                )
            except (ValueError, TypeError) as error:
                raise MalformedError(f"a statement says what nobody knows: {error}") from error
    raise MalformedError("a statement has another shape")


def library_of(genesis: Signed) -> bytes:
    """Return the id of the library that a genesis statement makes."""
    return genesis.hash[:16]


def membership_of(
    library: bytes, statements: Sequence[Signed], key_of: Callable[[bytes], bytes]
) -> Membership:
    """Return who is a member by `statements`, whose signatures were verified.

    `key_of` returns the public key in a certificate. Statements that do not count are left out of
    the members.
    """
    return _judged(library, statements, key_of)[0]


def counted(
    library: bytes, statements: Sequence[Signed], key_of: Callable[[bytes], bytes]
) -> frozenset[bytes]:
    """Return the hashes of the statements that make the membership what it is."""
    return frozenset(_judged(library, statements, key_of)[1])


def _judged(
    library: bytes, statements: Sequence[Signed], key_of: Callable[[bytes], bytes]
) -> tuple[Membership, set[bytes]]:
    waiting = {signed.hash: decode(signed.body) for signed in statements}
    known = sorted(waiting)
    members: dict[bytes, Member] = {}
    counted: set[bytes] = set()
    name = ""
    progress = True
    while progress:
        progress = False
        for at in sorted(waiting):
            said = waiting[at]
            if not _counts(library, at, said, members, counted):
                continue
            del waiting[at]
            counted.add(at)
            progress = True
            if said.kind is StatementKind.GENESIS:
                name = said.name
            # A genesis names the library, not the device that made it.
            called = "" if said.kind is StatementKind.GENESIS else said.name
            key = key_of(said.certificate)
            if key not in members:
                members[key] = Member(key, said.certificate, said.role, called)
    decoded = {signed.hash: decode(signed.body) for signed in statements}
    superseded = {parent for at in counted for parent in decoded[at].parents}
    heads = tuple(sorted(counted - superseded))
    return Membership(library, name, members, heads, digest(b"".join(known))), counted


def _counts(
    library: bytes,
    at: bytes,
    said: Statement,
    members: Mapping[bytes, Member],
    counted: set[bytes],
) -> bool:
    if said.kind is StatementKind.GENESIS:
        return said.library == NO_LIBRARY and at[:16] == library and not said.parents
    author = members.get(said.author_key)
    return (
        said.library == library
        and author is not None
        and author.role is Role.ADMIN
        and counted.issuperset(said.parents)
    )
