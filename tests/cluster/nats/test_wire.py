"""Messages as bytes: whole and in parts, signed or not, and what is none."""

from __future__ import annotations

import random
import struct

import pytest

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Broadcast, Kind, Options
from nuncio.cluster.nats.parts import MARK, MOST_BYTES, Parts, split
from nuncio.cluster.nats.wire import Wire
from nuncio.cluster.signing import UNSIGNED, Signer
from nuncio.cluster.values import converted
from nuncio.errors import LimitExceeded, PacketError

SECRET = "0123456789abcdef"


def message(size: int = 0) -> ClusterMessage:
    """A broadcast with so many bytes."""
    packet = {"type": 2, "data": ["e", b"x" * size]}
    return ClusterMessage("me", "/", Kind.BROADCAST, Broadcast(packet=packet, opts=Options()))


def payload(found: ClusterMessage | None) -> object:
    """What was broadcast."""
    assert found is not None
    return converted(found.data, Broadcast).packet["data"]


@pytest.mark.parametrize("signer", [UNSIGNED, Signer(SECRET)], ids=["unsigned", "signed"])
@pytest.mark.parametrize("size", [0, 900, 1000, 5000])
def test_what_is_too_large_for_one_message_comes_in_parts(signer: Signer, size: int) -> None:
    wire, parts = Wire(signer), Parts()
    sent = wire.encode(message(size), "a", 1024)
    assert all(len(one) <= 1024 for one in sent)
    assert (len(sent) > 1) == (size >= 1000)
    found = [wire.decode(one, b"a", parts) for one in sent]
    assert found[:-1] == [None] * (len(sent) - 1)
    assert payload(found[-1]) == ["e", b"x" * size]
    assert len(parts) == 0


def test_parts_of_many_messages_may_be_mixed() -> None:
    wire, parts = Wire(UNSIGNED), Parts()
    streams = [wire.encode(message(3000 + n), "a", 1024) for n in range(10)]
    found = []
    generator = random.Random(1)
    while streams:
        stream = generator.choice(streams)
        whole = wire.decode(stream.pop(0), b"a", parts)
        if whole is not None:
            found.append(whole)
        streams = [one for one in streams if one]
    assert len(found) == 10


def test_a_part_that_is_missing_ends_its_message() -> None:
    parts = Parts()
    one, two, three = split(b"x" * 250, 117)
    assert parts.take(one) is None
    with pytest.raises(PacketError, match="missing"):
        parts.take(three)
    with pytest.raises(PacketError, match="beginning"):
        parts.take(two)
    assert len(parts) == 0


def test_what_is_incomplete_is_bounded() -> None:
    parts = Parts()
    for _ in range(200):
        assert parts.take(split(b"x" * 250, 117)[0]) is None
    assert len(parts) == 64
    for number in range(65):
        head = struct.pack("!B8sII", MARK, b"%8d" % number, 0, 2)
        assert parts.take(head + bytes(4_000_000)) is None
    assert len(parts) < 40


@pytest.mark.parametrize(
    "part", [b"\xc1", b"\xc1" + b"x" * 15, struct.pack("!B8sII", MARK, b"x" * 8, 5, 9)]
)
def test_what_is_no_part_is_told(part: bytes) -> None:
    with pytest.raises(PacketError):
        Parts().take(part)


def test_hostile_parts_have_an_end() -> None:
    parts = Parts()
    for number in range(4096):
        assert parts.take(struct.pack("!B8sII", MARK, b"x" * 8, number, 2**32 - 1)) is None
    with pytest.raises(PacketError, match="too large"):
        parts.take(struct.pack("!B8sII", MARK, b"x" * 8, 4096, 2**32 - 1))
    assert len(parts) == 0


def test_what_is_too_large_even_in_parts_is_told() -> None:
    with pytest.raises(LimitExceeded, match="goes over NATS"):
        split(bytes(MOST_BYTES + 1), 1 << 20)
    with pytest.raises(LimitExceeded, match="goes over NATS"):
        split(bytes(5_000_000), 1024)


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\xc1", b"{}", b"\x91" * 5000, b"\xdf\xff\xff\xff\xff"]
)
def test_what_is_no_message_is_told(data: bytes) -> None:
    for wire in (Wire(UNSIGNED), Wire(Signer(SECRET))):
        with pytest.raises(PacketError):
            wire.decode(data, b"a", Parts())
        with pytest.raises(PacketError):
            wire.decode_entry(data, "a")


def test_only_what_this_cluster_has_signed_is_taken() -> None:
    ours, theirs, nobodys = Wire(Signer(SECRET)), Wire(Signer(SECRET[::-1])), Wire(UNSIGNED)
    # Nor what was said elsewhere.
    with pytest.raises(PacketError):
        ours.decode(ours.encode(message(), "b", 1024)[0], b"a", Parts())
    with pytest.raises(PacketError):
        ours.decode_entry(ours.encode_entry(message(), "b"), "a")
    for other in (theirs, nobodys):
        with pytest.raises(PacketError):
            ours.decode(other.encode(message(), "a", 1024)[0], b"a", Parts())
        with pytest.raises(PacketError):
            ours.decode_entry(other.encode_entry(message(), "a"), "a")


def test_an_entry_of_the_log_has_a_number() -> None:
    wire = Wire(Signer(SECRET))
    found, number = wire.decode_entry(wire.encode_entry(message(5), "a", 7), "a")
    assert (payload(found), number) == (["e", b"x" * 5], 7)
    # Servers without recovery hear it, too.
    assert payload(wire.decode(wire.encode_entry(message(5), "a", 7), b"a", Parts())) == [
        "e",
        b"x" * 5,
    ]
