"""What this machine is: the facts of its device row."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

COLUMNS = (
    "uuid",
    "name",
    "os",
    "os_version",
    "hardware_model",
    "form_factor",
    "cpu_model",
    "cpu_cores",
    "memory_total_bytes",
    "software_version",
    "addresses",
)
# SMBIOS chassis types (DSP0134, table 17), as far as they tell what people call a machine.
_CHASSIS = {
    "3": "desktop",
    "8": "laptop",
    "9": "laptop",
    "10": "laptop",
    "13": "all-in-one",
    "17": "server",
    "23": "server",
    "30": "tablet",
    "31": "laptop",
    "35": "mini",
}


def read_facts(root: Path = Path("/")) -> dict[str, Any]:
    """Return the facts of this machine by column; what cannot be read is None."""
    release = _pairs(root / "etc/os-release", "=")
    cpu = _pairs(root / "proc/cpuinfo", ":")
    memory = _pairs(root / "proc/meminfo", ":").get("MemTotal", "").split()
    dmi = root / "sys/class/dmi/id"
    return {
        "os": release.get("NAME") or "Linux",
        "os_version": release.get("VERSION_ID") or os.uname().release,
        "hardware_model": _line(dmi / "product_name"),
        "form_factor": _CHASSIS.get(_line(dmi / "chassis_type") or ""),
        "cpu_model": cpu.get("model name"),
        "cpu_cores": os.cpu_count(),
        "memory_total_bytes": int(memory[0]) * 1024 if memory and memory[0].isdigit() else None,
    }


def _line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def _pairs(path: Path, separator: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in (_line(path) or "").splitlines():
        name, there, value = line.partition(separator)
        if there:
            found.setdefault(name.strip(), value.strip().strip("\"'"))
    return found
