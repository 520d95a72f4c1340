"""Redis, as what carries a link between two workers.

Redis forgets what nobody hears, so what is published is kept until the other worker says that it
has it, and sent again when it says that something is missing. That is also how it is known that a
worker does not keep up. A connection to Redis may so be lost for a moment without any client
noticing; a link ends when nothing has been heard for too long.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Final, Protocol

from nuncio.workers.frames import Bye, Frame, Part, Pulse
from nuncio.workers.link import MOST_WAITING, Link

logger = logging.getLogger("nuncio.workers")

# What one command carries. Longer messages are cut up: Redis hangs up on who is sent too much.
PART_BYTES: Final = 256 * 1024

# What may be on its way at once. The other worker says often enough what it has to keep it moving.
WINDOW_BYTES: Final = 1024 * 1024
_TELL_BYTES: Final = WINDOW_BYTES // 4

# What a part costs beside its bytes.
_OVERHEAD: Final = 100

# Redis has said so often in a row that nobody listens, and a listener comes back sooner.
_MOST_UNHEARD: Final = 2


class Sender(Protocol):
    """What a channel needs of its worker's connections to Redis."""

    @property
    def healthy(self) -> bool:
        """Whether what is published now is likely to arrive."""

    def publish(self, tag: str, frame: Frame) -> None:
        """Publish on a worker's own channel."""

    def ask(self, tag: str, frame: Frame) -> asyncio.Future[int] | None:
        """The same; how many received it, where Redis can say."""

    def forget(self, channel: Channel) -> None:
        """A channel is over."""


