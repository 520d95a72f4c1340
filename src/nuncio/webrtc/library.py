"""aiortc: where it comes from, and what of it has to be steered from inside.

It is written for peers that know each other. Towards strangers some things are missing, and it has
no other place for them than its inner methods, so what is used of those stands here, and it is
looked whether they are there before anybody relies on it:

* which addresses of this machine are used;
* what is kept of datagrams, and of addresses that a peer sends from;
* back-pressure: a peer whose messages wait is told so, and what it sends in spite of that is not
  taken (RFC 9260, sections 6.1 and 6.2);
* how much is under way at once: more than the other socket holds is lost, which costs seconds;
* bytes that it does not expect, which it answers with an exception in a task of its own;
* an end in the moment in which it connects: it would ask the peer for ever whether it is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from nuncio.errors import OptionError
from nuncio.webrtc.options import IceServer

# Datagrams of one connection that wait to be read; more are lost, as datagrams may be.
MOST_DATAGRAMS: Final = 1024

# Addresses of one peer.
MOST_ADDRESSES: Final = 48

# Bytes that are sent before some are acknowledged. Sockets hold about twice as much.
MOST_UNDER_WAY: Final = 131_072

# Pieces of messages of one peer that wait for others.
MOST_PIECES: Final = 4096

# What is relied on.
_SCTP: Final = ("_receive_data_chunk", "_receive_sack_chunk", "_handle_data", "_send_sack")
_ICE: Final = ("get_component_candidates", "check_incoming", "connect", "close")


def load() -> Any:
    """The module aiortc.

    Raises:
        OptionError: when it is not installed, or is one that cannot be steered.
    """
    try:
        import aiortc
    except ImportError as error:
        raise OptionError(f"webrtc needs aiortc ({error}): pip install 'nuncio[webrtc]'") from error
    from aioice import Connection

    for owner, names in (
        (aiortc.RTCSctpTransport, _SCTP),
        (Connection, _ICE),
    ):
        for name in names:
            if not callable(getattr(owner, name, None)):
                raise OptionError(
                    f"webrtc: this release of aiortc is not known to work, for it has no {name}: "
                    "pip install --upgrade 'nuncio[webrtc]'"
                )
    return aiortc


def new_connection(ice_servers: Sequence[IceServer]) -> Any:
    """A peer connection; nothing is sent yet."""
    aiortc = load()
    servers = [
        aiortc.RTCIceServer(**(server if isinstance(server, Mapping) else {"urls": server}))
        for server in ice_servers
    ]
    return aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=servers))


def description(kind: str, text: str) -> Any:
    """A session description for a peer connection."""
    return load().RTCSessionDescription(text, kind)


def choose_addresses(connection: Any, addresses: Sequence[str] | None, *, loopback: bool) -> None:
    """Say where the peer may reach this side.

    Args:
        connection: a peer connection that knows that it will have a data channel.
        addresses: of this machine; None for those of all network interfaces.
        loopback: whether that includes the one at which only this machine itself reaches it. It is
            used anyway where there is no other.
    """
    ice = _ice(connection)
    gather = ice.get_component_candidates

    def gather_ours(component: int, addresses: list[str], **rest: Any) -> Any:
        found = list(given or addresses)
        if not given and (loopback or not found):
            found.append("127.0.0.1")
        return gather(component=component, addresses=found, **rest)

    given = list(addresses or ())
    ice.get_component_candidates = gather_ours


def bound_what_is_kept(connection: Any) -> None:
    """Keep no more of datagrams and addresses than a peer needs."""
    ice = _ice(connection)
    ice._queue = _Datagrams()
    check = ice.check_incoming

    def check_incoming(message: Any, address: tuple[str, int], protocol: Any) -> None:
        known = ice._remote_candidates
        if len(known) < MOST_ADDRESSES or any(
            one.port == address[1] and one._network_host == address[0] for one in known
        ):
            check(message, address, protocol)

    ice.check_incoming = check_incoming


def stay_closed(connection: Any) -> None:
    """What is closed while it connects begins nothing any more."""
    ice = _ice(connection)
    connect, close = ice.connect, ice.close
    closed = False

    async def connect_unless_closed() -> None:
        await connect()
        if closed:
            ice._query_consent_task.cancel()
            raise ConnectionError("it was closed while it connected")

    async def close_for_good() -> None:
        nonlocal closed
        closed = True
        await close()

    ice.connect, ice.close = connect_unless_closed, close_for_good


def bound_what_is_under_way(connection: Any) -> None:
    """Send no more at once than the other side's socket holds."""
    sctp = connection.sctp
    receive = sctp._receive_sack_chunk

    async def receive_sack_chunk(chunk: Any) -> None:
        # Before, for it is sent within; there it grows by one packet at most.
        sctp._cwnd = min(sctp._cwnd, MOST_UNDER_WAY)
        await receive(chunk)

    sctp._receive_sack_chunk = receive_sack_chunk


