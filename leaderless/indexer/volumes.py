"""Volumes: which file system a folder is on, recognisable on another machine.

The fingerprint is the id of the file system: the one in the udev database (ID_FS_UUID), else the
one statvfs tells (ext4, xfs and btrfs derive it from their UUID), the source of a network file
system, and for what has none (some containers) its type, source and mount point.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderless.errors import NotFoundError
from leaderless.indexer.mounts import NETWORK_FILE_SYSTEMS, mount_of, parse_mountinfo

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from leaderless.indexer.mounts import Mount

_NEWS_BYTES = 1 << 30

COLUMNS = (
    "uuid",
    "fingerprint",
    "display_name",
    "file_system",
    "mount_point",
    "volume_type",
    "device_model",
    "total_bytes",
    "available_bytes",
    "is_removable",
    "is_network",
)


@dataclass(frozen=True)
class System:
    """Where the machine tells of its disks; tests hand in their own."""

    mountinfo: Path = Path("/proc/self/mountinfo")
    udev_data: Path = Path("/run/udev/data")
    sys_block: Path = Path("/sys/dev/block")
    statvfs: Callable[[bytes], os.statvfs_result] = os.statvfs


def volume_of(path: bytes, system: System) -> dict[str, Any]:
    """Return what is known of the file system that `path` is on, by column without uuid.

    Raises NotFoundError where no mount is above the path.
    """
    mount = mount_of(parse_mountinfo(system.mountinfo.read_bytes()), path)
    if mount is None:
        raise NotFoundError(f"no file system is mounted above {os.fsdecode(path)}")
    udev = _udev(mount, system)
    stat = system.statvfs(mount.mount_point)
    network = mount.file_system in NETWORK_FILE_SYSTEMS
    removable = _removable(mount, system)
    return {
        "fingerprint": _fingerprint(mount, udev, stat, network=network),
        "display_name": udev.get("ID_FS_LABEL") or _label(mount),
        "file_system": mount.file_system,
        "mount_point": mount.mount_point,
        "volume_type": "network" if network else "removable" if removable else "internal",
        "device_model": udev.get("ID_MODEL"),
        "total_bytes": stat.f_blocks * stat.f_frsize,
        "available_bytes": stat.f_bavail * stat.f_frsize,
        "is_removable": int(removable),
        "is_network": int(network),
    }


def is_news(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Return whether a volume changed so that others should hear of it.

    Free space moves all the time: it is news once it moved by 1 % of the drive or by 1 GiB.
    """
    old, new = before["available_bytes"], now["available_bytes"]
    if old is None or new is None:
        return dict(before) != dict(now)
    if abs(new - old) > min((now["total_bytes"] or 0) // 100, _NEWS_BYTES):
        return True
    return {**before, "available_bytes": new} != dict(now)


def _fingerprint(
    mount: Mount, udev: Mapping[str, str], stat: os.statvfs_result, *, network: bool
) -> str:
    if udev.get("ID_FS_UUID"):
        return f"uuid:{udev['ID_FS_UUID']}"
    if network:
        return f"network:{mount.file_system}:{os.fsdecode(mount.source)}".encode(
            "utf-8", "backslashreplace"
        ).decode()
    if stat.f_fsid:
        return f"fsid:{mount.file_system}:{stat.f_fsid:016x}"
    where = os.fsdecode(mount.source + b":" + mount.mount_point)
    return f"mount:{mount.file_system}:{where}".encode("utf-8", "backslashreplace").decode()


def _label(mount: Mount) -> str:
    name = mount.mount_point.rstrip(b"/").rpartition(b"/")[2] or b"/"
    return name.decode("utf-8", "backslashreplace")


def _udev(mount: Mount, system: System) -> dict[str, str]:
    """Return the properties that udev keeps of a block device, empty where there is no udev."""
    path = system.udev_data / f"b{mount.major}:{mount.minor}"
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line[2:].partition("=") for line in lines if line.startswith("E:"))
    return {name: value for name, _, value in pairs}


def _removable(mount: Mount, system: System) -> bool:
    base = system.sys_block / f"{mount.major}:{mount.minor}"
    for path in (base / "removable", base / ".." / "removable"):
        try:
            return path.read_text().strip() == "1"
        except OSError:
            continue
    return False
