from __future__ import annotations

from typing import Any

import pytest

import nuncio
from nuncio.client.connection import ClientConnection
from nuncio.errors import PacketError
from nuncio.protocol.engineio import Message
from nuncio.protocol.parser import Parser
from nuncio.protocol.socketio import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Packet
from nuncio.slow import policy_of
from tests.support.aio import run_async
from tests.support.lines import World


class Upstairs:
    """The Manager: notes what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def undecodable(self, error: PacketError) -> None:
        self.told.append(str(error))

    def saw(self, packet: Packet) -> None:
        self.told.append((packet.type, packet.nsp, packet.id, packet.data))

    def closed(self, connection: ClientConnection, reason: str, description: str) -> None:
        self.told.append((reason, description))

    def unwanted(self, socket: Any) -> None:
        self.told.append(socket.nsp)

    def take(self) -> list[Any]:
        taken, self.told = self.told, []
        return taken


def make(
    parser: Parser | None = None, sockets: dict[str, Any] | None = None, **limits: int
) -> tuple[ClientConnection, Upstairs]:
    manager = Upstairs()
    connection = ClientConnection(
        manager,
        {} if sockets is None else sockets,
        nuncio.JSONParser() if parser is None else parser,
        limits.get("attachments", 2),
        limits.get("bytes", 100),
        limits.get("containers", 10),
    )
    connection.watch()
    return connection, manager


def test_packets_are_read_and_told_to_who_watches() -> None:
    connection, manager = make()
    for packet in (
        b'40{"sid":"a"}',
        b"41/chat,",
        b'42["e",1]',
        b'42/chat,5["e"]',
        b"435[1]",
        b'44{"message":"no"}',
    ):
        connection.text(packet)
    assert manager.take() == [
        (CONNECT, "/", -1, {"sid": "a"}),
        (DISCONNECT, "/chat", -1, None),
        (EVENT, "/", -1, ["e", 1]),
        (EVENT, "/chat", 5, ["e"]),
        (ACK, "/", 5, [1]),
        (CONNECT_ERROR, "/", -1, {"message": "no"}),
    ]


def test_nobody_watches_unless_asked_to() -> None:
    manager = Upstairs()
    connection = ClientConnection(manager, {}, nuncio.JSONParser(), 2, 100, 10)
    connection.text(b'42["e"]')
    assert manager.told == []


def test_attachments_are_put_where_they_belong() -> None:
    connection, manager = make()
    connection.text(b'452-["e",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]')
    connection.binary(b"first")
    assert manager.take() == []
    connection.binary(b"second")
    assert manager.take() == [(EVENT, "/", -1, ["e", b"second", b"first"])]


@pytest.mark.parametrize(
    ("packets", "words"),
    [
        ([b"4"], "unknown packet type"),
        ([b"49"], "unknown packet type 9"),
        ([b"4x"], "unknown packet type 'x'"),
        ([b'42["connect"]'], "invalid payload"),
        ([b"42[]"], "invalid payload"),
        ([b"42"], "invalid payload"),
        ([b"43[]"], "invalid packet id"),
        ([b'42["e",[[[[[[[[[[[]]]]]]]]]]]]'], "too many"),
        ([b"450-[]"], "Illegal attachments"),
        ([b'453-["e"]'], "too many attachments"),
        ([b"x"], "got binary data when not reconstructing a packet"),
        ([b'451-["e"]', b'42["f"]'], "got plaintext data when reconstructing a packet"),
        ([b'451-["e",{"_placeholder":true,"num":0}]', b"x" * 101], "attachments too large"),
        ([b'451-["e",{"_placeholder":true,"num":1}]', b"x"], "illegal attachments"),
        ([b'451-["e"]', b"x"], "illegal attachments"),
    ],
)
def test_what_is_no_packet_is_told_with_words(packets: list[bytes], words: str) -> None:
    connection, manager = make()
    for packet in packets:
        if packet.startswith(b"4"):
            connection.text(packet)
        else:
            connection.binary(packet)
    (told,) = manager.take()
    assert words in told
    # Whatever it had of a packet is forgotten.
    connection.text(b'42["e"]')
    assert manager.take() == [(EVENT, "/", -1, ["e"])]


def test_the_end_is_told_with_its_connection() -> None:
    connection, manager = make()
    connection.text(b'451-["e"]')
    connection.closed("transport close", "details")
    assert manager.take() == [("transport close", "details")]


class Doubling(Parser):
    """Somebody else's: text is the packet's type, twice."""

    destroyed = 0

    def encode(self, packet: Packet) -> list[str | bytes]:
        return [f"{packet.type}{packet.type}"]

    def decoder(self) -> Any:
        return self

    def add(self, data: str | bytes) -> Packet | None:
        if data == "wait":
            return None
        if data == "raise":
            raise KeyError("mine")
        if data == "wrong":
            return Packet(99, "/")
        return Packet(EVENT, "/", -1, [f"e{data!r}"])

    def destroy(self) -> None:
        self.destroyed += 1


def test_parsers_of_somebody_else_are_used_and_not_trusted() -> None:
    parser = Doubling()
    connection, manager = make(parser)
    connection.text(b"4x")
    connection.binary(b"y")
    connection.text(b"4wait")
    connection.text(b"4raise")
    connection.text(b"4wrong")
    assert manager.take() == [
        (EVENT, "/", -1, ["e'x'"]),
        (EVENT, "/", -1, ["eb'y'"]),
        "invalid payload",
        "invalid packet",
    ]
    connection.closed("transport close", "")
    assert parser.destroyed == 1


@run_async
async def test_packets_come_to_the_socket_of_their_namespace_that_wants_them() -> None:
    world = World()
    manager = world.manager(auto_connect=False)
    chat, other = manager.socket("/chat"), manager.socket("/other")
    seen: list[Any] = []
    chat.on("e", lambda value: seen.append(("chat", value)))
    other.on("e", lambda value: seen.append(("other", value)))
    chat.connect()
    line = await world.opened()
    await line.join(nsp="/chat")
    line.event("e", 1, nsp="/chat")
    # One that does not want to be connected hears nothing.
    line.event("e", 2, nsp="/other")
    line.tell('0/other,{"sid":"x"}')
    line.event("e", 3, nsp="/other")
    assert seen == [("chat", 1)]
    assert (chat.connected, other.connected) == (True, False)
    await manager.close()


@run_async
async def test_who_waits_for_the_answer_to_a_dropped_message_is_told() -> None:
    world = World()
    manager = world.manager()
    socket = manager.socket("/")
    await world.joined()
    told: list[Any] = []
    socket.timeout(60).emit("e", lambda error: told.append(type(error)))
    connection, _ = make(sockets={"/": socket})
    message = Message(b"4")
    policy = policy_of("drop_oldest", "slow")
    assert policy is not None
    message.slow = policy.with_ack("/", 0)
    connection.dropped(message)
    connection.dropped(Message(b"4"))
    message.slow = policy.with_ack("/nobody", 0)
    connection.dropped(message)
    await manager.close()
    assert told == [nuncio.Dropped]
