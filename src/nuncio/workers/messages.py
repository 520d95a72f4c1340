"""What workers say to each other: arrays of MessagePack, each behind its length in four bytes.

Requests and tunnels are numbered by the worker where the client is. What that one says of them
(`Asked`, `Left`, `Attempted`, `Arrived`, `Writable`, `Ended`) and what the session's worker says
(`Answered`, `Begun`, `Piece`, `Granted`, `Sent`, `Reading`, `Close`) are different messages, for
each of two workers is both to the other. Whatever cannot be read ends the link.
"""

from __future__ import annotations

from typing import Final

import msgspec

# Another version's workers are not spoken with: they are of a deployment that is ending.
VERSION: Final = 1

HEAD: Final = 4


class Hello(msgspec.Struct, array_like=True, tag=0):
    """The first message of each side."""

    version: int
    tag: str
    namespaces: list[str]


class Present(msgspec.Struct, array_like=True, tag=1):
    """The sender has a namespace now, or has it no longer."""

    nsp: str
    here: bool


class Needed(msgspec.Struct, array_like=True, tag=16):
    """Clients of a dynamic namespace are to be left to the receiver, which does not have it."""

    nsp: str


class Bus(msgspec.Struct, array_like=True, tag=2):
    """A message of the cluster, for a namespace."""

    nsp: str
    data: bytes


class Told(msgspec.Struct, array_like=True):
    """A request, as the worker that received it saw it."""

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    client: tuple[str, int] | None
    secure: bool


class Asked(msgspec.Struct, array_like=True, tag=3):
    """A request of a session that the receiver holds, with its whole body."""

    id: int
    sid: str
    request: Told
    body: bytes


class Answered(msgspec.Struct, array_like=True, tag=4):
    """Its response."""

    id: int
    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Left(msgspec.Struct, array_like=True, tag=5):
    """The client went away before the response."""

    id: int


class Attempted(msgspec.Struct, array_like=True, tag=6):
    """A client opens another transport for a session that the receiver holds."""

    id: int
    sid: str
    request: Told


class Granted(msgspec.Struct, array_like=True, tag=7):
    """It may: the tunnel begins. Otherwise it is `Answered`."""

    id: int


class Arrived(msgspec.Struct, array_like=True, tag=8):
    """Packets of a client, for its session; as `nuncio.protocol.bytestream` writes them."""

    id: int
    data: bytes


class Writable(msgspec.Struct, array_like=True, tag=9):
    """Whether a client takes what is sent to it: through a tunnel, or in a response in pieces."""

    id: int
    yes: bool


class Ended(msgspec.Struct, array_like=True, tag=10):
    """The client's transport is of no more use."""

    id: int
    reason: str
    description: str


class Sent(msgspec.Struct, array_like=True, tag=11):
    """Packets of a session, for its client."""

    id: int
    data: bytes
    compress: bool


class Reading(msgspec.Struct, array_like=True, tag=12):
    """Whether what a client sends may be read."""

    id: int
    yes: bool


class Close(msgspec.Struct, array_like=True, tag=13):
    """The session has done with the transport: `close`, `discard` or `abort`."""

    id: int
    how: str


class Begun(msgspec.Struct, array_like=True, tag=14):
    """A response begins that comes in pieces."""

    id: int
    status: int
    headers: list[tuple[str, str]]


class Piece(msgspec.Struct, array_like=True, tag=15):
    """Some more of it. The last one says so, or that the response is cut short."""

    id: int
    data: bytes
    last: bool = False
    cut: bool = False


Message = (
    Hello
    | Present
    | Needed
    | Bus
    | Asked
    | Answered
    | Left
    | Attempted
    | Granted
    | Arrived
    | Writable
    | Ended
    | Sent
    | Reading
    | Close
    | Begun
    | Piece
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """A message with its length in front."""
    body = _encoder.encode(message)
    return len(body).to_bytes(HEAD, "big") + body


def decode(body: bytes | memoryview) -> Message:
    """The message of a body.

    Raises:
        msgspec.DecodeError: when it is none.
    """
    message: Message = _decoder.decode(body)
    return message
