"""What is told while a restored device takes its own rows back: why something is not here, or not done.

What was found or said since the backup may be among these rows, so nobody can say yet that it is not
there. For how long that is so is `Overview.waits`' word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.errors import NotFoundError
from leaderless.store.restoring import RestoringError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from leaderless.status.http import Answer, Request

    Handler = Callable[[Request], Awaitable[Answer]]
    Waits = Callable[[], Awaitable[str | None]]


async def not_held_up() -> None:
    """Say that this device waits for nothing."""


def explained(handler: Handler, waits: Waits) -> Handler:
    """Return a handler that says what this device waits for, where that is why it cannot answer."""

    async def answer(request: Request) -> Answer:
        try:
            return await handler(request)
        except NotFoundError as error:
            held = await waits()
            if held is None:
                raise
            raise RestoringError(held, error.message) from error
        except RestoringError as error:
            raise RestoringError(await waits() or "") from error

    return answer


async def held_up_json(waits: Waits) -> dict[str, Any] | None:
    """Return why what is listed may lack something, and what can be done; None if it lacks nothing."""
    held = await waits()
    if held is None:
        return None
    error = RestoringError(held)
    return {"message": error.message, "hint": error.hint}
