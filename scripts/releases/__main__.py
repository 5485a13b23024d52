"""Writes the fixtures of the version in whose checkout this runs: FOLDER REVISION."""

from __future__ import annotations

import gzip
import json
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from leaderless import __version__
from leaderless.catalogue.export import export_lines
from leaderless.protocol.messages import PROTOCOL_VERSION
from scripts.releases.devices import write_keys
from scripts.releases.frames import conversation, packed
from scripts.releases.library import interrupt, make_library
from scripts.releases.session import NAMES, record
from tests.store.passing import within

if TYPE_CHECKING:
    from tests.replicas import Replica


def main(folder: Path, revision: str) -> None:
    """Write a folder of the name of this version."""
    target = folder / __version__
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        write_keys(Path(scratch))
        replicas = make_library(Path(scratch))
        serving, peer, newer, filled = replicas
        _keep(serving, target / "serving.db.gz")
        _keep(filled, target / "filled.db.gz")
        frames = trio.run(record, serving, filled)
        (target / "session.frames").write_bytes(packed(frames))
        (target / "session.txt").write_text(conversation(frames, NAMES), encoding="utf-8")
        _export(serving, target / "session.ndjson")
        interrupt(serving, peer, newer)
        _keep(serving, target / "library.db.gz")
        _export(serving, target / "library.ndjson")
        about = {
            "version": __version__,
            "revision": revision,
            "protocol": list(PROTOCOL_VERSION),
            "now_ms": serving.clock.ms,
        }
        (target / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        for replica in replicas:
            replica.store.close()


def _keep(replica: Replica, target: Path) -> None:
    """Write a copy of a database as it is now."""
    copy = replica.store.path.with_suffix(".copy")
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(replica.store.path)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    target.write_bytes(gzip.compress(copy.read_bytes(), mtime=0))


def _export(replica: Replica, target: Path) -> None:
    registry = replica.store.registry
    target.write_bytes(within(replica, lambda c: b"".join(export_lines(c, registry))))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
