"""What the simulator asks of the files of devices."""

from __future__ import annotations

from pathlib import Path

from leaderless.store.feeds import Feed
from registry.changes import Create
from scripts.simulation.lies import Truth
from scripts.simulation.oracles import File, Witness, heads_of
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


def test_an_author_builds_on_no_branch_of_which_nothing_has_taken_effect() -> None:
    """It stands where it begins, and what is before that may be on the shelf."""
    trunk = Feed(1, b"trunk", 8, b"8", 2, b"2", 0, None, forked=9)
    empty = Feed(2, b"empty", 9, b"9", 8, b"8", 0, None, trunk=1)
    begun = empty._replace(key=3, feed=b"begun", applied=9, applied_hash=b"9")
    assert heads_of([trunk, empty, begun]) == {b"trunk": (2, b"2"), b"begun": (9, b"9")}
