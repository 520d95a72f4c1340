"""What two Node servers said to each other, said to one of ours in the place of either.

In the second's place its clients must receive what Node's did, and it must answer what Node
answered. In the first's it does what was done there, must say what Node said, and gets what Node's
caller got. All that is said is compared byte for byte; different each time are only the ids of our
sockets and the order of rooms, which are sets here, and both are put in Node's place first.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from nuncio import Server, Socket
from nuncio.cluster.values import from_bytes
from tests.cluster.arranging import arranged, written
from tests.cluster.cases import (
    HEARTBEAT,
    acknowledged,
    answers_of,
    buffers,
    is_heartbeat,
    meant,
    native,
    nsp_of,
    people,
    received,
    request_of,
    speaker,
)
from tests.support.aio import eventually
from tests.support.memory import Client

# The rooms of the clients of either server, as the capturing servers had them. Who is called chat
# is in `/chat`, all others in `/`.
ROOMS: dict[str, dict[str, list[str | int]]] = {
    "A": {"A1": ["room1"], "A2": [], "chatA1": []},
    "B": {"B1": ["room1", 42], "B2": ["room2", "room-a#b", "été☃😀"], "chatB1": ["cr"]},
}

# What earlier cases had left behind, and what these leave behind. In all others rooms stay.
BEFORE: dict[str, dict[str, list[str]]] = {
    "all_rooms": {"A1": ["j4"]},
    "sockets_join_filtered": {name: ["j1", "j2"] for name in ("A1", "A2", "B1", "B2")},
    "sockets_leave": {
        **{name: ["j1", "j2", "j3"] for name in ("A1", "B1")},
        **{name: ["j1", "j2"] for name in ("A2", "B2")},
    },
    "remote_socket_leave": {"B2": ["rj"]},
    "emitter_sockets_leave": {"B1": ["ej"]},
}
AFTER: dict[str, dict[str, list[str]]] = {
    "all_rooms": {"A1": ["j4"]},
    "sockets_join_all": {name: ["j1", "j2"] for name in ("A1", "A2", "B1", "B2")},
    "sockets_join_filtered": {
        **{name: ["j1", "j2", "j3"] for name in ("A1", "B1")},
        **{name: ["j1", "j2"] for name in ("A2", "B2")},
    },
    "remote_socket_join": {"B2": ["rj"]},
    "emitter_sockets_join": {"B1": ["ej"]},
}
# Who had left by then.
ABSENT = {"disconnect_sockets_all_close": ("B2",)}

NAMESPACES = ("/", "/chat")

# Heartbeats come when it is time, whatever else is said, and some cases consist of them.
TIMED = ("startup", "idle_heartbeats", "server_close_A")

# What the captures call it when a client is disconnected.
GONE = "$disconnect"

# Who published what of a case.
PUBLISHED = {"A": "published_by_A_or_emitter", "B": "published_by_B"}

# What was said: the command, where, and the bytes as hex.
Said = tuple[str, str, str]


class Stage:
    """Our server in the place of one of a case's, with its clients.

    Args:
        case: what was recorded.
        people: what was told of Node's clients; see `people`.
        place: which server it is: `A`, who did something, or `B`.
    """

    # The case in which servers say nothing but that they are there, in families where they do.
    idle: dict[str, Any] | None = None

    # How what is said is read, and written again.
    read: Callable[[bytes], Any]
    write: Callable[[Any, bytes], bytes]

    def __init__(self, case: dict[str, Any], people: dict[str, Any], place: str) -> None:
        self.case = case
        self.read, self.write = from_bytes, written
        self.people = people
        self.place = place
        self.own: list[dict[str, Any]] = case[PUBLISHED[place]]
        self.others: list[dict[str, Any]] = case[PUBLISHED["A" if place == "B" else "B"]]
        self.told: list[list[Any]] = []
        self.sids: dict[str, str] = {}
        self.io = Server(adapter=self._adapter)

    # What a bus says.

    def adapter(self, nsp: Any) -> Any:
        """An adapter that has a bus of the test's."""
        raise NotImplementedError

    def said(self) -> list[Said]:
        """What our server has said since the last `forget`, but for heartbeats."""
        raise NotImplementedError

    def beats(self) -> list[Said]:
        """The heartbeats."""
        return []

    def recorded(self, one: dict[str, Any]) -> Said:
        """What Node said, as `said` has it."""
        raise NotImplementedError

    def forget(self) -> None:
        """Forget what it has said."""
        raise NotImplementedError

    def hear(self, one: dict[str, Any]) -> None:
        """Something that the other server or an emitter said arrives."""
        raise NotImplementedError

    async def meet(self) -> None:
        """Have it know the other server, where servers are known by their heartbeats."""
        if self.idle is None:
            return
        await eventually(lambda: len(self.beats()) == len(NAMESPACES))
        for nsp in NAMESPACES:
            adapter: Any = self.io.of(nsp).adapter
            # Nobody else is there to be waited for.
            adapter._met.set()
        for one in self.idle[PUBLISHED["A" if self.place == "B" else "B"]]:
            self.hear(one)

    def arguments(self) -> list[Any]:
        """The event's name and arguments, as Node made them of what only JavaScript has."""
        (one,) = self.own
        decoded = meant(one)
        told = decoded[1] if isinstance(decoded, list) else decoded.get("data", decoded)["packet"]
        found: list[Any] = native(told["data"])
        return found

    # The server.

    def _adapter(self, nsp: Any) -> Any:
        adapter = self.adapter(nsp)
        uid = self._uid(nsp.name)
        if uid:
            self.rename(adapter, uid)
        requests = [found for one in self.own if (found := request_of(one))]
        if self.place == "A" and requests:
            adapter.request_id = lambda: requests[0]
        return adapter

    def rename(self, adapter: Any, uid: str) -> None:
        """Have an adapter be called as Node's was."""
        adapter.uid = uid

    def _uid(self, nsp: str) -> str:
        if nsp == "/":
            found: str = self.case["uid" + self.place]
            return found
        names = [speaker(one) for one in self.own if nsp_of(one) == nsp]
        return names[0] if names else ""

    async def begin(self) -> None:
        """Let the clients join."""
        self.io.of("/chat")
        await self.io.engine.start()
        absent = ABSENT.get(self.case["action"], ())
        names = [name for name in ROOMS[self.place] if name not in absent]
        self.clients = {name: self._arrive(name) for name in names}
        there = people([self.case])
        for name in names:
            socket = self.socket(name)
            socket.join([*ROOMS[self.place][name], *self._rooms(BEFORE, name)])
            if not name.startswith("chat"):
                data = there.get(name, {}).get("data", {"user": name, "n": 1})
                socket.data = buffers(native(data))
            self.sids[name] = self.case["sids"].get(name) or self.people.get(name, {}).get("id")
        self.io.on_server("sse", self._told("sse"))
        self.io.on_server("sse-bin", self._told("sse-bin"))

    def _arrive(self, name: str) -> Client:
        nsp = "/chat" if name.startswith("chat") else "/"
        if name not in self.people:
            return Client.join(self.io, nsp)
        shake = self.people[name]["handshake"]
        headers = [(one.encode(), value.encode()) for one, value in shake["headers"].items()]
        client = Client(self.io, headers=headers, client=(shake["address"], 1))
        client.connect(nsp, shake["auth"]).handshake.issued = shake["issued"] / 1000
        return client

    def socket(self, name: str) -> Socket:
        """The server's side of a client."""
        nsp = "/chat" if name.startswith("chat") else "/"
        return self.io.of(nsp).sockets[self.clients[name].sid]

    def there(self, name: str) -> bool:
        """Whether a client is connected."""
        nsp = "/chat" if name.startswith("chat") else "/"
        return self.clients[name].sid in self.io.of(nsp).sockets

    def _rooms(self, table: dict[str, dict[str, list[str]]], name: str) -> list[str]:
        return table.get(self.case["action"], {}).get(name, [])

    def rooms_after(self, name: str) -> set[Any]:
        """In which rooms a client has to be in the end, its own aside."""
        return {*ROOMS[self.place][name], *self._rooms(AFTER, name)}

    def _told(self, event: str) -> Any:
        answers = answers_of(self.case)

        def told(*args: Any) -> Any:
            self.told.append([event, *args])
            if not answers:
                return None
            answer = answers[0]
            if "data" in answer and "packet" in answer["data"]:
                return native(answer["data"]["packet"])
            return buffers(answer.get("data"))

        return told

    # What is different each time.

    def ours(self, data: bytes) -> bytes:
        """With the ids of our sockets in place of Node's, which are as long."""
        for name, client in self.clients.items():
            if self.sids[name]:
                data = data.replace(self.sids[name].encode(), client.sid.encode())
        return data

    def nodes(self, text: str) -> str:
        """The other way round."""
        for name, client in self.clients.items():
            if self.sids[name]:
                text = text.replace(client.sid, self.sids[name])
        return text

    def compare(self, said: list[Said]) -> None:
        """What our server has said is what Node's said, byte for byte."""
        expected = [self.recorded(one) for one in self.own if not is_heartbeat(one)]
        found = []
        for command, where, payload in said:
            data = self.nodes(bytes.fromhex(payload).decode("latin-1")).encode("latin-1")
            found.append((command, self.nodes(where), data))
        if self.place == "B":
            # Who of two clients answers first is nobody's choice.
            found.sort()
            expected.sort()
        assert len(found) == len(expected)
        for mine, theirs in zip(found, expected, strict=True):
            like = bytes.fromhex(theirs[2])
            data = arranged(mine[2], like, self.read, self.write)
            assert mine[:2] == theirs[:2]
            assert data == like, f"{data!r} is not {like!r}"


