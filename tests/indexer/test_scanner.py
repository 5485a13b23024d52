"""Reading directories."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from leaderless.indexer.ignore import Ignored
from leaderless.indexer.scanner import Errors, read_directory
from tests.unprivileged import as_nobody

if TYPE_CHECKING:
    from pathlib import Path

ALL = Ignored(())


def _read(folder: Path, ignored: Ignored = ALL) -> list[bytes] | None:
    path = os.fsencode(folder)
    found = read_directory(path, path, folder.stat().st_dev, ignored, Errors())
    return None if found is None else sorted(item.name for item in found)


def test_an_unreadable_folder_is_reported_and_not_taken_for_empty(tmp_path: Path) -> None:
    """Without permission the content is unknown (None), and the path is in the errors."""
    folder = tmp_path / "locked"
    folder.mkdir()
    (folder / "f").touch()
    for above in tmp_path.parents:
        if str(above).startswith("/tmp/") and os.geteuid() == 0:
            above.chmod(0o755)
    tmp_path.chmod(0o755)
    folder.chmod(0)
    device = folder.stat().st_dev

    def look() -> str:
        errors = Errors()
        path = os.fsencode(folder)
        found = read_directory(path, path, device, ALL, errors)
        return f"{found} {[item.message for item in errors.items]}"

    assert as_nobody(look) == "None ['Permission denied']"
    folder.chmod(0o755)


def test_a_folder_that_is_gone_is_empty(tmp_path: Path) -> None:
    """A directory that vanished, or is a link now, holds nothing."""
    path = os.fsencode(tmp_path / "gone")
    assert read_directory(path, path, 0, ALL, Errors()) == []
    (tmp_path / "link").symlink_to(tmp_path)
    path = os.fsencode(tmp_path / "link")
    assert read_directory(path, path, 0, ALL, Errors()) == []


def test_pipes_and_links_are_seen_and_not_opened(tmp_path: Path) -> None:
    """Special files are entries of their kind."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/nowhere")
    path = os.fsencode(tmp_path)
    found = read_directory(path, path, tmp_path.stat().st_dev, ALL, Errors()) or []
    assert {item.name: item.kind for item in found} == {b"pipe": "fifo", b"link": "symlink"}


def test_ignored_names_are_left_out(tmp_path: Path) -> None:
    """Globs hold for files and, with a slash, for directories."""
    for name in ("keep", "drop~"):
        (tmp_path / name).touch()
    (tmp_path / "cache").mkdir()
    assert _read(tmp_path, Ignored(("*~", "cache/"))) == [b"keep"]


def test_another_file_system_is_marked(tmp_path: Path) -> None:
    """What lies on another device than the location is not descended into."""
    (tmp_path / "f").touch()
    path = os.fsencode(tmp_path)
    (item,) = read_directory(path, path, 12_345, ALL, Errors()) or []
    assert item.crosses_mount
