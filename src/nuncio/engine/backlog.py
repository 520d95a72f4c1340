"""What waits for a peer that is behind, and what of it is given up. [compiled]

Messages keep their order. Those with a policy that allows it (see `nuncio.slow`) may be dropped,
and take no more than a part of the room, so that what must arrive is never cut off by what need
not. A dropped message leaves a hole, for moving all that follow would cost more than the message.
"""

from __future__ import annotations

from typing import Final

from nuncio.protocol.engineio import Message
from nuncio.slow import CONFLATE, DROP_NEWEST

# Bookkeeping of one message, counted beside its bytes so that many tiny ones are bounded.
MESSAGE_OVERHEAD: Final = 100

# So many holes are not worth being closed.
FEW_HOLES: Final = 32

# What became of a message.
KEPT: Final = 0
DROPPED: Final = 1
NO_ROOM: Final = 2


class Backlog:
    """The messages that wait for one peer.

    Args:
        most: how many bytes may wait.
        most_droppable: how many of them may belong to messages that may be dropped.

    Attributes:
        size: how many bytes wait.
        lost: what was dropped since somebody took the list away, or None.
    """

    __slots__ = (
        "_droppable",
        "_holes",
        "_keys",
        "_messages",
        "_most",
        "_most_droppable",
        "_oldest",
        "lost",
        "size",
    )

    def __init__(self, most: int, most_droppable: int) -> None:
        self._most = most
        self._most_droppable = most_droppable
        self._messages: list[Message | None] = []
        self._holes = 0
        # Bytes that may be dropped; before this index there are none.
        self._droppable = 0
        self._oldest = 0
        # Where the latest message of a key is.
        self._keys: dict[tuple[str, object], int] | None = None
        self.size = 0
        self.lost: list[Message] | None = None

    def __len__(self) -> int:
        return len(self._messages) - self._holes

    def offer(self, message: Message) -> int:
        """Take a message, if there is room.

        Returns:
            `KEPT`; or `DROPPED` by its own policy; or `NO_ROOM` for one that must not be dropped.
        """
        size = message.size + MESSAGE_OVERHEAD
        slow = message.slow
        if slow is None or not slow.droppable:
            while self.size + size > self._most and self._droppable:
                self._drop_oldest()
            if self.size + size > self._most:
                return NO_ROOM
        elif slow.kind == DROP_NEWEST:
            if self._crowded(size) or self.size + size > self._most:
                self._lose(message)
                return DROPPED
        else:
            if slow.kind == CONFLATE and self._replace(message, (slow.nsp, slow.key)):
                return KEPT
            while self._droppable and (self._crowded(size) or self.size + size > self._most):
                self._drop_oldest()
            if self.size + size > self._most:
                self._lose(message)
                return DROPPED
        self.append(message)
        return KEPT

    def _crowded(self, size: int) -> bool:
        """Whether droppable messages would take too much room; the first of them never does."""
        return self._droppable > 0 and self._droppable + size > self._most_droppable

    def append(self, message: Message) -> None:
        """Keep a message, whatever the limits say."""
        size = message.size + MESSAGE_OVERHEAD
        self.size += size
        slow = message.slow
        if slow is not None and slow.droppable:
            self._droppable += size
            if slow.kind == CONFLATE:
                keys = self._keys
                if keys is None:
                    keys = {}
                    self._keys = keys
                keys[(slow.nsp, slow.key)] = len(self._messages)
        self._messages.append(message)

    def _replace(self, message: Message, key: tuple[str, object]) -> bool:
        """Put a message into the place of an older one of the same key; False when there is none.

        Where there is no room for that, the older one only goes.
        """
        keys = self._keys
        index = -1 if keys is None else keys.get(key, -1)
        if index < 0:
            return False
        older = self._messages[index]
        assert older is not None
        more = message.size - older.size
        if self.size + more > self._most or (
            more > 0 and self._droppable + more > self._most_droppable
        ):
            self._remove(index, older)
            return False
        self._messages[index] = message
        self.size += more
        self._droppable += more
        self._lose(older)
        return True

    def _drop_oldest(self) -> None:
        """Drop the oldest message that may be dropped; there is one."""
        index = self._oldest
        while True:
            message = self._messages[index]
            if message is not None:
                slow = message.slow
                if slow is not None and slow.droppable:
                    break
            index += 1
        self._oldest = index + 1
        self._remove(index, message)

    def _remove(self, index: int, message: Message) -> None:
        size = message.size + MESSAGE_OVERHEAD
        self.size -= size
        self._droppable -= size
        slow = message.slow
        if slow is not None and slow.kind == CONFLATE and self._keys is not None:
            del self._keys[(slow.nsp, slow.key)]
        self._messages[index] = None
        self._holes += 1
        self._lose(message)
        if self._holes > FEW_HOLES and self._holes * 2 > len(self._messages):
            self._close_holes()

    def _close_holes(self) -> None:
        messages = self.take()
        self._messages = []
        self._holes = 0
        self._oldest = 0
        self._droppable = 0
        self._keys = None
        self.size = 0
        for message in messages:
            self.append(message)

    def _lose(self, message: Message) -> None:
        if self.lost is None:
            self.lost = [message]
        else:
            self.lost.append(message)

    def take(self) -> list[Message]:
        """What waits, in order."""
        return [message for message in self._messages if message is not None]
