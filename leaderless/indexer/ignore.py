"""Which names are not indexed: globs in the form of gitignore, on bytes that may be no text."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pathspec import GitIgnoreSpec

if TYPE_CHECKING:
    from collections.abc import Iterable


class Ignored:
    """A set of globs; paths are relative to the location's root."""

    def __init__(self, globs: Iterable[str]) -> None:
        self._spec = GitIgnoreSpec.from_lines(globs)
        self._none = not self._spec.patterns

    def __call__(self, relative: bytes, *, is_directory: bool) -> bool:
        """Return whether a path is left out."""
        if self._none:
            return False
        # A newline is a character of a name like any other; in a regular expression it is not.
        text = os.fsdecode(relative).replace("\n", "\r")
        return self._spec.match_file(text + ("/" if is_directory else ""))
