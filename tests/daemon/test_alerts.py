"""What status warns of: devices that were restored, records that most others hold otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from leaderless.daemon.alerts import fork_alerts
from leaderless.daemon.facts import Facts
from leaderless.protocol.trusting import MOST_DISAGREED_S
from leaderless.status.report import View
from leaderless.store import came_back, given_back, givers, meta, restoring
from registry.changes import Create, Delete
from registry.hlc import Stamp
from tests.daemon.rooms import open_rooms
from tests.forgery import log_batch, own_feed, signed_commit
from tests.replicas import START_MS, Replica, add_tree
from tests.store.passing import batches, pull, within


async def test_whom_a_restored_device_waits_for_is_said_and_for_how_long(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Members that are away, by name; since when it knows, and how many seconds are left."""
    near, _ = pair
    now_ms = near.store.now_ms()
    near.store.write_here(lambda tx: meta.put(tx.conn, meta.RESTORING, now_ms - 2_000))
    async with open_rooms(tmp_path, near) as rooms:
        exchange = rooms.driver.exchange
        exchange.tick(trio.current_time())
        (alert, *_) = (await rooms.overview.view()).warnings
        name = rooms.driver.applier.members.members[pair[1].identity.public_key].name
        assert f"as it found 2 seconds ago: it waits for {name}, who may know more" in alert.text
        assert "30 seconds more at most" in alert.text


