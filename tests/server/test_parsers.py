"""A server with another parser than the default: what changes for a connection."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from nuncio import ConnectError, JSONParser, Limits, MsgPackParser, Packet, Parser, Server, Socket
from nuncio.errors import OptionError
from nuncio.protocol.msgpack import decode
from tests.support.aio import eventually, run_async
from tests.support.memory import Client

SOON = 0.05


class Decoder:
    """Packets end with a semicolon, and may come in pieces."""

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self.destroyed = False

    def add(self, data: str | bytes) -> Packet | None:
        assert isinstance(data, str)
        self.pieces.append(data)
        if not data.endswith(";"):
            return None
        whole, self.pieces = "".join(self.pieces), []
        kind, nsp, id, *rest = json.loads(whole[:-1])
        return Packet(kind, nsp, id, *rest)

    def destroy(self) -> None:
        self.destroyed = True


class Semicolons(Parser):
    def __init__(self) -> None:
        self.decoders: list[Decoder] = []

    def encode(self, packet: Packet) -> list[str | bytes]:
        return [json.dumps([packet.type, packet.nsp, packet.id, packet.data]) + ";"]

    def decoder(self) -> Decoder:
        self.decoders.append(Decoder())
        return self.decoders[-1]


def joined(io: Server) -> Client:
    """A client of a server with `Semicolons`, in the default namespace."""
    client = Client(io)
    client.send('[0,"/",-1];')
    (client.sid,) = io.sockets.sockets
    assert client.take() == [f'[0, "/", -1, {{"sid": "{client.sid}"}}];']
    return client


@run_async
async def test_everything_goes_through_the_parser() -> None:
    io = Server(parser=Semicolons())

    @io.of("/no").use
    def refuse(socket: Socket) -> None:
        raise ConnectError("go away", {"code": 5})

    io.event(lambda socket, value: value * 2, name="double")
    client = joined(io)
    client.send('[2,"/",7,["double",21]];', '[0,"/no",-1];', '[0,"/nowhere",-1];')
    assert client.take() == [
        '[3, "/", 7, [42]];',
        '[4, "/no", -1, {"message": "go away", "data": {"code": 5}}];',
        '[4, "/nowhere", -1, {"message": "Invalid namespace"}];',
    ]
    io.emit("a", 1)
    answer = client.socket.emit_with_ack("b")
    assert client.take() == ['[2, "/", -1, ["a", 1]];', '[2, "/", 0, ["b"]];']
    client.send('[3,"/",0,["fine"]];')
    assert await answer == "fine"
    client.socket.disconnect()
    assert client.take() == ['[1, "/", -1, null];']


@run_async
async def test_each_connection_has_its_decoder_from_its_first_message_to_its_end() -> None:
    parser = Semicolons()
    io = Server(parser=parser)
    idle = Client(io)
    client = joined(io)
    (decoder,) = parser.decoders
    assert not decoder.destroyed
    client.lose()
    assert decoder.destroyed
    idle.lose()
    assert len(parser.decoders) == 1


@run_async
async def test_a_packet_in_pieces_has_its_time() -> None:
    io = Server(parser=Semicolons(), limits=Limits(attachment_seconds=SOON))
    errors: list[str] = []
    heard: list[Any] = []
    io.on("x", lambda socket, value: heard.append(value))
    client = joined(io)
    client.socket.on("error", lambda error: errors.append(str(error)))
    client.send('[2,"/",-1,', '["x",1', "]];")
    assert heard == [1]
    client.send('[2,"/",-1,', '["x",2]];')
    await asyncio.sleep(4 * SOON)
    assert not client.wire.ended, "nothing is waited for"
    client.send('[2,"/",-1,')
    await eventually(lambda: client.wire.ended, "the connection ends")
    assert heard == [1, 2]
    assert errors == ["attachments did not come in time"]


@run_async
async def test_who_has_not_joined_gets_no_more_time_by_pieces() -> None:
    io = Server(parser=Semicolons(), connect_timeout=SOON)
    client = Client(io)
    client.send("[0,")
    await eventually(lambda: client.wire.ended, "the connection ends")
    assert io.handshakes == 0


@run_async
async def test_joining_in_pieces() -> None:
    io = Server(parser=Semicolons())
    client = Client(io)
    client.send("[0,", '"/",', "-1];")
    assert len(io.sockets.sockets) == 1


@pytest.mark.parametrize("text", ["nonsense;", '[2,"/",-1,["disconnect"]];', '[9,"/",-1];', "[];"])
@run_async
async def test_what_cannot_be_decoded_costs_its_sender_and_is_logged_quietly(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "nuncio")
    io = Server(parser=Semicolons())
    witness = joined(io)
    client = Client(io)
    client.send('[0,"/",-1];')
    client.send(text)
    assert client.wire.ended
    assert list(io.sockets.sockets) == [witness.sid]
    assert {record.levelno for record in caplog.records} == {logging.DEBUG}
    io.emit("x")
    assert witness.take() == ['[2, "/", -1, ["x"]];']


class Broken(Semicolons):
    def decoder(self) -> Decoder:
        decoder = super().decoder()
        decoder.destroy = None  # type: ignore[method-assign, assignment]  # a mistake of somebody's
        return decoder


@run_async
async def test_a_decoder_need_not_be_destroyed() -> None:
    io = Server(parser=Broken())
    client = joined(io)
    client.lose()
    assert io.sockets.sockets == {}


class Sticky(Semicolons):
    def decoder(self) -> Decoder:
        class Stuck(Decoder):
            def destroy(self) -> None:
                raise RuntimeError("stuck")

        return Stuck()


@run_async
async def test_a_decoder_that_cannot_be_destroyed_does_not_keep_the_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    io = Server(parser=Sticky())
    client = joined(io)
    client.lose()
    assert io.sockets.sockets == {}
    (record,) = caplog.records
    assert record.exc_info is not None
    assert repr(record.exc_info[1]) == "RuntimeError('stuck')"


@run_async
async def test_messagepack() -> None:
    io = Server(parser=MsgPackParser())
    io.event(lambda socket, value: value + b"!", name="shout")
    client = Client(io)
    client.send(b"\x82\xa4type\x00\xa3nsp\xa1/")
    (client.sid,) = io.sockets.sockets
    client.send(b"\x84\xa4type\x02\xa3nsp\xa1/\xa2id\x05\xa4data\x92\xa5shout\xc4\x02hi")
    seen = [decode(packet, 100) for packet in client.take() if isinstance(packet, bytes)]
    assert [(one.type, one.id, one.data) for one in seen] == [
        (0, -1, {"sid": client.sid}),
        (3, 5, [b"hi!"]),
    ]
    client.send("2[]")
    assert client.wire.ended
    assert io.sockets.sockets == {}


class Half(Parser):
    def encode(self, packet: Packet) -> list[str | bytes]:
        return []


class Other(Parser):
    def decoder(self) -> Any:
        return None


@pytest.mark.parametrize(
    ("parser", "words"),
    [
        (None, "derives from nuncio.Parser"),
        ("msgpack", "derives from nuncio.Parser"),
        (MsgPackParser, r"parser must be an object: write parser=MsgPackParser\(\)"),
        (dict, "derives from nuncio.Parser"),
        (Half(), "must define the method decoder"),
        (Other(), "must define the method encode"),
        (Parser(), "must define the method encode"),
    ],
)
def test_what_is_no_parser_is_told_at_once(parser: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Server(parser=parser)


def test_servers_share_no_parser_unless_they_are_told_to() -> None:
    assert Server().parser is not Server().parser
    parser = JSONParser()
    assert Server(parser=parser).parser is Server(parser=parser).parser is parser
