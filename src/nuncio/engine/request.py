"""An HTTP request as a host saw it, and the exchange that answers it. [compiled]

Most requests are polls, of which hardly a header is looked at, so headers are parsed when somebody
asks. The first request lives as long as its session (the handshake shows it to the application), so
its headers are kept as one block of bytes.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote_plus

from mypy_extensions import mypyc_attr

from nuncio.protocol.dialects import Dialect

MAX_PARAMETERS: Final = 256

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_VALUE: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

Headers = list[tuple[bytes, bytes]]


def header_list(block: bytes) -> Headers:
    """The headers of a block of lines, names in lower case."""
    headers: Headers = []
    for line in block.split(b"\r\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers.append((name.strip().lower(), value.strip()))
    return headers


def parse_query(query_string: str) -> dict[str, str]:
    """Query parameters; of repeated ones the last wins, and of very many only the first count."""
    query: dict[str, str] = {}
    encoded = "%" in query_string or "+" in query_string
    for pair in query_string.split("&", MAX_PARAMETERS)[:MAX_PARAMETERS]:
        name, _, value = pair.partition("=")
        if encoded:
            name = unquote_plus(name)
            value = unquote_plus(value)
        if name:
            query[name] = value
    return query


class Request:
    """One HTTP request, of any host.

    Attributes:
        method: upper case.
        path: decoded, without query.
        query_string: as it came, without `?`.
        client: the peer's address and port, None where there is none (Unix sockets).
        secure: whether it came over TLS.
        state: the middlewares' own; None until one sets it.
    """

    __slots__ = (
        "_block",
        "_headers",
        "_list",
        "_query",
        "client",
        "method",
        "path",
        "query_string",
        "secure",
        "state",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query_string: str,
        headers: Headers,
        client: tuple[str, int] | None,
        secure: bool,
    ) -> None:
        self.method = method
        self.path = path
        self.query_string = query_string
        self._list: Headers | None = headers
        self._block = b""
        self.client = client
        self.secure = secure
        self.state: Any = None
        self._headers: dict[str, str] | None = None
        self._query: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Headers by lower-case name; repeated ones are joined as HTTP says."""
        headers = self._headers
        if headers is None:
            headers = {}
            for raw, raw_value in self.header_list():
                name = raw.decode("latin-1")
                value = raw_value.decode("latin-1")
                before = headers.get(name)
                if before is not None:
                    value = before + ("; " if name == "cookie" else ", ") + value
                headers[name] = value
            self._headers = headers
        return headers

    def header(self, name: bytes) -> str | None:
        """One header, without parsing the others; repeated ones are joined.

        Args:
            name: in lower case.
        """
        found: str | None = None
        for raw, value in self.header_list():
            if raw == name:
                text = value.decode("latin-1")
                found = text if found is None else found + ", " + text
        return found

    def header_list(self) -> Headers:
        """Names in lower case, and values, as they came."""
        headers = self._list
        return header_list(self._block) if headers is None else headers

    @property
    def query(self) -> dict[str, str]:
        """Query parameters; of repeated ones the last wins."""
        query = self._query
        if query is None:
            query = parse_query(self.query_string)
            self._query = query
        return query

    @property
    def url(self) -> str:
        """Path and query, as in the request line."""
        return self.path + "?" + self.query_string if self.query_string else self.path

    def forget(self) -> None:
        """Keep only what a long-lived session needs; the rest can be parsed again."""
        headers = self._list
        if headers is not None:
            self._block = b"".join([name + b":" + value + b"\r\n" for name, value in headers])
            self._list = None
        self._headers = None
        self._query = None


