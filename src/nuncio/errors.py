"""Every exception Nuncio raises, and every reason for which a connection ends.

NuncioError
 ├── ConnectError        raise it in a middleware to refuse a connection; a client gets it
 │    ├── TransportError a client's transport could not connect, or failed
 │    └── ConnectTimeout a client did not connect in time; also a TimeoutError
 ├── EventError          raise it in a socket middleware to drop an event
 ├── ArgumentError       what a client sent does not fit the handler's annotations
 ├── RateLimited         a client sent more than it may
 ├── AckError            an awaited acknowledgement will not come
 │    ├── AckTimeout     … in time; also a TimeoutError
 │    ├── Dropped        … because the event was dropped
 │    └── Disconnected   … because the connection ended
 ├── ReceiveTimeout      no event came in time, for a blocking client; also a TimeoutError
 ├── ClusterTimeout      other servers did not answer in time; also a TimeoutError
 │    └── ClusterUnavailable … because they cannot be reached
 ├── LimitExceeded       one of `nuncio.Limits` was reached by the application itself
 ├── PacketError         bytes from the peer are not a packet
 └── OptionError         wrong use by the programmer, naming the fix; also a ValueError
"""

from __future__ import annotations

from enum import StrEnum


class NuncioError(Exception):
    """The base of everything Nuncio raises on purpose."""


