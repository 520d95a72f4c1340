"""permessage-deflate: messages, limits, negotiation, and other people's implementations of it."""

from __future__ import annotations

import tracemalloc
import zlib
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import NegotiationError
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.frames import Frame, Opcode
from websockets.headers import build_extension, parse_extension
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate
from wsproto.frame_protocol import FrameProtocol

from nuncio.protocol.deflate import (
    Deflate,
    DeflateConfig,
    Direction,
    accept_client,
    negotiate_server,
    offer_client,
)
from nuncio.protocol.frames import (
    BINARY,
    NEED_DATA,
    PING,
    TEXT,
    FrameError,
    FrameReader,
    encode,
    encode_masked,
)
from nuncio.protocol.handshake import HandshakeError

LIMIT = 100_000
# Both sides keep their context, in a small window of what the server sends.
CONFIG = DeflateConfig(
    level=6,
    mem_level=5,
    server_no_context_takeover=False,
    client_no_context_takeover=False,
    server_max_window_bits=12,
)
FULL = replace(CONFIG, server_max_window_bits=15)
KEY = b"\x01\x20\x03\x40"

# The messages of RFC 7692, sections 7.2.3.1 to 7.2.3.6.
HELLO = bytes.fromhex("f2 48 cd c9 c9 07 00")
HELLO_AGAIN = bytes.fromhex("f2 00 11 00 00")
HELLO_STORED = bytes.fromhex("00 05 00 fa ff 48 65 6c 6c 6f 00")
HELLO_FINAL = bytes.fromhex("f3 48 cd c9 c9 07 00 00")
HELLO_TWO_BLOCKS = bytes.fromhex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00")


def pair(
    bits: int = 15, takeover: bool = True, config: DeflateConfig = CONFIG
) -> tuple[Deflate, Deflate]:
    """Both ends of a connection with the same agreement in both directions."""
    way = Direction(bits, takeover)
    return Deflate(config, way, way), Deflate(config, way, way)


def code_of(deflate: Deflate, payload: bytes, max_size: int = LIMIT) -> int:
    with pytest.raises(FrameError) as caught:
        deflate.inflate(payload, max_size)
    return caught.value.code


