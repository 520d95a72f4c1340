"""What no server of Node's says today and all accept, as was found by saying it to one.

Servers before version 7 of the packages say some of it, and so do programs that are no servers.
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from nuncio.cluster.values import from_bytes
from tests.cluster.redis.test_replay import CASES, RedisStage
from tests.cluster.replaying import ack_packets, events
from tests.support.aio import eventually, run_async

pack, write = msgspec.msgpack.encode, msgspec.json.encode

BROADCASTS = "socket.io#/#"
REQUESTS = "socket.io-request#/#"
ANSWERS = "socket.io-response#/#"

EVENT: dict[str, Any] = {"type": 2, "data": ["e", 1]}
EVERYBODY: dict[str, Any] = {"rooms": [], "except": []}


async def begun(adapter: str) -> RedisStage:
    """Our server with two clients, to which nobody has said anything."""
    (case,) = [one for one in CASES if (one["adapter"], one["action"]) == (adapter, "emit_all")]
    nothing: dict[str, Any] = {"published_by_A_or_emitter": [], "published_by_B": []}
    stage = RedisStage({**case, **nothing}, "B")
    await stage.begin()
    stage.forget()
    return stage


def heard(stage: RedisStage) -> list[list[Any]]:
    """What both clients received, which is the same."""
    found, other = (events(stage.clients[name].take())[0] for name in ("B1", "B2"))
    assert found == other
    return found


def answers(stage: RedisStage) -> list[Any]:
    """What our server has answered."""
    assert {(command, where) for command, where, _ in stage.said()} <= {("PUBLISH", ANSWERS)}
    return [from_bytes(bytes.fromhex(data)) for *_, data in stage.said()]


@pytest.mark.parametrize(
    "said",
    [
        ["x", {**EVENT, "nsp": "/"}, EVERYBODY],
        ["x", EVENT, {**EVERYBODY, "flags": {}}],
        ["x", EVENT, {}],
        ["x", EVENT, {"rooms": None, "except": None, "flags": None}],
        ["x", EVENT, EVERYBODY, "more"],
    ],
)
@run_async
async def test_broadcasts_may_lack_something_or_have_more(said: Any) -> None:
    stage = await begun("redis-classic")
    stage.bus.publish(BROADCASTS, pack(said))
    assert heard(stage) == [["e", 1]]


@run_async
async def test_a_request_may_be_of_either_encoding() -> None:
    stage = await begun("redis-classic")
    stage.bus.publish(
        REQUESTS, pack({"uid": "x", "type": 2, "opts": {"rooms": ["room1"]}, "rooms": ["packed"]})
    )
    assert stage.socket("B1").rooms > {"packed"}
    asked = {"uid": "x", "requestId": "r", "type": 7, "packet": EVENT}
    stage.bus.publish(REQUESTS, write({**asked, "opts": {"rooms": ["packed"]}}))
    (id,) = events(stage.clients["B1"].take())[1]
    stage.clients["B1"].send(*ack_packets(id, "ack"))
    assert answers(stage) == [
        {"type": 8, "requestId": "r", "clientCount": 1},
        {"type": 9, "requestId": "r", "packet": "ack"},
    ]


@run_async
async def test_one_socket_can_be_moved() -> None:
    stage = await begun("redis-classic")
    sid = stage.clients["B1"].sid
    stage.bus.publish(REQUESTS, write({"requestId": "1", "type": 2, "sid": sid, "room": "old"}))
    assert stage.socket("B1").rooms > {"old"}
    stage.bus.publish(REQUESTS, write({"requestId": "2", "type": 3, "sid": sid, "room": "old"}))
    assert "old" not in stage.socket("B1").rooms
    stage.bus.publish(REQUESTS, write({"requestId": "3", "type": 4, "sid": sid, "close": False}))
    assert not stage.there("B1") and stage.there("B2")
    # Who does not have it says nothing.
    stage.bus.publish(REQUESTS, write({"requestId": "4", "type": 2, "sid": sid, "room": "old"}))
    assert answers(stage) == [{"requestId": "1"}, {"requestId": "2"}, {"requestId": "3"}]


@run_async
async def test_sockets_can_be_listed() -> None:
    stage = await begun("redis-classic")
    stage.bus.publish(REQUESTS, write({"uid": "x", "requestId": "1", "type": 0, "rooms": []}))
    stage.bus.publish(REQUESTS, write({"uid": "x", "requestId": "2", "type": 0, "rooms": [42]}))
    everybody, some = answers(stage)
    ids = {stage.clients[name].sid for name in ("B1", "B2")}
    assert (everybody["requestId"], set(everybody["sockets"])) == ("1", ids)
    assert some == {"requestId": "2", "sockets": [stage.clients["B1"].sid]}


def of_cluster(packet: dict[str, Any], **opts: Any) -> dict[str, Any]:
    """A broadcast of the families that share their messages."""
    return {"uid": "x", "nsp": "/", "type": 3, "data": {"packet": packet, "opts": opts}}


@pytest.mark.parametrize(
    "data",
    [
        pack(of_cluster(EVENT, **EVERYBODY, flags={})),
        write(of_cluster(EVENT, **EVERYBODY)),
        write(of_cluster({**EVENT, "nsp": "/other"}, **EVERYBODY)),
    ],
)
@run_async
async def test_sharded_messages_may_be_of_either_encoding_and_lack_flags(data: bytes) -> None:
    stage = await begun("redis-sharded-dynamic")
    stage.bus.publish(BROADCASTS, data)
    assert heard(stage) == [["e", 1]]
    stage.bus.publish(BROADCASTS, b" " + data)
    assert heard(stage) == []


@run_async
async def test_a_room_whose_name_is_as_long_as_an_id_has_no_channel() -> None:
    stage = await begun("redis-sharded-dynamic")
    room = "x" * 20
    for name in ("B1", "B2"):
        stage.socket(name).join(room)
    stage.bus.publish(BROADCASTS, write(of_cluster(EVENT, rooms=[room])))
    assert heard(stage) == [["e", 1]]
    stage.bus.publish(f"{BROADCASTS}{room}#", write(of_cluster(EVENT, rooms=[room])))
    assert heard(stage) == []


@run_async
async def test_entries_may_be_of_either_encoding_and_have_more() -> None:
    stage = await begun("redis-streams")
    data = {"packet": EVENT, "opts": EVERYBODY}
    for text in (write(data), base64.b64encode(pack(data))):
        fields = {b"uid": b"x", b"nsp": b"/", b"type": b"3", b"data": text, b"more": b"y"}
        stage.hub.listeners["/"].entry_arrived("1-0", fields)
        assert heard(stage) == [["e", 1]]
    # But what is published is MessagePack.
    asked = {"uid": "x", "nsp": "/", "type": 9, "data": {"packet": ["sse", 1]}}
    stage.bus.publish(BROADCASTS, write(asked))
    stage.bus.publish(BROADCASTS, pack({**asked, "data": {"packet": ["sse", 2]}}))
    await eventually(lambda: stage.told)
    assert stage.told == [["sse", 2]]
