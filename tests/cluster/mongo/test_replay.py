"""What two Node servers and the official emitter wrote over MongoDB: see `replaying`.

Different are ids, which drivers make: no two documents have the same, and later ones are above. And
whole numbers beyond 32 bits, which are doubles as JavaScript writes them and stay whole as ours
does: Node's servers read them as the same numbers.
"""

from __future__ import annotations

from typing import Any

import bson
import pytest
from bson import Int64, ObjectId
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument

from nuncio.cluster import MongoAdapter
from nuncio.cluster.emitter import Emitting
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.mongo import wire
from nuncio.cluster.mongo.bus import Bus
from nuncio.cluster.mongo.endpoint import Endpoint
from nuncio.cluster.mongo.place import Keeping
from tests.cluster import captures, replaying
from tests.cluster.acting import act
from tests.cluster.arranging import arranged
from tests.cluster.cases import BEATS, people, settled
from tests.cluster.replaying import TIMED, Said, beat, replay
from tests.cluster.test_emitter import ACTIONS as EMITTED
from tests.support.aio import run_async

URL = "mongodb://localhost/mydb"

# How the field of a document's id begins, and how long it is.
_ID = b"\x07_id\x00"
_ID_SIZE = len(_ID) + 12


def unwrapped(value: Any) -> Any:
    """Node's servers tell each other's events with the driver's own objects; ours with bytes."""
    if isinstance(value, dict):
        if set(value) == {"sub_type", "buffer", "position"}:
            return value["buffer"]
        return {key: unwrapped(one) for key, one in value.items()}
    return [unwrapped(one) for one in value] if isinstance(value, list) else value


def prepared(case: dict[str, Any]) -> dict[str, Any]:
    """A case as `replaying` knows them."""
    for name in ("expected_on_B", "result_at_A"):
        case[name] = unwrapped(case[name])
    for one in (*case["published_by_A_or_emitter"], *case["published_by_B"]):
        assert len(one["bson_hex"]) < 6000, "the recorder cut it"
    return case


CASES = settled([prepared(case) for case in captures.replays("mongo", bus="mongo")])
PEOPLE = people(CASES)
(IDLE,) = [case for case in CASES if case["action"] == "idle_heartbeats"]
BEATING = [case for case in CASES if case["action"] in TIMED]
HEARD = [case for case in CASES if case["action"] not in TIMED]
ACTED = [case for case in HEARD if not case["action"].startswith("emitter_")]


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
    """Our server in the place of one of a case's, at a bus of the test's."""

    idle = IDLE

    def __init__(self, case: dict[str, Any], place: str) -> None:
        self.bus = FakeBus(case["uid" + place])
        # Where nothing else happens, heartbeats are due at once.
        interval = 0.01 if case is IDLE else 60.0
        self._maker = MongoAdapter(URL, heartbeat_interval=interval, heartbeat_timeout=120.0)
        self._maker._buses = _Always(self.bus)  # type: ignore[assignment]
        super().__init__(case, PEOPLE, place)
        self.read, self.write = _read, _write

    def adapter(self, nsp: Any) -> Any:
        """See `Stage.adapter`."""
        return self._maker(nsp)

    def rename(self, adapter: Any, uid: str) -> None:
        """See `Stage.rename`: it has the name of its bus."""
        assert adapter.uid == uid

    def said(self) -> list[Said]:
        """See `Stage.said`."""
        return [
            _said(_in_doubles(bytes(one.raw)))
            for one in self._written()
            if one["type"] not in BEATS
        ]

    def beats(self) -> list[Said]:
        """See `Stage.beats`."""
        return [_said(bytes(one.raw)) for one in self._written() if one["type"] in BEATS]

    def _written(self) -> list[RawBSONDocument]:
        documents = self.bus.kept.documents
        ids = [one["_id"] for one in documents]
        assert all(type(id) is ObjectId for id in ids)
        assert ids == sorted(set(ids))
        return documents

    def recorded(self, one: dict[str, Any]) -> Said:
        """See `Stage.recorded`."""
        return _said(bytes.fromhex(one["bson_hex"]))

    def arguments(self) -> list[Any]:
        """See `Stage.arguments`."""
        (one,) = self.own
        document: Any = bson.decode(bytes.fromhex(one["bson_hex"]), CodecOptions(tz_aware=True))
        found: list[Any] = document["data"]["packet"]["data"]
        return found

    def forget(self) -> None:
        """See `Stage.forget`."""
        self.bus.kept.documents.clear()

    def hear(self, one: dict[str, Any]) -> None:
        """See `Stage.hear`."""
        self.bus.say(self.ours(bytes.fromhex(one["bson_hex"])))


