"""What a process has used, as the kernel counts it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PROC: Final = Path("/proc")


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process so far, its threads included."""
    stat = (_PROC / str(pid) / "stat").read_text()
    # The name of the program may hold anything; what follows its last bracket does not.
    used = stat.rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) / _TICKS


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had resident."""
    return _kib(pid, "VmHWM") << 10


def resident_bytes(pid: int) -> int:
    """Return the memory that a process has resident now."""
    return _kib(pid, "VmRSS") << 10


def _kib(pid: int, field: str) -> int:
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0])
    raise ValueError(f"{field} is not told of process {pid}")
