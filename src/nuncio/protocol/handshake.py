"""The HTTP exchange that opens a WebSocket (RFC 6455, section 4), without I/O.

Requests and responses have been parsed by an HTTP server or client before they come here: this
module judges their headers and writes the heads. Headers come from strangers, so every reader here
takes time linear in what it reads, and what the application adds to a head cannot break out of it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

VERSION: Final = "13"

_MOST_SEPARATORS: Final = 128  # in a list of extensions; honest clients send five

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # section 1.3; the same for everybody
_TOKEN: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_NAME: Final = re.compile(_TOKEN + "+")
_KEY: Final = re.compile(r"[+/0-9A-Za-z]{22}==")  # how 16 bytes look in base64
_NOT_IN_VALUE: Final = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
_NOT_IN_TARGET: Final = re.compile(r"[^\x21-\x7e]")

# One parameter, or the name of an extension. Everything repeated is possessive: no backtracking.
_PARAMETER: Final = re.compile(
    rf'[ \t]*+({_TOKEN}++)[ \t]*+(?:=[ \t]*+(?:({_TOKEN}++)|"((?:[^"\\]|\\.)*+)")[ \t]*+)?'
)
_EMPTY_ELEMENTS: Final = re.compile(r"[ \t,]*+")
_ESCAPE: Final = re.compile(r"\\(.)")

Parameter = tuple[str, str | None]
Extension = tuple[str, list[Parameter]]


class HandshakeError(Exception):
    """A handshake that cannot be completed.

    Attributes:
        status: on the server, the HTTP status to answer with; on the client, the status that came.
        headers: headers that the answer must carry with this status.
    """

    def __init__(
        self, status: int, message: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


def make_key() -> str:
    """Make a new ``Sec-WebSocket-Key``: 16 random bytes in base64 (section 4.1)."""
    return base64.b64encode(os.urandom(16)).decode()


def accept_key(key: str) -> str:
    """Compute the ``Sec-WebSocket-Accept`` that proves a key was read (section 4.2.2).

    Args:
        key: the ``Sec-WebSocket-Key`` of the request.

    Returns:
        the value for the response.
    """
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID).digest()).decode()


def check_request(method: str, http_version: str, headers: Mapping[str, str]) -> str:
    """Judge the request that asks for a WebSocket (section 4.2.1).

    Args:
        method: the HTTP method.
        http_version: such as ``"1.1"``.
        headers: header values by lower-case name; those that came twice joined with a comma.

    Returns:
        the ``Sec-WebSocket-Accept`` for `response`.

    Raises:
        HandshakeError: with status 400; 405 when the method is not GET; 426, and the headers that
            must go with it, when the client speaks another version of the protocol.
    """
    if method != "GET":
        raise HandshakeError(405, "the method must be GET", (("Allow", "GET"),))
    if http_version != "1.1":
        raise HandshakeError(400, "a WebSocket needs HTTP/1.1")
    upgrade = headers.get("upgrade", "")
    if upgrade != "websocket" and not _has_word(upgrade, "websocket"):
        raise HandshakeError(400, "missing or invalid Upgrade header")
    connection = headers.get("connection", "")
    if connection != "Upgrade" and not _has_word(connection, "upgrade"):
        raise HandshakeError(400, "missing or invalid Connection header")
    if headers.get("sec-websocket-version", "").strip() != VERSION:
        raise HandshakeError(
            426,
            "missing or unknown Sec-WebSocket-Version header",
            (("Sec-WebSocket-Version", VERSION), ("Upgrade", "websocket")),
        )
    key = headers.get("sec-websocket-key", "").strip()
    if not _KEY.fullmatch(key):
        raise HandshakeError(400, "missing or invalid Sec-WebSocket-Key header")
    return accept_key(key)


def _has_word(value: str, word: str) -> bool:
    """Tell whether a comma-separated list has `word`, in either case."""
    return any(element.strip(" \t") == word for element in value.lower().split(","))


def response(accept: str, extra: Iterable[tuple[str, str]] = ()) -> bytes:
    """Write the head of the response that opens the WebSocket (section 4.2.2).

    Args:
        accept: what `check_request` returned.
        extra: names and values of further headers.

    Returns:
        the head, with the empty line that ends it.

    Raises:
        ValueError: if a name or value in `extra` would break the head, as CR and LF do.
    """
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    ]
    return _head(lines, extra)


def request(host: str, path: str, key: str, extra: Iterable[tuple[str, str]] = ()) -> bytes:
    """Write the head of a request for a WebSocket (section 4.1).

    Args:
        host: the value of the ``Host`` header, with the port if it is not the scheme's own.
        path: the path with its query, percent-encoded.
        key: what `make_key` returned.
        extra: names and values of further headers.

    Returns:
        the head, with the empty line that ends it.

    Raises:
        ValueError: if `host`, `path`, or a name or value in `extra` would break the head.
    """
    if not path.startswith("/") or _NOT_IN_TARGET.search(path):
        raise ValueError(f"path must begin with / and be percent-encoded, not {path!r}")
    if not host or _NOT_IN_TARGET.search(host):
        raise ValueError(f"host must be a host name with or without a port, not {host!r}")
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        f"Sec-WebSocket-Version: {VERSION}",
    ]
    return _head(lines, extra)


def _head(lines: list[str], extra: Iterable[tuple[str, str]]) -> bytes:
    for name, value in extra:
        if not _NAME.fullmatch(name):
            raise ValueError(f"extra has an invalid header name {name!r}")
        if _NOT_IN_VALUE.search(value):
            raise ValueError(f"extra has an invalid value for the header {name}: {value!r}")
        lines.append(f"{name}: {value}")
    lines.append("\r\n")
    return "\r\n".join(lines).encode("latin-1")


def check_response(
    status: int, headers: Mapping[str, str], key: str, protocols: Collection[str] = ()
) -> None:
    """Judge the response to `request` (section 4.1, at its end).

    Extensions are left to who offered them (`nuncio.protocol.deflate.accept_client`).

    Args:
        status: the HTTP status.
        headers: header values by lower-case name.
        key: the key that was sent.
        protocols: the subprotocols that were offered.

    Raises:
        HandshakeError: with the status that came, if this is not the WebSocket that was asked for.
    """
    if status != 101:
        raise HandshakeError(status, f"the server answered with status {status}")
    if headers.get("upgrade", "").strip().lower() != "websocket":
        raise HandshakeError(status, "missing or invalid Upgrade header")
    connection = headers.get("connection", "")
    if connection != "Upgrade" and not _has_word(connection, "upgrade"):
        raise HandshakeError(status, "missing or invalid Connection header")
    if headers.get("sec-websocket-accept", "").strip() != accept_key(key):
        raise HandshakeError(status, "missing or invalid Sec-WebSocket-Accept header")
    protocol = headers.get("sec-websocket-protocol")
    if protocol is not None and protocol not in protocols:
        raise HandshakeError(status, "the server chose a subprotocol that was not offered")


def parse_extensions(header: str) -> list[Extension]:
    """Read a ``Sec-WebSocket-Extensions`` header (section 9.1).

    Args:
        header: its value.

    Returns:
        for each extension, in order, its name and its parameters; None stands for no value.

    Raises:
        HandshakeError: with status 400, if it does not follow the grammar, or is very long (128
            elements).
    """
    if header.count(",") + header.count(";") > _MOST_SEPARATORS:
        raise _bad_extensions()
    extensions: list[Extension] = []
    end = len(header)
    position = _skip_empty(header, 0)
    while position < end:
        name, value, position = _parameter(header, position)
        if value is not None:
            raise _bad_extensions()
        parameters: list[Parameter] = []
        while position < end and header[position] == ";":
            parameter, value, position = _parameter(header, position + 1)
            parameters.append((parameter, value))
        if position < end and header[position] != ",":
            raise _bad_extensions()
        extensions.append((name, parameters))
        position = _skip_empty(header, position)
    return extensions


def _skip_empty(header: str, position: int) -> int:
    match = _EMPTY_ELEMENTS.match(header, position)
    assert match is not None
    return match.end()


def _parameter(header: str, position: int) -> tuple[str, str | None, int]:
    """Read ``name`` or ``name=value``; return them and where they end."""
    match = _PARAMETER.match(header, position)
    if match is None:
        raise _bad_extensions()
    name, value, quoted = match.groups()
    if quoted is not None:
        value = _ESCAPE.sub(r"\1", quoted)
        if not _NAME.fullmatch(value):  # section 9.1: once unquoted it must be a token
            raise _bad_extensions()
    return name, value, match.end()


def _bad_extensions() -> HandshakeError:
    return HandshakeError(400, "invalid Sec-WebSocket-Extensions header")
