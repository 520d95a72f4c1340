from __future__ import annotations

from typing import Any

import msgspec
import pytest

from nuncio import OptionError
from nuncio.cluster import PostgresAdapter
from nuncio.cluster.emitter import Emitting
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import (
    SHAPES,
    FetchedSockets,
    Kind,
    RemoteDetails,
    ServerAnswer,
    ServerSideEmit,
)
from nuncio.cluster.postgres.link import Notice
from nuncio.cluster.postgres.wire import LIMIT, Header, Wire, channel_of
from nuncio.cluster.signing import UNSIGNED, Signer
from nuncio.errors import PacketError
from tests.cluster import captures
from tests.cluster.arranging import arranged
from tests.cluster.test_emitter import ACTIONS

WIRE = Wire(UNSIGNED, LIMIT)
SIGNED = Wire(Signer("a secret of sixteen or more"), LIMIT)
CAPTURED = captures.wire("postgres", bus="postgres")
SERVERS = [one for one in CAPTURED if one["decoded"]["uid"] != "emitter"]


def read(one: dict[str, Any]) -> ClusterMessage:
    """A captured message, as the server has it that sends it."""
    nsp = one["channel"].partition("#")[2]
    told = WIRE.decode(bytes.fromhex(one["payload_hex"]).decode(), nsp)
    if isinstance(told, Header):
        told = WIRE.decode_attachment(bytes.fromhex(one["attachment"]["payload_hex"]), nsp)
    if told.type in SHAPES:
        told.data = msgspec.convert(told.data, SHAPES[told.type])
    return told


def test_every_captured_message_is_read_and_written_byte_for_byte() -> None:
    assert len(SERVERS) > 80
    attachments = 0
    for captured in SERVERS:
        message = read(captured)
        text, attachment = WIRE.encode(message)
        assert channel_of("socket.io", message.nsp) == captured["channel"]
        if "attachment" in captured:
            attachments += 1
            assert attachment is not None
            assert attachment.hex() == captured["attachment"]["payload_hex"], captured
            text = WIRE.header(message, int(captured["decoded"]["attachmentId"]))
        assert text.encode().hex() == captured["payload_hex"], captured
    assert attachments > 5


def test_messages_of_clusters_of_processes_are_read() -> None:
    found = captures.wire("postgres-node-cluster", bus="postgres")
    assert len(found) > 10
    for one in found:
        if "attachmentId" in one["decoded"]:
            # What it leads to was not recorded.
            continue
        message = read(one)
        assert message.uid == one["decoded"]["uid"]
        assert message.nsp == "/"


class Notices:
    """Keeps what an emitter would send."""

    def __init__(self, target: PostgresAdapter) -> None:
        self._target = target
        self.notices: list[Notice] = []

    def send(self, message: ClusterMessage) -> None:
        """See `Sender.send`."""
        self.notices.append(self._target.notice(message))

    def close(self) -> None:
        """See `Sender.close`."""


@pytest.mark.parametrize("action", ACTIONS)
def test_the_emitter_is_node_s_but_says_the_namespace(action: str) -> None:
    (captured,) = [one for one in CAPTURED if one["action"] == action]
    notices = Notices(PostgresAdapter("postgresql://localhost"))
    ACTIONS[action](Emitting(notices))
    (notice,) = notices.notices
    assert notice.channel == captured["channel"]
    nsp = captured["channel"].partition("#")[2]
    if notice.attachment is None:
        told = msgspec.json.decode(notice.text)
        if "packet" not in told["data"]:
            # Node's leaves them out there.
            assert told["data"]["opts"].pop("flags") == {}
        node = bytes.fromhex(captured["payload_hex"])
        like = node[:-1] + f',"nsp":"{nsp}"}}'.encode()
        assert arranged(msgspec.json.encode(told), like) == like
    else:
        node = bytes.fromhex(captured["attachment"]["payload_hex"])
        assert notice.attachment == with_nsp(node, nsp)
        row = captured["decoded"]["attachmentId"]
        assert notice.header(int(row)).encode().hex() == captured["payload_hex"]


def with_nsp(packed: bytes, nsp: str) -> bytes:
    """A map of MessagePack with one more entry."""
    return bytes([packed[0] + 1]) + packed[1:] + msgspec.msgpack.encode({"nsp": nsp})[1:]


def said(size: int) -> ClusterMessage:
    """A message of so many bytes."""
    message = ClusterMessage("u", "/", Kind.SERVER_SIDE_EMIT, ServerSideEmit(packet=["e", ""]))
    text, _ = WIRE.encode(message)
    message.data = ServerSideEmit(packet=["e", "é" + "x" * (size - len(text) - 2)])
    return message


def test_what_is_as_long_as_postgresql_takes_no_longer_is_an_attachment() -> None:
    text, attachment = WIRE.encode(said(LIMIT - 1))
    assert (len(text.encode()), attachment) == (LIMIT - 1, None)
    message = said(LIMIT)
    text, attachment = WIRE.encode(message)
    assert text == "" and attachment is not None
    assert WIRE.decode_attachment(attachment, "/").data == {"packet": message.data.packet}
    # A signature takes its part.
    assert SIGNED.encode(said(LIMIT - 32))[1] is not None
    assert SIGNED.encode(said(LIMIT - 33))[1] is None
    assert Wire(UNSIGNED, 20).encode(said(50))[1] is not None


