"""The exchange itself, with an imaginary wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.pairing.attempts import CodeRefusedError
from leaderless.pairing.code import Code
from leaderless.pairing.exchange import Exchange, PairingBrokenError

RIGHT = Code(4, ("maple", "otter", "lemon"))
WRONG = Code(4, ("maple", "otter", "apple"))
ZERO_POINT = b"\1" + bytes(31)
NOT_ON_THE_CURVE = b"\xe9"


def run(
    host_code: Code = RIGHT,
    joiner_keys: tuple[bytes, bytes] = (b"joiner", b"host"),
) -> tuple[Exchange, Exchange]:
    """Exchange messages; return (joiner, host). `joiner_keys` are the keys that the joiner saw."""
    joiner = Exchange(RIGHT, *joiner_keys, host=False)
    host = Exchange(host_code, b"joiner", b"host", host=True)
    joiner.finish(host.message)
    host.finish(joiner.message)
    return joiner, host


def test_the_same_code_and_keys_confirm_both_ways() -> None:
    """Each side accepts what the other proves."""
    joiner, host = run()
    host.check(joiner.confirmation(of_host=False))
    joiner.check(host.confirmation(of_host=True))


def test_another_code_is_refused_with_a_hint() -> None:
    """The host does not accept the proof of another code."""
    joiner, host = run(WRONG)
    with pytest.raises(CodeRefusedError) as caught:
        host.check(joiner.confirmation(of_host=False))
    assert caught.value.hint == "compare it letter by letter"


@pytest.mark.parametrize("keys", [(b"joiner", b"relay"), (b"relay", b"host"), (b"host", b"joiner")])
def test_other_keys_are_refused_even_with_the_right_code(keys: tuple[bytes, bytes]) -> None:
    """Whoever put a key of its own in the middle fails the proof of both sides."""
    joiner, host = run(RIGHT, keys)
    with pytest.raises(CodeRefusedError):
        host.check(joiner.confirmation(of_host=False))
    with pytest.raises(CodeRefusedError):
        joiner.check(host.confirmation(of_host=True))


def test_a_confirmation_that_is_sent_back_proves_nothing() -> None:
    """The two sides' proofs differ."""
    joiner, host = run()
    with pytest.raises(CodeRefusedError):
        joiner.check(joiner.confirmation(of_host=False))
    with pytest.raises(CodeRefusedError):
        host.check(host.confirmation(of_host=True))


@pytest.mark.parametrize("kept", [0, 31])
def test_a_part_of_a_confirmation_proves_nothing(kept: int) -> None:
    """A proof counts whole or not at all."""
    joiner, host = run()
    with pytest.raises(CodeRefusedError):
        host.check(joiner.confirmation(of_host=False)[:kept])


def test_a_confirmation_of_another_run_proves_nothing() -> None:
    """What was overheard once cannot be used again."""
    (overheard, _), (_, host) = run(), run()
    with pytest.raises(CodeRefusedError):
        host.check(overheard.confirmation(of_host=False))


@pytest.mark.parametrize("host", [True, False])
@pytest.mark.parametrize("point", [b"", bytes(32), ZERO_POINT, NOT_ON_THE_CURVE, b"\xff" * 32])
def test_a_message_that_is_none_breaks_the_exchange(point: bytes, *, host: bool) -> None:
    """No point, a point of low order and one off the curve are all refused by the same error."""
    exchange = Exchange(RIGHT, b"joiner", b"host", host=host)
    with pytest.raises(PairingBrokenError):
        exchange.finish((b"A" if host else b"B") + point)


@given(theirs=st.binary(max_size=80))
def test_random_bytes_break_the_exchange_or_prove_nothing(theirs: bytes) -> None:
    """Whatever a stranger sends, the outcome is one of ours."""
    exchange = Exchange(RIGHT, b"joiner", b"host", host=True)
    try:
        exchange.finish(b"A" + theirs)
    except PairingBrokenError:
        return
    with pytest.raises(CodeRefusedError):
        exchange.check(theirs)


@pytest.mark.parametrize("host", [True, False])
def test_our_own_message_sent_back_breaks_the_exchange(*, host: bool) -> None:
    """A mirror is no other side, also if it changes the letter of the side."""
    exchange = Exchange(RIGHT, b"joiner", b"host", host=host)
    with pytest.raises(PairingBrokenError):
        exchange.finish(exchange.message)
    mirrored = Exchange(RIGHT, b"joiner", b"host", host=host)
    with pytest.raises(PairingBrokenError):
        mirrored.finish((b"A" if host else b"B") + mirrored.message[1:])


def test_a_second_message_is_refused() -> None:
    """Nobody gets two guesses out of one exchange."""
    joiner, host = run()
    with pytest.raises(PairingBrokenError):
        host.finish(joiner.message)


def test_sealed_payloads_reach_the_other_side_alone() -> None:
    """Each side reads what the other sealed, and it is not to be seen on the wire."""
    joiner, host = run()
    sealed = joiner.seal(1, b"introduction")
    assert host.unseal(1, sealed) == b"introduction"
    assert joiner.unseal(1, host.seal(1, b"welcome")) == b"welcome"
    assert b"introduction" not in sealed


def test_a_changed_payload_is_refused() -> None:
    """One bit is enough."""
    joiner, host = run()
    sealed = bytearray(joiner.seal(1, b"introduction"))
    sealed[0] ^= 1
    with pytest.raises(PairingBrokenError):
        host.unseal(1, bytes(sealed))


def test_a_payload_out_of_its_turn_is_refused() -> None:
    """The first payload does not pass as the second."""
    joiner, host = run()
    with pytest.raises(PairingBrokenError):
        host.unseal(2, joiner.seal(1, b"thanks"))


def test_our_own_payload_sent_back_is_refused() -> None:
    """A side does not take its own words for the other's."""
    joiner, _ = run()
    with pytest.raises(PairingBrokenError):
        joiner.unseal(1, joiner.seal(1, b"introduction"))


@pytest.mark.parametrize("sealed", [b"", b"short"])
def test_bytes_too_short_for_a_payload_are_refused(sealed: bytes) -> None:
    """What holds no seal at all ends by the same error."""
    _, host = run()
    with pytest.raises(PairingBrokenError):
        host.unseal(1, sealed)


def test_payloads_of_another_code_are_unreadable() -> None:
    """Who does not know the code reads nothing."""
    joiner, host = run(WRONG)
    with pytest.raises(PairingBrokenError):
        joiner.unseal(1, host.seal(1, b"welcome"))
