"""The life of an open code, by a clock that is handed in."""

from __future__ import annotations

import pytest

from leaderless.errors import NotPermittedError
from leaderless.pairing.attempts import CodeRefusedError, CodeState, OpenCode
from leaderless.pairing.code import Code

OPENED = 1000.0


@pytest.fixture
def code() -> OpenCode:
    """Open a code."""
    return OpenCode(Code(4, ("maple", "otter", "lemon")), OPENED)


def test_a_new_code_waits(code: OpenCode) -> None:
    """A code is good from the moment it is shown."""
    assert code.state(OPENED) is CodeState.WAITING


def test_a_code_is_good_for_five_minutes_and_not_longer(code: OpenCode) -> None:
    """It expires at the end of its 300th second."""
    states = [code.state(OPENED + after) for after in (299.999, 300.0, 1e9)]
    assert states == [CodeState.WAITING, CodeState.EXPIRED, CodeState.EXPIRED]


def test_three_failures_void_a_code(code: OpenCode) -> None:
    """Two leave it open, the third does not."""
    states = []
    for _ in range(3):
        code.failed()
        states.append(code.state(OPENED))
    assert states == [CodeState.WAITING, CodeState.WAITING, CodeState.VOID]


def test_a_void_code_stays_void_when_its_time_is_over(code: OpenCode) -> None:
    """A person is told that somebody guessed, not that time ran out."""
    for _ in range(3):
        code.failed()
    assert code.state(OPENED + 301) is CodeState.VOID


def test_a_used_code_stays_paired_when_its_time_is_over(code: OpenCode) -> None:
    """Success is not taken back."""
    code.done = True
    assert code.state(OPENED + 301) is CodeState.PAIRED


def test_a_try_is_allowed_while_the_code_waits(code: OpenCode) -> None:
    """Nothing is raised for an open code."""
    code.check_open(OPENED + 299)


@pytest.mark.parametrize(
    ("failures", "done", "after"), [(3, False, 0), (0, True, 0), (0, False, 300)]
)
def test_no_try_is_allowed_on_a_code_that_is_closed(
    code: OpenCode, failures: int, after: float, *, done: bool
) -> None:
    """Void, used and expired codes refuse alike, and tell nobody which it is."""
    code.failures, code.done = failures, done
    with pytest.raises(CodeRefusedError, match=r"^no code is open$"):
        code.check_open(OPENED + after)


def test_a_code_belongs_to_the_first_key_that_proved_it(code: OpenCode) -> None:
    """The same device may prove it again, another may not."""
    code.proved(b"first")
    code.proved(b"first")
    with pytest.raises(CodeRefusedError):
        code.proved(b"second")
    assert code.proved_by == b"first"


def test_a_refused_code_is_a_matter_of_permission() -> None:
    """Machines see a stable code and the exit status of what is not permitted."""
    assert issubclass(CodeRefusedError, NotPermittedError)
    assert CodeRefusedError.code == "code_refused"
