"""What was done at the first of two Node servers, done at one of ours: see `replaying`."""

from __future__ import annotations

import asyncio
import inspect
import math
from collections.abc import Callable
from typing import Any

from nuncio.cluster.messages import RemoteDetails
from nuncio.cluster.remote import RemoteSocket
from nuncio.errors import AckTimeout
from tests.cluster.cases import is_heartbeat, native
from tests.cluster.replaying import AFTER, ROOMS, Stage, ack_packets, events


def _special(stage: Stage) -> list[Any]:
    """With numbers that are none as an application has them, whatever became of them."""
    told = stage.arguments()
    numbers: dict[int, float] = {3: math.nan, 4: math.inf}
    if told[0] == "special2":
        numbers = {4: math.nan}
    return [numbers.get(index, one) for index, one in enumerate(told)]


def _remote(stage: Stage) -> RemoteSocket:
    return RemoteSocket(stage.io.sockets, RemoteDetails(stage.case["sids"]["B2"]))


def _leave(stage: Stage) -> None:
    stage.io.sockets_leave(["j1", "j2"])
    stage.io.in_("j3").sockets_leave("j3")


def _all_rooms(stage: Stage) -> Any:
    adapter: Any = stage.io.sockets.adapter
    return adapter.all_rooms()


# By the names of the captures.
ACTIONS: dict[str, Callable[[Stage], Any]] = {
    "emit_all": lambda s: s.io.emit(
        "hello", 1, "two", {"three": [3.5, None, True]}, -1, 1700000000000, "hé☃😀"
    ),
    "emit_all_noargs": lambda s: s.io.emit("hello"),
    "emit_room": lambda s: s.io.to("room1").emit("r", 1),
    "emit_two_rooms": lambda s: s.io.to("room1").to("room2").emit("r2", 1),
    "emit_room_except": lambda s: s.io.to("room1").except_("room2").emit("re", 1),
    "emit_except_only": lambda s: s.io.except_("room2").emit("eo", 1),
    "emit_room_nobody_anywhere": lambda s: s.io.to("ghost").emit("g", 1),
    "emit_to_socket_id": lambda s: s.io.to(s.case["sids"]["B1"]).emit("sid", 1),
    "socket_broadcast": lambda s: s.socket("A1").broadcast.emit("sb", 1),
    "socket_to_room": lambda s: s.socket("A1").to("room1").emit("st", 1),
    "emit_volatile": lambda s: s.io.volatile.emit("vol", 1),
    "emit_compress_false": lambda s: s.io.compress(False).emit("cf", 1),
    "emit_timeout_noack": lambda s: s.io.timeout(0.5).emit("tn", 1),
    "emit_room_hash_char": lambda s: s.io.to("room-a#b").emit("rh", 1),
    "emit_room_unicode": lambda s: s.io.to("été☃😀").emit("ru", 1),
    "emit_room_numeric": lambda s: s.io.to(42).emit("rn", 1),
    "emit_binary_buffer": lambda s: s.io.emit(
        "bin", b"\x00\x01\x02\xfd\xfe\xff", {"nested": [b"abc"]}
    ),
    "emit_binary_uint8array_arraybuffer": lambda s: s.io.to("room1").emit(*s.arguments()),
    "emit_binary_typed_uint16": lambda s: s.io.emit(*s.arguments()),
    "emit_special_values": lambda s: s.io.emit(*_special(s)),
    "emit_special_values_with_binary": lambda s: s.io.emit(*_special(s)),
    "emit_big_text": lambda s: s.io.emit("big", "x" * 9000),
    "emit_payload_bytes_7999": lambda s: s.io.emit("b", "y" * 7866),
    "broadcast_ack": lambda s: s.io.timeout(2).emit_with_ack("q", {"a": 1}),
    "broadcast_ack_room": lambda s: s.io.to("room1").timeout(2).emit_with_ack("q", "room"),
    "broadcast_ack_room_nobody": lambda s: s.io.to("ghost").timeout(2).emit_with_ack("q", "ghost"),
    "broadcast_ack_binary": lambda s: (
        s.io.to("room1").timeout(2).emit_with_ack("qb", b"\x01\x02\x03")
    ),
    "broadcast_ack_multi_args_undefined": lambda s: s.io.to("room1").timeout(2).emit_with_ack("qu"),
    "broadcast_ack_timeout_partial": lambda s: s.io.timeout(0.4).emit_with_ack("qt", 1),
    "fetch_sockets_all": lambda s: s.io.fetch_sockets(),
    "fetch_sockets_room_except": lambda s: (
        s.io.in_(["room1", "room2"]).except_("room2").fetch_sockets()
    ),
    "fetch_sockets_timeout_flag": lambda s: s.io.timeout(0.777).fetch_sockets(),
    "fetch_sockets_binary_data": lambda s: s.io.in_("room1").fetch_sockets(),
    "remote_socket_ops": lambda s: s.io.fetch_sockets(),
    "remote_socket_emit": lambda s: _remote(s).emit("rse", 1),
    "remote_socket_emit_with_ack": lambda s: _remote(s).timeout(1).emit_with_ack("rsea", 1),
    "remote_socket_join": lambda s: _remote(s).join("rj"),
    "remote_socket_leave": lambda s: _remote(s).leave("rj"),
    "sockets_join_all": lambda s: s.io.sockets_join(["j1", "j2"]),
    "sockets_join_filtered": lambda s: s.io.in_("room1").except_("room2").sockets_join("j3"),
    "sockets_leave": _leave,
    "all_rooms": _all_rooms,
    "server_side_emit": lambda s: s.io.server_side_emit("sse", 1, "x", {"y": [None]}),
    "server_side_emit_binary": lambda s: s.io.server_side_emit("sse-bin", b"hey"),
    "server_side_emit_ack": lambda s: s.io.server_side_emit_with_ack("sse", 1, "x"),
    "server_side_emit_ack_binary": lambda s: s.io.server_side_emit_with_ack("sse-bin", b"hey"),
    "server_side_emit_ack_timeout": lambda s: s.io.server_side_emit_with_ack(
        "sse-never", 1, timeout=0.5
    ),
    "nsp_chat_emit_all": lambda s: s.io.of("/chat").emit("c", 1),
    "nsp_chat_emit_room": lambda s: s.io.of("/chat").to("cr").emit("cr", 1),
    "nsp_chat_fetch": lambda s: s.io.of("/chat").fetch_sockets(),
    "disconnect_sockets_room": lambda s: s.io.in_("room2").disconnect_sockets(),
    "disconnect_sockets_all_close": lambda s: s.io.disconnect_sockets(True),
}

