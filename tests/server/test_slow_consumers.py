"""What becomes of events for clients that do not read."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from nuncio import (
    AckTimeout,
    Dropped,
    LimitExceeded,
    Limits,
    OptionError,
    Server,
    Socket,
    conflate,
)
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client

# Room for ten events of a hundred bytes that may be dropped, and for twice as many altogether.
LIMITS = Limits(outgoing_bytes=4000, droppable_bytes=2000)
TEXT = "x" * 85


def slow_client(**options: Any) -> tuple[Server, Client]:
    """A server and a client that does not read."""
    io = Server(limits=LIMITS, **options)
    client = Client.join(io)
    client.stall()
    return io, client


def numbers(client: Client) -> list[int]:
    """Which events came, in order, once the client reads again."""
    client.drain()
    return [
        int(one.rpartition(",")[2].rstrip("]"))
        for one in client.take()
        if isinstance(one, str) and one[0] == "2"
    ]


# Each policy.


@run_async
async def test_by_default_a_client_that_does_not_read_is_disconnected() -> None:
    io, client = slow_client()
    socket = client.socket
    for index in range(100):
        socket.emit("e", TEXT, index)
    assert client.wire.ended == "aborted"
    assert not socket.connected
    assert io.counters.slow_consumers == 1
    assert io.sockets.slow_consumer == "disconnect"


@run_async
async def test_the_oldest_are_dropped() -> None:
    io, client = slow_client(slow_consumer="drop_oldest")
    for index in range(100):
        client.socket.emit("e", TEXT, index)
        io.emit("e", TEXT, 100 + index)
    socket = client.socket
    got = numbers(client)
    assert got == [n for index in range(95, 100) for n in (index, 100 + index)]
    assert socket.conn.dropped == io.counters.dropped_events == 190
    assert socket.connected


@run_async
async def test_the_newest_are_dropped() -> None:
    io, client = slow_client(slow_consumer="drop_newest")
    for index in range(100):
        io.emit("e", TEXT, index)
    assert numbers(client) == list(range(10))
    assert io.counters.dropped_events == 90
    client.socket.emit("e", TEXT, 100)
    assert numbers(client) == [100]


@run_async
async def test_only_the_latest_value_of_a_key_waits() -> None:
    io, client = slow_client()
    io.of("/").slow_consumer = conflate(lambda event, *args: args[0])
    for index in range(100):
        io.emit("price", "EUR", index)
        client.socket.emit("price", "USD", 1000 + index)
    assert numbers(client) == [99, 1099]
    assert io.counters.dropped_events == 198


@run_async
async def test_conflation_by_the_events_name() -> None:
    io, client = slow_client(slow_consumer=conflate())
    for index in range(50):
        io.emit("a", index)
        io.emit("b", 100 + index)
    assert numbers(client) == [49, 149]


@run_async
async def test_nothing_is_dropped_and_the_emitter_is_told() -> None:
    io, client = slow_client(slow_consumer="block")
    socket = client.socket
    sent = [socket.emit("e", TEXT, index) for index in range(20)]
    waiting = asyncio.ensure_future(_wait(sent[-1]))
    with pytest.raises(LimitExceeded, match="4000 bytes wait for a client that does not read"):
        socket.emit("e", TEXT, 20)
    assert not waiting.done()
    assert socket.connected
    assert io.counters.limits_exceeded == 1
    assert numbers(client) == list(range(20))
    await within(waiting)
    socket.emit("e", TEXT, 21)
    assert numbers(client) == [21]


async def _wait(sent: Any) -> None:
    await sent


@run_async
async def test_a_producer_that_waits_loses_nothing() -> None:
    _, client = slow_client(slow_consumer="block")
    socket = client.socket
    got: list[int] = []

    async def produce() -> None:
        for index in range(200):
            await socket.emit("e", TEXT, index)

    producing = asyncio.ensure_future(produce())
    while not producing.done():
        await asyncio.sleep(0)
        client.stall()
        got += numbers(client)
    got += numbers(client)
    assert got == list(range(200))


@run_async
async def test_a_broadcast_does_not_wait_for_the_slowest() -> None:
    io, client = slow_client(slow_consumer="block")
    quick = Client.join(io)
    for index in range(100):
        io.emit("e", TEXT, index)
    assert client.wire.ended == "aborted"
    assert numbers(quick) == list(range(100))


# Who has which policy.


@run_async
async def test_a_namespace_and_an_emit_have_policies_of_their_own() -> None:
    io = Server(limits=LIMITS, slow_consumer="drop_newest")
    assert io.sockets.slow_consumer == "drop_newest"
    ticker = io.of("/ticker")
    ticker.slow_consumer = "drop_oldest"
    client = Client.join(io)
    socket, tick = client.socket, client.connect("/ticker")
    client.stall()

    def came() -> list[str]:
        client.drain()
        packets = [str(one) for one in client.take()]
        client.stall()
        return packets

    for index in range(30):
        ticker.emit("e", TEXT, index)
    assert [one[-3:-1] for one in came()] == [str(index) for index in range(21, 30)]
    for index in range(30):
        tick.when_slow("drop_newest").emit("e", TEXT, index)
    assert [one.rpartition(",")[2] for one in came()] == [f"{index}]" for index in range(9)]
    for index in range(30):
        socket.to(tick.id).when_slow(conflate("k")).emit("e", index)
        io.when_slow(conflate("k")).emit("e", index)
        socket.when_slow(conflate("own")).broadcast.emit("e", index)
        ticker.to(tick.id).when_slow(conflate("k")).emit("e", index)
    assert came() == ['2["e",29]', '2/ticker,["e",29]']
    # What was chosen for one emit is for that one only.
    for index in range(30):
        io.emit("e", TEXT, index)
    assert [one.rpartition(",")[2] for one in came()] == [f"{index}]" for index in range(10)]


def ways(io: Server, client: Client, other: Client) -> list[Any]:
    """All that can be told to emit something to a client."""
    socket, nsp = client.socket, io.sockets
    everybody = [io, nsp, io.local, io.compress(False), io.except_("nobody"), nsp.timeout(5)]
    rooms = [io.to(socket.id), io.in_("room"), nsp.to(["room", "x"]), io.local.to("room")]
    others = [
        other.socket.broadcast,
        other.socket.to("room"),
        other.socket.compress(False).broadcast,
    ]
    own = [socket, socket.compress(False), socket.timeout(5)]
    return everybody + rooms + others + own


@run_async
async def test_whatever_is_told_to_emit_keeps_to_the_policy_of_the_namespace() -> None:
    io, client = slow_client(slow_consumer=conflate())
    client.socket.join("room")
    other = Client.join(io)
    sent = ways(io, client, other)
    for n, sender in enumerate(sent):
        sender.emit("e", n)
    assert numbers(client) == [len(sent) - 1]
    io.sockets.slow_consumer = "disconnect"
    client.stall()
    for n, sender in enumerate(ways(io, client, other)):
        sender.emit("e", n)
    assert numbers(client) == list(range(len(sent)))
    client.stall()
    for n, sender in enumerate(ways(io, client, other)):
        sender.when_slow(conflate("k")).emit("e", n)
    assert numbers(client) == [len(sent) - 1]


@run_async
async def test_an_emit_may_insist() -> None:
    _, client = slow_client(slow_consumer="drop_oldest")
    socket = client.socket
    for index in range(20):
        socket.when_slow("disconnect").emit("e", TEXT, index)
        socket.emit("e", TEXT, 100)
    assert numbers(client) == list(range(20))


@run_async
async def test_volatile_is_stronger() -> None:
    io, client = slow_client(slow_consumer="drop_oldest")
    client.socket.volatile.when_slow("drop_oldest").emit("e", 1)
    io.when_slow(conflate("k")).volatile.emit("e", 2)
    assert numbers(client) == []
    assert io.counters.dropped_volatile == client.socket.conn.dropped == 2
    assert io.counters.dropped_events == 0


@run_async
async def test_a_policy_costs_nothing_while_the_client_reads() -> None:
    io = Server(slow_consumer="drop_newest")
    client = Client.join(io)
    for index in range(1000):
        io.emit("e", index)
        client.socket.when_slow(conflate("k")).emit("e", index)
    assert len(client.take()) == 2000
    assert client.socket.conn.dropped == 0


@run_async
async def test_dynamic_namespaces_have_their_parents_policy() -> None:
    io = Server()
    parent = io.of(re.compile("^/room-"))
    parent.slow_consumer = "drop_newest"
    client = Client(io)
    client.connect("/room-1")
    assert io.of("/room-1").slow_consumer == "drop_newest"
    client.stall()
    parent.when_slow(conflate()).emit("e", 1)
    parent.when_slow(conflate()).emit("e", 2)
    client.drain()
    assert client.take() == ['2/room-1,["e",2]']


@pytest.mark.parametrize("policy", ["drop", None, 5])
def test_a_wrong_policy_is_told_at_once(policy: Any) -> None:
    io = Server()
    with pytest.raises(OptionError, match="slow_consumer must be"):
        Server(slow_consumer=policy)
    with pytest.raises(OptionError, match="slow_consumer must be"):
        io.sockets.slow_consumer = policy
    with pytest.raises(OptionError, match="policy must be"):
        io.when_slow(policy)


# What is never dropped.


@run_async
async def test_answers_and_packets_of_the_protocol_are_never_dropped() -> None:
    io, client = slow_client(slow_consumer="drop_oldest")
    io.of("/b")
    io.on("ask", lambda socket, value: value)
    for index in range(5):
        client.emit("ask", index, id=index)
    client.send("0/b,")
    client.send("0/nowhere,")
    io.of("/b").disconnect_sockets()
    for index in range(100):
        io.emit("e", TEXT, index)
    client.drain()
    packets = client.take()
    assert packets[:5] == [f"3{index}[{index}]" for index in range(5)]
    assert str(packets[5]).startswith("0/b,")
    assert packets[6:8] == ['4/nowhere,{"message":"Invalid namespace"}', "1/b,"]
    assert len(packets) == 18


@run_async
async def test_a_client_that_asks_and_does_not_read_the_answers_is_still_cut_off() -> None:
    io, client = slow_client(slow_consumer="drop_oldest")
    io.on("ask", lambda socket: TEXT)
    io.emit("e", TEXT)
    for index in range(100):
        client.emit("ask", id=index)
    assert client.wire.ended == "aborted"
    assert io.counters.slow_consumers == 1


@run_async
async def test_an_event_and_its_attachments_are_dropped_together() -> None:
    _, client = slow_client(slow_consumer="drop_oldest")
    for index in range(20):
        client.socket.emit("e", bytes(200), bytes(200), index)
    client.drain()
    packets = client.take()
    assert len(packets) == 3 * 3
    assert [type(one) for one in packets] == [str, bytes, bytes] * 3


# Acknowledgements.


@run_async
async def test_an_acknowledgement_of_what_was_dropped_fails_at_once() -> None:
    _, client = slow_client(slow_consumer="drop_oldest")
    socket = client.socket
    first = asyncio.ensure_future(_ask(socket, 0))
    await asyncio.sleep(0)
    for index in range(10):
        socket.emit("e", TEXT, index)
    with pytest.raises(Dropped, match="the client is behind"):
        await within(first)
    assert not socket.awaits_answers


async def _ask(socket: Socket, value: int) -> Any:
    return await socket.emit_with_ack("ask", TEXT, value)


@run_async
async def test_an_acknowledgement_of_what_is_not_even_taken_fails_after_its_emit() -> None:
    _, client = slow_client(slow_consumer="drop_newest")
    socket = client.socket
    for index in range(10):
        socket.emit("e", TEXT, index)
    told: list[Any] = []
    socket.timeout(60).emit("ask", TEXT, lambda error, *values: told.append(error))
    socket.emit("ask", TEXT, lambda *values: told.append("never"))
    assert told == []
    await eventually(lambda: told)
    assert isinstance(told[0], Dropped)
    assert len(told) == 1
    assert not socket.awaits_answers
    wheel: Any = socket.nsp.server.engine.config().wheel
    assert sum(len(bucket) for bucket in wheel._buckets.values()) == 1


@run_async
async def test_a_callback_may_emit_again() -> None:
    _, client = slow_client(slow_consumer="drop_newest")
    socket = client.socket
    tries: list[int] = []

    def again(error: Exception | None, *values: Any) -> None:
        tries.append(1)
        if len(tries) < 50:
            socket.timeout(60).emit("ask", TEXT, again)

    for index in range(10):
        socket.emit("e", TEXT, index)
    socket.timeout(60).emit("ask", TEXT, again)
    await eventually(lambda: len(tries) == 50)


@run_async
async def test_a_broadcast_with_acknowledgements_counts_the_dropped_as_missing() -> None:
    io, client = slow_client(slow_consumer="drop_newest")
    quick = Client.join(io)
    for index in range(10):
        client.socket.emit("e", TEXT, index)
    asking = asyncio.ensure_future(_ask_all(io))
    await asyncio.sleep(0)
    packet = str(quick.take()[-1])
    assert packet.startswith("2")
    id = packet[1 : packet.index("[")]
    quick.send(f'3{id}["yes"]')
    with pytest.raises(AckTimeout) as missing:
        await within(asking)
    assert missing.value.responses == ["yes"]


async def _ask_all(io: Server) -> Any:
    return await io.timeout(3600).emit_with_ack("ask", TEXT)


@run_async
async def test_a_socket_that_left_before_its_acknowledgement_failed() -> None:
    _, client = slow_client(slow_consumer="drop_newest")
    socket = client.socket
    for index in range(10):
        socket.emit("e", TEXT, index)
    told: list[Any] = []
    socket.timeout(60).emit("ask", TEXT, lambda error: told.append(type(error).__name__))
    client.lose()
    assert told == ["Disconnected"]
    await asyncio.sleep(0)
    assert told == ["Disconnected"]


# Waiting.


@run_async
async def test_whoever_awaits_what_was_dropped_waits_for_the_client() -> None:
    io, client = slow_client(slow_consumer="drop_newest")
    for index in range(50):
        last = io.emit("e", TEXT, index)
    assert not last.taken
    waiting = asyncio.ensure_future(_wait(last))
    await asyncio.sleep(0)
    assert not waiting.done()
    client.drain()
    await within(waiting)


@run_async
async def test_a_thread_cannot_be_told_to_wait() -> None:
    _, client = slow_client(slow_consumer="block", threads=True)
    socket = client.socket

    def emit() -> None:
        for index in range(100):
            socket.emit("e", TEXT, index)

    await asyncio.get_running_loop().run_in_executor(None, emit)
    await eventually(lambda: client.wire.ended == "aborted")


# With recovery.


@run_async
async def test_what_was_promised_is_not_dropped() -> None:
    io = Server(
        limits=LIMITS,
        slow_consumer="drop_newest",
        connection_state_recovery=True,
        delivery="at-least-once",
    )
    client = Client.join(io)
    client.stall()
    for index in range(5):
        client.socket.emit("e", TEXT, index)
        io.emit("e", TEXT, index)
        io.delivery("at-most-once").emit("f", TEXT * 10, index)
    client.drain()
    packets = [str(one) for one in client.take()]
    assert sum('["e"' in one for one in packets) == 10
    assert sum('["f"' in one for one in packets) < 5
