"""What waits to be sent, and when nothing more may be asked for, on the test's clock."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from leaderless.protocol.limits import MAX_FRAME_BYTES, WINDOW_BYTES
from leaderless.sync.outbox import MOST_BYTES, NOT_READING_S, ROOM_BYTES, NotReadingError, Outbox


async def test_frames_leave_in_the_order_they_came() -> None:
    """A frame stays the first until it was sent."""
    outbox = Outbox()
    for frame in (b"one", b"two"):
        outbox.put(frame)
    taken = [await outbox.first(), await outbox.first()]
    outbox.drop_first()
    assert [*taken, await outbox.first()] == [b"one", b"one", b"two"]


async def test_a_sender_waits_for_the_first_frame(autojump_clock: trio.testing.MockClock) -> None:
    """An empty outbox has nothing to send until something is put in."""
    outbox, sent = Outbox(), []

    async def send() -> None:
        sent.append((await outbox.first(), trio.current_time()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(send)
        await trio.sleep(3)
        outbox.put(b"frame")
    ((frame, at),) = sent
    assert (frame, round(at)) == (b"frame", 3)


async def test_what_was_sent_is_held_no_more() -> None:
    """An outbox that was emptied is as light as a new one."""
    outbox = Outbox()
    outbox.put(bytes(1_000))
    held = outbox.held_bytes
    outbox.drop_first()
    assert (held >= 1_000, outbox.held_bytes) == (True, 0)


async def test_empty_frames_weigh_something() -> None:
    """A flood of the smallest messages is bounded like one of large ones."""
    outbox = Outbox()
    for _ in range(MOST_BYTES // 100):
        outbox.put(b"")
    assert outbox.held_bytes >= MOST_BYTES


async def test_a_full_outbox_stops_the_questions_until_there_is_room(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A slow peer loses nothing: it is heard again when it has read."""
    outbox = Outbox()
    outbox.put(bytes(MOST_BYTES))

    async def read_late() -> None:
        await trio.sleep(NOT_READING_S - 1)
        outbox.drop_first()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_late)
        await outbox.may_ask_more()
        assert trio.current_time() == pytest.approx(NOT_READING_S - 1)


async def test_who_asks_and_never_reads_is_named(autojump_clock: trio.testing.MockClock) -> None:
    """An outbox that stays full is an error with a name of its own."""
    outbox = Outbox()
    outbox.put(bytes(MOST_BYTES))
    with pytest.raises(NotReadingError) as caught:
        await outbox.may_ask_more()
    assert (caught.value.code, round(trio.current_time())) == ("not_reading", NOT_READING_S)


async def test_the_largest_frame_of_data_stops_no_questions() -> None:
    """Else two devices with a large commit for each other would both wait for the other to read."""
    outbox = Outbox()
    outbox.put(bytes(ROOM_BYTES - 200))
    await outbox.below(ROOM_BYTES)
    outbox.put(bytes(MAX_FRAME_BYTES))
    for _ in range(100):
        outbox.put(bytes(1_000))
    with trio.fail_after(0):
        await outbox.may_ask_more()
    assert MOST_BYTES - outbox.held_bytes > WINDOW_BYTES
