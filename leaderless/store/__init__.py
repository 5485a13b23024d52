"""One SQLite file per library: rows, registers, log and cursors under one transaction."""

from leaderless.store.store import Store, create_store, open_store
from leaderless.store.transaction import Transaction

__all__ = ["Store", "Transaction", "create_store", "open_store"]