async def test_how_far_a_restored_device_has_its_rows_back_is_said(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """By whom, in place of whom it waits for: in the status, and to whoever asks meanwhile."""
    near, far = pair
    add_tree(near, 4)
    pull(near, far, near)
    first, *_ = batches(far, near, limit=3)
    near.store.write_here(lambda tx: meta.put(tx.conn, meta.RESTORING, 1))
    within(near, lambda c: given_back.keep(c, first, far.identity.device))
    async with open_rooms(tmp_path, near) as rooms:
        (alert, *_) = (await rooms.overview.view()).warnings
        so_far = f"{first.hi} of {first.as_of} changes are here"
        name = far.identity.device.hex()[:8]
        assert f"takes the newer state back from {name}: {so_far};" in alert.text
        assert await rooms.overview.waits() == f"{so_far} from {name}"


async def test_a_restore_is_told_of_until_it_was_seen(tmp_path: Path, pair: list[Replica]) -> None:
    """When, from whom, how much; while it goes on nothing is over yet."""
    near, far = pair
    near.store.write_here(lambda tx: came_back.took(tx, far.identity.device, 34))
    async with open_rooms(tmp_path, near) as rooms:
        assert _told(await rooms.overview.view(), "RESTORED") == []
        await near.store.write(lambda tx: came_back.went_on(tx, 3, 1))
        (text,) = _told(await rooms.overview.view(), "RESTORED")
        assert "34 rows of it came back from" in text
        assert text.endswith(
            "3 that it had found since the backup stay, 1 more went, as the folder they were in"
            " was deleted meanwhile"
        )
        await rooms.overview.acknowledge()
        assert _told(await rooms.overview.view(), "RESTORED") == []


async def test_a_claimed_device_was_not_restored(tmp_path: Path, pair: list[Replica]) -> None:
    """Nobody has put a backup back: it took what the other machine had told, and goes on."""
    near, far = pair
    near.store.write_here(lambda tx: meta.put(tx.conn, meta.CLONED, 1))
    near.store.write_here(lambda tx: restoring.claim(tx, b"n" * 8))
    async with open_rooms(tmp_path, near) as rooms:
        (text,) = _told(await rooms.overview.view(), "RESTORING")
        assert text.startswith("this device was claimed, after another machine had gone on as it:")
        await near.store.write(lambda tx: came_back.took(tx, far.identity.device, 34))
        await near.store.write(lambda tx: restoring.go_on_as_restored(tx, b"m" * 8))
        (text,) = _told(await rooms.overview.view(), "RESTORED")
        assert text.startswith("this device was claimed, and goes on since 2027-01-15")
        assert "34 rows of it came back from" in text
        await near.store.write(lambda tx: came_back.went_on(tx, 2, 0))
        (text,) = _told(await rooms.overview.view(), "RESTORED")
        assert text.startswith("this device was restored from a backup")


async def test_one_row_that_stays_is_told_of_as_one(tmp_path: Path, replica: Replica) -> None:
    """As a person says it."""
    replica.store.write_here(lambda tx: came_back.went_on(tx, 1, 0))
    async with open_rooms(tmp_path, replica) as rooms:
        (text,) = _told(await rooms.overview.view(), "RESTORED")
        assert text.endswith("1 that it had found since the backup stays")


async def test_a_restore_that_brought_nothing_says_so_for_a_week(
    tmp_path: Path, replica: Replica
) -> None:
    """Nobody was there, or nobody knew more."""
    replica.store.write_here(lambda tx: came_back.went_on(tx, 0, 0))
    async with open_rooms(tmp_path, replica) as rooms:
        (text,) = _told(await rooms.overview.view(), "RESTORED")
        assert text.endswith(": nobody who was there knew more of its files than it did")
        replica.clock.ms += came_back.TOLD_MS
        assert _told(await rooms.overview.view(), "RESTORED") == []


def _told(view: View, code: str) -> list[str]:
    return [alert.text for alert in view.warnings if alert.code == code]


async def test_whatever_would_be_written_is_refused_with_the_reason_meanwhile(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """A restored device, and one that was cloned, accept nothing that would come to nothing."""
    replica, folder = pair[0], tmp_path / "folder"
    folder.mkdir()
    store, tag, item = replica.store, replica.store.ids.new(), replica.store.ids.new()
    location, _ = add_tree(replica, 1)
    deleted = replica.store.ids.new()
    made = [Create("tag", tag, {"canonical_name": "trip"}), Create("album", item, {"name": "best"})]
    store.write_here(lambda tx: tx.commit("test", made))
    gone = [Create("tag", deleted, {"canonical_name": "old"})]
    store.write_here(lambda tx: tx.commit("test", gone))
    store.write_here(lambda tx: tx.commit("test", [Delete("tag", deleted)]))
    asked: dict[str, dict[str, object]] = {
        "devices/rename": {"name": "other"},
        "locations": {"path": str(folder)},
        "locations/scan": {"location": location.hex()},
        "locations/mode": {"location": location.hex(), "index_mode": "content"},
        "locations/remove": {"location": location.hex()},
        "undo": {},
        "lock": {"model": "tag", "record": tag.hex(), "target": "tag:trip"},
        "tags/create": {"name": "new"},
        "tags/set": {"tag": "trip", "fields": {"color": "red"}},
        "tags/rename": {"tag": "trip", "name": "journey"},
        "tags/delete": {"tag": "trip"},
        "tags/restore": {"tag": deleted.hex()},
        "tags/add": {"tag": "trip", "where": {"location": location.hex()}},
        "albums/create": {"name": "new"},
        "albums/rename": {"album": "best", "name": "better"},
        "albums/delete": {"album": "best"},
        "records/create": {"model": "tag", "fields": {"canonical_name": "x"}},
    }
    async with open_rooms(tmp_path, replica) as rooms:
        for life, status in ((restoring.RESTORING, 504), (restoring.CLONED, 403)):
            await store.write(lambda tx: meta.put(tx.conn, life, 1))  # noqa: B023
            said = {
                path: (answer.status, answer.data.get("error", {}).get("code"))
                for path, given in asked.items()
                if (answer := await rooms.ask("POST", f"/v1/{path}", **given))
            }
            assert said == dict.fromkeys(asked, (status, life))


async def test_who_gave_altered_records_is_a_warning_for_as_long_as_it_is_not_asked(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """It says what was altered, and what is done about it."""
    device = pair[1].identity.device
    async with open_rooms(tmp_path, pair[0]) as rooms:
        trust, now = rooms.driver.exchange.fetching.trust, trio.current_time()
        trust.altered_records(device, now)
        (alert,) = (await rooms.overview.view()).warnings
        assert alert.code == "RELAY_DISTRUSTED"
        assert device.hex()[:8] in alert.text
        trust.altered_records(device, now - MOST_DISAGREED_S)
        assert (await rooms.overview.view()).warnings == []


async def test_records_that_most_others_hold_otherwise_are_a_warning(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Whom to connect is said, as nobody may be there who can give them."""
    replica, giver = pair
    replica.store.write_here(lambda tx: givers.note(tx.conn, [giver.identity.device]))
    assert replica.store.write_here(lambda tx: givers.doubt(tx.conn))
    async with open_rooms(tmp_path, replica) as rooms:
        (alert,) = (await rooms.overview.view()).warnings
        assert (alert.code, alert.hint) == (
            "FETCHING_RECORDS",
            "connect a device that holds what most hold",
        )
        assert "others agree about" in alert.text


async def _forked(tmp_path: Path, mine: Replica, author: Replica) -> Facts:
    """Have `mine` hold two commits that an author has signed as one; return what it says then."""
    async with open_rooms(tmp_path, mine) as rooms:
        for stamp in (START_MS, START_MS + 1):
            batch = log_batch(own_feed(author), signed_commit(author, stamp=Stamp(stamp, 0, 0)))
            await rooms.driver.applier.apply(batch, author.identity.device)
    return _facts(mine)


def _facts(replica: Replica) -> Facts:
    store = replica.store
    now_ms, epoch = store.now_ms(), store.own_epoch
    return within(replica, lambda c: Facts(c, now_ms, epoch, store.registry))


async def test_a_device_that_takes_its_rows_back_is_not_said_to_have_forked(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """Why that is so is told already; of any other device it is said."""
    mine, author = pair
    await _forked(tmp_path, mine, author)
    mine.store.write_here(lambda tx: meta.put(tx.conn, meta.RESTORING, 1))
    facts, now_ms = _facts(mine), mine.store.now_ms()
    assert list(fork_alerts(facts, author.identity.device, {}, now_ms)) == []
    assert len(list(fork_alerts(facts, mine.identity.device, {}, now_ms))) == 1


@pytest.mark.parametrize(
    ("connected_s", "later_s", "code", "says"),
    [
        (None, 0, "PEER_RESTORED", "goes on when it is met"),
        (None, 86_400, "PEER_RESTORED", "goes on when it is met"),
        (1.0, 0, "PEER_RESTORED", "takes its rows back before"),
        (1.0, 86_400, "PEER_RESTORED", "takes its rows back before"),  # it was away meanwhile
        (
            86_400.0,
            1,
            "PEER_RESTORED",
            "takes its rows back before",
        ),  # it runs on a backup for a day
        (600.0, 600, "FORKED", "has not gone on for long"),
    ],
)
async def test_who_was_restored_is_not_to_be_revoked(
    tmp_path: Path,
    pair: list[Replica],
    connected_s: float | None,
    later_s: int,
    code: str,
    says: str,
) -> None:
    """As long as nothing shows that it is anything else; who stays so long is looked at."""
    mine, author = pair
    facts, device = await _forked(tmp_path, mine, author), author.identity.device
    connected = {} if connected_s is None else {device: connected_s}
    now_ms = mine.store.now_ms() + later_s * 1_000
    (alert,) = fork_alerts(facts, mine.identity.device, connected, now_ms)
    assert (alert.code, says in alert.text, "revoke" in str(alert.hint)) == (code, True, False)
    assert "two different commits as number 1" in alert.text


async def test_who_writes_on_in_a_life_of_two_branches_is_known_at_once(
    tmp_path: Path, pair: list[Replica]
) -> None:
    """No restored device does that: how to take it out is said."""
    mine, author = pair
    facts = await _forked(tmp_path, mine, author)
    facts.open_forks = [fork._replace(knew=True) for fork in facts.open_forks]
    (alert,) = fork_alerts(facts, mine.identity.device, {}, mine.store.now_ms())
    assert (alert.code, "leaderless device revoke" in str(alert.hint)) == ("FORKED", True)
