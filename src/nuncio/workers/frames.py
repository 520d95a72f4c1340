"""What workers publish to each other over Redis: arrays of MessagePack.

`Here` goes to everybody who is on the common channel, and to a worker of whom one has heard. Of two
workers the one whose tag comes first calls: `Call`, then `Answer`. With that each has given the
other a key, which nobody can guess and which is good for this one link. All else begins with the
receiver's key: what has another one is of a link that is over, or of somebody else.

`Part`s are the bytes of a link, numbered from 0. Each tells what has been received of the other
direction, and so does a `Pulse`, which each sends now and then.

`Outside` goes to everybody, too: an emitter says it, which is no worker.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from nuncio.workers.rendezvous import TAG_LENGTH

# Of a key, in bytes.
KEY_LENGTH: Final = 16

_Tag = Annotated[str, msgspec.Meta(pattern=rf"^[A-Za-z0-9_-]{{{TAG_LENGTH}}}\Z")]
_Key = Annotated[bytes, msgspec.Meta(min_length=KEY_LENGTH, max_length=KEY_LENGTH)]
_Number = Annotated[int, msgspec.Meta(ge=0)]


class Here(msgspec.Struct, array_like=True, tag=0):
    """A worker is there."""

    tag: _Tag


class Call(msgspec.Struct, array_like=True, tag=1):
    """A worker asks for a link, in which it will be addressed by this key."""

    tag: _Tag
    key: _Key


class Answer(msgspec.Struct, array_like=True, tag=2):
    """It may have it, by this key; `yours` is that of the call."""

    tag: _Tag
    key: _Key
    yours: _Key


class Part(msgspec.Struct, array_like=True, tag=3):
    """The next bytes of a link. All that is numbered below `seen` was received."""

    key: _Key
    number: _Number
    seen: _Number
    data: bytes


class Pulse(msgspec.Struct, array_like=True, tag=4):
    """The sender is there; `number` is that of its next part.

    `again` says that something was lost: everything from `seen` on is to be sent again.
    """

    key: _Key
    number: _Number
    seen: _Number
    again: bool = False


class Bye(msgspec.Struct, array_like=True, tag=5):
    """The link is over."""

    key: _Key


class Outside(msgspec.Struct, array_like=True, tag=6):
    """An emitter says something to a namespace, as workers say it to each other."""

    nsp: str
    data: bytes


Frame = Here | Call | Answer | Part | Pulse | Bye | Outside

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def encode(frame: Frame) -> bytes:
    """A frame as it is published."""
    return _encoder.encode(frame)


def decode(data: bytes) -> Frame:
    """What was published.

    Raises:
        msgspec.DecodeError: when it is no frame.
    """
    frame: Frame = _decoder.decode(data)
    return frame
