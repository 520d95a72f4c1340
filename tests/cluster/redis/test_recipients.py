"""What is for rooms that are not here is not read, and whatever else is, is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.redis.test_faults import two
from tests.support.aio import eventually, run_async, until
from tests.support.redis import Redis


# Classic requests are read in any case, and a sharded server is not even sent what is for one room.
@pytest.mark.parametrize(("maker", "expected"), [("classic", 2), ("sharded", 2), ("streams", 3)])
@run_async
async def test_messages_for_rooms_that_are_not_here_are_passed_over(
    program: Any, maker: str, expected: int
) -> None:
    async with Redis(program("redis-server")) as redis, two(redis, maker) as pair:
        await pair.reaches("before")
        there = pair.adapter(pair.two)
        before = there.stats()["passed_over"]
        pair.bob.socket.join("here")
        for rooms in (["nowhere"], ["nowhere", "here"], [pair.bob.sid], [pair.ada.sid], []):
            pair.one.to(rooms).emit("e", len(rooms))
        pair.one.to("nowhere").sockets_join("x")
        pair.one.emit("end")
        await eventually(lambda: '2["end"]' in pair.bob.wire.messages)
        assert pair.bob.take() == ['2["e",2]', '2["e",1]', '2["e",0]', '2["end"]']
        # Requests have a channel of their own, and so their own order.
        await eventually(lambda: there.stats()["passed_over"] == before + expected)
        assert there.stats()["dropped"] == 0
        # Who has nobody in a room is asked all the same, and answers.
        assert await pair.one.to("nowhere").fetch_sockets() == []
        assert await pair.one.to("nowhere").timeout(30).emit_with_ack("q") == []


@run_async
async def test_rooms_that_share_a_channel_are_left_one_by_one(program: Any) -> None:
    """42 and "42" are one channel, as Node's servers know strings only."""

    async def left(socket: Any, room: int | str) -> int:
        mark = f"after {room!r}"
        socket.leave(room)
        socket.join(mark)
        # What is said later is confirmed later.
        await until(lambda: redis.subscribed(f"socket.io#/#{mark}#"), 1)
        return await redis.subscribed("socket.io#/#42#")

    async with Redis(program("redis-server")) as redis, two(redis, "sharded") as pair:
        bob = pair.bob.socket
        bob.join([42, "42"])
        assert await left(bob, 42) == 1
        pair.one.to("42").emit("still here")
        await eventually(lambda: '2["still here"]' in pair.bob.wire.messages)
        bob.join(42)
        assert await left(bob, "42") == 1
        assert await left(bob, 42) == 0
