"""Values and deletes that lost, in a real store."""

from __future__ import annotations

from pathlib import Path

from leaderless.catalogue import tags
from leaderless.catalogue.conflicts import conflict_json, conflicts
from tests.cluster import open_cluster


async def test_a_value_that_lost_is_in_the_journal(tmp_path: Path) -> None:
    """With its field, its author and the one that won, in times that every reader can hold."""
    async with open_cluster(tmp_path, 2) as cluster:
        one, two = (node.replica for node in cluster.nodes)
        uuid = await tags.create_tag(one.store, "trip", {"color": "white"})
        ends = await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        for end in ends:
            await end.aclose()
        await cluster.until(lambda: not any(node.driver.connected() for node in cluster.nodes))
        await tags.set_tag(one.store, "trip", {"color": "red"})
        two.clock.ms += 60_000
        await tags.set_tag(two.store, "trip", {"color": "blue"})
        await cluster.connect(0, 1)
        await cluster.until_in_sync((0, 1))
        (lost,) = await one.store.read(
            lambda c: [conflict_json(c, item) for item in conflicts(c, one.store.registry)]
        )
    assert {name: lost[name] for name in ("model", "record", "field", "subkey", "value")} == {
        "model": "tag",
        "record": uuid.hex(),
        "field": "color",
        "subkey": None,
        "value": "red",
    }
    assert (lost["author_id"], lost["winner_id"]) == (
        one.identity.device.hex(),
        two.identity.device.hex(),
    )
    assert int(lost["winner_at_ms"]) - int(lost["at_ms"]) == 60_000
