"""How it is told that contents of a location are not read for now, and what goes on with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from leaderless.cli.output import size_text
from leaderless.escape import shell_word
from leaderless.words import doing

if TYPE_CHECKING:
    from leaderless.cli.app import Context


def left_text(item: dict[str, Any]) -> str:
    """Return what is left to be hashed in a paused location, nothing if that is not known."""
    files = item.get("unhashed_files")
    if files is None:
        return ""
    if files == "0":
        return ", no file is left to hash"
    size = size_text(item["unhashed_bytes"])
    return f", {doing(files, 'file', 'is', 'are')} left to hash ({size})"


def resume_command(context: Context, name: str | None) -> str:
    """Return the command that goes on with a location; None: with all of them."""
    return context.command(
        "location resume" if name is None else f"location resume {shell_word(name)}"
    )
