"""Who is a member, by signed statements."""

from __future__ import annotations

from dataclasses import replace

import pytest

from leaderless.protocol.errors import MalformedError
from leaderless.protocol.membership import (
    DOMAIN,
    NO_LIBRARY,
    Former,
    Role,
    Signed,
    Statement,
    StatementKind,
    UnknownStatementError,
    counted,
    decode,
    library_of,
    membership_of,
    readable,
    signed_part,
)
from leaderless.protocol.packing import pack, unpack


def _key(certificate: bytes) -> bytes:
    return certificate.ljust(32, b".")


def _signed(statement: Statement) -> Signed:
    return Signed(statement.encode(), b"s" * 64)


FIRST = Statement(
    NO_LIBRARY, StatementKind.GENESIS, b"anna", Role.ADMIN, "home", _key(b"anna"), (), 1, b"n"
)
GENESIS = _signed(FIRST)
LIBRARY = library_of(GENESIS)


def _add(who: bytes, by: bytes, role: Role = Role.ADMIN, parents: tuple[bytes, ...] = ()) -> Signed:
    return _signed(
        Statement(LIBRARY, StatementKind.ADD, who, role, who.decode(), _key(by), parents, 1, b"n")
    )


def test_the_genesis_makes_the_first_admin() -> None:
    """A library begins with one member, who may admit others, and has a name."""
    found = membership_of(LIBRARY, [GENESIS], _key)
    assert list(found.members) == [_key(b"anna")]
    assert found.may_admit(_key(b"anna"))
    assert found.library_name == "home"
    assert found.heads == (GENESIS.hash,)


def test_members_admit_members_in_any_order_of_arrival() -> None:
    """The same set of statements gives the same members, whoever was told first."""
    ben = _add(b"ben", b"anna", parents=(GENESIS.hash,))
    carl = _add(b"carl", b"ben", parents=(ben.hash,))
    one = membership_of(LIBRARY, [GENESIS, ben, carl], _key)
    other = membership_of(LIBRARY, [carl, GENESIS, ben], _key)
    assert one.members == other.members
    assert one.digest == other.digest
    assert one.heads == (carl.hash,)


def test_a_statement_waits_for_what_it_builds_on() -> None:
    """Without its parents a statement does not count yet."""
    ben = _add(b"ben", b"anna", parents=(b"x" * 32,))
    assert len(membership_of(LIBRARY, [GENESIS, ben], _key).members) == 1


def test_strangers_and_plain_members_admit_nobody() -> None:
    """Only an admin's word counts."""
    plain = _add(b"ben", b"anna", Role.MEMBER)
    found = membership_of(LIBRARY, [GENESIS, plain, _add(b"c", b"ben"), _add(b"d", b"x")], _key)
    assert len(found.members) == 2
    assert not found.may_admit(_key(b"ben"))
    assert not found.may_admit(_key(b"nobody"))


def test_another_genesis_makes_another_library() -> None:
    """A forged root has another id and counts for nothing."""
    forged = _signed(replace(FIRST, certificate=b"eve", author_key=_key(b"eve")))
    assert list(membership_of(LIBRARY, [GENESIS, forged], _key).members) == [_key(b"anna")]


def test_a_genesis_in_the_name_of_a_library_that_is_there_counts_for_nothing() -> None:
    """Else whoever signs one would be an admin; nor does the library get its name."""
    eve = replace(FIRST, certificate=b"eve", author_key=_key(b"eve"), name="eve's")
    for library in (LIBRARY, NO_LIBRARY):
        forged = _signed(replace(eve, library=library))
        found = membership_of(LIBRARY, [forged, GENESIS], _key)
        assert (list(found.members), found.library_name) == ([_key(b"anna")], "home")


def test_what_an_admin_says_of_another_library_is_nothing_in_this_one() -> None:
    """Who is an admin of two admits to the one alone, whoever carries it to the other."""
    ben = _signed(replace(decode(_add(b"ben", b"anna").body), library=b"another library!"))
    found = membership_of(LIBRARY, [GENESIS, ben], _key)
    assert list(found.members) == [_key(b"anna")]
    assert counted(LIBRARY, [GENESIS, ben], _key) == {GENESIS.hash}


def test_a_genesis_is_of_no_library_and_builds_on_nothing() -> None:
    """One that says otherwise makes none, whatever its hash."""
    for said in (replace(FIRST, library=b"l" * 16), replace(FIRST, parents=(b"p" * 32,))):
        made = _signed(said)
        assert not membership_of(library_of(made), [made], _key).members


def test_the_first_word_on_a_device_stays() -> None:
    """A device that is added twice is one member."""
    twice = [GENESIS, _add(b"ben", b"anna"), _add(b"ben", b"anna", Role.MEMBER)]
    assert len(membership_of(LIBRARY, twice, _key).members) == 2


