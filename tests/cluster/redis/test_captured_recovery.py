"""What two Node servers kept and sent when a client came back over streams, with ours in place."""

from __future__ import annotations

import json
from typing import Any

from nuncio.cluster import envelope
from nuncio.cluster.redis.entries import mapped
from tests.cluster import captures
from tests.cluster.cases import native
from tests.cluster.redis.scene import scene
from tests.cluster.test_envelope import typed
from tests.support.aio import run_async
from tests.support.nodeserver import NodeHome
from tests.support.redis import Redis
from tests.support.wanderer import Wanderer

LINES = captures.recovery("redis")


def captured(action: str, command: str) -> list[list[Any]]:
    """What was said by a command in an action."""
    found = [one for one in LINES if one["action"] == action and one.get("command") == command]
    return [one["argv"] for one in found]


def frames(action: str) -> list[list[Any]]:
    """The events that the client was sent, each with its offset."""
    found = []
    rest = iter([one for (one,) in captured(action, "CLIENT_FRAME")])
    for one in rest:
        if one[:2] in ("42", "45"):
            event = json.loads(one[one.index("[") :])
            places = [isinstance(part, dict) and "_placeholder" in part for part in event]
            parts = zip(event, places, strict=True)
            found.append([native(next(rest)) if place else part for part, place in parts])
    return found


def offsets() -> dict[str, str]:
    """The ids of entries by their events, as far as the client was told them."""
    actions = dict.fromkeys(one["action"] for one in LINES)
    events = [event for action in actions for event in frames(action)]
    return {event[0]: event[-1] for event in events if "-" in str(event[-1])}


def entries() -> list[tuple[str, list[str]]]:
    """All entries with their ids: those that the client was not told come right after others."""
    known, id = offsets(), "0-0"
    found = []
    for one in LINES:
        if one.get("command") != "XADD":
            continue
        fields = one["argv"][one["argv"].index("*") + 1 :]
        told = envelope.from_fields(mapped([part.encode() for part in fields]))
        moment, _, number = id.partition("-")
        id = known.get(told.data.packet["data"][0], f"{moment}-{int(number) + 1}")
        found.append((id, fields))
    return found


def test_every_captured_entry_is_read_and_written_byte_for_byte() -> None:
    for _, told in entries():
        fields = [part.encode() for part in told]
        assert envelope.to_fields(typed(envelope.from_fields(mapped(fields)))) == fields


@run_async
async def test_the_captured_client_comes_back_to_our_server(home: NodeHome, redis: Redis) -> None:
    async with scene(home, redis, "captured") as servers:
        place = await servers.ours()
        for id, fields in entries():
            await redis.command("XADD", "captured", id, *fields)
        ((*command, _, _),) = captured("transport_killed", "SET")
        await redis.command(*command)
        client = Wanderer()
        client.pid = command[1].removeprefix("sio:session:")
        client.offset = offsets()["direct"]
        missed = await client.come_back(place.port)
        # What is volatile may be lost, and is not repeated here, as in Node's memory.
        expected = [
            event
            for event in frames("reconnect_on_B_with_pid_offset")
            if event[0] not in ("vol", "m5vol")
        ]
        assert missed == [event[:-1] for event in expected]
        assert client.offset == expected[-1][-1]
        (node_s,) = [
            one["observed"]["args"][0]
            for one in LINES
            if one["action"] == "reconnect_on_B_with_pid_offset" and "observed" in one
        ]
        assert client.sid == node_s["id"]
        there = await place.socket(client.sid)
        assert there == {
            "recovered": True,
            "rooms": set(node_s["rooms"]),
            "data": native(node_s["data"]),
        }
        await client.leave()
        # A session is good for one time.
        again = Wanderer()
        again.pid, again.offset = client.pid, offsets()["direct"]
        assert await again.come_back(place.port) == []
        assert again.sid != client.sid
        await again.leave()
