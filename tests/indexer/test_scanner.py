"""Reading directories."""

from __future__ import annotations

import errno
import os
import resource
import socket
from typing import TYPE_CHECKING

from leaderless.indexer.ignore import Ignored
from leaderless.indexer.scanner import (
    MAX_ERRORS,
    Errors,
    Listing,
    inode_of,
    observe,
    read_directory,
)
from tests.indexer.ground import plant
from tests.unprivileged import as_nobody

if TYPE_CHECKING:
    from pathlib import Path

ALL = Ignored(())


def read(folder: Path, ignored: Ignored = ALL, errors: Errors | None = None) -> Listing | None:
    """Read a directory as the root of a location."""
    path = os.fsencode(folder)
    device = os.lstat(folder.parent).st_dev
    return read_directory(path, path, device, ignored, errors or Errors())


def names(listing: Listing | None) -> set[bytes] | None:
    """Return the names that were found."""
    return None if listing is None else {item.name for item in listing.found}


def test_an_unreadable_folder_is_reported_and_not_taken_for_empty(place: Path) -> None:
    """Without permission the content is unknown (None), and the path is in the errors."""

    def look() -> str:
        plant(place, "locked/f")
        (place / "locked").chmod(0)
        errors = Errors()
        found = read(place / "locked", errors=errors)
        return f"{found} {[item.message for item in errors.items]}"

    assert as_nobody(look) == "None ['Permission denied']"


def test_names_that_may_not_be_looked_at_are_reported_and_not_taken_for_gone(
    place: Path,
) -> None:
    """A folder that shows its names only has names of which nothing is known."""

    def look() -> str:
        plant(place, "listed/f")
        (place / "listed").chmod(0o400)
        errors = Errors()
        return f"{read(place / 'listed', errors=errors)} {errors.items[0].message}"

    assert as_nobody(look) == f"{Listing([], {b'f'})} Permission denied"


def test_a_folder_that_cannot_be_listed_for_want_of_files_is_not_taken_for_empty(
    place: Path,
) -> None:
    """Where the process may open no more files the content is unknown, and that is reported."""

    def look() -> str:
        plant(place, "f")
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        held = []
        try:
            while True:
                held.append(os.dup(0))
        except OSError:
            os.close(held.pop())
        errors = Errors()
        found = read(place, errors=errors)
        return f"{found} {[item.message for item in errors.items]}"

    assert as_nobody(look) == f"None ['{os.strerror(errno.EMFILE)}']"


def test_of_a_folder_that_is_gone_nothing_is_known(tmp_path: Path) -> None:
    """A directory that went away since its parent was read may have moved: no error, and not empty."""
    errors = Errors()
    assert read(tmp_path / "gone", errors=errors) is None
    assert errors.count == 0


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    """A directory that is a link by now is not read."""
    plant(tmp_path, "d/f")
    (tmp_path / "link").symlink_to("d")
    assert read(tmp_path / "link") is None


def test_a_folder_of_another_file_system_is_not_read() -> None:
    """What was mounted over a folder since its parent was read is not taken for its content."""
    path = b"/proc"
    assert read_directory(path, path, os.lstat("/").st_dev, ALL, Errors()) is None


def test_another_file_system_is_marked() -> None:
    """A folder on which something is mounted is an entry that leads elsewhere."""
    listing = read_directory(b"/", b"/", os.lstat("/").st_dev, ALL, Errors())
    assert listing is not None
    assert {item.name: item.crosses_mount for item in listing.found}[b"proc"]


def test_each_name_is_an_entry_of_its_kind_and_none_is_opened(tmp_path: Path) -> None:
    """Pipes, sockets and links are seen for what they are."""
    plant(tmp_path, "file", "directory/")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "symlink").symlink_to("/nowhere")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listing = read(tmp_path)
    assert listing is not None
    assert {item.name.decode(): item.kind for item in listing.found} == {
        kind: kind for kind in ("file", "directory", "fifo", "symlink", "socket")
    }


def test_devices_are_seen_for_what_they_are() -> None:
    """A character device is one."""
    assert observe(b"null", os.lstat("/dev/null"), 0).kind == "char_device"


def test_ignored_names_are_left_out(tmp_path: Path) -> None:
    """Globs hold for files and, with a slash, for directories."""
    plant(tmp_path, "keep", "drop~", "cache/")
    assert names(read(tmp_path, Ignored(("*~", "cache/")))) == {b"keep"}


def test_globs_hold_for_paths_below_the_location(tmp_path: Path) -> None:
    """A glob with a slash speaks of the path from the location's root."""
    plant(tmp_path, "d/drop", "d/keep")
    root = os.fsencode(tmp_path)
    device = tmp_path.stat().st_dev
    found = read_directory(root, root + b"/d", device, Ignored(["/d/drop", "/keep"]), Errors())
    assert names(found) == {b"keep"}


def test_an_observation_is_what_lstat_says(tmp_path: Path) -> None:
    """Size, times, inode and mode come as they are."""
    plant(tmp_path, "f")
    (tmp_path / "f").chmod(0o640)
    listing = read(tmp_path)
    assert listing is not None
    (item,) = listing.found
    found = (tmp_path / "f").stat()
    assert (item.size_bytes, item.mtime_ns, item.ctime_ns) == (
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )
    assert (item.inode, item.mode) == (found.st_ino, 0o640)


def test_an_inode_beyond_63_bits_is_read_as_signed() -> None:
    """The database holds signed numbers; the bits are the same."""
    shown = os.stat_result((0o100644, (1 << 64) - 2, 1, 1, 0, 0, 0, 0, 0, 0))
    assert inode_of(shown) == -2


def test_errors_are_counted_beyond_those_that_are_kept() -> None:
    """A disk that fails everywhere does not fill the memory with it."""
    errors = Errors()
    for at in range(MAX_ERRORS + 5):
        errors.add(b"%d" % at, OSError(errno.EIO, ""))
    assert (len(errors.items), errors.count) == (MAX_ERRORS, MAX_ERRORS + 5)


def test_a_time_that_no_row_holds_is_the_last_one_that_it_can(tmp_path: Path) -> None:
    """A file from after the year 2262 is indexed like any other."""
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", ns=(1 << 63, 1 << 63))
    found = observe(b"f", os.lstat(tmp_path / "f"), os.lstat(tmp_path).st_dev)
    assert found.mtime_ns == (1 << 63) - 1
