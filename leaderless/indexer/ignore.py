"""Which names are not indexed: globs in the form of gitignore, on bytes that may be no text."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from pathspec import GitIgnoreSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLAIN: Final = re.compile(r"[A-Za-z0-9._~+,=@%*?-]*")
"""The last name of a glob whose characters all stand for themselves, but for the two wildcards."""


class Ignored:
    """A set of globs; paths are relative to the location's root."""

    def __init__(self, globs: Iterable[str]) -> None:
        globs = list(globs)
        self._spec = GitIgnoreSpec.from_lines(globs)
        self._none = not self._spec.patterns
        self._names = _names_of(globs)

    def __call__(self, relative: bytes, *, is_directory: bool) -> bool:
        """Return whether a path is left out."""
        if self._none:
            return False
        # A newline is a character of a name like any other; in a regular expression it is not.
        text = os.fsdecode(relative).replace("\n", "\r")
        return self._spec.match_file(text + ("/" if is_directory else ""))

    def may_hold(self, directory: bytes, names: str) -> bool:
        """Return False if surely none of these names in a directory, parted by slashes, is left out.

        Most directories hold nothing of the kind, and all names at once are looked through in a
        fraction of the time that one by one takes.
        """
        if self._none:
            return False
        if self._names is None:
            return True
        return self._names.search(f"/{os.fsdecode(directory)}/{names}/") is not None


def _names_of(globs: Iterable[str]) -> re.Pattern[str] | None:
    """Return what finds, between slashes, every name that a path must hold to be left out.

    It finds more than that: what stands above the last name of a glob is not looked at, and what an
    exclamation mark takes back neither. None where a glob is not as plain as that.
    """
    wanted = []
    for glob in globs:
        if glob.startswith(("#", "!")):
            continue
        name = glob.rstrip("/").rpartition("/")[2]
        if _PLAIN.fullmatch(name) is None:
            return None
        wanted.append(re.sub(r"(?:\\\*)+", "[^/]*", re.escape(name)).replace(r"\?", "[^/]"))
    return re.compile(f"/(?:{'|'.join(wanted)})(?=/)")
