"""What is found in a group of errors."""

from __future__ import annotations

import pytest

from leaderless.errors import LeaderlessError, NotFoundError, UsageError, said_on_purpose

SAID, ALSO = NotFoundError("gone"), UsageError("no")


@pytest.mark.parametrize(
    "group",
    [
        ExceptionGroup("one", [SAID]),
        ExceptionGroup("nested", [ExceptionGroup("deep", [SAID])]),
        ExceptionGroup("several", [SAID, ExceptionGroup("deep", [ALSO])]),
    ],
)
def test_an_error_that_was_raised_on_purpose_is_found(group: ExceptionGroup[Exception]) -> None:
    """However many nurseries it has passed; of several the first is told."""
    assert said_on_purpose(group) is SAID


@pytest.mark.parametrize(
    "group",
    [
        ExceptionGroup("bug", [ValueError()]),
        ExceptionGroup("beside", [SAID, ValueError()]),
        ExceptionGroup("before", [ValueError(), SAID]),
        ExceptionGroup("deep", [ALSO, ExceptionGroup("deep", [SAID, ValueError()])]),
        BaseExceptionGroup("stopped", [SAID, KeyboardInterrupt()]),
    ],
)
def test_a_bug_is_not_hidden_by_what_was_raised_beside_it(
    group: BaseExceptionGroup[BaseException],
) -> None:
    """A group with anything else in it is shown as it is."""
    assert said_on_purpose(group) is None


def test_an_error_has_words_and_a_remedy() -> None:
    """Its text is the message; the hint stands beside it."""
    error = LeaderlessError("it is so", hint="do this")
    assert (str(error), error.message, error.hint) == ("it is so", "it is so", "do this")
