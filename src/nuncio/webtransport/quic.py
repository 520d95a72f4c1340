"""QUIC and HTTP/3 by aioquic, with what a server of strangers needs beside.

This is the one module that knows aioquic from inside; all else goes through it. Three things are
other than there:

- Windows slide. In aioquic they double, so that in the end a peer may send as much at once as it
  has sent all its life. Here a stream's window moves on when what came was used, which is also how
  reading is paused.
- How much waits to be sent, and to be acknowledged, can be asked for.
- What peers do wrong is logged at debug level.
- Headers are decoded without a dynamic table: a few bytes cannot become megabytes.
"""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Final

import pylsqpack
from aioquic.h3.connection import H3Connection, Setting
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicFrameType

if TYPE_CHECKING:
    from aioquic.quic.stream import QuicStream

# Before a client was let in: all it sends must fit into this, and so does what it makes us hold.
SMALL_WINDOW: Final = 64 * 1024

# Of a stream that carries a session; and of the connection, for all its streams together.
WINDOW: Final = 1024 * 1024

# Streams that a client may have open at once. A session needs two.
STREAMS: Final = 16

# A frame that raises a limit: its type, and two integers of up to eight bytes.
_LIMIT_FRAME: Final = 17

_log = logging.getLogger("nuncio.webtransport")


class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """Logs everything at debug level."""

    def log(self, level: int, msg: object, *args: Any, **kwargs: Any) -> None:
        super().log(logging.DEBUG, msg, *args, **kwargs)

    def process(
        self, msg: Any, kwargs: MutableMapping[str, Any]
    ) -> tuple[Any, MutableMapping[str, Any]]:
        return msg, kwargs


