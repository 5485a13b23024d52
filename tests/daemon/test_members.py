"""What this device signs about members, and the welcome of a new one."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderless.daemon.members import (
    Welcome,
    admission,
    certificates,
    decode_welcome,
    encode_welcome,
    genesis,
    revocation,
)
from leaderless.errors import InvalidDataError, NotPermittedError
from leaderless.identity import Identity, certificate_key, device_id, load_or_create, verify
from leaderless.protocol.membership import (
    Membership,
    Signed,
    library_of,
    membership_of,
    signed_part,
)
from leaderless.protocol.packing import pack
from tests.replicas import START_MS


@pytest.fixture
def people(tmp_path: Path) -> tuple[Identity, Identity, Identity]:
    """Make a host, a joiner and a stranger."""
    host, joiner, stranger = (load_or_create(tmp_path / name) for name in "hjs")
    return host, joiner, stranger


def _members(*said: Signed) -> Membership:
    return membership_of(library_of(said[0]), said, certificate_key)


def _welcomed(host: Identity, joiner: Identity) -> tuple[bytes, tuple[Signed, ...]]:
    """Return a library of two, and its statements."""
    first = genesis(host, "home", START_MS, b"n")
    second = admission(host, _members(first), joiner.certificate_der, "laptop", START_MS, b"n")
    return library_of(first), (first, second)


def test_an_admission_makes_its_subject_a_member(
    people: tuple[Identity, Identity, Identity],
) -> None:
    """Whoever checks the admin's signature finds the new device among the members."""
    host, joiner, _ = people
    _, said = _welcomed(host, joiner)
    assert verify(host.public_key, said[1].signature, signed_part(said[1].body))
    assert _members(*said).members[joiner.public_key].name == "laptop"


def test_a_device_that_is_no_admin_admits_nobody(
    people: tuple[Identity, Identity, Identity],
) -> None:
    """Who may not admit signs nothing."""
    host, joiner, stranger = people
    members = _members(genesis(host, "home", START_MS, b"n"))
    with pytest.raises(NotPermittedError):
        admission(stranger, members, joiner.certificate_der, "x", START_MS, b"n")


def test_a_long_name_is_cut(people: tuple[Identity, Identity, Identity]) -> None:
    """A joiner cannot make statements long."""
    host, joiner, _ = people
    first = genesis(host, "home", START_MS, b"n")
    said = admission(host, _members(first), joiner.certificate_der, "x" * 900, START_MS, b"n")
    assert len(_members(first, said).members[joiner.public_key].name) == 64


def test_a_welcome_proves_its_membership(people: tuple[Identity, Identity, Identity]) -> None:
    """A joiner knows from it who is in the library and where its host takes calls."""
    host, joiner, _ = people
    library, said = _welcomed(host, joiner)
    sent = Welcome(library, said, ("192.0.2.1:4747",))
    got, members = decode_welcome(encode_welcome(sent), joiner.public_key, host.public_key)
    assert got == sent
    assert set(members.members) == {host.public_key, joiner.public_key}


def test_a_welcome_without_us_is_refused(people: tuple[Identity, Identity, Identity]) -> None:
    """A host that did not admit this device cannot make it join."""
    host, joiner, stranger = people
    data = encode_welcome(Welcome(*_welcomed(host, joiner), ()))
    with pytest.raises(InvalidDataError, match="does not make"):
        decode_welcome(data, stranger.public_key, host.public_key)


def test_a_welcome_to_a_library_without_its_host_is_refused(
    people: tuple[Identity, Identity, Identity],
) -> None:
    """Whoever proved the code has to be a member of the library it invites to."""
    host, joiner, stranger = people
    data = encode_welcome(Welcome(*_welcomed(host, joiner), ()))
    with pytest.raises(InvalidDataError, match="does not make"):
        decode_welcome(data, joiner.public_key, stranger.public_key)


def test_a_welcome_with_a_forged_statement_is_refused(
    people: tuple[Identity, Identity, Identity],
) -> None:
    """Every statement has to be signed by its author, or none counts."""
    host, joiner, stranger = people
    library, (first, second) = _welcomed(host, joiner)
    forged = Signed(second.body, stranger.sign(signed_part(second.body)))
    data = encode_welcome(Welcome(library, (first, forged), ()))
    with pytest.raises(InvalidDataError, match="not signed"):
        decode_welcome(data, joiner.public_key, host.public_key)


@pytest.mark.parametrize(
    "shape",
    [
        [2, bytes(16), [], []],
        [1, "text", [], []],
        [1, bytes(16), [5], []],
        [1, bytes(16), [[1 << 60, 1 << 60]], []],
        [1, bytes(16), [[b"one"]], []],
        [1, bytes(16), [[b"a", b"b", b"c"]], []],
        {},
    ],
)
def test_a_welcome_of_another_shape_is_named(
    people: tuple[Identity, Identity, Identity], shape: object
) -> None:
    """What is no welcome is its sender's fault, not a crash."""
    host, joiner, _ = people
    with pytest.raises(InvalidDataError, match="another shape"):
        decode_welcome(pack(shape), joiner.public_key, host.public_key)


def test_former_members_are_known_by_their_certificates(
    people: tuple[Identity, Identity, Identity],
) -> None:
    """A connection may show who they are, so that they can be told why they are none."""
    host, joiner, _ = people
    _, said = _welcomed(host, joiner)
    out = revocation(host, _members(*said), device_id(joiner.public_key), START_MS, b"r")
    known = certificates(_members(*said, out))
    assert known == {item.fingerprint: item.certificate_der for item in (host, joiner)}
