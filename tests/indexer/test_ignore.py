"""Which names are not indexed."""

from __future__ import annotations

import pytest

from leaderless.indexer.ignore import Ignored


@pytest.mark.parametrize(
    ("glob", "path", "is_directory", "out"),
    [
        ("*~", b"a/b~", False, True),
        ("*~", b"a/b", False, False),
        ("cache/", b"a/cache", True, True),
        ("cache/", b"a/cache", False, False),
        ("/top", b"top", False, True),
        ("/top", b"a/top", False, False),
        ("a/**/z", b"a/b/c/z", False, True),
        ("*.tmp", b"caf\xe9.tmp", False, True),
        ("*.tmp", b"two\nlines/x.tmp", False, True),
        ("*.tmp", b"x.tmp\n", False, False),
        ("# a comment", b"# a comment", False, False),
    ],
)
def test_globs_are_those_of_gitignore(
    glob: str, path: bytes, is_directory: bool, out: bool
) -> None:
    """Globs mean what they mean to git, for names of any bytes."""
    assert Ignored([glob])(path, is_directory=is_directory) is out


def test_a_later_glob_takes_back_an_earlier_one() -> None:
    """An exclamation mark keeps what was left out."""
    ignored = Ignored(["*.log", "!keep.log"])
    assert [ignored(name, is_directory=False) for name in (b"a.log", b"keep.log")] == [True, False]


def test_nothing_is_left_out_without_globs() -> None:
    """An empty list ignores nothing."""
    assert not Ignored(())(b".git", is_directory=True)
