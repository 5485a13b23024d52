"""A relay that lies about others' rows: noticed, named, its data not kept, healed from elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from leaderless.protocol.commands import Key, Stream
from leaderless.protocol.messages import Message, StateBatch
from leaderless.protocol.trusting import LEAST_DISTRUST_S
from registry.changes import StateChange
from tests.cluster import rows
from tests.liar import of_owner, promising, up_to, with_changes
from tests.sync.scene import ENTRIES, Made, Scene, lied_to

NEW = b"N" * 16


# --- lies about rows ------------------------------------------------------------------------------


def _about_rows(change: Callable[[Scene, StateBatch], list[Message]]) -> Made:
    return lambda scene: of_owner(scene.owner.device, lambda batch: change(scene, batch))


def _about_entries(change: Callable[[StateChange], StateChange]) -> Made:
    return _about_rows(lambda _, batch: [with_changes(batch, change)])


def _altered(change: StateChange) -> StateChange:
    if not change.rows:
        return change
    at = 2 + change.columns.index("size_bytes")
    return replace(change, rows=[(*row[:at], 666, *row[at + 1 :]) for row in change.rows])


def _invented(change: StateChange) -> StateChange:
    if not change.rows:
        return change
    return replace(change, rows=[*change.rows, (NEW, *change.rows[-1][1:])])


def _middle_left_out(change: StateChange) -> StateChange:
    return replace(change, rows=[*change.rows[:-2], *change.rows[-1:]])


def _all_left_out(change: StateChange) -> StateChange:
    return replace(change, rows=(), removed=())


def _reversed(change: StateChange) -> StateChange:
    return replace(change, rows=change.rows[::-1])


def _kept_alive(change: StateChange) -> StateChange:
    return replace(change, removed=())


def _buried_long_ago(change: StateChange) -> StateChange:
    return replace(change, removed=[(uuid, 1) for uuid, _ in change.removed])


def _buried_in_the_future(change: StateChange) -> StateChange:
    return replace(change, removed=[(uuid, 1 << 40) for uuid, _ in change.removed])


def _buried(change: StateChange) -> StateChange:
    return replace(change, removed=[*change.removed, *((row[0], row[1]) for row in change.rows)])


def _dead(change: StateChange) -> StateChange:
    return replace(change, dead=frozenset(row[0] for row in change.rows))


def _tail_left_out(scene: Scene, batch: StateBatch) -> list[Message]:
    return [up_to(batch, batch.hi - 2)] if batch.hi > scene.first else [batch]


def _promised(_: Scene, batch: StateBatch) -> list[Message]:
    return [replace(batch, head=1 << 40, as_of=1 << 40)]


def _unsigned(_: Scene, batch: StateBatch) -> list[Message]:
    return [replace(batch, checkpoint=batch.checkpoint[:-1] + b"x")]


WRONG_ROWS: dict[str, Made] = {
    "alters": _about_entries(_altered),
    "invents": _about_entries(_invented),
    "withholds a row": _about_entries(_middle_left_out),
    "withholds all rows": _about_entries(_all_left_out),
    "reorders": _about_entries(_reversed),
    "buries": _about_entries(_buried),
    "calls dead": _about_entries(_dead),
    "promises too much": _about_rows(_promised),
    "signs itself": _about_rows(_unsigned),
}
CATCHING_UP: dict[str, Made] = {
    **WRONG_ROWS,
    "withholds tombstones": _about_entries(_kept_alive),
    "says of deletions that they were before": _about_entries(_buried_long_ago),
    "says of deletions that they come later": _about_entries(_buried_in_the_future),
}
CASES = [
    *(pytest.param(False, made, id=f"newcomer-{lie}") for lie, made in WRONG_ROWS.items()),
    *(pytest.param(True, made, id=f"catching up-{lie}") for lie, made in CATCHING_UP.items()),
]


@pytest.mark.parametrize(("knows", "make"), CASES)
async def test_wrong_rows_are_named_dropped_and_healed(
    tmp_path: Path, clock: trio.testing.MockClock, make: Made, knows: bool
) -> None:
    """What was proved before stays, nothing of the lie does; the liar is asked no more, others are."""
    async with lied_to(tmp_path, make, knows=knows) as scene:
        device, victim = scene.owner.device, scene.victim
        before = rows(victim, ENTRIES)
        await scene.passes(lambda: "distrusted" in victim.kinds(), 10.0)
        assert scene.named() == {scene.liar.device}
        assert (
            scene.liar.device,
            Key(Stream.STATE, device),
        ) in victim.driver.exchange.fetching.trust.distrusted
        assert scene.files_of_owner() == (7 if knows else 0)
        assert set(before) <= set(rows(victim, ENTRIES))
        await trio.sleep(2.0)
        asked = scene.lying.asked_for(device)
        await scene.passes(lambda: rows(victim, ENTRIES) != [], 10.0)  # the liar's own arrive
        await trio.sleep(LEAST_DISTRUST_S - 8.0)
        assert scene.lying.asked_for(device) == asked
        await scene.heal()


async def test_what_was_proved_is_in_view_all_the_time(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """Also while all of it is read anew, as something did not fit it twice."""
    async with lied_to(tmp_path, WRONG_ROWS["alters"], knows=True) as scene:
        device, victim = scene.owner.device, scene.victim
        shown = {scene.files_of_owner()}
        beside: list[bool] = []

        def look() -> None:
            shown.add(scene.files_of_owner())
            beside.append(device in victim.driver.exchange.ours.beside)

        victim.store.listen(look)
        await scene.passes(lambda: any(beside), 300.0)
        assert device not in victim.driver.exchange.ours.unproved
        await scene.heal()
        assert min(shown) == 7
        assert device not in victim.driver.exchange.ours.beside


async def test_a_liar_that_connects_again_and_again_is_asked_once_in_a_while(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """Each lie that ends the connection makes the next pause longer; ten minutes bring a dozen."""
    async with lied_to(tmp_path, WRONG_ROWS["signs itself"], knows=False) as scene:
        await trio.sleep(600.0)
        assert 5 <= scene.lying.asked_for(scene.owner.device) <= 14
        assert scene.victim.kinds().count("peer_error") <= 14
        assert scene.named() == {scene.liar.device}
        await scene.heal()


# --- lies that show late --------------------------------------------------------------------------


def _in_small_batches(lie: Callable[[StateBatch], StateBatch]) -> Made:
    """Send the first rows alone, as the part of a larger transfer, and then nothing."""

    def make(scene: Scene) -> Callable[[Message], list[Message]]:
        def change(batch: StateBatch) -> list[Message]:
            at = batch.lo + 5
            if batch.lo >= at or batch.head <= at or batch.lo > scene.first:
                return []
            part = lie(up_to(batch, at))
            return [replace(part, head=batch.head, as_of=batch.as_of)]

        return of_owner(scene.owner.device, change)

    return make


HALF = [
    pytest.param(lambda batch: with_changes(batch, _altered), id="altered"),
    pytest.param(lambda batch: with_changes(batch, _buried), id="buried"),
    pytest.param(lambda batch: with_changes(batch, _invented), id="invented"),
]


@pytest.mark.parametrize("lie", HALF)
async def test_a_lie_in_the_first_half_does_not_fall_on_who_brings_the_rest(
    tmp_path: Path, clock: trio.testing.MockClock, lie: Callable[[StateBatch], StateBatch]
) -> None:
    """Both are suspects; the one that brings all of it by itself, rightly, is in the clear."""
    async with lied_to(tmp_path, _in_small_batches(lie), knows=False) as scene:
        await scene.passes(lambda: scene.unproved() != "", 10.0)
        await scene.cluster.connect(3, 2)
        await scene.passes(lambda: scene.is_in_sync(scene.victim, scene.honest), 150.0)
        assert rows(scene.victim, ENTRIES) == rows(scene.honest, ENTRIES)
        assert scene.liar.device in scene.named()
        assert all(
            device != scene.honest.device
            for device, _ in scene.victim.driver.exchange.fetching.trust.distrusted
        )


def _tail_left_out(scene: Scene, batch: StateBatch) -> list[Message]:
    return [up_to(batch, batch.hi - 2)]


def _old(_: Scene, __: StateBatch) -> list[Message]:
    return []


WITHHELD: dict[str, Made] = {
    "the tail": lambda scene: promising(
        scene.owner.device, 1 << 40, _about_rows(_tail_left_out)(scene)
    ),
    "everything": lambda scene: promising(scene.owner.device, 1 << 40, _about_rows(_old)(scene)),
}


@pytest.mark.parametrize("make", WITHHELD.values(), ids=WITHHELD.keys())
async def test_who_promises_rows_and_withholds_them_is_named_and_passed_over(
    tmp_path: Path, clock: trio.testing.MockClock, make: Made
) -> None:
    """Nothing is claimed meanwhile; another source is asked first from then on."""
    async with lied_to(tmp_path, make, knows=True) as scene:
        await scene.passes(lambda: "withholds" in scene.victim.kinds(), 150.0)
        assert scene.named() == {scene.liar.device}
        assert not scene.is_in_sync(scene.victim, scene.liar)
        await scene.heal()
        await scene.owner_changes()
        await scene.passes(lambda: scene.is_in_sync(scene.victim, scene.honest), 10.0)


async def test_a_copy_that_was_cut_short_gets_its_word_from_who_has_it(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """Rows without the word that covers them are shown as that, until somebody has the word."""

    def make(scene: Scene) -> Callable[[Message], list[Message]]:
        cut = of_owner(scene.owner.device, lambda batch: [up_to(batch, scene.first + 5)])
        return promising(scene.owner.device, scene.first + 5, cut)

    async with lied_to(tmp_path, make, knows=True) as scene:
        await scene.passes(lambda: scene.unproved() != "", 10.0)
        assert "no checkpoint" in scene.unproved()
        assert scene.named() == set()
        await scene.heal()
        assert scene.unproved() == ""


async def test_ids_of_another_device_under_a_false_owner_do_not_keep_it_out(
    tmp_path: Path, clock: trio.testing.MockClock
) -> None:
    """The rows that were invented go, with who brought them; whose they are is heard."""

    def make(scene: Scene) -> Callable[[Message], list[Message]]:
        ((taken,),) = rows(scene.honest, _ROOT)

        def stolen(change: StateChange) -> StateChange:
            first = [(taken, *change.rows[0][1:])] if change.rows else []
            return replace(change, rows=[*first, *change.rows[1:]])

        return _in_small_batches(lambda batch: with_changes(batch, stolen))(scene)

    async with lied_to(tmp_path, make, knows=False) as scene:
        await scene.passes(lambda: scene.named() == {scene.liar.device}, 10.0)
        await scene.heal()


_ROOT = (
    "SELECT uuid FROM entry WHERE parent IS NULL AND dead = 0"
    " AND epoch = (SELECT value FROM meta WHERE name = 'own_epoch')"
)
