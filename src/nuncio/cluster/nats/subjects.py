"""The names of subjects, of any namespace and room.

A subject is made of tokens between dots, and NATS gives `*`, `>` and spaces a meaning or none. So a
name keeps its letters, digits, `-` and `_`, and each other byte of its UTF-8 becomes `=` and two
hexadecimal digits: `room 1` is `room=201`. What would be too long is a digest. No two names have
the same token.
"""

from __future__ import annotations

import hashlib
import re
from base64 import urlsafe_b64encode
from typing import Final

from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Kind
from nuncio.cluster.rooms import Room
from nuncio.errors import OptionError

# What changes something for clients, and so has its place among events where these have one.
LOGGED: Final = (
    Kind.BROADCAST,
    Kind.SOCKETS_JOIN,
    Kind.SOCKETS_LEAVE,
    Kind.DISCONNECT_SOCKETS,
)

# NATS takes 4096 bytes for a whole line.
LONGEST: Final = 128
_LONGEST_PREFIX: Final = 64

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]+")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")

# These begin what no name's bytes can: digits above 9 are capital letters.
_EMPTY: Final = "="
_NUMBER: Final = "=n"
_DIGEST: Final = "=="


def token(name: str) -> str:
    """The token of a name."""
    if len(name) <= LONGEST and _PLAIN.fullmatch(name):
        return name
    data = name.encode("utf-8", "surrogatepass")
    if not data:
        return _EMPTY
    found = "".join([_byte(one) for one in data[: LONGEST + 1]])
    return found if len(found) <= LONGEST else _DIGEST + _digest(data)


def _byte(one: int) -> str:
    character = chr(one)
    return character if _PLAIN.fullmatch(character) else f"={one:02X}"


def _digest(data: bytes) -> str:
    return urlsafe_b64encode(hashlib.blake2b(data, digest_size=24).digest()).decode()


def room_token(room: Room) -> str:
    """The token of a room: 42 is another one than "42"."""
    if isinstance(room, str):
        return token(room)
    digits = f"{room:x}"
    if len(digits) < LONGEST:
        return _NUMBER + digits
    return _NUMBER + _DIGEST + _digest(digits.encode())


class Subjects:
    """The subjects of one namespace.

    Args:
        prefix: with which all begin.
        nsp: the namespace.

    Attributes:
        all: what concerns all servers.
        log: what is kept, so that clients can recover it.
    """

    def __init__(self, prefix: str, nsp: str) -> None:
        base = f"{prefix}.{token(nsp.removeprefix('/'))}"
        self.all = f"{base}.all"
        self.log = log_subject(prefix, token(nsp.removeprefix("/")))
        self._server = f"{base}.server."
        self._room = f"{base}.room."

    def server(self, uid: str) -> str:
        """What concerns the server whose adapter has this uid."""
        return self._server + token(uid)

    def room(self, room: Room) -> str:
        """What concerns one room."""
        return self._room + room_token(room)


def subject_of(subjects: Subjects, message: ClusterMessage) -> str:
    """Where a message to all servers is published: what is for one room alone, in that room."""
    told = message.data
    if message.type == Kind.BROADCAST and told.request is None:
        rooms: list[Room] = told.opts.rooms
        if len(rooms) == 1:
            return subjects.room(rooms[0])
    return subjects.all


def log_subject(prefix: str, nsp: str) -> str:
    """The subject of what is kept of a namespace, given its token; `*` for any."""
    return f"{prefix}.{nsp}.log"


def checked_prefix(prefix: object) -> str:
    """The option `subject_prefix`.

    Raises:
        OptionError: for what subjects cannot begin with.
    """
    if (
        not isinstance(prefix, str)
        or len(prefix) > _LONGEST_PREFIX
        or not _PREFIX.fullmatch(prefix)
    ):
        raise OptionError(
            "subject_prefix must be letters, digits, '-' and '_', with dots between tokens, such"
            f" as 'chat.eu', and at most {_LONGEST_PREFIX} of them, not {prefix!r}"
        )
    return prefix


def checked_stream(name: object) -> str:
    """The option `stream`.

    Raises:
        OptionError: for what cannot be the name of a stream.
    """
    if not isinstance(name, str) or len(name) > _LONGEST_PREFIX or not _PLAIN.fullmatch(name):
        raise OptionError(
            "stream must be letters, digits, '-' and '_', and at most"
            f" {_LONGEST_PREFIX} of them, not {name!r}"
        )
    return name