def _in_doubles(raw: bytes) -> bytes:
    """A document with whole numbers as JavaScript writes them."""
    document = bson.decode(raw)
    assert bson.encode(document) == raw
    return bson.encode(_doubles(document))


def _doubles(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _doubles(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_doubles(one) for one in value]
    return float(value) if isinstance(value, Int64) else value


# As documents without their ids say how long they were with them, that is left out in between.


def _read(data: bytes) -> Any:
    return bson.decode(_resized(data, -_ID_SIZE))


def _write(value: Any, like: bytes) -> bytes:
    return _resized(bson.encode(value), _ID_SIZE)


def _resized(data: bytes, by: int) -> bytes:
    size = int.from_bytes(data[:4], "little") + by
    return size.to_bytes(4, "little") + data[4:]


def _said(raw: bytes) -> Said:
    """A document without its id, which pymongo puts in front; Node's driver leaves that to MongoDB.

    How long the whole was is still said.
    """
    if raw[4:].startswith(_ID):
        rest = raw[4 + _ID_SIZE :]
    else:
        assert raw[-1 - _ID_SIZE :].startswith(_ID)
        rest = raw[4 : -1 - _ID_SIZE] + raw[-1:]
    return "INSERT", "", (raw[:4] + rest).hex()


class _Always(dict[Any, Any]):
    """One and the same, whoever asks."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self._value = value

    def get(self, key: Any, default: Any = None) -> Any:
        return self._value


@pytest.mark.parametrize("case", HEARD, ids=lambda case: str(case["action"]))
@run_async
async def test_clients_receive_what_nodes_did_and_answers_are_the_same(
    case: dict[str, Any],
) -> None:
    await replay(Stage(case, "B"))


@pytest.mark.parametrize("case", ACTED, ids=lambda case: str(case["action"]))
@run_async
async def test_our_server_says_what_node_s_said_and_gets_what_it_got(case: dict[str, Any]) -> None:
    await act(Stage(case, "A"))


@pytest.mark.parametrize("place", ["A", "B"])
@pytest.mark.parametrize("case", BEATING, ids=lambda case: str(case["action"]))
@run_async
async def test_heartbeats_are_node_s(case: dict[str, Any], place: str) -> None:
    await beat(Stage(case, place))


class Documents:
    """Keeps what an emitter would write."""

    def __init__(self) -> None:
        self.documents: list[RawBSONDocument] = []

    def send(self, message: ClusterMessage) -> None:
        """See `Sender.send`."""
        self.documents.append(wire.encode(message, bson.ObjectId(), False))

    def close(self) -> None:
        """See `Sender.close`."""


@pytest.mark.parametrize("action", EMITTED)
def test_the_emitter_is_node_s_byte_for_byte(action: str) -> None:
    (case,) = [one for one in CASES if one["action"] == action]
    (one,) = case["published_by_A_or_emitter"]
    kept = Documents()
    EMITTED[action](Emitting(kept))
    (mine,) = kept.documents
    like = bytes.fromhex(_said(bytes.fromhex(one["bson_hex"]))[2])
    assert arranged(bytes.fromhex(_said(bytes(mine.raw))[2]), like, _read, _write) == like
