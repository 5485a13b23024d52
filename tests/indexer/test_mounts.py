"""What is mounted where."""

from __future__ import annotations

from leaderless.indexer.mounts import mount_of, parse_mountinfo

TEXT = b"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
40 22 8:17 / /media/my\\040disk rw - vfat /dev/sdb1 rw
41 22 0:50 / /net rw master:3 - nfs4 nas:/export rw
43 22 0:51 / /odd\rname rw - tmpfs none rw
44 22 x:y / /broken rw - tmpfs none rw
broken line
"""


def test_mounts_are_read_with_their_escapes() -> None:
    """Octal escapes become bytes, broken lines are left out."""
    mounts = parse_mountinfo(TEXT)
    assert [mount.mount_point for mount in mounts] == [
        b"/",
        b"/media/my disk",
        b"/net",
        b"/odd\rname",
    ]
    assert (mounts[1].device, mounts[1].file_system) == ((8, 17), "vfat")


def test_the_longest_mount_above_a_path_counts() -> None:
    """A path belongs to the mount nearest above it, not to one of a similar name."""
    mounts = parse_mountinfo(TEXT)
    for path, point in (
        (b"/media/my disk/a", b"/media/my disk"),
        (b"/media/my diskette", b"/"),
        (b"/net", b"/net"),
        (b"/", b"/"),
    ):
        found = mount_of(mounts, path)
        assert found is not None
        assert found.mount_point == point
    assert mount_of([], b"/") is None


def test_of_two_mounts_at_one_place_the_later_one_counts() -> None:
    """What was mounted over something hides it."""
    over = TEXT + b"45 22 8:33 / /net rw - ext4 /dev/sdc1 rw\n"
    found = mount_of(parse_mountinfo(over), b"/net/a")
    assert found is not None
    assert found.device == (8, 33)
