"""Small disks of their own (loop file systems), which can be filled, failed and freed. Needs root."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CHUNK = bytes(1 << 20)
# EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH of the kernel's fs/ext4/ext4.h.
_SHUTDOWN = 0x8004587D
_NO_FLUSH = 2


@dataclass
class Disk:
    """A mounted ext4 of its own; `image` holds its bytes."""

    image: Path
    folder: Path

    def fill(self, left_bytes: int = 0) -> None:
        """Take all room but a little."""
        filler = os.open(self.folder / "filler", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            with suppress(OSError):
                while self.free() > left_bytes:
                    os.write(
                        filler, _CHUNK[: max(4_096, min(len(_CHUNK), self.free() - left_bytes))]
                    )
            with suppress(OSError):
                os.fsync(filler)
        finally:
            os.close(filler)

    def free(self) -> int:
        """Return how many bytes are free."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def clear(self) -> None:
        """Give back what `fill` took."""
        (self.folder / "filler").unlink()

    @property
    def device(self) -> str:
        """Return the name of its block device."""
        found = _do("findmnt", "-n", "-o", "SOURCE", self.folder)
        return found.strip().removeprefix("/dev/")

    def fail(self) -> None:
        """Have the kernel find an error in the file system, which makes it read-only."""
        with open(f"/sys/fs/ext4/{self.device}/trigger_fs_error", "w") as trigger:  # noqa: PTH123
            trigger.write("a test")

    def break_down(self) -> None:
        """Have every read and write fail with an I/O error from now on."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(folder)

    def repair(self) -> None:
        """Unmount it, have it checked, mount it again."""
        _do("umount", self.folder)
        subprocess.run(["e2fsck", "-p", "-f", self.image], check=False, capture_output=True)
        _do("mount", "-o", "loop,errors=remount-ro", self.image, self.folder)


@contextmanager
def mounted(image: Path, folder: Path, size_bytes: int) -> Iterator[Disk]:
    """Make a disk of a size and mount it; it goes when the context ends."""
    folder.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(size_bytes)
    _do("mkfs.ext4", "-q", "-F", "-m", "0", image)
    _do("mount", "-o", "loop,errors=remount-ro", image, folder)
    try:
        yield Disk(image, folder)
    finally:
        subprocess.run(["umount", "-l", folder], check=False, capture_output=True)


def _do(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
