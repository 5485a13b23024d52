"""Everything that is held, row by row."""

from __future__ import annotations

import pytest

from leaderless.protocol.hashing import digest
from leaderless.store import inventory
from leaderless.store.inventory import Item, owned_items, shared_items
from registry.changes import Create, Delete
from registry.models import Registry
from tests.replicas import Replica, add_tree
from tests.store.passing import held, log_of, own_feed, pull, store_commits, within

TAG, GONE = b"t" * 16, b"g" * 16


def owned(replica: Replica, owner: Replica) -> set[Item]:
    """Return the rows of an owner that a replica holds."""
    copy = held(replica, owner)
    return within(replica, lambda c: set(owned_items(c, replica.store.registry, copy)))


def test_two_that_hold_the_same_have_the_same_items(
    replicas: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte, however many pages it takes to read them."""
    a, b, _ = replicas
    add_tree(a, 10)
    pull(a, b, a)
    whole = owned(a, a)
    monkeypatch.setattr(inventory, "PAGE", 3)
    assert owned(b, a) == whole
    assert (len(whole), len({digest(item.data) for item in whole})) == (14, 14)


def test_rows_of_models_that_are_not_known_are_among_them(replicas: list[Replica]) -> None:
    """With the same bytes as where the model is known."""
    a, b, _ = replicas
    add_tree(a, 3)
    known = b.store.registry
    b.store.registry = Registry(model for model in known if model.sync_name == "device")
    pull(a, b, a)
    assert owned(b, a) == owned(a, a)


def test_shared_records_are_those_that_live(replicas: list[Replica]) -> None:
    """Alike where they were made and where they came to."""
    a, b, _ = replicas
    made = [Create("tag", TAG, {"color": "red"}), Create("tag", GONE, {})]
    a.store.write_here(lambda tx: tx.commit("tag.create", made))
    a.store.write_here(lambda tx: tx.commit("tag.delete", [Delete("tag", GONE)]))
    store_commits(b, *log_of(a, own_feed(a)))
    items = [within(replica, lambda c: list(shared_items(c))) for replica in (a, b)]
    assert items[0] == items[1]
    assert [item.uuid for item in items[0]] == [TAG]
