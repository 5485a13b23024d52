"""One directory held against what is known of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderless.indexer.differ import (
    Compared,
    Known,
    compare,
    is_all_same,
    is_same,
    keeps_content,
    may_be_moved,
    needs_consent,
)
from leaderless.indexer.scanner import Observed


def known(key: int, name: bytes, kind: str = "file", inode: int = 1, mtime_ns: int = 1) -> Known:
    """Return an entry of the database."""
    uuid = key.to_bytes(16, "big")
    return Known(key, uuid, 1, name, kind, 10, mtime_ns, 5, inode, 0o644, None, None)


def observed(name: bytes, kind: str = "file", inode: int = 1, mtime_ns: int = 1) -> Observed:
    """Return a name as lstat shows it."""
    return Observed(name, kind, 10, mtime_ns, 5, inode, 0o644)


def other(field: str) -> Observed:
    """Return the file f with another number in one field."""
    return Observed(**{**observed(b"f")._asdict(), field: 77})


NAMES = st.binary(min_size=1, max_size=2)
KINDS = st.sampled_from(["file", "directory", "symlink"])
SHAPES = st.tuples(KINDS, st.integers(1, 4), st.integers(1, 2))


@given(st.dictionaries(NAMES, SHAPES, max_size=8), st.dictionaries(NAMES, SHAPES, max_size=8))
def test_what_was_found_applied_to_what_was_known_is_what_is_there(
    before: dict[bytes, tuple[str, int, int]], after: dict[bytes, tuple[str, int, int]]
) -> None:
    """Taking out what is missing and putting in what changed and appeared gives the directory."""
    held = [known(key, name, *shape) for key, (name, shape) in enumerate(before.items())]
    found = compare(held, [observed(name, *shape) for name, shape in after.items()])
    result = {entry.name: (entry.kind, entry.inode, entry.mtime_ns) for entry in held}
    for entry in found.missing:
        del result[entry.name]
    for _, item in found.changed:
        result[item.name] = (item.kind, item.inode, item.mtime_ns)
    for item, _ in found.appeared:
        result[item.name] = (item.kind, item.inode, item.mtime_ns)
    assert result == after


@given(st.dictionaries(NAMES, SHAPES, max_size=8))
def test_an_unchanged_directory_has_nothing_to_do(items: dict[bytes, tuple[str, int, int]]) -> None:
    """Held against itself, everything is the same."""
    held = [known(key, name, *shape) for key, (name, shape) in enumerate(items.items())]
    now = [observed(name, *shape) for name, shape in items.items()]
    assert compare(held, now) == Compared(list(zip(held, now, strict=True)), [], [], [])


@given(st.dictionaries(NAMES, SHAPES, max_size=4), st.dictionaries(NAMES, SHAPES, max_size=4))
def test_a_directory_is_all_the_same_if_nothing_in_it_is_otherwise(
    before: dict[bytes, tuple[str, int, int]], after: dict[bytes, tuple[str, int, int]]
) -> None:
    """The quick answer is the one that a comparison of name by name gives."""
    held = [known(key, name, *shape) for key, (name, shape) in enumerate(before.items())]
    now = [observed(name, *shape) for name, shape in after.items()]
    _, *otherwise = compare(held, now)
    assert is_all_same([item[3:10] for item in held], now) is not any(otherwise)


def test_of_two_that_are_known_by_one_name_one_is_gone() -> None:
    """A directory is not the same where more is known in it than there is."""
    held = [known(1, b"x"), known(2, b"x")]
    assert not is_all_same([item[3:10] for item in held], [observed(b"x")])


def test_a_replaced_file_is_the_same_entry_changed() -> None:
    """An editor that writes a new file under an old name keeps the entry."""
    held, now = known(1, b"f", inode=1), observed(b"f", inode=2)
    assert compare([held], [now]).changed == [(held, now)]


def test_a_directory_of_another_inode_may_be_another_one() -> None:
    """A directory at a known name appears, with the one that stood there to fall back on."""
    held, now = known(1, b"d", "directory", 1), observed(b"d", "directory", 2)
    assert compare([held], [now]).appeared == [(now, held)]


def test_a_name_of_another_kind_is_gone_and_new() -> None:
    """A file where a directory was is no change of it."""
    held, now = known(1, b"x", "directory"), observed(b"x", "file")
    found = compare([held], [now])
    assert (found.missing, found.appeared) == ([held], [(now, None)])


@pytest.mark.parametrize("field", ["size_bytes", "mtime_ns", "ctime_ns", "inode", "mode"])
def test_any_difference_is_a_change(field: str) -> None:
    """Size, times, inode and mode are all looked at."""
    assert not is_same(known(1, b"f"), other(field))


@pytest.mark.parametrize(
    ("field", "keeps"),
    [
        ("ctime_ns", True),
        ("mode", True),
        ("size_bytes", False),
        ("mtime_ns", False),
        ("inode", False),
    ],
)
def test_a_hash_holds_while_the_file_is_the_same(field: str, keeps: bool) -> None:
    """A rename or a new mode leaves the content alone, anything else may not have."""
    assert keeps_content(known(1, b"f"), other(field)) is keeps


@pytest.mark.parametrize(
    ("now", "moved"),
    [
        (observed(b"new"), True),
        (observed(b"new")._replace(ctime_ns=99), True),
        (observed(b"new", mtime_ns=2), False),
        (observed(b"new")._replace(size_bytes=11), False),
        (observed(b"new", kind="directory"), False),
    ],
)
def test_a_file_of_a_known_inode_must_be_what_it_was(now: Observed, moved: bool) -> None:
    """Inodes are used again: kind, size and mtime tell a move from a new file."""
    assert may_be_moved(known(1, b"old"), now, {}, set()) is moved


@pytest.mark.parametrize(
    ("mtime_ns", "inside", "moved"),
    [(1, set(), True), (2, {b"c", b"d"}, True), (2, {b"d"}, False), (2, set(), False)],
)
def test_a_directory_of_a_known_inode_has_its_mtime_or_a_child(
    mtime_ns: int, inside: set[bytes], moved: bool
) -> None:
    """A directory that changed and moved is known by what is still in it."""
    held = known(1, b"old", "directory")
    now = observed(b"new", "directory", mtime_ns=mtime_ns)
    assert may_be_moved(held, now, {1: {b"a", b"c"}}, inside) is moved


def test_of_a_file_and_a_directory_of_one_name_the_one_that_is_there_stays() -> None:
    """The other one is missing, whichever was known first."""
    file, folder = known(1, b"x"), known(2, b"x", "directory")
    for held in ([file, folder], [folder, file]):
        found = compare(held, [observed(b"x")])
        assert ([held for held, _ in found.same], found.missing) == ([file], [folder])


@pytest.mark.parametrize(
    ("drops", "of", "asks"),
    [(1_000, 1_000, False), (1_001, 5_004, True), (1_001, 5_005, False), (1_001, 1_001, True)],
)
def test_many_and_much_asks(drops: int, of: int, asks: bool) -> None:
    """Over 1,000 entries and over 20 % of all: both, or nobody is asked."""
    assert needs_consent(drops, of, 1_000, 0.2) is asks
