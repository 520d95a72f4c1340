"""What the chat remembers: who is called what, and what was said in each room.

Nothing here knows about Socket.IO: `app.py` turns events into calls on these classes. All of it
lives in memory, and every part has a bound.
"""

from __future__ import annotations

import secrets
import time
import unicodedata
from collections import deque
from typing import Any

NAME_LENGTH = 24
ROOM_LENGTH = 32
ROOMS_AT_MOST = 60
HISTORY_MESSAGES = 100
HISTORY_IMAGES = 10  # the JavaScript client takes no packet with more attachments
HISTORY_IMAGE_BYTES = 4 * 1024 * 1024

Message = dict[str, Any]


def tidy(text: object, length: int) -> str:
    """A name in the form in which it is kept: single spaces; empty when it will not do."""
    if not isinstance(text, str) or len(text) > 4 * length:
        return ""
    name = " ".join(unicodedata.normalize("NFKC", text).split())
    return name if len(name) <= length and name.isprintable() else ""


class Names:
    """The nicknames in use. One person may have several pages open; two may not share a name."""

    def __init__(self) -> None:
        self._holders: dict[str, tuple[str, set[str]]] = {}

    def free(self, name: str, key: str) -> bool:
        """Whether the holder of `key`, a secret of one browser tab, may be called `name`."""
        holder = self._holders.get(name.casefold())
        return holder is None or secrets.compare_digest(holder[0].encode(), key.encode())

    def take(self, name: str, key: str, socket_id: str) -> bool:
        """Give the name to a socket; false when somebody else has it."""
        if not self.free(name, key):
            return False
        self._holders.setdefault(name.casefold(), (key, set()))[1].add(socket_id)
        return True

    def release(self, name: str, socket_id: str) -> None:
        """A socket is gone; the name is free again when it was the last of its holder."""
        _, sockets = self._holders.get(name.casefold(), ("", set()))
        sockets.discard(socket_id)
        if not sockets:
            self._holders.pop(name.casefold(), None)


class Room:
    """One room: the people in it and the last things said there."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._people: dict[str, set[str]] = {}
        self._history: deque[tuple[str, Message]] = deque()
        self._by_key: dict[tuple[str, str], Message] = {}
        self._images = 0
        self._image_bytes = 0

    @property
    def people(self) -> list[str]:
        """The names of those present, in alphabetical order."""
        return sorted(self._people, key=str.casefold)

    @property
    def history(self) -> list[Message]:
        """What was said, oldest first."""
        return [message for _, message in self._history]

    def enter(self, name: str, socket_id: str) -> bool:
        """A socket joined; true when its owner was not here before."""
        newcomer = name not in self._people
        self._people.setdefault(name, set()).add(socket_id)
        return newcomer

    def leave(self, name: str, socket_id: str) -> bool:
        """A socket left; true when its owner has gone with it."""
        sockets = self._people.get(name, set())
        sockets.discard(socket_id)
        return not sockets and self._people.pop(name, None) is not None

    def said(self, name: str, key: str) -> Message | None:
        """The message that came before under this key: a page sends again after a lost answer."""
        return self._by_key.get((name, key))

    def say(self, name: str, key: str, *, text: str = "", image: bytes = b"") -> Message:
        """Keep a message, and forget the oldest when they are too many or too heavy."""
        message: Message = {
            "id": secrets.token_urlsafe(9),
            "room": self.name,
            "name": name,
            "at": time.time_ns() // 1_000_000,
        }
        message |= {"image": image} if image else {"text": text}
        self._history.append((key, message))
        self._by_key[name, key] = message
        self._images += bool(image)
        self._image_bytes += len(image)
        while self._too_much():
            self._forget_oldest()
        return message

    def _too_much(self) -> bool:
        return (
            len(self._history) > HISTORY_MESSAGES
            or self._images > HISTORY_IMAGES
            or self._image_bytes > HISTORY_IMAGE_BYTES
        )

    def _forget_oldest(self) -> None:
        key, message = self._history.popleft()
        self._by_key.pop((message["name"], key), None)
        image = message.get("image", b"")
        self._images -= bool(image)
        self._image_bytes -= len(image)