class Connection(QuicConnection):
    """A QUIC connection whose windows slide."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._logger: Any = _Quiet(_log)
        self._wide: dict[int, int] = {}
        self._held: dict[int, int] = {}
        if not self.configuration.is_client:
            for limit in (self._local_max_streams_bidi, self._local_max_streams_uni):
                limit.value = limit.sent = STREAMS

    @property
    def keys(self) -> set[bytes]:
        """The connection ids by which a server's clients may address it at first."""
        first = self._retry_source_connection_id or self.original_destination_connection_id
        return {first, self.host_cid}

    @property
    def heard(self) -> bool:
        """Whether anything that came could be decrypted."""
        return any(space.largest_received_packet >= 0 for space in self._spaces.values())

    @property
    def addressed(self) -> bool:
        """Whether it is known where the peer is."""
        return bool(self._network_paths)

    @property
    def over(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._close_event is not None

    @property
    def end(self) -> ConnectionTerminated | None:
        """How it ends, from the moment at which that is known."""
        return self._close_event

    @property
    def certificate_hash(self) -> bytes:
        """The SHA-256 of the server's certificate; empty before it has come."""
        from cryptography.hazmat.primitives import hashes

        certificate = self.tls._peer_certificate
        return b"" if certificate is None else certificate.fingerprint(hashes.SHA256())

    def widen(self, stream_id: int) -> None:
        """Give a stream the window of a session."""
        self._wide[stream_id] = WINDOW

    def hold(self, stream_id: int, size: int) -> None:
        """Of what a stream has brought, so many bytes are not used yet: the window stands still."""
        if size:
            self._held[stream_id] = size
        else:
            self._held.pop(stream_id, None)

    def forget(self, stream_id: int) -> None:
        """A stream is of no more interest."""
        self._wide.pop(stream_id, None)
        self._held.pop(stream_id, None)

    def unsent(self, stream_id: int) -> int:
        """How many bytes of a stream wait to be sent or to be acknowledged."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else len(stream.sender._buffer)

    def delivered(self, stream_id: int) -> bool:
        """Whether the peer has got all of a stream, its end among it."""
        stream = self._streams.get(stream_id)
        return stream is None or stream.sender.is_finished

    def can_write(self, stream_id: int) -> bool:
        """Whether a stream takes data: it is there, and was not ended or reset."""
        stream = self._streams.get(stream_id)
        return (
            not self.over
            and stream is not None
            and stream.sender._reset_error_code is None
            and stream.sender._buffer_fin is None
        )

    def stop(self, stream_id: int, code: int) -> None:
        """Tell the peer to send no more on a stream."""
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.receiver.is_finished:
            self.stop_stream(stream_id, code)

    def drop_stream(self, stream_id: int, code: int) -> None:
        """End both directions of a stream at once."""
        if stream_id in self._streams and self._stream_can_send(stream_id):
            self.reset_stream(stream_id, code)
        self.stop(stream_id, code)

    # In place of aioquic's own.

    def _write_stream_limits(self, builder: Any, space: Any, stream: QuicStream) -> None:
        granted = stream.max_stream_data_local
        if not granted:
            return
        id = stream.stream_id
        assert id is not None
        window = self._wide.get(id, SMALL_WINDOW)
        receiver = stream.receiver
        used = receiver.starting_offset() - self._held.get(id, 0)
        if used + window - granted >= window // 2:
            stream.max_stream_data_local = granted = used + window
        if stream.max_stream_data_local_sent != granted and not receiver.is_finished:
            frame = builder.start_frame(
                QuicFrameType.MAX_STREAM_DATA,
                capacity=_LIMIT_FRAME,
                handler=self._on_max_stream_data_delivery,
                handler_args=(stream,),
            )
            frame.push_uint_var(id)
            frame.push_uint_var(granted)
            stream.max_stream_data_local_sent = granted

    def _write_connection_limits(self, builder: Any, space: Any) -> None:
        data = self._local_max_data
        if data.value - data.used < WINDOW // 2:
            waiting = sum(self._held.values())
            for stream in self._streams.values():
                receiver = stream.receiver
                if not receiver.is_finished:
                    waiting += receiver.highest_offset - receiver.starting_offset()
            granted = data.used - waiting + WINDOW
            if granted - data.value >= WINDOW // 4:
                data.value = granted
        self._write_limit(builder, data)
        for streams in (self._local_max_streams_bidi, self._local_max_streams_uni):
            # A few at a time.
            if streams.sent - streams.used < streams.value - streams.sent:
                self._write_limit(builder, streams)

    def _write_limit(self, builder: Any, limit: Any) -> None:
        if limit.value != limit.sent:
            frame = builder.start_frame(
                limit.frame_type,
                capacity=_LIMIT_FRAME,
                handler=self._on_connection_limit_delivery,
                handler_args=(limit,),
            )
            frame.push_uint_var(limit.value)
            limit.sent = limit.value


class HTTP3(H3Connection):
    """HTTP/3 with WebTransport, whose headers refer to the static table alone."""

    def __init__(self, quic: QuicConnection) -> None:
        super().__init__(quic, enable_webtransport=True)
        self._decoder = pylsqpack.Decoder(0, 0)

    def _get_local_settings(self) -> dict[int, int]:
        settings = super()._get_local_settings()
        settings[Setting.QPACK_MAX_TABLE_CAPACITY] = 0
        settings[Setting.QPACK_BLOCKED_STREAMS] = 0
        return settings

    @property
    def broken(self) -> bool:
        """Whether the peer did what HTTP/3 forbids; the connection is closing then."""
        return self._is_done


def configuration(*, client: bool, idle: float) -> QuicConfiguration:
    """What servers and clients have in common.

    Args:
        client: which of the two.
        idle: seconds of silence after which the connection is given up.
    """
    return QuicConfiguration(
        is_client=client,
        alpn_protocols=["h3"],
        idle_timeout=idle,
        max_data=WINDOW,
        max_stream_data=SMALL_WINDOW,
        # HTTP/3 calls for it where there is WebTransport; none are used.
        max_datagram_frame_size=65536,
    )
