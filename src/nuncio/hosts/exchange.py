"""One request of the native HTTP path, and its response as bytes. [compiled]"""

from __future__ import annotations

import http
from typing import Any, Final

from nuncio.engine.request import Exchange, Request

STATUS_LINES: Final = {
    int(status): f"HTTP/1.1 {int(status)} {status.phrase}\r\n".encode()
    for status in http.HTTPStatus
}

# The few sets of headers that nearly all responses have are encoded once.
_encoded: Final[dict[tuple[tuple[str, str], ...], bytes]] = {}
_MOST_ENCODED: Final = 64


def encode_headers(headers: list[tuple[str, str]]) -> bytes:
    """Header lines as bytes."""
    key = tuple(headers)
    block = _encoded.get(key)
    if block is None:
        lines = [name + ": " + value + "\r\n" for name, value in headers]
        block = "".join(lines).encode("latin-1")
        if len(_encoded) < _MOST_ENCODED:
            _encoded[key] = block
    return block


class HTTPExchange(Exchange):
    """A request on a connection of `NuncioHTTPProtocol`.

    Args:
        request: the request.
        protocol: the connection.
        keep_alive: whether the peer wants to go on with this connection.

    Attributes:
        keep_alive: whether it stays open after the response.
    """

    __slots__ = ("_chunked", "_complete", "_pending", "_protocol", "_silent", "keep_alive")

    def __init__(self, request: Request, protocol: Any, keep_alive: bool) -> None:
        super().__init__(request)
        self.keep_alive = keep_alive
        self._protocol = protocol
        self._pending = b""
        self._complete = False

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """See `Exchange.write`."""
        protocol = self._protocol
        if ("Connection", "close") in headers:
            self.keep_alive = False
            headers = [pair for pair in headers if pair[0] != "Connection"]
        line = STATUS_LINES.get(status)
        if line is None:
            line = b"HTTP/1.1 " + str(status).encode() + b" \r\n"
        parts = [line, encode_headers(headers)]
        for name, value in protocol.server_state.default_headers:
            parts.append(name + b": " + value + b"\r\n")
        if status != 304:
            # There it would be the length of what is not sent (RFC 9110, section 8.6).
            parts.append(b"content-length: " + str(len(body)).encode() + b"\r\n")
        if self.keep_alive and not protocol.pipelined:
            parts.append(b"\r\n")
        else:
            self.keep_alive = False
            parts.append(b"connection: close\r\n\r\n")
        if self.request.method != "HEAD":
            parts.append(body)
        protocol.answered(b"".join(parts), self.keep_alive)

    # An answer whose body comes in pieces.

    def start(self, status: int, headers: list[tuple[str, str]]) -> None:
        """See `Exchange.start`."""
        protocol = self._protocol
        # HTTP/1.0 knows no chunks: there the end of the connection ends the body.
        self._chunked: bool = not protocol.old
        self._silent: bool = self.request.method == "HEAD"
        if protocol.old or protocol.pipelined or ("Connection", "close") in headers:
            self.keep_alive = False
        line = STATUS_LINES.get(status)
        if line is None:
            line = b"HTTP/1.1 " + str(status).encode() + b" \r\n"
        parts = [line]
        for header, text in headers:
            if header != "Connection":
                parts.append((header + ": " + text + "\r\n").encode("latin-1"))
        for name, value in protocol.server_state.default_headers:
            parts.append(name + b": " + value + b"\r\n")
        if self._chunked:
            parts.append(b"transfer-encoding: chunked\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        parts.append(b"\r\n")
        protocol.started(b"".join(parts))

    def put(self, data: bytes) -> None:
        """See `Exchange.put`."""
        if self._silent:
            return
        if self._chunked:
            data = hex(len(data))[2:].encode() + b"\r\n" + data + b"\r\n"
        self._protocol.transport.write(data)

    def complete(self) -> None:
        """See `Exchange.complete`."""
        if self._protocol.pipelined:
            self.keep_alive = False
        last = b"0\r\n\r\n" if self._chunked and not self._silent else b""
        self._protocol.answered(last, self.keep_alive)

    def sever(self) -> None:
        """See `Exchange.sever`."""
        self._protocol.transport.abort()

    @property
    def behind(self) -> bool:
        """See `Exchange.behind`."""
        paused: bool = self._protocol.flow.write_paused
        return paused

    def caught_up(self) -> None:
        """The peer has read what was written."""
        receiver = self.receiver
        if self.streaming and receiver is not None:
            receiver.caught_up(self)

    # What arrives.

    def body_chunk(self, data: bytes) -> None:
        """Some of the body arrived."""
        if self.done or self.request.method != "POST":
            return
        receiver = self.receiver
        if receiver is None or self._pending or not receiver.when_ready(self.go_on):
            # What one read may bring; reading is paused until it can be taken.
            self._pending += data
            self._protocol.flow.pause_reading()
        else:
            receiver.body_chunk(self, data)

    def body_end(self) -> None:
        """The request is complete."""
        self._complete = True
        receiver = self.receiver
        if not self.done and receiver is not None and not self._pending:
            if self.request.method == "POST":
                receiver.body_end(self)

    def settled(self, _: Any) -> None:
        """The engine has decided about a request for which it had to wait."""
        receiver = self.receiver
        if self.done or receiver is None:
            self._protocol.flow.resume_reading()
        elif receiver.when_ready(self.go_on):
            self.go_on()

    def go_on(self) -> None:
        """The body may be read now."""
        pending = self._pending
        self._pending = b""
        self._protocol.flow.resume_reading()
        if pending:
            self.body_chunk(pending)
        if self._complete:
            self.body_end()

    def lost(self) -> None:
        """The peer is gone."""
        receiver = self.receiver
        if not self.done or self.streaming:
            self.done = True
            self.streaming = False
            self.receiver = None
            if receiver is not None:
                receiver.aborted(self)