# What clients receive and answer.

_EVENT = re.compile(r"([25])(?:(\d+)-)?(?:/[^,]*,)?(\d*)(\[.*)", re.DOTALL)


def events(messages: list[str | bytes]) -> tuple[list[list[Any]], list[int]]:
    """The events of what a client received, and the ids of those that it is to acknowledge."""
    found: list[list[Any]] = []
    ids: list[int] = []
    rest = iter(messages)
    for message in rest:
        told = _EVENT.fullmatch(message) if isinstance(message, str) else None
        if told is None:
            continue
        if told[3]:
            ids.append(int(told[3]))
        parts = [next(rest) for _ in range(int(told[2] or 0))]
        found.append(_placed(json.loads(told[4]), parts))
    return found, ids


def _placed(value: Any, parts: list[Any]) -> Any:
    if isinstance(value, dict):
        if value.get("_placeholder"):
            return parts[value["num"]]
        return {key: _placed(one, parts) for key, one in value.items()}
    return [_placed(one, parts) for one in value] if isinstance(value, list) else value


def ack_packets(id: int, value: Any) -> list[str | bytes]:
    """The packets of an acknowledgement."""
    if isinstance(value, bytes):
        return [f'61-{id}[{{"_placeholder":true,"num":0}}]', value]
    return [f"3{id}{json.dumps([value])}"]


