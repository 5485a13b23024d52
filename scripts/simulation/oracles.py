"""What must hold, asked of the files themselves and judged by rules that the product does not share.

At every commit of a device: nothing takes effect before what it builds on. At every check: foreign
keys, deleted rows that are back, claims of being in sync that are false. What a watermark promises
stands in `promises`, what has to be so after a heal in `agreement`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import msgpack

from leaderless.catalogue.export import export_lines
from leaderless.store import engine, log, meta, restoring, state
from leaderless.store.bare import Kept
from leaderless.store.holdings import read_holdings
from registry.changes import LIFE_BYTES, Incarnation
from scripts.simulation.forgetting import held_before

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from leaderless.protocol.vectors import Holdings
    from leaderless.store.state import Copy
    from registry.hlc import Clock
    from scripts.simulation.device import Device
    from scripts.simulation.lies import Truth
    from scripts.simulation.workload import Author


class ViolationError(Exception):
    """Something that must hold does not."""


def demand(holds: bool, what: str) -> None:  # noqa: FBT001 - reads like the sentence it is
    """Raise ViolationError unless it holds."""
    if not holds:
        raise ViolationError(what)


@dataclass(frozen=True)
class File:
    """A file that is no running device's; of each index one is open at a time."""

    index: int
    path: Path


class Place(NamedTuple):
    """How much a file holds of an owner: the rows of its newest incarnation there."""

    incarnation: Incarnation
    rev: int
    proved: int


