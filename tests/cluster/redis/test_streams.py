from __future__ import annotations

from typing import Any

import pytest

from nuncio.cluster.redis.streams import stream_of
from tests.cluster.redis.test_faults import two
from tests.support.aio import eventually, run_async
from tests.support.redis import Redis


# Found at Node's servers; a negative one is read by none of them.
@pytest.mark.parametrize(
    ("nsp", "index"), [("/", "3"), ("/chat", "3"), ("/admin", "0"), ("/dashboard", "-3")]
)
def test_a_namespace_is_in_the_stream_in_which_node_looks_for_it(nsp: str, index: str) -> None:
    assert stream_of("sc", 4, nsp) == f"sc-{index}"


def test_one_stream_has_no_number() -> None:
    assert stream_of("socket.io", 1, "/dashboard") == "socket.io"


@run_async
async def test_what_is_for_rooms_that_are_not_here_is_passed_over(program: Any) -> None:
    async with Redis(program("redis-server")) as redis, two(redis, "streams") as pair:
        await pair.reaches("before")
        there = pair.adapter(pair.two)
        before = there.stats()["passed_over"]
        pair.bob.socket.join("here")
        for rooms in (["nowhere"], ["nowhere", "here"], [pair.bob.sid], [pair.ada.sid], []):
            pair.one.to(rooms).emit("e", len(rooms))
        pair.one.to("nowhere").sockets_join("x")
        pair.one.emit("end")
        await eventually(lambda: '2["end"]' in pair.bob.wire.messages)
        assert there.stats()["passed_over"] == before + 3
        assert there.stats()["dropped"] == 0
        assert pair.bob.take() == ['2["e",2]', '2["e",1]', '2["e",0]', '2["end"]']
