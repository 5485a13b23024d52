"""A machine as the indexer sees it, with a stick that can be pulled and put in elsewhere."""

from __future__ import annotations

import os
from pathlib import Path

from leaderless.indexer.volumes import System

GIB = 1 << 30


class Machine:
    """A disk that holds everything, and a stick."""

    def __init__(self, tmp_path: Path) -> None:
        tmp_path = tmp_path / "machine"
        tmp_path.mkdir()
        self._mountinfo = tmp_path / "mountinfo"
        self.free = 50 * GIB
        self.failing = False
        self.mount(None)
        (tmp_path / "udev").mkdir()
        (tmp_path / "udev" / "b8:17").write_text("E:ID_FS_UUID=STICK\nE:ID_FS_LABEL=stick\n")
        self.system = System(self._mountinfo, tmp_path / "udev", tmp_path / "none", self._statvfs)

    def mount(self, *places: Path | None) -> None:
        """Mount the stick at these places, over a disk that holds everything else."""
        lines = ["1 0 8:1 / / rw - ext4 /dev/sda1 rw"]
        lines += [f"2 1 8:17 / {place} rw - ext4 /dev/sdb1 rw" for place in places if place]
        self._mountinfo.write_text("\n".join(lines) + "\n")

    def _statvfs(self, path: bytes) -> os.statvfs_result:
        if self.failing:
            raise OSError
        blocks = (100 * GIB // 4096, self.free // 4096, self.free // 4096)
        return os.statvfs_result((4096, 4096, *blocks, 0, 0, 0, 0, 255, len(path)))