_FIELDS = unpack(FIRST.encode(), 1 << 10)


@pytest.mark.parametrize(
    "body",
    [
        pack(1),
        pack([1] * 10),
        pack([*_FIELDS[:7], [b"short"], *_FIELDS[8:]]),
        pack([*_FIELDS[:9], "text"]),
        pack([*_FIELDS, -1]),
        pack([*_FIELDS, 1 << 31]),
        pack([*_FIELDS, 1, 2]),
    ],
)
def test_other_bytes_are_no_statement(body: bytes) -> None:
    """Another shape is refused."""
    with pytest.raises(MalformedError):
        decode(body)


@pytest.mark.parametrize("word", [b"genesis", b"admin"])
def test_what_a_later_version_says_is_told_from_nonsense(word: bytes) -> None:
    """Its shape is right, its kind or role is not known here."""
    with pytest.raises(UnknownStatementError):
        decode(FIRST.encode().replace(word, word[:-1] + b"?"))


def test_a_generation_is_left_out_where_there_is_none() -> None:
    """So a first admission has the bytes that it always had."""
    assert len(_FIELDS) == 10
    assert decode(FIRST.encode()) == FIRST
    again = replace(FIRST, generation=7)
    assert decode(again.encode()) == again
    assert unpack(again.encode(), 1 << 10)[10:] == [7]


def test_who_was_a_member_is_known_with_who_says_that_it_is_none_any_more() -> None:
    """By its name, and since when; whoever is admitted anew begins at a generation."""
    ben = _add(b"ben", b"anna", parents=(GENESIS.hash,))
    gone = Statement(
        *(LIBRARY, StatementKind.REVOKE, b"ben", Role.MEMBER, "", _key(b"anna"), (ben.hash,)),
        *(77, b"n"),
    )
    out = _signed(gone)
    found = membership_of(LIBRARY, [GENESIS, ben, out], _key)
    assert list(found.members) == [_key(b"anna")]
    assert found.former == {
        _key(b"ben"): Former(_key(b"ben"), b"ben", "ben", _key(b"anna"), 77, out.hash),
    }
    anew = replace(gone, kind=StatementKind.ADD, role=Role.ADMIN, parents=(out.hash,), generation=3)
    found = membership_of(LIBRARY, [GENESIS, ben, out, _signed(anew)], _key)
    assert (found.members[_key(b"ben")].since, found.former) == (3, {})


def test_who_was_revoked_is_so_by_whoever_said_it_and_when() -> None:
    """Not by whoever had admitted it."""
    ben = _add(b"ben", b"anna", parents=(GENESIS.hash,))
    carl = _add(b"carl", b"ben", parents=(ben.hash,))
    about = (LIBRARY, StatementKind.REVOKE, b"carl", Role.MEMBER, "", _key(b"anna"))
    out = _signed(Statement(*about, (carl.hash,), 99, b"n"))
    found = membership_of(LIBRARY, [GENESIS, ben, carl, out], _key).former[_key(b"carl")]
    assert (found.by, found.at_ms, found.name) == (_key(b"anna"), 99, "carl")


def test_without_its_genesis_a_library_has_no_members() -> None:
    """Nor a name."""
    found = membership_of(LIBRARY, [_add(b"ben", b"anna")], _key)
    assert (found.members, found.library_name) == ({}, "")


def test_the_signature_covers_a_domain() -> None:
    """A statement's signature fits nothing else."""
    assert signed_part(b"x") == DOMAIN + b"x"


def test_what_does_not_count_can_be_told_apart() -> None:
    """Statements that make the membership are named; a stranger's word is not among them."""
    ben = _add(b"ben", b"anna", parents=(GENESIS.hash,))
    stray = _add(b"carl", b"nobody")
    assert counted(LIBRARY, [GENESIS, ben, stray], _key) == {GENESIS.hash, ben.hash}


def test_the_founder_has_no_name_by_the_statement_that_names_the_library() -> None:
    """A device is not called like the library that it made."""
    members = membership_of(LIBRARY, (GENESIS,), _key)
    assert (members.library_name, members.members[_key(b"anna")].name) == ("home", "")


def test_a_peer_of_1_0_is_sent_what_it_can_read() -> None:
    """The rest would end its connection; what it cannot know of is left out."""
    ben = _add(b"ben", b"anna", parents=(GENESIS.hash,))
    out = _signed(replace(decode(ben.body), kind=StatementKind.REVOKE, parents=(ben.hash,)))
    anew = _signed(replace(decode(ben.body), generation=2, parents=(out.hash,)))
    said = (GENESIS, ben, out, anew)
    assert readable(said, (1, 1)) == said
    assert readable(said, (1, 0)) == (GENESIS, ben)
