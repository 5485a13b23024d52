"""What is mounted where: /proc/self/mountinfo, parsed (proc(5))."""

from __future__ import annotations

import re
from typing import NamedTuple


class Mount(NamedTuple):
    """One mounted file system."""

    major: int
    minor: int
    mount_point: bytes
    file_system: str
    source: bytes

    @property
    def device(self) -> tuple[int, int]:
        """Return (major, minor) of the device behind it."""
        return self.major, self.minor


NETWORK_FILE_SYSTEMS = frozenset(
    ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "afs", "fuse.sshfs", "fuse.rclone"]
)

NUMBERING_FILE_SYSTEMS = frozenset(["vfat", "msdos", "exfat", "fuseblk", "fuse.exfat"])
"""File systems that make up inode numbers as they go: the same file has another one next time."""


def parse_mountinfo(text: bytes) -> list[Mount]:
    """Return the mounts in a mountinfo text, in its order; lines it cannot read are left out."""
    mounts = []
    for line in text.split(b"\n"):
        fields = line.split(b" ")
        try:
            dash = fields.index(b"-", 6)
            major, _, minor = fields[2].partition(b":")
            mount_point = _unescaped(fields[4])
            kind, source = fields[dash + 1].decode("ascii", "replace"), _unescaped(fields[dash + 2])
            mounts.append(Mount(int(major), int(minor), mount_point, kind, source))
        except (ValueError, IndexError):
            continue
    return mounts


def _unescaped(field: bytes) -> bytes:
    """Return a field with its octal escapes (space, tab, newline, backslash) undone."""
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field)


def mount_of(mounts: list[Mount], path: bytes) -> Mount | None:
    """Return the mount that a path lies on: the longest one above it, of equal ones the last."""
    best: Mount | None = None
    for mount in mounts:
        point = mount.mount_point.rstrip(b"/")
        on = path == point or path.startswith(point + b"/")
        if on and (best is None or len(point) >= len(best.mount_point.rstrip(b"/"))):
            best = mount
    return best
