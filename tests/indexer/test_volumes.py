"""Which file system a folder is on, read from fixtures."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from leaderless.errors import NotFoundError
from leaderless.indexer.volumes import System, is_news, volume_of

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = """22 1 8:1 / / rw - ext4 /dev/sda1 rw
40 22 8:17 / /media/stick rw - vfat /dev/sdb1 rw
41 22 0:50 / /net rw - nfs4 nas:/export rw
42 22 0:51 / /odd rw - tmpfs none rw
"""


@pytest.fixture
def system(tmp_path: Path) -> System:
    """Lay out a machine with a disk, a stick with an id, and a network drive."""
    (tmp_path / "mountinfo").write_text(MOUNTS)
    (tmp_path / "udev").mkdir()
    (tmp_path / "udev" / "b8:17").write_text(
        "S:disk\nE:ID_FS_UUID=ABCD-1234\nE:ID_FS_LABEL=STICK\nE:ID_MODEL=Cruzer\n"
    )
    (tmp_path / "block" / "8:17").mkdir(parents=True)
    (tmp_path / "block" / "8:17" / "removable").write_text("1\n")

    def statvfs(path: bytes) -> Any:
        fsid = 0 if path == b"/odd" else 0xBEEF
        return os.statvfs_result((4096, 4096, 10, 5, 4, 0, 0, 0, 0, 255, fsid))

    return System(tmp_path / "mountinfo", tmp_path / "udev", tmp_path / "block", statvfs)


def test_a_stick_is_known_by_its_own_id(system: System) -> None:
    """The fingerprint holds the file system's id and nothing of the machine."""
    found = volume_of(b"/media/stick/photos", system)
    assert found["fingerprint"] == "uuid:ABCD-1234"
    assert (found["display_name"], found["device_model"]) == ("STICK", "Cruzer")
    assert (found["is_removable"], found["volume_type"]) == (1, "removable")
    assert (found["total_bytes"], found["available_bytes"]) == (40_960, 16_384)


@pytest.mark.parametrize(
    ("path", "fingerprint", "kind"),
    [
        (b"/home", "fsid:ext4:000000000000beef", "internal"),
        (b"/net/a", "network:nfs4:nas:/export", "network"),
        (b"/odd", "mount:tmpfs:none:/odd", "internal"),
    ],
)
def test_other_file_systems_have_the_next_best(
    system: System, path: bytes, fingerprint: str, kind: str
) -> None:
    """Without udev the kernel's id, the network source, or at last type and place."""
    found = volume_of(path, system)
    assert (found["fingerprint"], found["volume_type"]) == (fingerprint, kind)


def test_a_path_on_no_file_system_is_an_error(system: System) -> None:
    """A relative path is below no mount."""
    system.mountinfo.write_text("")
    with pytest.raises(NotFoundError):
        volume_of(b"/home", system)


def test_a_partition_is_removable_if_its_disk_is(system: System) -> None:
    """The kernel says it of the whole disk, one folder above the partition."""
    (system.sys_block / "8:17" / "removable").unlink()
    (system.sys_block / "removable").write_text("1\n")
    assert volume_of(b"/media/stick", system)["is_removable"] == 1


def test_a_drive_without_a_label_is_called_by_its_place(system: System) -> None:
    """The last name of the mount point, or the root's slash."""
    assert volume_of(b"/net/a", system)["display_name"] == "net"
    assert volume_of(b"/home", system)["display_name"] == "/"


GIB = 1 << 30


@pytest.mark.parametrize(
    ("total", "old", "new", "news"),
    [
        (1000 * GIB, 500 * GIB, 499 * GIB, False),
        (1000 * GIB, 500 * GIB, 499 * GIB - 1, True),
        (1000 * GIB, 500 * GIB, 501 * GIB + 1, True),
        (1000, 500, 510, False),
        (1000, 500, 511, True),
        (1000, None, 500, True),
        (1000, 500, None, True),
        (None, 500, 500, False),
    ],
)
def test_free_space_is_news_once_it_moved_much(
    total: int | None, old: int | None, new: int | None, news: bool
) -> None:
    """By more than 1 % of the drive or 1 GiB, so that an idle device has nothing to say."""
    row = {"display_name": "disk", "total_bytes": total}
    assert is_news({**row, "available_bytes": old}, {**row, "available_bytes": new}) is news


def test_anything_else_is_news_at_once() -> None:
    """A drive that is mounted elsewhere or has another name changed."""
    row = {"mount_point": b"/a", "total_bytes": 1000, "available_bytes": 1}
    assert is_news(row, {**row, "mount_point": None})