# In the second server's place.


async def replay(stage: Stage) -> None:
    """Play a case to our server as the second, and compare what comes of it."""
    case = stage.case
    await stage.begin()
    stage.forget()
    for one in stage.others:
        stage.hear(one)
    await asyncio.sleep(0)
    acks = acknowledged(case)
    for name, client in stage.clients.items():
        found, ids = events(client.take())
        expected = received(case, name)
        assert found == [one for one in expected if one[0] != GONE]
        gone = any(one[0] == GONE for one in expected)
        assert stage.there(name) != gone
        if not gone:
            assert stage.socket(name).rooms - {client.sid} == stage.rooms_after(name)
        for id in ids:
            if acks:
                client.send(*ack_packets(id, acks.pop(0)))
    told = received(case, "serverB")
    await eventually(lambda: len(stage.told) >= len(told))
    assert stage.told == told
    await eventually(lambda: len(stage.said()) >= sum(not is_heartbeat(one) for one in stage.own))
    stage.compare(stage.said())
    await stage.io.close(0.1)


# Heartbeats, which are all that some cases consist of.


async def beat(stage: Stage) -> None:
    """Play a case of heartbeats to our server in either place, whose own are due at once."""
    action = stage.case["action"]
    await stage.begin()
    await eventually(lambda: len(stage.beats()) == len(NAMESPACES))
    if action == "startup":
        await _start(stage)
    elif action == "idle_heartbeats":
        stage.forget()
        for one in stage.others:
            stage.hear(one)
        await counted(stage, 2)
        await eventually(lambda: {*stage.beats()} == {stage.recorded(one) for one in stage.own})
    elif stage.place == "A":
        stage.forget()
    else:
        await stage.meet()
        await counted(stage, 2)
        for one in stage.others:
            stage.hear(one)
        await counted(stage, 1)
    await stage.io.close(0.1)
    if action == "server_close_A" and stage.place == "A":
        assert sorted(stage.beats()) == sorted(stage.recorded(one) for one in stage.own)


async def _start(stage: Stage) -> None:
    """Hellos are answered, but not those that were said before one came."""
    heard = {nsp_of(one) for one in stage.own if one["decoded"]["type"] == HEARTBEAT}
    for one in stage.others:
        if one["decoded"]["type"] == HEARTBEAT or nsp_of(one) in heard:
            stage.hear(one)
    await eventually(lambda: len(stage.beats()) == len(stage.own))
    assert sorted(stage.beats()) == sorted(stage.recorded(one) for one in stage.own)
    await counted(stage, 2)


async def counted(stage: Stage, servers: int) -> None:
    """So many servers are counted in all namespaces."""
    for nsp in NAMESPACES:
        assert await stage.io.of(nsp).adapter.server_count() == servers
