"""What of a session description is understood, and that nothing else is handed on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.errors import PacketError
from nuncio.webrtc.sdp import MOST_TRIED, Offer, read_offer
from tests.webrtc.offers import FINGERPRINT, chromium


def read(data: bytes, most: int = 64, *, loopback: bool = False) -> Offer:
    return read_offer(data, most, loopback=loopback)


def test_an_offer_of_chromium() -> None:
    offer = read(chromium("a=candidate:9 1 UDP 5 192.0.2.7 1000 typ srflx raddr 10.0.0.1 rport 9"))
    assert (offer.mid, offer.port, offer.message, offer.setup) == ("0", 5000, 262144, "actpass")
    assert offer.fingerprint == FINGERPRINT
    assert offer.candidates == ("9 1 UDP 5 192.0.2.7 1000 typ srflx",)


def test_what_the_session_says_holds_for_its_section_as_in_firefox() -> None:
    data = chromium(without="a=fingerprint").replace(
        b"t=0 0\r\n", f"t=0 0\r\na=fingerprint:sha-256 {FINGERPRINT.lower()}\r\n".encode()
    )
    assert read(data).fingerprint == FINGERPRINT


def test_what_is_handed_on_is_read_again_as_the_same() -> None:
    offer = read(chromium("a=candidate:9 1 udp 5 192.0.2.7 1000 typ host"))
    for complete in (True, False):
        text = offer.text(complete=complete)
        assert read(text.encode()) == offer
        assert ("a=end-of-candidates" in text) is complete


def test_only_what_is_understood_is_handed_on() -> None:
    text = read(chromium("a=ice-lite", "a=evil:\tx", "b=AS:1", "a=fingerprint:sha-1 00")).text(
        complete=True
    )
    assert not any(word in text for word in ("lite", "evil", "b=AS", "sha-1", ".local"))


@pytest.mark.parametrize(
    "candidate",
    [
        "1 1 udp 1 f9a7ab1d-d28e.local 1 typ host",
        "1 1 tcp 1 192.0.2.1 9 typ host tcptype active",
        "1 2 udp 1 192.0.2.1 9 typ host",
        "1 1 udp 1 192.0.2.1 0 typ host",
        "1 1 udp 1 192.0.2.1 65536 typ host",
        "1 1 udp 4294967296 192.0.2.1 9 typ host",
        "1 1 udp 1 224.0.0.1 9 typ host",
        "1 1 udp 1 ff02::1 9 typ host",
        "1 1 udp 1 0.0.0.0 9 typ host",
        "1 1 udp 1 255.255.255.255 9 typ host",
        "1 1 udp 1 127.0.0.1 9 typ host",
        "1 1 udp 1 example.com 9 typ host",
        "1 1 udp 1 192.0.2.1 9 typ prflx",
        "1 1 udp 1 192.0.2.1 9 type host",
        "- 1 udp 1 192.0.2.1 9 typ host",
        "1 1 udp 1 192.0.2.1",
        "",
    ],
)
def test_candidates_that_cannot_be_used_are_left_out(candidate: str) -> None:
    assert read(chromium(f"a=candidate:{candidate}")).candidates == ()


def test_a_peer_on_this_machine_may_be_at_loopback() -> None:
    data = chromium("a=candidate:1 1 udp 1 127.0.0.1 9 typ host")
    assert read(data, loopback=True).candidates == ("1 1 udp 1 127.0.0.1 9 typ host",)


def test_of_many_candidates_the_first_are_tried_and_too_many_are_refused() -> None:
    many = [f"a=candidate:1 1 udp 1 192.0.2.1 {port} typ host" for port in range(1, 64)]
    assert len(read(chromium(*many)).candidates) == MOST_TRIED
    with pytest.raises(PacketError, match="more than 64 candidates"):
        read(chromium(*many, many[0]))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "begin"),
        (b"GET / HTTP/1.1\r\n", "begin"),
        (b"v=0\r\n", "one section"),
        (chromium("m=audio 9 UDP/TLS/RTP/SAVPF 111"), "one section"),
        (chromium(section="m=audio 9 UDP/TLS/RTP/SAVPF 111"), "one section"),
        (chromium("m=application 9 UDP/DTLS/SCTP webrtc-datachannel"), "one section"),
        (chromium(section="m=application 9 TCP/DTLS/SCTP webrtc-datachannel"), "one section"),
        (chromium(without="a=ice-ufrag"), "ice-ufrag"),
        (chromium(ufrag="a b"), "ice-ufrag"),
        (chromium(ufrag="x" * 257), "ice-ufrag"),
        (chromium("a=ice-ufrag:abcd"), "twice"),
        (chromium(without="a=ice-pwd"), "ice-pwd"),
        (chromium(without="a=fingerprint"), "fingerprint"),
        (chromium(f"a=fingerprint:sha-256 {FINGERPRINT}"), "twice"),
        (chromium("a=fingerprint:sha-256 00:11", without="a=fingerprint"), "SHA-256"),
        (chromium("a=setup:holdconn", without="a=setup"), "setup"),
        (chromium("a=mid:" + "x" * 33, without="a=mid"), "mid"),
        (chromium("a=sctp-port:65536", without="a=sctp-port"), "sctp-port"),
        (chromium("a=sctp-port:-1", without="a=sctp-port"), "sctp-port"),
        (chromium("a=max-message-size:1", without="a=max-message"), "at least 1024"),
        (chromium("a=x:\u00e4"), "ASCII"),
    ],
)
def test_what_is_no_offer_of_one_data_channel_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(PacketError, match=why):
        read(data)


def test_a_peer_that_does_not_say_takes_64_kb() -> None:
    assert read(chromium(without="a=max-message-size")).message == 65536


@given(st.binary(max_size=200), st.integers(0, 700))
def test_garbage_is_refused_and_nothing_worse(garbage: bytes, at: int) -> None:
    data = chromium(ufrag="abcd")
    for mixed in (garbage, data[:at] + garbage + data[at:], data[:at] + garbage):
        try:
            offer = read(mixed)
        except PacketError:
            continue
        assert read(offer.text(complete=True).encode()) == offer
