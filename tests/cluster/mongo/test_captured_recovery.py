"""What two Node servers wrote and asked when a client came back, with ours in their place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from nuncio.cluster.mongo import recent
from tests.cluster import captures
from tests.cluster.mongo.scene import leaves, scene, sessions, wanderer
from tests.support.aio import eventually, run_async
from tests.support.mongod.server import Mongod
from tests.support.nodeserver import NodeHome


def captured(action: str) -> list[dict[str, Any]]:
    """The lines of an action."""
    return [one for one in captures.recovery("mongo") if one["action"] == action]


def decoded(value: Any) -> Any:
    """A captured document as such."""
    if isinstance(value, dict):
        if "$oid" in value:
            return ObjectId(value["$oid"])
        return {key: decoded(one) for key, one in value.items()}
    return [decoded(one) for one in value] if isinstance(value, list) else value


def told_by(action: str) -> list[dict[str, Any]]:
    """The documents of an action."""
    return [decoded(one["decoded"]) for one in captured(action) if one.get("command") == "INSERT"]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have it be the time of the capture."""

    def change() -> None:
        moment = told_by("transport_killed")[0]["_id"].generation_time.timestamp()
        monkeypatch.setattr("nuncio.cluster.mongo.sessions.time.time", lambda: moment + 1)

    return change


@run_async
async def test_the_captured_client_comes_back_to_our_server(
    home: NodeHome, mongod: Mongod, now: Callable[[], None]
) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        for action in ("emit_from_same_node", "emit_from_other_node", "transport_killed"):
            mongod.insert(*told_by(action))
        mongod.insert(*told_by("emit_while_disconnected"))
        (session,) = told_by("transport_killed")
        client = wanderer()
        client.pid = session["data"]["pid"]
        client.offset = str(told_by("emit_from_same_node")[0]["_id"])
        now()
        reading: Any = place.io.sockets.adapter
        last = told_by("emit_while_disconnected")[-1]["_id"]
        await eventually(lambda: recent.id_at(reading.position()) == str(last))
        mongod.commands.log.clear()
        missed = await client.come_back(place.port)
        frames = [one["argv"][0] for one in captured("reconnect_on_B") if "argv" in one]
        expected = [json.loads(one[2:]) for one in frames if one.startswith("42")]
        assert missed == expected
        # It has what it missed, which Node's clients are not told.
        assert client.offset == str(told_by("emit_while_disconnected")[1]["_id"])
        assert client.sid == session["data"]["sid"]
        there = await place.socket(client.sid)
        assert there == {
            "recovered": True,
            "rooms": set(session["data"]["rooms"]),
            "data": session["data"]["data"],
        }
        # The tombstone is Node's, and so is the question that finds the session.
        (tombstone,) = [one for one in mongod.given("insert") if one["documents"][0]["type"] == 13]
        (node_s,) = told_by("reconnect_on_B")
        mine = tombstone["documents"][0]
        assert {**mine, "_id": 0, "uid": 0} == {**node_s, "_id": 0, "uid": 0}
        assert mine["_id"] > session["_id"]
        asked = mongod.given("find")[0]
        finds = [
            one["argv"] for one in captured("reconnect_on_B") if one.get("command") == "FINDONE"
        ]
        assert asked["filter"] == json.loads(finds[0][0])
        assert asked["sort"] == json.loads(finds[0][1])["sort"]
        await client.leave()


@run_async
async def test_the_captured_client_comes_back_once(
    home: NodeHome, mongod: Mongod, now: Callable[[], None]
) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        for action in ("emit_from_same_node", "transport_killed", "reconnect_on_B"):
            mongod.insert(*told_by(action))
            leaves(mongod, *{one["uid"] for one in told_by(action)})
        (session,) = told_by("transport_killed")
        (tombstone,) = told_by("reconnect_on_B")
        client = wanderer()
        client.pid = session["data"]["pid"]
        client.offset = str(told_by("emit_from_same_node")[0]["_id"])
        now()
        reading: Any = place.io.sockets.adapter
        await eventually(lambda: recent.id_at(reading.position()) >= str(tombstone["_id"]))
        assert await client.come_back(place.port) == []
        assert client.sid != session["data"]["sid"]
        await client.leave()


@run_async
async def test_what_is_kept_of_a_client_is_what_node_keeps(home: NodeHome, mongod: Mongod) -> None:
    async with scene(home, mongod) as servers:
        place = await servers.ours()
        client = await servers.arrival(place)
        await place.join(client.sid, "room1")
        await place.set_data(client.sid, {"user": "bob"})
        client.lose()
        await eventually(lambda: sessions(mongod))
        (document,) = [one for one in mongod.documents() if one["type"] == 13]
        (node_s,) = told_by("transport_killed")
        assert set(document) == set(node_s)
        data = document["data"]
        assert (data["sid"], data["pid"]) == (client.sid, client.pid)
        assert data["rooms"] == [client.sid, "room1"]
        assert data["data"] == node_s["data"]["data"]
        # The rest is ours, and they leave it alone.
        ours = {"since", "joined", "left", "access", "outbox", "early", "by"}
        assert set(data) - set(node_s["data"]) <= ours