def test_what_holds_binary_is_an_attachment_unless_it_says_who_is_there() -> None:
    answer = ClusterMessage("u", "/", Kind.SERVER_SIDE_EMIT_RESPONSE, ServerAnswer("r", b"ab"))
    assert WIRE.encode(answer)[1] is not None
    there = RemoteDetails("id", data={"b": b"ab", "more": "x" * 10})
    found = ClusterMessage("u", "/", Kind.FETCH_SOCKETS_RESPONSE, FetchedSockets("r", [there]))
    text, attachment = WIRE.encode(found)
    assert attachment is None and '{"type":"Buffer","data":[97,98]}' in text
    there.data["more"] = "x" * LIMIT
    attachment = WIRE.encode(found)[1]
    assert attachment is not None and b"ab" in attachment


def test_what_a_channel_says_by_itself_is_known_by_its_end() -> None:
    message = ClusterMessage("u", '/"é', Kind.SERVER_SIDE_EMIT, ServerSideEmit(packet=["e"]))
    for wire in (WIRE, SIGNED):
        assert wire.encode(message)[0].endswith(wire.ending("u", '/"é'))
        assert not wire.encode(message)[0].endswith(wire.ending("v", '/"é'))


def test_the_namespace_may_be_the_channel_s() -> None:
    message = WIRE.decode('{"uid":"emitter","type":9,"data":{"packet":["e"]}}', "/chat")
    assert isinstance(message, ClusterMessage) and message.nsp == "/chat"
    message = WIRE.decode('{"uid":"u","nsp":"/b","type":2,"source":"x","nodeId":"y"}', "/chat")
    assert isinstance(message, ClusterMessage) and message.nsp == "/b"
    packed = msgspec.msgpack.encode({"uid": "emitter", "type": 9, "nsp": None})
    assert WIRE.decode_attachment(packed, "/chat").nsp == "/chat"


@pytest.mark.parametrize("id", ["1", 1, "0001", 2**63 - 1])
def test_rows_may_be_numbers_or_text(id: Any) -> None:
    text = msgspec.json.encode({"uid": "u", "type": 3, "attachmentId": id}).decode()
    header = WIRE.decode(text, "/")
    assert isinstance(header, Header) and header.row == int(id)


@pytest.mark.parametrize(
    "id", ["", "-1", "0", 0, -5, 2**63, "9" * 5000, "1; DROP TABLE x", "\u0661", "1e3", " 1"]
)
def test_ids_that_no_row_has_are_told(id: Any) -> None:
    text = msgspec.json.encode({"uid": "u", "type": 3, "attachmentId": id}).decode()
    with pytest.raises(PacketError):
        header = WIRE.decode(text, "/")
        assert isinstance(header, Header)
        header.row  # noqa: B018 - it is looked at


GARBAGE = [
    *("", " {}", "{", "{}", "null", "5", '"x"', "[" * 5000, "\ud7ff", '{"uid":1}', "[1]"),
    '{"uid":"u","type":3,"attachmentId":{}}',
    '{"uid":"u","type":3,"attachmentId":true}',
    '{"uid":5,"type":3,"attachmentId":1}',
    '{"uid":"u","nsp":{},"type":3}',
    '{"uid":"u","type":"3"}',
]


@pytest.mark.parametrize("text", GARBAGE)
def test_what_is_no_message_is_told(text: str) -> None:
    for wire in (WIRE, SIGNED):
        with pytest.raises(PacketError):
            wire.decode(text, "/")
        with pytest.raises(PacketError):
            wire.decode_attachment(text.encode(), "/")


def test_only_what_is_signed_counts_where_there_is_a_secret() -> None:
    message = said(100)
    text, _ = SIGNED.encode(message)
    assert text.isascii() or text[:32].isascii()
    told = SIGNED.decode(text, "/")
    assert isinstance(told, ClusterMessage) and told.uid == "u"
    binary = ClusterMessage("u", "/", Kind.SERVER_SIDE_EMIT_RESPONSE, ServerAnswer("r", b"ab"))
    attachment = SIGNED.encode(binary)[1]
    assert attachment is not None
    assert SIGNED.decode_attachment(attachment, "/").data["packet"] == b"ab"
    assert isinstance(SIGNED.decode(SIGNED.header(binary, 7), "/"), Header)
    for forged in (text[32:], WIRE.encode(message)[0], WIRE.header(binary, 7), "x" * 32 + text):
        with pytest.raises(PacketError, match="signed"):
            SIGNED.decode(forged, "/")
    with pytest.raises(PacketError, match="signed"):
        SIGNED.decode_attachment(attachment[32:], "/")


@pytest.mark.parametrize("nsp", ["/" + "x" * 53, "/" + "é" * 27, "/a\0b", "/\ud800"])
def test_a_namespace_whose_channel_postgresql_cannot_have_is_told(nsp: str) -> None:
    with pytest.raises(OptionError, match="cannot have a channel"):
        channel_of("socket.io", nsp)


def test_a_channel_may_have_63_bytes() -> None:
    assert len(channel_of("socket.io", "/" + "x" * 52)) == 63
