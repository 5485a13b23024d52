"""Whom a device believes to be who they say."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from leaderless.identity import Identity, load_or_create
from leaderless.transport.base import UntrustedPeerError
from leaderless.transport.tls import Trust


def _trust(me: Identity, *members: Identity) -> Trust:
    return Trust(me, lambda: {item.fingerprint: item.certificate_der for item in members})


def test_a_members_certificate_proves_its_key(tmp_path: Path) -> None:
    """The key in a member's certificate is the one its device id comes from."""
    me, other = load_or_create(tmp_path / "me"), load_or_create(tmp_path / "other")
    assert _trust(me, other).proved_key(other.certificate_der) == other.public_key


def test_the_own_certificate_is_known_without_a_pin(tmp_path: Path) -> None:
    """A call that reaches ourselves is to be recognised, not taken for a stranger's."""
    me = load_or_create(tmp_path / "me")
    assert _trust(me).proved_key(me.certificate_der) == me.public_key


@pytest.mark.parametrize("shown", ["nothing", "noise", "a stranger"])
def test_whoever_proves_no_members_key_is_a_stranger(tmp_path: Path, shown: str) -> None:
    """No certificate, one that is none, and one of a key without a pin are refused."""
    me, stranger = load_or_create(tmp_path / "me"), load_or_create(tmp_path / "stranger")
    certificate = {"nothing": None, "noise": b"x", "a stranger": stranger.certificate_der}[shown]
    with pytest.raises(UntrustedPeerError):
        _trust(me, me).proved_key(certificate)


def test_contexts_speak_tls_1_3_alone(tmp_path: Path) -> None:
    """Older protocols are not offered to anybody."""
    trust = _trust(load_or_create(tmp_path / "me"))
    assert trust.server().minimum_version is ssl.TLSVersion.TLSv1_3
    assert trust.client().minimum_version is ssl.TLSVersion.TLSv1_3


def test_sessions_cannot_be_resumed(tmp_path: Path) -> None:
    """A resumed session would skip the comparison with the pins: no tickets are given."""
    assert _trust(load_or_create(tmp_path / "me")).server().num_tickets == 0


def test_contexts_are_kept_while_the_members_are_the_same(tmp_path: Path) -> None:
    """Building them costs milliseconds and is done once per change of the membership."""
    me, other = load_or_create(tmp_path / "me"), load_or_create(tmp_path / "other")
    members = [me]
    trust = Trust(me, lambda: {item.fingerprint: item.certificate_der for item in members})
    first = trust.client()
    assert trust.client() is first
    members.append(other)
    assert trust.client() is not first