class Witness:
    """Reads the files of the devices, on connections of its own."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self._files: dict[int, tuple[str, Kept]] = {}
        self._seen: dict[int, dict[int, int]] = {}
        """Of each device and feed how many applied commits were looked at."""
        self._clocks: dict[int, Clock] = {}
        self._needs: dict[bytes, dict[bytes, tuple[int, bytes]]] = {}
        """Of each commit how far its author had applied every feed when it was written: the number
        and the hash of the last commit, as the feed may have forked since."""
        self.bodies: dict[bytes, bytes] = {}
        """What every commit said when it was written: devices may forget it."""

    def at(self, device: Device | File) -> Kept:
        """Return a read-only connection to the file of a device."""
        path = str(device.path)
        held = self._files.get(device.index)
        if held is None or held[0] != path:
            if held is not None:
                held[1].dispose()
            held = (path, Kept(engine.reader_engine(device.path)))
            self._files[device.index] = held
        return held[1]

    def forget(self, device: Device) -> None:
        """A device has other files than before."""
        self._seen.pop(device.index, None)
        self._clocks.pop(device.index, None)
        self.truth.forget(device)

    def close(self) -> None:
        """Close all files."""
        for _, held in self._files.values():
            held.dispose()

    # --- at every commit --------------------------------------------------------------------------

    def wrote(self, device: Device, connection: Connection) -> None:
        """A transaction of a device is durable: what it applied builds on what is applied.

        What a commit builds on is what its author had applied, as was seen when it was written, and
        not what the commit says of it.
        """
        seen = self._seen.setdefault(device.index, {})
        feeds = log.feeds(connection)
        self.truth.wrote(connection, device, feeds)
        now = meta.clock(connection)
        before = self._clocks.get(device.index, now)
        demand(
            (now.ms, now.counter) >= (before.ms, before.counter),
            f"the clock of {device.name} ran back",
        )
        self._clocks[device.index] = now
        applied = {feed.feed: feed.applied for feed in feeds}
        heads = heads_of(feeds)
        for feed in feeds:
            after = seen.get(feed.key, 0)
            if feed.applied == after:
                continue
            seen[feed.key] = feed.applied
            is_own = feed.feed.startswith(device.id)
            for hashed in _hashes(connection, feed.key, after, feed.applied):
                if is_own:
                    self.bodies.setdefault(hashed, _body(connection, hashed))
                    self._needs.setdefault(hashed, {**heads, feed.feed: (0, b"")})
                for needed, (seq, head) in self._needs.get(hashed, {}).items():
                    demand(
                        applied.get(needed, 0) >= seq or _is_applied(connection, head),
                        f"{device.name} applied a commit before commit {seq} that it builds on",
                    )

    # --- at every check ---------------------------------------------------------------------------

    def check(
        self, devices: Sequence[Device], authors: Sequence[Author], doubled: Collection[int]
    ) -> None:
        """Look at all devices as they are now, in the middle of whatever happens."""
        held: dict[bytes, tuple[Device, Holdings]] = {}
        lives = {
            device.id: None
            if self.life_of(device)
            else self.place_of(device, device.id).incarnation
            for device in devices
        }
        for device in devices:
            with self.at(device).begin() as connection:
                # What is durable there, also if it died of it.
                self.truth.wrote(connection, device, log.feeds(connection))
        for device in devices:
            with self.at(device).begin() as connection:
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
                demand(not broken, f"{device.name} has rows that refer to nothing: {broken[:1]}")
                held[device.id] = (device, read_holdings(connection))
                self._no_ghosts(connection, device, authors, lives)
                self.truth.check(connection, device)
        shown: dict[int, list[bytes]] = {}
        for device, ours in held.values():
            # What is durable and was not reported yet is in no claim: nobody was told of it.
            if device.up is None or device.up.driver.exchange.ours.vectors != ours.vectors:
                continue
            for peer in _proved(device):
                other, theirs = held[peer]
                if other.index in doubled or device.index in doubled:
                    continue
                self._is_claimed_rightly(device, ours, other, theirs)
                # One who has heard more since (a device introduced itself) can say so only later.
                if theirs.state_digest() and ours.vectors_digest() == theirs.vectors_digest():
                    for one in (device, other):
                        if one.index not in shown:
                            shown[one.index] = self.export(one)
                    demand(
                        shown[device.index] == shown[other.index],
                        f"{_claim(device, other)}, which shows something else",
                    )

    def claims(self, devices: Sequence[Device], doubled: Collection[int]) -> None:
        """No device claims to be in sync with one that lacks something; asked after every step.

        What the other one holds is what its own session was told: never more than its file has. Of
        the `doubled` it is not known which of two machines is meant.
        """
        running = {
            device.id: device
            for device in devices
            if device.up is not None and device.index not in doubled
        }
        for device in running.values():
            for peer in _proved(device):
                other = running.get(peer)
                if other is not None and other.up is not None and device.up is not None:
                    ours, theirs = device.up.driver.exchange.ours, other.up.driver.exchange.ours
                    self._is_claimed_rightly(device, ours, other, theirs)

    def _is_claimed_rightly(
        self, device: Device, ours: Holdings, peer: Device, theirs: Holdings
    ) -> None:
        """What a device calls in sync with it holds all that it holds."""
        for owner, position in ours.vectors.owned.items():
            other = theirs.vectors.owned.get(owner)
            less = bool(position.watermark) and (other is None or other.behind(position))
            less = less and held_before(peer, owner) < position.watermark
            demand(not less, f"{_claim(device, peer)}, which lacks rows")
        for feed, reached in ours.vectors.feeds.items():
            there = theirs.vectors.feeds.get(feed)
            lacks = bool(reached.applied) and (there is None or there.applied < reached.applied)
            lacks = lacks and not self.is_there(device, peer, feed, reached.applied)
            demand(not lacks, f"{_claim(device, peer)}, which lacks commits")

    def is_there(self, device: Device | File, peer: Device | File, feed: bytes, seq: int) -> bool:
        """Return whether a commit of a device has taken effect at a peer in another branch.

        Who hears of a fork first calls it otherwise, until the other one hears of it, too.
        """
        with self.at(device).begin() as connection:
            query = (
                "SELECT c.hash FROM commit_log c JOIN feed f ON f.id = c.feed"
                " WHERE substr(f.feed, 1, 28) = ? AND c.seq = ?"
            )
            found = connection.exec_driver_sql(query, (feed[:LIFE_BYTES], seq)).scalars().all()
        with self.at(peer).begin() as connection:
            return any(_is_applied(connection, hashed) for hashed in found)

    def _no_ghosts(
        self,
        connection: Connection,
        device: Device,
        authors: Sequence[Author],
        lives: Mapping[bytes, Incarnation | None],
    ) -> None:
        """Rows that were deleted up to a watermark are not there."""
        marks = {
            copy.owner: copy
            for copy in state.copies(connection)
            # What a liar had a part in is wrong until it shows, and is shown as unverified. So is a
            # copy that was held by a version which knows no floors.
            if (copy.exact and copy.verified == copy.watermark)
            or not (self.truth.has_liars or self.truth.has_been_behind)
        }
        for author in authors:
            copy = marks.get(author.device.id)
            if copy is None or copy.incarnation != lives[author.device.id]:
                continue
            if author.may_differ(device):
                continue
            epoch, mark = copy.epoch, copy.watermark
            rows = connection.exec_driver_sql(
                "SELECT uuid FROM entry WHERE epoch = ? AND dead = 0", (epoch,)
            ).scalars()
            trees = [author.tree, *([author.pending] if author.pending else [])]
            back = [
                uuid
                for uuid in rows
                if all(tree.gone.get(uuid, mark + 1) <= mark for tree in trees)
            ]
            demand(not back, f"{device.name} shows an entry that {author.device.name} had deleted")

    def tree_of(self, device: Device) -> tuple[int, dict[bytes, tuple[bytes | None, bytes, int]]]:
        """Return the rev of a device and its own entries and jobs, as its file has them."""
        with self.at(device).begin() as connection:
            epoch, rev = connection.exec_driver_sql(
                "SELECT id, watermark FROM incarnation WHERE device = ?"
                " ORDER BY generation DESC, nonce DESC LIMIT 1",
                (device.id,),
            ).one()
            rows = connection.exec_driver_sql(
                "SELECT e.uuid, p.uuid, e.name, e.size_bytes FROM entry e"
                " LEFT JOIN entry p ON p.id = e.parent WHERE e.epoch = ? AND e.dead = 0",
                (epoch,),
            )
            held = {uuid: (parent, name, size) for uuid, parent, name, size in rows}
            # A copy of an older version's file keeps them as what it does not know.
            kept = "SELECT uuid, fields FROM opaque_row WHERE epoch = ? AND model = 'job'"
            for uuid, fields in connection.exec_driver_sql(kept, (epoch,)):
                held[uuid] = (None, b"", msgpack.unpackb(fields)["done"])
            if connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 'job'").first():
                query = "SELECT uuid, NULL, x'', done FROM job WHERE epoch = ? AND dead = 0"
                jobs = connection.exec_driver_sql(query, (epoch,))
                held |= {uuid: (parent, name, done) for uuid, parent, name, done in jobs}
            return rev, held

    def commits_of(self, device: Device) -> dict[bytes, int]:
        """Return the number of every commit of a device's own feeds that it holds, by its hash."""
        with self.at(device).begin() as connection:
            rows = connection.exec_driver_sql(
                "SELECT c.hash, c.seq FROM commit_log c JOIN feed f ON f.id = c.feed"
                " WHERE substr(f.feed, 1, 16) = ?",
                (device.id,),
            )
            return {hashed: seq for hashed, seq in rows}

    def all_commits(self, device: Device | File) -> set[bytes]:
        """Return the hash of every commit that a device holds."""
        with self.at(device).begin() as connection:
            return set(connection.exec_driver_sql("SELECT hash FROM commit_log").scalars())

    def lacks_past(self, files: Sequence[Device | File]) -> bool:
        """Return whether files hold a commit of which none of them can say what it did.

        It has taken effect in none, and none has its body; or it builds on one that none holds.
        """
        held = {hashed for file in files for hashed in self.all_commits(file)}
        known = {hashed for file in files for hashed in self._known_effects(file)}
        return not held <= known or any(
            seq and head not in held
            for hashed in held
            for seq, head in self._needs.get(hashed, {}).values()
        )

    def _known_effects(self, device: Device | File) -> set[bytes]:
        """Return the hash of every commit that has taken effect in a file, or can."""
        query = (
            "SELECT c.hash FROM commit_log c JOIN feed f ON f.id = c.feed"
            " WHERE c.body IS NOT NULL OR c.seq <= f.applied"
        )
        with self.at(device).begin() as connection:
            return set(connection.exec_driver_sql(query).scalars())

    def life_of(self, device: Device) -> str:
        """Return why a device writes nothing, "" if it does."""
        with self.at(device).begin() as connection:
            return restoring.life(connection)

    def copy_of(self, file: Device | File, owner: bytes) -> Copy | None:
        """Return what is held of an owner's rows."""
        with self.at(file).begin() as connection:
            return state.copy_of(connection, owner)

    def place_of(self, device: Device | File, owner: bytes) -> Place:
        """Return how much a device holds of an owner."""
        with self.at(device).begin() as connection:
            copy = state.copy_of(connection, owner)
            if copy is None:
                return Place(Incarnation(0, b""), 0, 0)
            return Place(copy.incarnation, copy.watermark, copy.verified)

    def applied(self, device: Device) -> dict[bytes, int]:
        """Return how much of every feed has taken effect at a device."""
        with self.at(device).begin() as connection:
            return {feed.feed: feed.applied for feed in log.feeds(connection)}

    def export(self, device: Device) -> list[bytes]:
        """Return every record that a device shows."""
        with self.at(device).begin() as connection:
            return b"".join(export_lines(connection, device.registry)).splitlines()