def bomb(megabytes: int) -> bytes:
    """A compressed message of so many megabytes of zeros, about a thousandth as long."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    chunk = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return (chunk * megabytes)[:-4]


# Messages


@pytest.mark.parametrize("bits", [8, 9, 10, 15])
@pytest.mark.parametrize("takeover", [True, False])
def test_messages_come_back(bits: int, takeover: bool) -> None:
    sender, receiver = pair(bits, takeover)
    messages = [b"", b"a", b"", b"", b"hello " * 1000, bytes(range(256)) * 100, b"hello " * 1000]
    for message in messages:
        compressed = sender.compress(message)
        assert compressed
        assert receiver.inflate(compressed, LIMIT) == message


def test_window_that_zlib_cannot_compress_with() -> None:
    # Nothing may refer further back than 256 bytes; zlib's smallest window is 512.
    sender, receiver = pair(8)
    message = bytes(range(256)) + b"hello " * 100
    compressed = sender.compress(message)
    assert message in compressed
    assert receiver.inflate(compressed, LIMIT) == message


def test_context_is_carried_over_only_if_agreed() -> None:
    text = bytes(range(200))
    with_context, _ = pair()
    assert len(with_context.compress(text)) > len(with_context.compress(text))
    without, _ = pair(takeover=False)
    assert without.compress(text) == without.compress(text)


@pytest.mark.parametrize("payload", [HELLO, HELLO_STORED, HELLO_FINAL, HELLO_TWO_BLOCKS])
def test_examples_of_the_specification(payload: bytes) -> None:
    for takeover in (True, False):
        _, receiver = pair(takeover=takeover)
        for _ in range(3):
            assert receiver.inflate(payload, LIMIT) == b"Hello"


def test_example_with_context() -> None:
    _, receiver = pair()
    assert receiver.inflate(HELLO, LIMIT) == b"Hello"
    assert receiver.inflate(HELLO_AGAIN, LIMIT) == b"Hello"
    _, receiver = pair(takeover=False)
    receiver.inflate(HELLO, LIMIT)
    assert code_of(receiver, HELLO_AGAIN) == 1007


def test_empty_payload_is_an_empty_message() -> None:
    _, receiver = pair()
    assert receiver.inflate(b"", LIMIT) == b""
    assert receiver.inflate(b"\x00", LIMIT) == b""
    assert receiver.inflate(HELLO, LIMIT) == b"Hello"


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"\x06", b"junk junk", HELLO_FINAL + b"x", HELLO_FINAL + HELLO, b"\x03\x00" * 99],
)
def test_corrupt_messages(payload: bytes) -> None:
    for takeover in (True, False):
        assert code_of(pair(takeover=takeover)[1], payload) == 1007


# Limits


def test_size_limit_is_exact() -> None:
    for size in (0, 1, 1000, 70_000):
        sender, receiver = pair(takeover=False)
        compressed = sender.compress(b"x" * size)
        assert receiver.inflate(compressed, size) == b"x" * size
        if size:
            assert code_of(receiver, compressed, size - 1) == 1009


def test_bomb_stops_at_the_limit() -> None:
    payload = bomb(1024)
    limit = 1_000_000
    assert len(payload) < 1_200_000
    _, receiver = pair()
    tracemalloc.start()
    try:
        assert code_of(receiver, payload, limit) == 1009
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * limit + len(payload)


def test_bomb_in_frames_stops_at_the_limit() -> None:
    payload = bomb(1)
    assert len(payload) < 2000
    reader = FrameReader(LIMIT, True, inflater=pair()[1])
    tracemalloc.start()
    try:
        reader.feed(encode_masked(BINARY, payload, KEY, True))
        with pytest.raises(FrameError) as caught:
            reader.next()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.code == 1009
    assert peak < 4 * LIMIT


def test_memory_is_kept_only_with_context() -> None:
    message = b"hello " * 1000

    def held(takeover: bool) -> int:
        ends = [pair(takeover=takeover)[0] for _ in range(20)]
        payload = ends[0].compress(message)
        tracemalloc.start()
        try:
            for end in ends:
                end.compress(message)
                end.inflate(payload, LIMIT)
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert held(takeover=False) < 20 * 1000
    assert held(takeover=True) > 20 * 30_000


def test_by_default_nothing_is_kept_between_messages() -> None:
    config = DeflateConfig()
    accepted = negotiate_server("permessage-deflate; client_max_window_bits", config)
    assert accepted is not None
    assert accepted[1] == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    )
    peer = accept_client(accepted[1], config)
    assert peer is not None
    message = b"hello " * 1000
    payload = peer.compress(message)
    ends = [negotiate_server("permessage-deflate", config) for _ in range(20)]
    tracemalloc.start()
    try:
        for end in ends:
            assert end is not None
            assert end[0].inflate(payload, LIMIT) == message
            assert peer.inflate(end[0].compress(message), LIMIT) == message
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < len(ends) * 100


def test_who_compresses_alike_is_told_by_a_number() -> None:
    def shared(bits: int = 12, takeover: bool = False, **changes: Any) -> int:
        return pair(bits, takeover, replace(CONFIG, **changes))[0].shared

    assert shared() == shared() > 0
    assert shared(takeover=True) == 0
    others = [
        shared(bits=11),
        shared(level=-1),
        shared(level=5),
        shared(mem_level=6),
        shared(threshold=0),
        shared(threshold=2**70),
    ]
    assert len({shared(), *others}) == len(others) + 1
    assert shared(client_no_context_takeover=True) == shared()


def test_memory_for_receiving_follows_the_window() -> None:
    def held(bits: int) -> int:
        ends = [pair(bits)[0] for _ in range(20)]
        payload = Deflate(CONFIG, Direction(9, False), Direction(9, False)).compress(b"hello")
        tracemalloc.start()
        try:
            for end in ends:
                end.inflate(payload, LIMIT)
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    assert held(9) + 20 * 20_000 < held(15)


def test_nothing_is_made_before_it_is_needed() -> None:
    tracemalloc.start()
    try:
        ends = [pair() for _ in range(100)]
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < len(ends) * 2 * 500


# Configuration


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": -1},
        {"level": -2},
        {"level": 10},
        {"mem_level": 0},
        {"mem_level": 10},
        {"server_max_window_bits": 8},
        {"server_max_window_bits": 16},
        {"client_max_window_bits": 8},
        {"client_max_window_bits": 16},
    ],
)
def test_configuration_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        DeflateConfig(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": "1024"},
        {"level": 1.5},
        {"mem_level": None},
        {"server_no_context_takeover": 1},
        {"client_no_context_takeover": "yes"},
        {"client_max_window_bits": True},
    ],
)
def test_configuration_of_the_wrong_type(wrong: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(wrong))):
        DeflateConfig(**wrong)


def test_threshold_is_handed_on() -> None:
    accepted = negotiate_server("permessage-deflate", replace(CONFIG, threshold=7))
    assert accepted is not None
    assert accepted[0].threshold == 7


# Negotiation, as the server


def answer(header: str, **changes: Any) -> str | None:
    accepted = negotiate_server(header, replace(FULL, **changes))
    return None if accepted is None else accepted[1]


@pytest.mark.parametrize(
    ("offer", "changes", "expected"),
    [
        ("permessage-deflate", {}, ""),
        ("permessage-deflate; client_max_window_bits", {}, ""),
        ("permessage-deflate; server_no_context_takeover", {}, "; server_no_context_takeover"),
        ("permessage-deflate; client_no_context_takeover", {}, "; client_no_context_takeover"),
        (
            "permessage-deflate",
            {"server_no_context_takeover": True, "client_no_context_takeover": True},
            "; server_no_context_takeover; client_no_context_takeover",
        ),
        ("permessage-deflate; server_max_window_bits=10", {}, "; server_max_window_bits=10"),
        ("permessage-deflate; server_max_window_bits=15", {}, "; server_max_window_bits=15"),
        (
            "permessage-deflate; server_max_window_bits=10",
            {"server_max_window_bits": 9},
            "; server_max_window_bits=9",
        ),
        ("permessage-deflate", {"server_max_window_bits": 12}, "; server_max_window_bits=12"),
        ('permessage-deflate; client_max_window_bits="10"', {}, "; client_max_window_bits=10"),
        ("permessage-deflate; client_max_window_bits=8", {}, "; client_max_window_bits=8"),
        (
            "permessage-deflate; client_max_window_bits",
            {"client_max_window_bits": 11},
            "; client_max_window_bits=11",
        ),
        (
            "permessage-deflate; client_max_window_bits=10",
            {"client_max_window_bits": 11},
            "; client_max_window_bits=10",
        ),
    ],
)
def test_offers_that_are_accepted(offer: str, changes: dict[str, Any], expected: str) -> None:
    assert answer(offer, **changes) == "permessage-deflate" + expected


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "x-webkit-deflate-frame",
        "permessage-deflate; unknown",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_no_context_takeover=true",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=8",  # zlib cannot compress so
        "permessage-deflate; client_max_window_bits=0",
        "permessage-deflate; client_max_window_bits=99999999999999999999",
        "permessage-deflate; client_max_window_bits; client_max_window_bits",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    ],
)
def test_offers_that_are_declined(offer: str) -> None:
    assert answer(offer) is None


def test_smaller_client_window_needs_a_client_that_can() -> None:
    assert answer("permessage-deflate", client_max_window_bits=12) is None


def test_first_acceptable_offer_wins() -> None:
    offers = (
        "other, permessage-deflate; server_max_window_bits=8,"
        "permessage-deflate; server_max_window_bits=9, permessage-deflate"
    )
    assert answer(offers) == "permessage-deflate; server_max_window_bits=9"


def test_offer_against_the_grammar() -> None:
    with pytest.raises(HandshakeError) as caught:
        answer("permessage-deflate; a=")
    assert caught.value.status == 400


# Negotiation, as the client


def test_offers_that_are_made() -> None:
    assert offer_client(FULL) == "permessage-deflate; client_max_window_bits"
    config = DeflateConfig(
        server_no_context_takeover=True,
        client_no_context_takeover=True,
        server_max_window_bits=10,
        client_max_window_bits=11,
    )
    assert offer_client(config) == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; "
        "server_max_window_bits=10; client_max_window_bits=11"
    )


def test_declined_by_the_server() -> None:
    assert accept_client("", CONFIG) is None


@pytest.mark.parametrize(
    ("header", "changes"),
    [
        ("permessage-deflate", {}),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", {}),
        ("permessage-deflate; server_max_window_bits=8; client_max_window_bits=8", {}),
        ("permessage-deflate; server_no_context_takeover", {"server_no_context_takeover": True}),
        ("permessage-deflate; server_max_window_bits=9", {"server_max_window_bits": 10}),
        ("permessage-deflate; client_max_window_bits=10", {"client_max_window_bits": 10}),
        ("permessage-deflate", {"client_max_window_bits": 10}),
    ],
)
def test_answers_that_fit_the_offer(header: str, changes: dict[str, Any]) -> None:
    deflate = accept_client(header, replace(FULL, **changes))
    assert deflate is not None
    assert deflate.inflate(HELLO, LIMIT) == b"Hello"


@pytest.mark.parametrize(
    ("header", "changes"),
    [
        ("other", {}),
        ("permessage-deflate, other", {}),
        ("permessage-deflate, permessage-deflate", {}),
        ("permessage-deflate; unknown", {}),
        ("permessage-deflate; client_max_window_bits", {}),
        ("permessage-deflate; server_max_window_bits=16", {}),
        ("permessage-deflate; server_no_context_takeover=1", {}),
        ("permessage-deflate; server_no_context_takeover; server_no_context_takeover", {}),
        ("permessage-deflate", {"server_no_context_takeover": True}),
        ("permessage-deflate", {"server_max_window_bits": 10}),
        ("permessage-deflate; server_max_window_bits=11", {"server_max_window_bits": 10}),
        ("permessage-deflate; client_max_window_bits=11", {"client_max_window_bits": 10}),
        ("permessage-deflate;", {}),
    ],
)
def test_answers_that_do_not_fit_the_offer(header: str, changes: dict[str, Any]) -> None:
    with pytest.raises(HandshakeError):
        accept_client(header, replace(FULL, **changes))


configs = st.builds(
    DeflateConfig,
    level=st.integers(min_value=-1, max_value=9),
    mem_level=st.integers(min_value=1, max_value=9),
    server_no_context_takeover=st.booleans(),
    client_no_context_takeover=st.booleans(),
    server_max_window_bits=st.integers(min_value=9, max_value=15),
    client_max_window_bits=st.integers(min_value=9, max_value=15),
)
words = st.sampled_from([b"", b"hello ", b"\x00\xff", b"socket.io ", b"event"])
messages = st.lists(
    st.tuples(words, st.integers(min_value=0, max_value=2000)).map(lambda two: two[0] * two[1]),
    max_size=8,
)


@settings(max_examples=100, deadline=None)
@given(client=configs, server=configs, messages=messages)
def test_both_ends_agree(
    client: DeflateConfig, server: DeflateConfig, messages: list[bytes]
) -> None:
    accepted = negotiate_server(offer_client(client), server)
    assert accepted is not None
    at_server, header = accepted
    at_client = accept_client(header, client)
    assert at_client is not None
    from_client = FrameReader(LIMIT, True, inflater=at_server)
    from_server = FrameReader(LIMIT, False, inflater=at_client)
    for message in messages:
        from_client.feed(encode_masked(BINARY, at_client.compress(message), KEY, True))
        assert from_client.next() == BINARY and from_client.payload == message
        from_server.feed(encode(BINARY, at_server.compress(message), True))
        assert from_server.next() == BINARY and from_server.payload == message


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=100), max_size=4))
def test_any_bytes_inflate_or_fail_in_order(payloads: list[bytes]) -> None:
    _, receiver = pair()
    for payload in payloads:
        try:
            assert len(receiver.inflate(payload, 1000)) <= 1000
        except FrameError as error:
            assert error.code in (1007, 1009)
            return


# Other people's


MESSAGES = [
    b"hello " * 500,
    b"",
    b"",
    b"x",
    b"hello " * 500,
    bytes(range(256)) * 20,
    b"hello " * 500,
]


@pytest.mark.parametrize(
    ("takeover", "bits", "peer_bits"), list(product([True, False], [8, 9, 12, 15], [9, 12, 15]))
)
def test_messages_of_websockets(takeover: bool, bits: int, peer_bits: int) -> None:
    peer = PerMessageDeflate(not takeover, not takeover, bits, peer_bits)
    ours = Deflate(CONFIG, Direction(bits, takeover), Direction(peer_bits, takeover))
    reader = FrameReader(LIMIT, True, inflater=ours)
    for message in MESSAGES:
        frame = Frame(Opcode.BINARY, ours.compress(message), rsv1=True)
        assert bytes(peer.decode(frame, max_size=LIMIT).data) == message
    for message in MESSAGES:
        reader.feed(Frame(Opcode.BINARY, message).serialize(mask=True, extensions=[peer]))
        assert reader.next() == BINARY and reader.payload == message


def test_fragments_of_websockets() -> None:
    peer = PerMessageDeflate(False, False, 15, 15)
    reader = FrameReader(LIMIT, True, inflater=pair()[1])
    parts = [
        Frame(Opcode.TEXT, b"hello " * 100, fin=False),
        Frame(Opcode.PING, b"?"),
        Frame(Opcode.CONT, b"hello " * 100, fin=False),
        Frame(Opcode.CONT, b"world"),
    ]
    events = []
    for part in parts:
        reader.feed(part.serialize(mask=True, extensions=[peer]))
        while (opcode := reader.next()) != NEED_DATA:
            events.append((opcode, reader.payload))
    assert events == [(PING, b"?"), (TEXT, b"hello " * 200 + b"world")]


@settings(max_examples=60, deadline=None)
@given(
    config=configs,
    server_fresh=st.booleans(),
    client_fresh=st.booleans(),
    server_bits=st.none() | st.integers(min_value=8, max_value=15),
    client_bits=st.sampled_from([None, True, 9, 12, 15]),
)
def test_websockets_accepts_our_answer(
    config: DeflateConfig,
    server_fresh: bool,
    client_fresh: bool,
    server_bits: int | None,
    client_bits: int | None,
) -> None:
    factory = ClientPerMessageDeflateFactory(
        server_fresh, client_fresh, server_bits, client_bits
    )  # fmt: skip
    offer = build_extension([(factory.name, list(factory.get_request_params()))])
    accepted = negotiate_server(offer, config)
    if accepted is None:
        cannot_limit = config.client_max_window_bits < 15 and client_bits is None
        assert server_bits == 8 or cannot_limit
        return
    ours, header = accepted
    [(_, parameters)] = parse_extension(header)
    peer = factory.process_response_params(parameters, [])
    exchange(ours, peer)


@settings(max_examples=60, deadline=None)
@given(
    config=configs,
    server_fresh=st.booleans(),
    client_fresh=st.booleans(),
    server_bits=st.none() | st.integers(min_value=9, max_value=15),
    client_bits=st.none() | st.integers(min_value=8, max_value=15),
)
def test_we_accept_the_answer_of_websockets(
    config: DeflateConfig,
    server_fresh: bool,
    client_fresh: bool,
    server_bits: int | None,
    client_bits: int | None,
) -> None:
    factory = ServerPerMessageDeflateFactory(server_fresh, client_fresh, server_bits, client_bits)
    [(_, offer)] = parse_extension(offer_client(config))
    try:
        parameters, peer = factory.process_request_params(offer, [])
    except NegotiationError:
        pytest.fail("the peer declined our offer")
    ours = accept_client(build_extension([(factory.name, parameters)]), config)
    assert ours is not None
    exchange(ours, peer)


def exchange(ours: Deflate, peer: PerMessageDeflate) -> None:
    for message in MESSAGES:
        frame = Frame(Opcode.BINARY, ours.compress(message), rsv1=True)
        assert bytes(peer.decode(frame, max_size=LIMIT).data) == message
        encoded = peer.encode(Frame(Opcode.BINARY, message))
        assert ours.inflate(bytes(encoded.data), LIMIT) == message


@pytest.mark.parametrize("fresh", [True, False])
def test_wsproto_as_the_client(fresh: bool) -> None:
    peer = WsprotoDeflate(client_no_context_takeover=fresh, server_no_context_takeover=fresh)
    accepted = negotiate_server(f"{peer.name}; {peer.offer()}", CONFIG)
    assert accepted is not None
    ours, header = accepted
    peer.finalize(header)
    wire = FrameProtocol(client=True, extensions=[peer])
    reader = FrameReader(LIMIT, True, inflater=ours)
    for message in MESSAGES:
        wire.receive_bytes(encode(BINARY, ours.compress(message), True))
        received = [bytes(frame.payload) for frame in wire.received_frames()]  # type: ignore[arg-type]
        assert b"".join(received) == message
        reader.feed(bytes(wire.send_data(message)))
        assert reader.next() == BINARY and reader.payload == message


@pytest.mark.parametrize("fresh", [True, False])
def test_wsproto_as_the_server(fresh: bool) -> None:
    peer = WsprotoDeflate(client_no_context_takeover=fresh, server_no_context_takeover=fresh)
    answer = peer.accept(offer_client(CONFIG))
    assert isinstance(answer, str)
    ours = accept_client(f"{peer.name}; {answer}", CONFIG)
    assert ours is not None
    wire = FrameProtocol(client=False, extensions=[peer])
    reader = FrameReader(LIMIT, False, inflater=ours)
    for message in MESSAGES:
        wire.receive_bytes(encode_masked(BINARY, ours.compress(message), KEY, True))
        received = [bytes(frame.payload) for frame in wire.received_frames()]  # type: ignore[arg-type]
        assert b"".join(received) == message
        reader.feed(bytes(wire.send_data(message)))
        assert reader.next() == BINARY and reader.payload == message
