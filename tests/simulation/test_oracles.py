"""What the simulator asks of the files of devices."""

from __future__ import annotations

from pathlib import Path

from registry.changes import Create
from scripts.simulation.lies import Truth
from scripts.simulation.oracles import File, Witness
from tests.merge.devices import edit
from tests.replicas import make_replicas
from tests.store.passing import chained, log_of, own_feed, signed_anew, store_commits


def test_a_commit_that_a_peer_has_in_a_branch_is_there(tmp_path: Path) -> None:
    """Whether it has heard of the fork already or not; one that it lacks is not."""
    author, one, two = replicas = make_replicas(tmp_path, 3)
    for tag in (b"1" * 16, b"2" * 16, b"3" * 16):
        edit(author, Create("tag", tag, {}))
    feed = own_feed(author)
    made = log_of(author, feed)
    store_commits(one, *made)
    store_commits(
        two,
        *made[:2],
        *chained(author.identity, signed_anew(author.identity, made[1], command="x")),
    )
    witness = Witness(Truth())
    files = [File(at, replica.store.path) for at, replica in enumerate((one, two))]
    assert witness.is_there(*files, feed, 2)
    assert not witness.is_there(*files, feed, 3)
    witness.close()
    for replica in replicas:
        replica.store.close()
