"""Files as people point at them: by path as it is or as it is printed, by device, by id."""

from __future__ import annotations

import os

import pytest

from leaderless.catalogue.targets import find_target
from leaderless.errors import NotFoundError, UsageError
from leaderless.escape import printable
from tests.catalogue.shelf import File, put_files
from tests.replicas import Replica
from tests.store.passing import within


def _size(replica: Replica, reference: str) -> int | None:
    """Return the size of what a reference names, by which a test tells files apart."""
    epoch = replica.store.own_epoch
    return within(replica, lambda c: find_target(c, epoch, reference).size_bytes)


@pytest.mark.parametrize(
    "name", [b"bad\xff.txt", b"red\x1b[31m", b"a\nb", b"back\\slash", b"\xc2\x9b"]
)
@pytest.mark.parametrize("where", ["", "device0:"])
def test_a_path_is_found_as_it_is_printed(replica: Replica, where: str, name: bytes) -> None:
    """What a list shows can be pasted back; the very bytes are taken as well."""
    put_files(replica, [File(name, size_bytes=7)])
    path = b"/docs/" + name
    for given in (printable(path), os.fsdecode(path)):
        assert _size(replica, where + given) == 7


def test_a_path_as_it_is_goes_before_what_its_escapes_mean(replica: Replica) -> None:
    """A file whose name holds a backslash is not taken for another."""
    put_files(replica, [File(rb"a\xff", size_bytes=1), File(b"a\xff", size_bytes=2)])
    assert _size(replica, r"/docs/a\xff") == 1
    assert _size(replica, r"/docs/a\\xff") == 1


def test_two_files_that_are_printed_alike_are_told_apart_by_their_ids(replica: Replica) -> None:
    """A byte and a control character look the same."""
    put_files(replica, [File(b"a\x9b", size_bytes=1), File(b"a\xc2\x9b", size_bytes=2)])
    with pytest.raises(UsageError, match="two files") as refused:
        _size(replica, r"/docs/a\x9b")
    hint = str(refused.value.hint)
    ids = hint.removeprefix("name one by its id: ").split(", ")
    assert sorted(str(_size(replica, uuid)) for uuid in ids) == ["1", "2"]


@pytest.mark.parametrize("path", [r"/docs/\ud800", r"/docs/none\xff", "/docs/none"])
def test_what_no_reading_names_is_not_there(replica: Replica, path: str) -> None:
    """Nor is half a character a crash."""
    put_files(replica, [File(b"a")])
    with pytest.raises(NotFoundError):
        _size(replica, path)