def _ice(connection: Any) -> Any:
    return connection.sctp.transport.transport.iceGatherer._connection


class _Datagrams(asyncio.Queue[Any]):
    """A queue that loses what it has no room for."""

    def put_nowait(self, item: Any) -> None:
        """Keep a datagram, or None for the end, which is never lost."""
        if item is None or self.qsize() < MOST_DATAGRAMS:
            super().put_nowait(item)


class Gate:
    """What comes in over a peer connection: how much, and whether it is what is expected.

    Args:
        connection: a peer connection that knows that it will have a data channel.
        violated: called with a description when the peer sends what makes no sense.
    """

    def __init__(self, connection: Any, violated: Callable[[str], None]) -> None:
        self._sctp = connection.sctp
        self._violated = violated
        self._take = self._sctp._receive_data_chunk
        self._handle = self._sctp._handle_data
        self._stream: int | None = None
        self._update: asyncio.Task[None] | None = None
        self._sctp._receive_data_chunk = self._receive_data_chunk
        self._sctp._handle_data = self._handle_data

    def hold(self, size: int) -> None:
        """So many bytes that have arrived wait here: the peer may have so many less under way."""
        self._sctp._advertised_rwnd -= size

    def let_go(self, size: int) -> None:
        """They do not any longer."""
        sctp = self._sctp
        empty = sctp._advertised_rwnd <= 0
        sctp._advertised_rwnd += size
        if empty and sctp._advertised_rwnd > 0 and sctp.state == "connected":
            # A peer that was told to stop must be told to go on.
            self._update = asyncio.ensure_future(self._tell())

    async def _tell(self) -> None:
        try:
            await self._sctp._send_sack()
        except ConnectionError:
            pass

    async def _handle_data(self, data: bytes) -> None:
        try:
            await self._handle(data)
        except ConnectionError:
            raise
        except Exception as error:
            self._violated(f"the peer broke the rules of SCTP: {error!r}")

    async def _receive_data_chunk(self, chunk: Any) -> None:
        if self._stream is None:
            self._stream = chunk.stream_id
        if chunk.stream_id != self._stream:
            self._violated("the peer opened a second data channel")
        elif self._has_room(chunk):
            await self._take(chunk)
        else:
            # It is acknowledged what was taken before; the peer sends the rest again.
            self._sctp._sack_needed = True

    def _has_room(self, chunk: Any) -> bool:
        sctp = self._sctp
        if sctp._advertised_rwnd <= 0:
            return False
        stream = sctp._inbound_streams.get(chunk.stream_id)
        pieces = 0 if stream is None else len(stream.reassembly)
        if pieces < MOST_PIECES:
            return True
        # The very next one may be what the others wait for.
        following = (sctp._last_received_tsn + 1) % 2**32
        return pieces < 2 * MOST_PIECES and bool(chunk.tsn == following)
