"""Who is a member: a pure function of a set of signed statements.

::

    statement = [1, library, kind, certificate, role, name, author key, [parent, …], issued ms,
                 nonce, generation?]

Kinds: `genesis` makes a library and its first admin (its library field is zeros, for the library's
id is the first 16 bytes of the statement's hash, so nobody can forge another root); `add` makes a
device a member, `revoke` makes it one no more, `role` says what it may do. `generation` is left out
where it is 0: who is admitted anew begins at that one, and what it wrote in lower ones stays closed.
The signature covers the domain `leaderless/statement/1` and these bytes. What of all that is said
holds is judged in standing.py. The certificate is the subject's self-signed one: it is what a TLS
context pins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from leaderless.protocol.errors import MalformedError
from leaderless.protocol.hashing import digest
from leaderless.protocol.packing import pack, unpack
from leaderless.protocol.standing import Judge, Role, Said, StatementKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

DOMAIN = b"leaderless/statement/1\0"
NO_LIBRARY = bytes(16)
_MAX_STATEMENT = 16 << 10
_MAX_GENERATION = 1 << 31

__all__ = [
    "DOMAIN",
    "NO_LIBRARY",
    "Former",
    "Member",
    "Membership",
    "Role",
    "Signed",
    "Statement",
    "StatementKind",
    "UnknownStatementError",
    "counted",
    "decode",
    "library_of",
    "membership_of",
    "readable",
    "signed_part",
]


class UnknownStatementError(MalformedError):
    """A statement of a kind, or with a role, that a later version knows."""

    code = "unknown_statement"


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
    generation: int = 0

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
                *([self.generation] if self.generation else []),
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
    """A device that takes part; its name is what it was admitted as, if anybody said.

    Incarnations below generation `since` are of a membership that was revoked.
    """

    public_key: bytes
    certificate: bytes
    role: Role
    name: str
    since: int = 0


@dataclass(frozen=True, slots=True)
class Former:
    """A device that was admitted and is no member: by whose word, when (ms), in which statement."""

    public_key: bytes
    certificate: bytes
    name: str
    by: bytes
    at_ms: int
    statement: bytes


@dataclass(frozen=True, slots=True)
class Membership:
    """The members of a library and those that were, by public key; its name, and what makes it so."""

    library: bytes
    library_name: str
    members: Mapping[bytes, Member] = field(default_factory=dict)
    heads: tuple[bytes, ...] = ()
    digest: bytes = bytes(32)
    former: Mapping[bytes, Former] = field(default_factory=dict)

    def may_admit(self, public_key: bytes) -> bool:
        """Return whether that device may add others, and revoke them."""
        member = self.members.get(public_key)
        return member is not None and member.role is Role.ADMIN


def signed_part(body: bytes) -> bytes:
    """Return the bytes that a statement's signature covers."""
    return DOMAIN + body


def decode(body: bytes) -> Statement:
    """Return the statement in `body`; raises MalformedError, or UnknownStatementError."""
    fields = unpack(body, _MAX_STATEMENT)
    if not isinstance(fields, list) or len(fields) not in (10, 11) or fields[0] != 1:
        raise MalformedError("a statement has another shape")
    _, library, kind, certificate, role, name, author, parents, issued_ms, nonce, *rest = fields
    generation = rest[0] if rest else 0
    texts = all(isinstance(item, str) for item in (kind, role, name))
    numbers = all(type(item) is int for item in (issued_ms, generation))
    sized = _is_bytes(library, 16) and _is_bytes(author, 32)
    if not (texts and numbers and sized and isinstance(certificate, bytes)):
        raise MalformedError("a statement has another shape")
    if not isinstance(parents, list) or not all(_is_bytes(parent, 32) for parent in parents):
        raise MalformedError("a statement has another shape")
    if not isinstance(nonce, bytes) or not 0 <= generation < _MAX_GENERATION:
        raise MalformedError("a statement has another shape")
    try:
        what, may = StatementKind(kind), Role(role)
    except ValueError as error:
        raise UnknownStatementError(f"a statement says what nobody knows: {error}") from error
    return Statement(
        *(library, what, certificate, may, name, author, tuple(parents), issued_ms, nonce),
        generation=generation,
    )


def _is_bytes(value: object, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size


def library_of(genesis: Signed) -> bytes:
    """Return the id of the library that a genesis statement makes."""
    return genesis.hash[:16]


def readable(said: Iterable[Signed], version: tuple[int, int]) -> tuple[Signed, ...]:
    """Return the statements that a peer of this version of the protocol can read.

    One of 1.0 ends the connection at a kind that it does not know; what builds on such a statement
    does not stand at it either, so it goes on as if nothing had been revoked.
    """
    if version >= (1, 1):
        return tuple(said)
    first = (StatementKind.GENESIS, StatementKind.ADD)
    decoded = ((signed, decode(signed.body)) for signed in said)
    return tuple(signed for signed, item in decoded if item.kind in first and not item.generation)


def membership_of(
    library: bytes, statements: Sequence[Signed], key_of: Callable[[bytes], bytes]
) -> Membership:
    """Return who is a member by `statements`, whose signatures were verified.

    `key_of` returns the public key in a certificate. Statements that do not count are left out of
    the members.
    """
    said, judge = _judged(library, statements, key_of)
    stands, standing = judge.stands(), judge.standing()
    members = {}
    for key, item in standing.admitted.items():
        about = said[item.at]
        # A genesis names the library, not the device that made it.
        name = "" if about.kind is StatementKind.GENESIS else about.name
        role, since = standing.roles[key], standing.since[key]
        members[key] = Member(key, about.certificate, role, name, since)
    former = {
        key: Former(
            *(key, said[gone.admission.at].certificate, said[gone.admission.at].name),
            gone.loss.author,
            *(said[gone.loss.at].issued_ms, gone.loss.at),
        )
        for key, gone in standing.gone.items()
    }
    superseded = {parent for at in stands for parent in said[at].parents}
    heads = tuple(sorted(stands - superseded))
    genesis = next((said[at] for at in stands if said[at].kind is StatementKind.GENESIS), None)
    known = digest(b"".join(sorted(signed.hash for signed in statements)))
    called = "" if genesis is None else genesis.name
    return Membership(library, called, members, heads, known, former)


def counted(
    library: bytes, statements: Sequence[Signed], key_of: Callable[[bytes], bytes]
) -> frozenset[bytes]:
    """Return the hashes of the statements that make the membership what it is."""
    return _judged(library, statements, key_of)[1].stands()


def _judged(
    library: bytes, statements: Sequence[Signed], key_of: Callable[[bytes], bytes]
) -> tuple[dict[bytes, Statement], Judge]:
    said = {signed.hash: decode(signed.body) for signed in statements}
    root = next((at for at, item in said.items() if _is_root(library, at, item)), b"")
    judge = Judge(
        (
            Said(
                *(at, item.kind, key_of(item.certificate), item.author_key, item.role),
                *(item.parents, item.generation),
            )
            for at, item in said.items()
            if at == root or (item.library == library and item.kind is not StatementKind.GENESIS)
        ),
        root,
    )
    return said, judge


def _is_root(library: bytes, at: bytes, said: Statement) -> bool:
    is_genesis = said.kind is StatementKind.GENESIS and said.library == NO_LIBRARY
    return is_genesis and at[:16] == library and not said.parents
