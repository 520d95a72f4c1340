"""What two Node servers and the official emitter wrote, read by one of ours in the second's place.

Its clients must receive what Node's did, and what it writes must be what Node wrote: byte for byte,
the documents' ids aside, where answers do not hold what is different each time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from nuncio.cluster import MongoAdapter
from nuncio.cluster.emitter import Emitting
from nuncio.cluster.messages import ClusterMessage
from nuncio.cluster.mongo import wire
from nuncio.cluster.mongo.bus import Bus
from nuncio.cluster.mongo.endpoint import Endpoint
from nuncio.cluster.mongo.place import Keeping
from tests.cluster import captures, replaying
from tests.cluster.replaying import Said, replay
from tests.cluster.test_emitter import ACTIONS as EMITTED
from tests.support.aio import run_async

URL = "mongodb://localhost/mydb"

# Who is there, and what they say of themselves, is different each time.
_FETCHED = 8
_HEARTBEATS = (1, 2)


class Kept:
    """Takes documents in the place of MongoDB."""

    def __init__(self) -> None:
        self.documents: list[RawBSONDocument] = []

    def push(self, order: Any) -> bool:
        """See `Writer.push`."""
        self.documents.append(order.document)
        return True


class FakeBus(Bus):
    """Connections to no MongoDB."""

    def __init__(self, uid: str) -> None:
        keeping = Keeping(4096, 60.0, False)
        super().__init__(Endpoint(URL, None, "events"), keeping, 1 << 20)
        self.uid = uid
        self.kept = Kept()
        kept: Any = self.kept
        self._writer = kept

    async def enter(self, member: Any) -> None:
        """See `Bus.enter`."""

    async def leave(self, member: Any) -> None:
        """See `Bus.leave`."""

    def stats(self) -> dict[str, int]:
        """See `Bus.stats`."""
        return {}

    def say(self, raw: bytes) -> None:
        """A document was inserted."""
        self._arrived(RawBSONDocument(raw, wire.RAW))


class Stage(replaying.Stage):
    """Our server in the place of the second of a case, or of another one."""

    def __init__(self, case: dict[str, Any], uid: str) -> None:
        self.bus = FakeBus(uid)
        maker = MongoAdapter(URL)
        maker._buses = _Always(self.bus)  # type: ignore[assignment]
        super().__init__(case, maker)

    def said(self) -> list[Said]:
        """See `Stage.said`."""
        found: list[Said] = []
        for document in self.bus.kept.documents:
            if document["type"] not in _HEARTBEATS:
                fields = bson.decode(document.raw)
                found.append(("INSERT", "", body(document).hex(), fields))
        return found

    def forget(self) -> None:
        """See `Stage.forget`."""
        self.bus.kept.documents.clear()

    def hear(self, one: dict[str, Any], data: bytes) -> None:
        """See `Stage.hear`."""
        self.bus.say(data)


class _Always(dict[Any, Any]):
    """One and the same, whoever asks."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self._value = value

    def get(self, key: Any, default: Any = None) -> Any:
        return self._value


def prepared(case: dict[str, Any]) -> dict[str, Any]:
    """A case as `replaying` knows them: answers without ids, and without what says who is there."""
    for one in case["published_by_A_or_emitter"]:
        one["payload_hex"] = one["bson_hex"]
    answers = [one for one in case["published_by_B"] if one["decoded"]["type"] not in _HEARTBEATS]
    for one in answers:
        one["channel"] = ""
        one["payload_hex"] = body(bytes.fromhex(one["bson_hex"])).hex()
    case["published_by_B"] = answers
    case["expected_on_B"] = unwrapped(case["expected_on_B"])
    return case


def unwrapped(value: Any) -> Any:
    """Node's servers tell each other's events with the driver's own objects; ours with bytes."""
    if isinstance(value, dict):
        if set(value) == {"sub_type", "buffer", "position"}:
            return value["buffer"]
        return {key: unwrapped(one) for key, one in value.items()}
    return [unwrapped(one) for one in value] if isinstance(value, list) else value


def body(document: RawBSONDocument | bytes) -> bytes:
    """A document without its id, which MongoDB keeps in front wherever it was written."""
    fields = bson.decode(document if isinstance(document, bytes) else document.raw)
    del fields["_id"]
    return bson.encode(fields)


CASES = [prepared(case) for case in captures.mongo_replays()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["action"]))
@run_async
async def test_clients_receive_what_nodes_did_and_answers_are_the_same(
    case: dict[str, Any],
) -> None:
    stage = Stage(case, case["uidB"])
    await replay(stage)
    await stage.io.close(0.1)


