"""What two Node servers said to each other, said to one of ours in the place of the second.

Its clients must receive what Node's did, and it must answer what Node answered: byte for byte where
answers do not hold what is different each time, such as headers.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from nuncio import Server
from tests.support.aio import eventually
from tests.support.memory import Client

# In `/` and `/chat`, as the capturing servers had them.
ROOMS: dict[str, list[str | int]] = {
    "B1": ["room1", 42],
    "B2": ["room2", "room-a#b", "été☃😀"],
}
# What the captures call it when a client is disconnected.
GONE = "$disconnect"

# What was said: the command, the channel, the bytes as hex, and what they mean.
Said = tuple[str, str, str, Any]


class Stage:
    """Our server in the place of the second of a case, with its two clients.

    Args:
        case: what was recorded.
        maker: what makes adapters, which have a bus of the test's.
    """

    def __init__(self, case: dict[str, Any], maker: Any) -> None:
        self.case = case
        self.io = Server(adapter=maker)
        self.told: list[list[Any]] = []

    def said(self) -> list[Said]:
        """What our server has said since the last `forget`."""
        raise NotImplementedError

    def forget(self) -> None:
        """Forget what it has said."""
        raise NotImplementedError

    def hear(self, one: dict[str, Any], data: bytes) -> None:
        """Something that the first server or an emitter said arrives."""
        raise NotImplementedError

    async def begin(self) -> None:
        """Let the clients join."""
        self.io.of("/chat")
        await self.io.engine.start()
        self.clients = {name: Client.join(self.io) for name in ROOMS}
        for name, client in self.clients.items():
            client.socket.join(ROOMS[name])
            client.socket.data = {"user": name, "n": 1}
        self.io.on_server("sse", self._told("sse"))
        self.io.on_server("sse-bin", self._told("sse-bin"))

    def _told(self, event: str) -> Any:
        answers = [meant(one) for one in self.case["published_by_B"] if _is_answer(meant(one))]

        def told(*args: Any) -> Any:
            self.told.append([event, *args])
            if not answers:
                return None
            answer = answers[0]
            if "data" in answer and "packet" in answer["data"]:
                return native(answer["data"]["packet"])
            return native(answer.get("data"))

        return told

    def say(self) -> None:
        """Say what the first server or an emitter said."""
        for one in self.case["published_by_A_or_emitter"]:
            self.hear(one, self.with_ids(bytes.fromhex(one["payload_hex"])))

    def with_ids(self, data: bytes) -> bytes:
        """With the ids of our sockets in place of Node's, which are as long."""
        for name, client in self.clients.items():
            data = data.replace(self.case["sids"][name].encode(), client.sid.encode())
        return data


def meant(one: dict[str, Any]) -> Any:
    """What a recorded message means, wherever it is."""
    attachment = one.get("attachment")
    return one["decoded"] if attachment is None else attachment["decoded"]


def _is_answer(decoded: Any) -> bool:
    return isinstance(decoded, dict) and decoded.get("type") in (6, 10)


def native(value: Any) -> Any:
    """What stands for binary and dates, as such."""
    if isinstance(value, dict):
        if "$binary" in value:
            return bytes.fromhex(value["$binary"])
        return {key: native(one) for key, one in value.items()}
    return [native(one) for one in value] if isinstance(value, list) else value


def events(messages: list[str | bytes]) -> tuple[list[list[Any]], list[int]]:
    """The events of what a client received, and the ids of those that it is to acknowledge."""
    found: list[list[Any]] = []
    ids: list[int] = []
    rest = iter(messages)
    for message in rest:
        if not isinstance(message, str) or message[0] not in "25":
            continue
        head, body = message[: message.index("[")], message[message.index("[") :]
        count = int(head[1 : head.index("-")]) if message[0] == "5" else 0
        id = head[1:] if message[0] == "2" else head[head.index("-") + 1 :]
        if id:
            ids.append(int(id))
        parts = [next(rest) for _ in range(count)]
        found.append(_placed(json.loads(body), parts))
    return found, ids


def _placed(value: Any, parts: list[Any]) -> Any:
    if isinstance(value, dict):
        if value.get("_placeholder"):
            return parts[value["num"]]
        return {key: _placed(one, parts) for key, one in value.items()}
    return [_placed(one, parts) for one in value] if isinstance(value, list) else value


def acknowledged(case: dict[str, Any]) -> list[Any]:
    """What the second server's clients acknowledged, one after the other."""
    found = []
    for one in case["published_by_B"]:
        decoded = meant(one)
        if decoded.get("type") == 9 and "packet" in decoded:
            found.append(native(decoded["packet"]))
        elif decoded.get("type") == 12:
            found.append(native(decoded["data"]["packet"]))
    return found


async def replay(stage: Stage) -> None:
    """Play a case, and compare what comes of it."""
    case = stage.case
    await stage.begin()
    stage.forget()
    stage.say()
    await asyncio.sleep(0)
    acks = acknowledged(case)
    for name, client in stage.clients.items():
        found, ids = events(client.take())
        expected = [
            [one["event"], *native(one["args"])]
            for one in case["expected_on_B"]
            if one["client"] == name and one["event"] != GONE
        ]
        gone = any(one["client"] == name and one["event"] == GONE for one in case["expected_on_B"])
        # Some had been disconnected before, when this was captured.
        assert not gone or client.sid not in stage.io.sockets.sockets
        if "chat" not in case["action"] and not case["action"].endswith("nsp"):
            assert found == expected, name
        for id in ids:
            if acks:
                client.send(*ack_packets(id, acks.pop(0)))
    for one in case["expected_on_B"]:
        if one["client"] == "serverB" and one["event"].startswith("sse"):
            await eventually(lambda: stage.told)
            assert stage.told[0] == [one["event"], *native(one["args"])]
    answers = [one for one in case["published_by_B"] if comparable(meant(one))]
    await eventually(lambda: len(stage.said()) >= len(answers))
    said = [one for one in stage.said() if comparable(one[3])]
    assert sorted(one[:3] for one in said) == sorted(
        (one["command"], one["channel"], one.get("attachment", one)["payload_hex"])
        for one in answers
    )


def ack_packets(id: int, value: Any) -> list[str | bytes]:
    """The packets of an acknowledgement."""
    if isinstance(value, bytes):
        return [f'61-{id}[{{"_placeholder":true,"num":0}}]', value]
    if isinstance(value, dict) and any(isinstance(one, bytes) for one in value.values()):
        parts = [one for one in value.values() if isinstance(one, bytes)]
        places = iter(range(len(parts)))
        told = {
            key: {"_placeholder": True, "num": next(places)} if isinstance(one, bytes) else one
            for key, one in value.items()
        }
        return [f"6{len(parts)}-{id}{json.dumps([told])}", *parts]
    return [f"3{id}{json.dumps([value])}"]


def comparable(message: Any) -> bool:
    """Whether an answer is the same each time: who is there is not."""
    if not isinstance(message, dict):
        return False
    data = message.get("data")
    lists = "sockets" in message or "rooms" in message
    return not lists and not (isinstance(data, dict) and "sockets" in data)