class Channel:
    """One end of a link over Redis.

    Args:
        sender: publishes.
        link: what it carries.
        tag: the other worker's.
        mine: the key that stands in what is for this end.
        theirs: the key that stands in what is for the other one.
        patience: after how many beats of silence the other worker is taken for gone.
        grace: how many beats later than Redis a worker may be back that has lost it.

    Attributes:
        tag: the other worker's.
        mine: the key of this end.
    """

    def __init__(
        self,
        sender: Sender,
        link: Link,
        tag: str,
        mine: bytes,
        theirs: bytes,
        patience: int,
        grace: int,
    ) -> None:
        self._sender = sender
        self._link = link
        self.tag = tag
        self.mine = mine
        self._theirs = theirs
        self._patience = patience
        self._grace = grace
        self._over = False
        # Outgoing: parts that were not published yet, or are to be again; and those on their way.
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._flying: deque[tuple[int, bytes]] = deque()
        self._made = 0
        self._held_bytes = 0
        self._flying_bytes = 0
        # Incoming: the number that comes next, and how many bytes came since that was told.
        self._expected = 0
        self._untold_bytes = 0
        self._asked_again = False
        self._silent_beats = 0
        self._unheard = 0

    # What the link calls.

    def carry(self, data: bytes) -> None:
        """See `Carrier.carry`."""
        if self._over:
            return
        for start in range(0, len(data), PART_BYTES):
            part = data[start : start + PART_BYTES]
            self._waiting.append((self._made, part))
            self._made += 1
            self._held_bytes += len(part) + _OVERHEAD
        if self._held_bytes > MOST_WAITING:
            self._lose("it does not take what it is sent")
            return
        self._publish_parts()
        if self._held_bytes > WINDOW_BYTES and not self._link.behind:
            self._link.fell_behind()

    def close(self) -> None:
        """See `Carrier.close`."""
        if not self._over:
            self._publish_parts(MOST_WAITING)
            self.abort()

    def abort(self) -> None:
        """See `Carrier.abort`."""
        if not self._over:
            self._sender.publish(self.tag, Bye(self._theirs))
            self.end()

    def end(self) -> None:
        """The link is over, and the other worker need not be told."""
        if not self._over:
            self._over = True
            self._waiting.clear()
            self._flying.clear()
            self._sender.forget(self)
            self._link.gone()

    def _lose(self, why: str) -> None:
        logger.warning("the worker %s is lost: %s", self.tag, why)
        self.abort()

    # What leaves.

    def _publish_parts(self, most: int = WINDOW_BYTES) -> None:
        if not self._sender.healthy:
            return
        waiting = self._waiting
        while waiting and self._flying_bytes < most:
            number, data = part = waiting.popleft()
            self._flying.append(part)
            self._flying_bytes += len(data) + _OVERHEAD
            self._told()
            self._sender.publish(self.tag, Part(self._theirs, number, self._expected, data))

    def _pulse(self, again: bool = False) -> Pulse:
        self._told()
        number = self._waiting[0][0] if self._waiting else self._made
        return Pulse(self._theirs, number, self._expected, again)

    def _told(self) -> None:
        self._untold_bytes = 0

    def resume(self) -> None:
        """Redis was away, and whatever was on its way may be lost, in both directions."""
        self._silent_beats = 0
        self._unheard = -self._grace
        self._rewind()
        self._ask_again()

    def _rewind(self) -> None:
        self._waiting.extendleft(reversed(self._flying))
        self._flying.clear()
        self._flying_bytes = 0
        self._publish_parts()

    # What arrives.

    def take(self, frame: Part | Pulse | Bye) -> None:
        """Something that begins with this end's key."""
        if isinstance(frame, Bye):
            self.end()
            return
        if frame.seen > self._made:
            self._lose("it has received what was never sent")
            return
        self._silent_beats = self._unheard = 0
        self._seen(frame.seen)
        if self._over:
            return
        if isinstance(frame, Part):
            self._take_part(frame)
        else:
            self._take_pulse(frame)

    def _seen(self, seen: int) -> None:
        """The other worker has everything below this number."""
        for parts in (self._flying, self._waiting):
            while parts and parts[0][0] < seen:
                size = len(parts.popleft()[1]) + _OVERHEAD
                self._held_bytes -= size
                if parts is self._flying:
                    self._flying_bytes -= size
        self._publish_parts()
        if self._link.behind and self._held_bytes <= WINDOW_BYTES // 2:
            self._link.caught_up()

    def _take_part(self, part: Part) -> None:
        if part.number > self._expected:
            if not self._asked_again:
                self._ask_again()
            return
        self._untold_bytes += len(part.data) + _OVERHEAD
        if part.number == self._expected:
            self._expected += 1
            self._asked_again = False
            self._link.feed(part.data)
        # Otherwise it has come before.
        if self._untold_bytes >= _TELL_BYTES and not self._over:
            self._sender.publish(self.tag, self._pulse())

    def _take_pulse(self, pulse: Pulse) -> None:
        if pulse.again:
            self._rewind()
        # On one connection nothing overtakes: what came before the pulse and is not here is lost.
        if pulse.number > self._expected:
            self._ask_again()

    def _ask_again(self) -> None:
        """Whether something is missing or not, it is sent again, and ignored."""
        self._asked_again = True
        self._sender.publish(self.tag, self._pulse(again=True))

    # Time.

    def beat(self) -> None:
        """Say that this worker is there, and look whether the other one is."""
        self._silent_beats += 1
        # Without Redis nobody is heard, and it has to be back in time, not this worker.
        patience = self._patience if self._sender.healthy else self._patience + self._grace
        if self._silent_beats >= patience:
            self._lose("nothing is heard of it")
            return
        heard = self._sender.ask(self.tag, self._pulse())
        if heard is not None:
            heard.add_done_callback(self._heard)

    def _heard(self, heard: asyncio.Future[Any]) -> None:
        """So many have received a pulse."""
        if self._over or heard.cancelled() or heard.exception() is not None:
            return
        self._unheard = 0 if heard.result() else self._unheard + 1
        if self._unheard >= _MOST_UNHEARD:
            self._lose("it has left Redis")
