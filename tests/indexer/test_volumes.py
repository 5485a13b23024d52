"""Which file system a folder is on, read from fixtures."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from leaderless.errors import NotFoundError
from leaderless.indexer.volumes import System, volume_of

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
