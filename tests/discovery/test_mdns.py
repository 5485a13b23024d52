"""Real zeroconf on loopback: what we announce, and what we make of what others announce.

Other daemons may be on the same loopback, so a test looks for its own addresses alone. That
something is ignored is shown by an announcement that comes after it and is not.
"""

from __future__ import annotations

import secrets
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked
from zeroconf import IPVersion, ServiceInfo, Zeroconf
from zeroconf._dns import DNSAddress, DNSPointer, DNSRecord, DNSService, DNSText
from zeroconf._protocol.outgoing import DNSOutgoing

from leaderless.discovery.base import Hint, HintKind
from leaderless.discovery.mdns import (
    MAX_ADDRESSES,
    SERVICES,
    Mdns,
    hints_of,
    open_mdns,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LOOPBACK = ["127.0.0.1"]
A, PTR, TXT, SRV, IN, RESPONSE = 1, 12, 16, 33, 1, 0x8400
HERE = "192.0.2.77"
Opened = tuple[Mdns, trio.MemoryReceiveChannel[Hint]]


@asynccontextmanager
async def device() -> AsyncIterator[Opened]:
    """Open mDNS on loopback, with random names."""
    names = open_mdns(lambda: secrets.token_hex(8), interfaces=LOOPBACK, addresses=lambda: [HERE])
    async with names as opened:
        with trio.fail_after(30):
            yield opened


@asynccontextmanager
async def stranger() -> AsyncIterator[Zeroconf]:
    """Open a zeroconf that can say anything."""
    zeroconf = await trio.to_thread.run_sync(
        lambda: Zeroconf(LOOPBACK, ip_version=IPVersion.V4Only)
    )
    try:
        yield zeroconf
    finally:
        await trio.to_thread.run_sync(zeroconf.close)


def say(zeroconf: Zeroconf, *records: DNSRecord) -> None:
    """Send an answer nobody asked for."""
    out = DNSOutgoing(RESPONSE)
    for record in records:
        out.add_answer_at_time(record, 0)
    zeroconf.send(out)


def pointer(name: str, kind: HintKind = HintKind.SYNC) -> DNSRecord:
    """Return the record that names an announcement."""
    return DNSPointer(SERVICES[kind], PTR, IN, 120, name)


def announcement(
    port: int, addresses: list[str], kind: HintKind = HintKind.SYNC, text: bytes = b"\0"
) -> list[DNSRecord]:
    """Return all records of an announcement under a new name."""
    token = secrets.token_hex(8)
    name, server = f"{token}.{SERVICES[kind]}", f"{token}.local."
    return [
        pointer(name, kind),
        DNSService(name, SRV, IN, 120, 0, 0, port, server),
        DNSText(name, TXT, IN, 120, text),
        *(DNSAddress(server, A, IN, 120, socket.inet_aton(address)) for address in addresses),
    ]


async def hints_until(hints: trio.MemoryReceiveChannel[Hint], last: Hint) -> list[Hint]:
    """Return the hints up to `last`."""
    heard = []
    async for hint in hints:
        heard.append(hint)
        if hint == last:
            break
    return heard


def registered(mdns: Mdns) -> frozenset[str]:
    """Return the names that zeroconf answers for."""
    return frozenset(info.name for info in mdns._zeroconf.registry.async_get_service_infos())


def unused_port() -> int:
    """Return a port number that no other test names."""
    return 1024 + secrets.randbelow(60_000)


# --- what we announce -----------------------------------------------------------------------------


async def test_an_announcement_is_found_by_another_device() -> None:
    """The other gets address, port and kind."""
    port = unused_port()
    async with device() as (one, _), device() as (_, hints):
        await one.announce(HintKind.PAIR, port)
        found = Hint(HERE, port, HintKind.PAIR)
        assert found in await hints_until(hints, found)


async def test_an_announcement_tells_nothing_that_identifies() -> None:
    """Empty text, a random name as the only name, addresses and a port: no more is on the wire."""
    port = unused_port()
    async with device() as (one, _), stranger() as other:
        await one.announce(HintKind.SYNC, port)
        (name,) = one.own_names()
        info = ServiceInfo(SERVICES[HintKind.SYNC], name)
        assert await trio.to_thread.run_sync(info.request, other, 5000)
    token = name.removesuffix(f".{SERVICES[HintKind.SYNC]}")
    assert (len(token), info.server) == (16, f"{token}.local.")
    assert info.text.strip(b"\0") == b""
    assert (info.parsed_addresses(), info.port) == ([HERE], port)
    assert (info.weight, info.priority) == (0, 0)


async def test_each_start_has_another_name() -> None:
    """Who listens cannot tell that a device is the one of yesterday."""
    names: list[frozenset[str]] = []
    for _ in range(2):
        async with device() as (one, _):
            await one.announce(HintKind.SYNC, 4747)
            names.append(one.own_names())
    assert names[0] & names[1] == frozenset()


async def test_announcing_again_takes_new_names_and_keeps_the_port() -> None:
    """In another network a device is another, and can be found again."""
    port = unused_port()
    async with device() as (one, _), device() as (_, hints):
        await one.announce(HintKind.SYNC, port)
        before = one.own_names()
        await hints_until(hints, Hint(HERE, port, HintKind.SYNC))
        await one.announce_again()
        assert (len(one.own_names()), one.own_names() & before) == (1, frozenset())
        await hints_until(hints, Hint(HERE, port, HintKind.SYNC))


async def test_announcing_again_tells_the_addresses_of_now() -> None:
    """After a change of network the new address is announced."""
    port = unused_port()
    addresses = [HERE]
    moving = open_mdns(
        lambda: secrets.token_hex(8), interfaces=LOOPBACK, addresses=lambda: list(addresses)
    )
    async with moving as (one, _), device() as (_, hints):
        await one.announce(HintKind.SYNC, port)
        addresses[:] = ["198.51.100.3"]
        await one.announce_again()
        with trio.fail_after(30):
            await hints_until(hints, Hint("198.51.100.3", port, HintKind.SYNC))


async def test_calls_at_the_same_time_leave_one_announcement() -> None:
    """A code shown while the network changes is announced once, under a name we know as ours."""
    async with device() as (one, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.announce, HintKind.PAIR, 5000)
            nursery.start_soon(one.announce, HintKind.PAIR, 5000)
        assert len(registered(one)) == 1
        assert registered(one) == one.own_names()


async def test_a_withdrawal_is_told_to_others() -> None:
    """When a code is no longer shown its announcement disappears."""
    async with device() as (one, _), stranger() as other:
        await one.announce(HintKind.PAIR, unused_port())
        (name,) = one.own_names()
        info = ServiceInfo(SERVICES[HintKind.PAIR], name)
        assert await trio.to_thread.run_sync(info.request, other, 5000)
        await one.withdraw(HintKind.PAIR)
        assert one.own_names() == frozenset()
        gone = ServiceInfo(SERVICES[HintKind.PAIR], name)
        assert not await trio.to_thread.run_sync(gone.request, other, 300)


async def test_a_withdrawal_ends_an_announcement_on_its_way() -> None:
    """A code that is closed before its announcement is out is not announced afterwards."""
    async with device() as (one, _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.announce, HintKind.PAIR, 5000)
            nursery.start_soon(one.announce_again)
            await wait_all_tasks_blocked()
            await one.withdraw(HintKind.PAIR)
        assert registered(one) == one.own_names() == frozenset()


async def test_calls_after_the_end_do_nothing() -> None:
    """Whoever withdraws late, while everything closes, meets no error."""
    async with device() as (one, _):
        await one.announce(HintKind.PAIR, 5000)
    await one.withdraw(HintKind.PAIR)
    await one.announce(HintKind.SYNC, 5000)
    await one.announce_again()


async def test_a_name_that_is_taken_leaves_everything_else_alone() -> None:
    """An announcement that fails is no error: typed and known addresses remain."""
    token = secrets.token_hex(8)
    taken = open_mdns(lambda: token, interfaces=LOOPBACK, addresses=lambda: [HERE])
    also = open_mdns(lambda: token, interfaces=LOOPBACK, addresses=lambda: [HERE])
    async with taken as (first, _), also as (second, _):
        await first.announce(HintKind.SYNC, 5000)
        await second.announce(HintKind.SYNC, 5001)
        assert (len(registered(first)), len(registered(second))) == (1, 0)
        await second.withdraw(HintKind.SYNC)


async def test_our_own_announcement_is_no_hint() -> None:
    """A device does not call itself."""
    port, marker = unused_port(), Hint("192.0.2.1", unused_port(), HintKind.SYNC)
    async with device() as (one, hints), stranger() as other:
        await one.announce(HintKind.SYNC, port)
        say(other, *announcement(marker.port, [marker.host]))
        heard = await hints_until(hints, marker)
    assert Hint(HERE, port, HintKind.SYNC) not in heard


# --- what others announce -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(HintKind))
async def test_an_announcement_becomes_hints_of_its_kind(kind: HintKind) -> None:
    """Each address of it is a hint; what its text says does not matter."""
    port = unused_port()
    async with device() as (_, hints), stranger() as other:
        say(other, *announcement(port, ["192.0.2.1", "192.0.2.2"], kind, b"\x04id=1"))
        expected = {Hint(host, port, kind) for host in ("192.0.2.1", "192.0.2.2")}
        heard: set[Hint] = set()
        while heard != expected:
            hint = await hints.receive()
            heard |= {hint} if hint.port == port else set()


async def test_names_of_another_form_do_not_silence_the_rest() -> None:
    """Answers of a stranger that break the rules do not end discovery."""
    good = Hint("192.0.2.1", unused_port(), HintKind.SYNC)
    ours = SERVICES[HintKind.SYNC]
    strange = [
        "evil.example.",
        "_other._tcp.local.",
        ours,
        f"a.b.c.{ours}",
        f"\0\n\x1b.{ours}",
        f"x._sub.{ours}",
        f"{'a' * 60}.{'b' * 60}.{ours}",
    ]
    async with device() as (_, hints), stranger() as other:
        for name in strange:
            say(other, pointer(name))
        say(other, *announcement(good.port, [good.host]))
        assert good in await hints_until(hints, good)


async def test_a_crowd_of_addresses_is_eight_hints() -> None:
    """A hostile announcement cannot make us call everybody."""
    port, marker = unused_port(), Hint("192.0.2.1", unused_port(), HintKind.SYNC)
    crowd = announcement(port, [f"10.0.0.{n}" for n in range(1, 61)])
    async with device() as (_, hints), stranger() as other:
        say(other, *crowd)
        say(other, *announcement(marker.port, [marker.host]))
        heard = await hints_until(hints, marker)
    assert 0 < len([hint for hint in heard if hint.port == port]) <= MAX_ADDRESSES


async def test_names_without_substance_hold_nobody_up() -> None:
    """Hundreds of announcements of which nothing else comes do not delay a whole one."""
    good = Hint("192.0.2.1", unused_port(), HintKind.SYNC)
    async with device() as (_, hints), stranger() as other:
        for _ in range(10):
            say(
                other,
                *(pointer(f"{secrets.token_hex(8)}.{SERVICES[HintKind.SYNC]}") for _ in range(30)),
            )
        say(other, *announcement(good.port, [good.host]))
        with trio.fail_after(10):
            assert good in await hints_until(hints, good)


async def test_the_rest_of_an_announcement_is_asked_for() -> None:
    """A name that comes alone, as through a reflector, is resolved by asking."""
    port = unused_port()
    async with device() as (_, hints), stranger() as other:
        token = secrets.token_hex(8)
        kind = SERVICES[HintKind.SYNC]
        answer = ServiceInfo(
            kind,
            f"{token}.{kind}",
            port,
            addresses=[socket.inet_aton(HERE)],
            server=f"{token}.local.",
        )
        other.registry.async_add(answer)
        say(other, pointer(answer.name))
        found = Hint(HERE, port, HintKind.SYNC)
        assert found in await hints_until(hints, found)


async def test_hints_that_nobody_takes_are_bounded() -> None:
    """A flood fills a channel of 64 places and no more, and what is new afterwards is heard."""
    good = Hint("192.0.2.1", unused_port(), HintKind.SYNC)
    async with device() as (_, hints), stranger() as other:
        for _ in range(30):
            say(other, *announcement(unused_port(), [f"10.0.0.{n}" for n in range(1, 9)]))
        while hints.statistics().current_buffer_used < 64:
            await trio.lowlevel.checkpoint()
        assert hints.statistics().max_buffer_size == 64
        for _ in range(64):
            await hints.receive()
        heard: list[Hint] = []
        while good not in heard:
            # The rest of the flood may still fill the channel: whoever announces does so again.
            say(other, *announcement(good.port, [good.host]))
            with trio.move_on_after(1):
                heard = await hints_until(hints, good)


# --- addresses ------------------------------------------------------------------------------------


def _info(port: int | None, *addresses: str) -> ServiceInfo:
    kind = SERVICES[HintKind.SYNC]
    return ServiceInfo(kind, f"x.{kind}", port, parsed_addresses=list(addresses))


@pytest.mark.parametrize("port", [0, None])
def test_an_announcement_without_a_port_gives_no_hint(port: int | None) -> None:
    """There is nothing to call."""
    assert hints_of(_info(port, "192.0.2.1"), HintKind.SYNC) == []


@pytest.mark.parametrize("address", ["0.0.0.0", "224.0.0.251", "255.255.255.255", "240.0.0.1"])  # noqa: S104 - never bound
def test_an_address_that_no_machine_has_gives_no_hint(address: str) -> None:
    """Nobody makes us call a group, everybody, or whatever stands behind “unspecified”."""
    assert hints_of(_info(4747, address), HintKind.SYNC) == []


def test_addresses_of_ipv6_are_left_out() -> None:
    """We listen to IPv4 alone; a mixed announcement gives what is of use."""
    assert hints_of(_info(4747, "2001:db8::1", "192.0.2.1"), HintKind.SYNC) == [
        Hint("192.0.2.1", 4747, HintKind.SYNC)
    ]
