"""What of aiortc is steered from inside: by itself, where no peer can be made to do it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import aiortc
import pytest

from nuncio.errors import OptionError
from nuncio.webrtc import library
from nuncio.webrtc.library import MOST_ADDRESSES, MOST_DATAGRAMS, MOST_PIECES, Gate
from tests.support.aio import run_async


def test_a_release_without_what_is_relied_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(aiortc.RTCSctpTransport, "_send_sack")
    with pytest.raises(OptionError, match="has no _send_sack: pip install --upgrade"):
        library.load()


def with_a_channel() -> Any:
    connection = library.new_connection(["stun:stun.example", {"urls": ["turn:t.example"]}])
    connection.createDataChannel("x")
    return connection


@pytest.mark.parametrize(
    ("given", "loopback", "found", "used"),
    [
        (None, False, ["192.0.2.1"], ["192.0.2.1"]),
        (None, True, ["192.0.2.1"], ["192.0.2.1", "127.0.0.1"]),
        # Without a network there is still this machine.
        (None, False, [], ["127.0.0.1"]),
        (["192.0.2.2"], True, ["192.0.2.1"], ["192.0.2.2"]),
    ],
)
@run_async
async def test_addresses_are_chosen(
    given: list[str] | None, loopback: bool, found: list[str], used: list[str]
) -> None:
    connection = with_a_channel()
    ice = library._ice(connection)
    asked: list[list[str]] = []
    ice.get_component_candidates = lambda component, addresses: asked.append(addresses)
    library.choose_addresses(connection, given, loopback=loopback)
    ice.get_component_candidates(component=1, addresses=found)
    assert asked == [used]
    await connection.close()


@run_async
async def test_datagrams_and_addresses_are_bounded() -> None:
    connection = with_a_channel()
    ice = library._ice(connection)
    ice.check_incoming = lambda message, address, protocol: ice._remote_candidates.append(
        SimpleNamespace(_network_host=address[0], port=address[1])
    )
    library.bound_what_is_kept(connection)
    for number in range(MOST_DATAGRAMS + 10):
        ice.data_received(b"%d" % number, 1)
    assert ice._queue.qsize() == MOST_DATAGRAMS
    # The end is never lost.
    ice._queue.put_nowait(None)
    assert ice._queue.qsize() == MOST_DATAGRAMS + 1
    for port in range(MOST_ADDRESSES + 10):
        ice.check_incoming(None, ("192.0.2.1", port), None)
    assert len(ice._remote_candidates) == MOST_ADDRESSES
    # Those that are known go on.
    ice.check_incoming(None, ("192.0.2.1", 3), None)
    assert len(ice._remote_candidates) == MOST_ADDRESSES + 1
    await connection.close()


class Peer:
    """As much of SCTP as the gate looks at."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.acknowledged = 0
        self.violations: list[str] = []
        self.stream = SimpleNamespace(reassembly=[])
        self.sctp: Any = SimpleNamespace(
            _advertised_rwnd=1000,
            _last_received_tsn=7,
            _sack_needed=False,
            _inbound_streams={1: self.stream},
            _receive_data_chunk=self._take,
            _handle_data=self._handle,
            _send_sack=self._acknowledge,
            state="connected",
        )
        self.gate = Gate(SimpleNamespace(sctp=self.sctp), self.violations.append)

    async def _take(self, chunk: Any) -> None:
        self.taken.append(chunk)

    async def _handle(self, data: bytes) -> None:
        if data == b"lost":
            raise ConnectionError
        assert data == b"good"

    async def _acknowledge(self) -> None:
        self.acknowledged += 1

    async def send(self, tsn: int, stream: int = 1) -> bool:
        """Whether a piece was taken."""
        before = len(self.taken)
        await self.sctp._receive_data_chunk(SimpleNamespace(tsn=tsn, stream_id=stream))
        return len(self.taken) > before


@run_async
async def test_what_comes_though_there_is_no_room_is_not_taken() -> None:
    peer = Peer()
    assert await peer.send(8)
    peer.gate.hold(1000)
    assert not await peer.send(9)
    # It is told what there was before.
    assert peer.sctp._sack_needed
    peer.gate.let_go(400)
    await asyncio.sleep(0)
    # A peer that was told to stop is told to go on, once.
    assert peer.acknowledged == 1
    assert await peer.send(9)
    peer.gate.let_go(600)
    await asyncio.sleep(0)
    assert peer.acknowledged == 1
    assert peer.violations == []


@run_async
async def test_pieces_that_wait_for_others_are_bounded() -> None:
    peer = Peer()
    peer.stream.reassembly = [None] * MOST_PIECES
    assert not await peer.send(20)
    # The next one may complete them.
    assert await peer.send(8)
    peer.stream.reassembly = [None] * 2 * MOST_PIECES
    assert not await peer.send(8)


@run_async
async def test_a_second_stream_and_nonsense_are_violations() -> None:
    peer = Peer()
    assert await peer.send(8)
    assert not await peer.send(9, stream=2)
    assert peer.violations == ["the peer opened a second data channel"]
    await peer.sctp._handle_data(b"good")
    await peer.sctp._handle_data(b"nonsense")
    assert len(peer.violations) == 2
    with pytest.raises(ConnectionError):
        await peer.sctp._handle_data(b"lost")
    assert len(peer.violations) == 2