@mypyc_attr(allow_interpreted_subclasses=True)
class Exchange:
    """A request and the way to answer it. Each host has its own kind.

    The body, where there is one, is handed to `receiver` as it comes, so that limits hold before
    memory is taken.

    Attributes:
        request: what was asked.
        headers: what middlewares and CORS add to the response, whatever its status.
        receiver: who takes the body and is told when the peer goes away.
        done: whether it was answered, or the answer has begun.
        streaming: whether an answer has begun whose body is not complete.
    """

    __slots__ = ("done", "headers", "receiver", "request", "streaming")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.headers: list[tuple[str, str]] = []
        self.receiver: Receiver | None = None
        self.done = False
        self.streaming = False

    def set_header(self, name: str, value: str) -> None:
        """Add a header to the response.

        Raises:
            ValueError: when the name is no token, or the value holds control characters or what
                Latin-1 does not have: either could break out of the response's head.
        """
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"name: {name!r} is no header name")
        if _NOT_IN_VALUE.search(value) is not None:
            raise ValueError(f"value: header {name!r} cannot hold {value!r}")
        self.headers.append((name, value))

    def respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Answer, once; further answers are ignored.

        Raises:
            ValueError: for a status that is none.
        """
        if not 200 <= status <= 599:
            raise ValueError(f"status must be from 200 to 599, not {status!r}")
        if not self.done:
            self.done = True
            self.receiver = None
            self.write(status, self.headers + headers, body)

    def end(self, status: int, body: bytes | str = b"", content_type: str = "text/plain") -> None:
        """Answer from a middleware; the engine then does not see the request.

        Args:
            status: the HTTP status.
            body: text or bytes.
            content_type: of the body.
        """
        data = body.encode() if isinstance(body, str) else body
        self.respond(status, [("Content-Type", content_type)], data)

    def write(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Put the response on the wire: what a host implements."""
        raise NotImplementedError

    # An answer whose body comes in pieces.

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Begin an answer whose body comes with `chunk`, until `finish`.

        Once an answer has begun, or was given, this does nothing. The receiver is told when the
        peer goes away, and when it has caught up.

        Raises:
            ValueError: for a status that is none.
        """
        if not 200 <= status <= 599:
            raise ValueError(f"status must be from 200 to 599, not {status!r}")
        if not self.done:
            self.done = True
            self.streaming = True
            self.start(status, self.headers + headers)

    def chunk(self, data: bytes) -> None:
        """Some of the body; it leaves at once. Nothing happens once the answer has ended."""
        if self.streaming and data:
            self.put(data)

    def finish(self) -> None:
        """The body is complete."""
        if self.streaming:
            self.streaming = False
            self.receiver = None
            self.complete()

    def abort(self) -> None:
        """Cut the answer short, so that the peer sees that it is not complete."""
        if self.streaming:
            self.streaming = False
            self.receiver = None
            self.sever()

    @property
    def behind(self) -> bool:
        """Whether the peer does not read as fast as is written; see `Receiver.caught_up`."""
        return False

    def start(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Put the head of such an answer on the wire: what a host implements."""
        raise NotImplementedError

    def put(self, data: bytes) -> None:
        """Put some of the body on the wire: what a host implements."""
        raise NotImplementedError

    def complete(self) -> None:
        """End the body as HTTP says: what a host implements."""
        raise NotImplementedError

    def sever(self) -> None:
        """Cut the connection, or the stream of HTTP/2: what a host implements."""
        raise NotImplementedError

    @property
    def alive(self) -> bool:
        """Whether the peer is, as far as the host knows, still there."""
        return True

    def accept(self, dialect: Dialect | None = None) -> Any:
        """Complete a WebSocket handshake.

        Args:
            dialect: how the client's frames are written; None for revision 4's plain way.

        Returns:
            The new transport.

        Raises:
            TypeError: when this is no handshake.
        """
        raise TypeError("this request is not a WebSocket handshake")


@mypyc_attr(allow_interpreted_subclasses=True)
class Receiver:
    """Takes the body of a request."""

    __slots__ = ()

    def when_ready(self, callback: Any) -> bool:
        """Whether the body may be read now; if not, `callback()` is called once when it may."""
        raise NotImplementedError

    def body_chunk(self, exchange: Exchange, data: bytes) -> None:
        """Some more of the body."""
        raise NotImplementedError

    def body_end(self, exchange: Exchange) -> None:
        """The body is complete."""
        raise NotImplementedError

    def aborted(self, exchange: Exchange) -> None:
        """The peer went away before it was answered completely."""
        raise NotImplementedError

    def caught_up(self, exchange: Exchange) -> None:
        """The peer was behind with an answer that comes in pieces, and is no longer."""