def heads_of(feeds: Sequence[log.Feed]) -> dict[bytes, tuple[int, bytes]]:
    """Return number and hash of the last commit of each feed and branch that has taken effect.

    A branch of which nothing has stands where it begins, also while what is before that waits.
    """
    ends = {feed.key: feed.received for feed in feeds}
    return {
        feed.feed: (feed.applied, feed.applied_hash)
        for feed in feeds
        if feed.trunk is None or feed.applied > ends[feed.trunk]
    }


def _proved(device: Device) -> list[bytes]:
    """Return the devices with which a device claims to be in sync."""
    if device.up is None:
        return []
    exchange = device.up.driver.exchange
    return [peer.device for peer in exchange.peers.values() if exchange.is_proved(peer)]


def _claim(device: Device, peer: Device) -> str:
    return f"{device.name} claims to be in sync with {peer.name}"


def _body(connection: Connection, hashed: bytes) -> bytes:
    """Return the body of a commit that its author has just written."""
    query = "SELECT body FROM commit_log WHERE hash = ?"
    return connection.exec_driver_sql(query, (hashed,)).scalar() or b""


def _is_applied(connection: Connection, hashed: bytes) -> bool:
    """Return whether a commit has taken effect, in whatever branch it stands here."""
    query = (
        "SELECT 1 FROM commit_log c JOIN feed f ON f.id = c.feed"
        " WHERE c.hash = ? AND c.seq <= f.applied"
    )
    return connection.exec_driver_sql(query, (hashed,)).first() is not None


def _hashes(connection: Connection, feed: int, after: int, last: int) -> Sequence[bytes]:
    """Return the hashes of some commits of a feed."""
    return (
        connection.exec_driver_sql(
            "SELECT hash FROM commit_log WHERE feed = ? AND seq > ? AND seq <= ?",
            (feed, after, last),
        )
        .scalars()
        .all()
    )
