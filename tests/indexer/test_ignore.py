"""Which names are not indexed."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def is_glob(text: str) -> bool:
    """Return whether a line means anything: an exclamation mark alone does not."""
    try:
        Ignored([text])
    except ValueError:
        return False
    return True


PARTS = st.sampled_from(
    ["a", "b~", ".c", "*", "?", "**", "/", "!", "#", "\\", "[ab]", "é", " ", "+"]
)
GLOBS = st.lists(st.lists(PARTS, min_size=1, max_size=4).map("".join).filter(is_glob), max_size=3)
NAMES = st.lists(
    st.sampled_from(["a", "ab~", "é", "aé", ".c", "b~.c", "a\nb~", "+", " a", "#a", "!a"])
)


@given(GLOBS, st.sampled_from([b"", b"a", b"b~/a", b".c/+"]), NAMES)
def test_what_is_said_to_hold_nothing_holds_nothing(
    globs: list[str], directory: bytes, names: list[str]
) -> None:
    """Where a directory as a whole is let through, so is each name in it, whatever it stands for."""
    ignored = Ignored(globs)
    if ignored.may_hold(directory, "/".join(names)):
        return
    prefix = directory + b"/" if directory else b""
    paths = [prefix + os.fsencode(name) for name in names]
    assert not any(ignored(path, is_directory=kind) for path in paths for kind in (False, True))


@pytest.mark.parametrize(
    ("name", "may"), [("b", False), ("b~", True), (".Trash-1000", True), ("lost+found2", False)]
)
def test_the_usual_globs_let_a_directory_through_as_a_whole(name: str, may: bool) -> None:
    """Names are asked for one by one only where one of them looks like a glob."""
    ignored = Ignored(["*~", ".Trash-*", "lost+found", "!kept"])
    assert ignored.may_hold(b"d", f"a/{name}/c") is may


def test_a_glob_of_more_than_wildcards_has_every_name_asked_for() -> None:
    """Nothing is let through as a whole that is not understood."""
    assert Ignored(["[ab]"]).may_hold(b"", "x")
