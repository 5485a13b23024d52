"""The root of every error the daemon raises on purpose, and the words it shows for them.

::

    LeaderlessError
    ├── UsageError          what was asked cannot be asked so
    ├── NotFoundError       what was named is not here
    ├── NotPermittedError   it is here, but not for the one who asks
    ├── UnreachableError    somebody who is needed does not answer
    ├── NotYetError         it can be had later, and nobody has to do anything for that
    │   └── TimedOutError   it may still come, but not within the time given
    └── InvalidDataError    bytes from elsewhere that break a rule (theirs, not ours)

Rooms derive their own errors from these; `code` is stable and for machines, `hint` names the act
that mends it.
"""

from __future__ import annotations


class LeaderlessError(Exception):
    """An error with a stable code, a sentence for people and, where there is one, a remedy."""

    code = "failed"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def said_on_purpose(group: BaseExceptionGroup[BaseException]) -> LeaderlessError | None:
    """Return the error in a group that holds only such as were raised on purpose, else None."""
    first: LeaderlessError | None = None
    for error in group.exceptions:
        said = said_on_purpose(error) if isinstance(error, BaseExceptionGroup) else error
        if not isinstance(said, LeaderlessError):
            return None
        first = first or said
    return first


class UsageError(LeaderlessError):
    """What was asked cannot be asked so; nothing was changed."""

    code = "usage"


class NotFoundError(LeaderlessError):
    """What was named is not here."""

    code = "not_found"


class NotPermittedError(LeaderlessError):
    """It exists, but the one who asks may not have it."""

    code = "not_permitted"


class UnreachableError(LeaderlessError):
    """Somebody who is needed for this does not answer."""

    code = "unreachable"


class NotYetError(LeaderlessError):
    """It cannot be had now, and can later: whoever tries again has it then."""

    code = "not_yet"


class TimedOutError(NotYetError):
    """It did not happen within the time given; it may still happen."""

    code = "timed_out"


class InvalidDataError(LeaderlessError):
    """Bytes from elsewhere break a rule. Always the sender's fault, never ours."""

    code = "invalid_data"