class ConnectError(NuncioError):
    """Refuse a connection to a namespace; the client receives `connect_error`.

    Args:
        message: what the client sees as `err.message`, here `error.message`.
        data: anything JSON can hold; the client sees it as `err.data`, here `error.data`.
    """

    def __init__(self, message: str, data: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class TransportError(ConnectError):
    """A client's transport could not reach the server, or failed.

    Attributes:
        transport: its name; empty when it was none.
        status: the HTTP status with which the server answered, 0 when it did not.
        body: what it answered, as far as it is short.
    """

    def __init__(self, message: str, transport: str = "", status: int = 0, body: str = "") -> None:
        super().__init__(message)
        self.transport = transport
        self.status = status
        self.body = body


class ConnectTimeout(ConnectError, TimeoutError):
    """A client did not connect within its option `timeout`."""

    def __init__(self, seconds: float) -> None:
        super().__init__("timeout")
        self.seconds = seconds


class EventError(NuncioError):
    """Drop an event in a socket middleware; the socket's `error` listeners receive it.

    It never reaches the client.

    Args:
        message: why the event was dropped.
        data: anything, for the listeners.
    """

    def __init__(self, message: str, data: object = None) -> None:
        super().__init__(message)
        self.message = message
        self.data = data


class ArgumentError(NuncioError):
    """The arguments of an event do not fit what its handler declares.

    Attributes:
        event: the event's name.
        argument: the parameter's name.
        detail: what was wrong, with the path inside the value.
    """

    def __init__(self, event: str, argument: str, detail: str) -> None:
        super().__init__(f"event {event!r}, argument {argument!r}: {detail}")
        self.event = event
        self.argument = argument
        self.detail = detail

    def answer(self) -> dict[str, object]:
        """The structured acknowledgement that the client receives."""
        return {
            "error": {
                "code": "invalid_argument",
                "argument": self.argument,
                "message": self.detail,
            }
        }


class RateLimited(NuncioError):
    """A client sent more than a rate allows.

    Of a handler's own rate `io.on_error` is told. Of events that were dropped before any handler
    the socket's `error` listeners are told, once a second at most.

    Attributes:
        event: the event's name.
        retry_after: seconds until it may send the next one.
    """

    def __init__(self, event: str, retry_after: float) -> None:
        super().__init__(f"event {event!r}: too many; wait {retry_after:.3g} seconds")
        self.event = event
        self.retry_after = retry_after

    def answer(self) -> dict[str, object]:
        """The structured acknowledgement that the client receives."""
        return {"error": rate_limited(self.retry_after)}


def rate_limited(retry_after: float) -> dict[str, object]:
    """How a client is told that it sent too much, wherever it is told."""
    return {
        "code": "rate_limited",
        "retry_after": round(retry_after, 3),
        "message": "Too many requests",
    }


class AckError(NuncioError):
    """An acknowledgement that was waited for will not come."""


class AckTimeout(AckError, TimeoutError):
    """No acknowledgement came in time.

    Attributes:
        responses: for a broadcast, the answers that did come.
    """

    def __init__(self, responses: list[object] | None = None) -> None:
        super().__init__("operation has timed out")
        self.responses: list[object] = [] if responses is None else responses


class Disconnected(AckError):
    """The connection ended before the acknowledgement came.

    Attributes:
        reason: the disconnect reason.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"socket has been disconnected: {reason}")
        self.reason = reason


class ReceiveTimeout(NuncioError, TimeoutError):
    """A blocking client has received no event in time.

    Attributes:
        names: of the events that it waited for; empty for any.
        seconds: how long it waited.
    """

    def __init__(self, names: tuple[str, ...], seconds: float) -> None:
        wanted = f" named {' or '.join(map(repr, names))}" if names else ""
        super().__init__(f"no event{wanted} came within {seconds:g} seconds")
        self.names = names
        self.seconds = seconds


class ClusterTimeout(NuncioError, TimeoutError):
    """Other servers of the cluster did not answer in time.

    Attributes:
        responses: what is known without them.
    """

    def __init__(self, received: int, expected: int, responses: list[object]) -> None:
        super().__init__(f"only {received} of {expected} servers answered in time")
        self.responses = responses


class ClusterUnavailable(ClusterTimeout):
    """What joins the servers, such as Redis, cannot be reached, so they were not asked.

    Attributes:
        responses: what is known without them.
    """

    def __init__(self, why: str, responses: list[object]) -> None:
        NuncioError.__init__(self, f"the other servers cannot be asked: {why}")
        self.responses = responses


class Dropped(AckError):
    """The event was dropped, so it cannot be acknowledged: the peer is behind, or not there."""

    def __init__(self, why: str = "the client is behind") -> None:
        super().__init__(f"the event was dropped: {why}")


class LimitExceeded(NuncioError):
    """The application reached one of its own limits (see `nuncio.Limits`)."""


class PacketError(NuncioError):
    """What a peer sent is not a valid packet (Socket.IO protocol v5, "Packet encoding")."""


class OptionError(NuncioError, ValueError):
    """An option or argument given by the programmer is wrong; the text names it and the fix."""


class DisconnectReason(StrEnum):
    """Why a connection ended. Members are strings, equal to the official words.

    A client's are the same where they fit, and two more: `IO_SERVER_DISCONNECT` and
    `IO_CLIENT_DISCONNECT`, after which it does not reconnect.

    Three are Nuncio's own. `SLOW_CONSUMER`: the peer did not read, and its outgoing buffer was
    full. `RATE_LIMITED`: it sent more than it may. `AUTH_EXPIRED`: the time was up until which it
    had proved who it is.
    """

    SERVER_NAMESPACE_DISCONNECT = "server namespace disconnect"
    CLIENT_NAMESPACE_DISCONNECT = "client namespace disconnect"
    SERVER_SHUTTING_DOWN = "server shutting down"
    PING_TIMEOUT = "ping timeout"
    TRANSPORT_CLOSE = "transport close"
    TRANSPORT_ERROR = "transport error"
    PARSE_ERROR = "parse error"
    FORCED_CLOSE = "forced close"
    FORCED_SERVER_CLOSE = "forced server close"
    SLOW_CONSUMER = "slow consumer"
    RATE_LIMITED = "rate limited"
    AUTH_EXPIRED = "auth expired"
    IO_SERVER_DISCONNECT = "io server disconnect"
    IO_CLIENT_DISCONNECT = "io client disconnect"