def test_there_are_all_cases() -> None:
    assert len(CASES) == 61


@pytest.mark.parametrize("action", ["fetch_sockets_all", "fetch_sockets_binary_data"])
@run_async
async def test_sockets_are_told_as_node_tells_them(action: str) -> None:
    case = next(one for one in CASES if one["action"] == action)
    stage = Stage(case, case["uidB"])
    await stage.begin()
    stage.clients["B1"].socket.data = {"user": "B1", "buf": b"\x01", "n": 1}
    stage.forget()
    stage.say()
    (answer,) = [one for one in stage.bus.kept.documents if one["type"] == _FETCHED]
    (theirs,) = [one["decoded"] for one in case["published_by_B"]][:1]
    found = bson.decode(answer.raw)
    assert set(found) == set(theirs)
    assert found["data"]["requestId"] == theirs["data"]["requestId"]
    first, other = found["data"]["sockets"][0], theirs["data"]["sockets"][0]
    assert set(first) == set(other)
    # What Node keeps beside it is of no use elsewhere.
    assert set(first["handshake"]) == set(other["handshake"]) - {"sessionStore"}
    assert found["data"]["sockets"][0]["data"]["buf"] == b"\x01"
    await stage.io.close(0.1)


# What was called to have Node write these.
_CALLS: dict[str, Callable[[Any, dict[str, str]], Any]] = {
    "emit_room": lambda io, _: io.to("room1").emit("r", 1),
    "emit_room_except": lambda io, _: io.to("room1").except_("room2").emit("re", 1),
    "emit_except_only": lambda io, _: io.except_("room2").emit("eo", 1),
    "emit_room_nobody_anywhere": lambda io, _: io.to("ghost").emit("g", 1),
    "emit_to_socket_id": lambda io, sids: io.to(sids["B1"]).emit("sid", 1),
    "emit_volatile": lambda io, _: io.volatile.emit("vol", 1),
    "emit_compress_false": lambda io, _: io.compress(False).emit("cf", 1),
    "emit_room_hash_char": lambda io, _: io.to("room-a#b").emit("rh", 1),
    "emit_room_unicode": lambda io, _: io.to("été☃😀").emit("ru", 1),
    "emit_room_numeric": lambda io, _: io.to(42).emit("rn", 1),
    "emit_all_noargs": lambda io, _: io.emit("hello"),
    "nsp_chat_emit_all": lambda io, _: io.of("/chat").emit("c", 1),
    "nsp_chat_emit_room": lambda io, _: io.of("/chat").to("cr").emit("cr", 1),
    "disconnect_sockets_room": lambda io, _: io.in_("room2").disconnect_sockets(),
    "disconnect_sockets_all_close": lambda io, _: io.disconnect_sockets(True),
}


@pytest.mark.parametrize("action", _CALLS)
@run_async
async def test_our_server_writes_what_node_s_wrote(action: str) -> None:
    case = next(one for one in CASES if one["action"] == action)
    stage = Stage(case, case["uidA"])
    stage.io.of("/chat")
    await stage.io.engine.start()
    stage.forget()
    _CALLS[action](stage.io, case["sids"])
    (document,) = stage.bus.kept.documents
    raw = bytes.fromhex(case["published_by_A_or_emitter"][0]["bson_hex"])
    assert body(document) == body(raw)
    await stage.io.close(0.1)


class Documents:
    """Keeps what an emitter would write."""

    def __init__(self) -> None:
        self.documents: list[RawBSONDocument] = []

    def send(self, message: ClusterMessage) -> None:
        """See `Sender.send`."""
        self.documents.append(wire.encode(message, bson.ObjectId(), False))

    def close(self) -> None:
        """See `Sender.close`."""


# Of two rooms none is the first.
@pytest.mark.parametrize("action", [action for action in EMITTED if "rooms" not in action])
def test_the_emitter_is_node_s_byte_for_byte(action: str) -> None:
    case = next(one for one in CASES if one["action"] == action)
    raw = bytes.fromhex(case["published_by_A_or_emitter"][0]["bson_hex"])
    kept = Documents()
    EMITTED[action](Emitting(kept))
    assert body(kept.documents[0]) == body(raw)


def test_several_rooms_of_an_emitter() -> None:
    action = "emitter_emit_rooms_except"
    case = next(one for one in CASES if one["action"] == action)
    kept = Documents()
    EMITTED[action](Emitting(kept))
    found = bson.decode(kept.documents[0].raw)
    expected = case["published_by_A_or_emitter"][0]["decoded"]
    for told in (found, expected):
        del told["_id"]
        told["data"]["opts"]["rooms"].sort()
    assert found == expected
