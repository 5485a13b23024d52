"""Arguments, and what is printed; the exit code is 1 where a goal was missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scripts.benchmarks.asking import find, start
from scripts.benchmarks.backfill import backfill, growth
from scripts.benchmarks.busy import busy
from scripts.benchmarks.edits import bulk, latency, merge
from scripts.benchmarks.files import hashing, scan
from scripts.benchmarks.mesh import mesh
from scripts.benchmarks.pairs import Templates
from scripts.benchmarks.plot import series_of, svg
from scripts.benchmarks.report import table
from scripts.benchmarks.resting import disk, idle
from scripts.benchmarks.setting import Setting
from scripts.benchmarks.traffic import reconnect, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from scripts.benchmarks.figures import Figure

BENCHMARKS: Final[dict[str, Callable[[Setting], Iterator[Figure]]]] = {
    "backfill": backfill,
    "growth": growth,
    "wire": wire,
    "reconnect": reconnect,
    "latency": latency,
    "merge": merge,
    "bulk": bulk,
    "scan": scan,
    "hash": hashing,
    "busy": busy,
    "find": find,
    "start": start,
    "idle": idle,
    "disk": disk,
    "mesh": mesh,
}


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Real daemons over TLS on loopback, next to what their parts alone cost.",
    )
    names = ", ".join(BENCHMARKS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which; default: all ({names})")
    parser.add_argument("--rows", type=int, default=1_000_000, help="entries (default 1000000)")
    parser.add_argument("--runs", type=int, default=5, help="counted runs, after one more")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary one")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write cost against size as SVG")
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    found = parser.parse_args(arguments)
    unknown = [name for name in found.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are {names}")
    if found.plot is not None and found.names and "growth" not in found.names:
        parser.error("--plot shows growth: name it, too")
    return found


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _have_bytecode(folder: Path) -> None:
    """Have what is started find its code compiled, as that of an installed program is.

    The first start compiles it, and none is counted: warming up goes before.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder)


def machine() -> dict[str, Any]:
    """Return what figures depend on."""
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmarks that are named; 0 if every goal was met."""
    options = _arguments(arguments)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="bench-", dir=options.folder) as folder:
        base = Path(folder)
        _have_bytecode(base / "bytecode")
        setting = Setting(options.rows, options.runs, base, Templates(base, _say), _say)
        for name in options.names or BENCHMARKS:
            _say(f"== {name}")
            figures += BENCHMARKS[name](setting)
    if options.plot is not None:
        options.plot.write_text(svg(series_of(figures)))
    if options.json:
        said = {"schema": 1, "machine": machine(), "figures": [item.as_json() for item in figures]}
        print(json.dumps(said))
    else:
        print("\n".join(table(figures)))
    return 0 if all(figure.all_met for figure in figures) else 1
