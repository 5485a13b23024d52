"""Writing a library as the indexer and people do, without a daemon: through the store itself."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from entities import MODELS
from leaderless.clock import SystemClock
from leaderless.config import find_paths
from leaderless.identity import load_or_create
from leaderless.ids import RecordIds
from leaderless.indexer.rows import ENTRY_COLUMNS, LOCATION_COLUMNS
from leaderless.store.store import open_store
from registry.models import Registry
from scripts.benchmarks.trees import tree

if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from leaderless.store.store import Store
    from leaderless.store.transaction import Transaction

BATCH: Final = 5_000
VOLUME_COLUMNS: Final = ("uuid", "fingerprint", "display_name")


def opened(home: Path) -> AbstractAsyncContextManager[Store]:
    """Return the store of a home whose daemon does not run, to be opened."""
    paths, clock = find_paths(str(home), {}), SystemClock()
    person = load_or_create(paths.keys)
    return open_store(paths.database, Registry(MODELS), clock, RecordIds(clock), person.sign)


def fill(
    store: Store,
    chance: random.Random,
    count: int,
    *,
    hashed: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> bytes:
    """Write so many entries of a new location on a drive that is not plugged in; return its id.

    In batches as the indexer does. A drive that is away is never scanned: the rows stay as they are.
    """
    new = store.ids.new
    volume, location = new(), new()
    mode = "content" if hashed else "shallow"
    place = (location, volume, "home", b"/home", mode, *[None] * 3)

    def begin(transaction: Transaction) -> None:
        transaction.put("volume", VOLUME_COLUMNS, [(volume, "uuid:1", "disk")])
        transaction.put("location", LOCATION_COLUMNS, [place])

    store.write_here(begin)
    entries = tree(chance, new, location, count, hashed=hashed)
    for done in range(0, count, BATCH):
        batch = [next(entries) for _ in range(min(BATCH, count - done))]
        store.write_here(partial(put_entries, rows=batch))
        if (done + BATCH) % (50 * BATCH) == 0:
            say(f"{done + BATCH:,} entries are written")
    return location


def put_entries(transaction: Transaction, rows: list[tuple[Any, ...]]) -> None:
    """Write entries in one transaction."""
    transaction.put("entry", ENTRY_COLUMNS, rows)