# Nobody answered these in time.
_TIMED_OUT = ("broadcast_ack_timeout_partial", "server_side_emit_ack_timeout")


async def act(stage: Stage) -> None:
    """Do at our server as the first what was done, and compare what it says and gets."""
    action = stage.case["action"]
    await stage.begin()
    await stage.meet()
    stage.forget()
    result = asyncio.ensure_future(_done(stage, ACTIONS[action]))
    wanted = sum(not is_heartbeat(one) for one in stage.own)
    while len(stage.said()) < wanted:  # noqa: ASYNC110 - some of it is soon too late to be answered
        await asyncio.sleep(0)
    stage.compare(stage.said())
    for name, client in stage.clients.items():
        for id in events(client.take())[1]:
            client.send(*ack_packets(id, {"from": name}))
    for one in stage.others:
        stage.hear(one)
    if action in _TIMED_OUT:
        await _too_late(stage, result)
    else:
        _same(stage, await result)
    for name in stage.clients:
        if stage.there(name):
            rooms = stage.socket(name).rooms - {stage.clients[name].sid}
            assert rooms == stage.rooms_after(name)
    await stage.io.close(0.1)


async def _done(stage: Stage, action: Callable[[Stage], Any]) -> Any:
    result = action(stage)
    return await result if inspect.isawaitable(result) else None


async def _too_late(stage: Stage, result: asyncio.Future[Any]) -> None:
    """Node tells how many answered as text, ours as the answers."""
    (text,) = stage.case["result_at_A"]
    try:
        await result
    except AckTimeout as error:
        answers = error.responses
    else:
        raise AssertionError("it was in time")
    if stage.case["action"] == "server_side_emit_ack_timeout":
        assert text.startswith("timeout reached") and answers == []
    else:
        assert text == "operation has timed out"
        assert answers == [{"from": "A1"}, {"from": "A2"}, {"from": "B1"}]


def _same(stage: Stage, result: Any) -> None:
    """What Node's caller got, ours gets."""
    if not stage.case["result_at_A"]:
        return
    (told,) = stage.case["result_at_A"]
    action = stage.case["action"]
    if "fetch" in action:
        _same_sockets(stage, result, told)
    elif action.startswith(("sockets_join", "remote_socket_join", "remote_socket_leave")):
        # Looked at afterwards; that of others see at their server.
        rooms = told if isinstance(told, dict) else {"B2": told}
        for name, found in rooms.items():
            joined = AFTER.get(action, {}).get(name, [])
            at = ROOMS[name[0]][name]
            assert found == [stage.case["sids"][name], *at, *joined]
    elif action == "all_rooms":
        assert {stage.nodes(one) if isinstance(one, str) else one for one in result} == set(told)
    elif action == "remote_socket_emit_with_ack":
        # Of callbacks the first argument is an error.
        assert [None, result] == told
    else:
        assert result == native(told)


def _same_sockets(stage: Stage, result: list[Any], told: Any) -> None:
    if isinstance(told, int):
        assert len(result) == told
        return
    assert len(result) == len(told)
    found = {stage.nodes(one.id): one for one in result}
    for one in told:
        mine = found[one["id"]]
        if "rooms" in one:
            rooms = {stage.nodes(room) if isinstance(room, str) else room for room in mine.rooms}
            assert rooms == set(one["rooms"])
        if "data" in one:
            assert mine.data == native(one["data"])
        for name in one.get("hs", ()):
            assert hasattr(mine.handshake, name)
