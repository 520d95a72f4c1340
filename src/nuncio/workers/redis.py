"""Redis as the place where workers meet, of one machine or several.

Each worker is subscribed to a channel of its own and to a common one, on which it says now and then
that it is there. Who hears of somebody new sees to it that they are linked: see `frames`. Tags are
claimed by keys that expire.

Channels are named after the version of what workers say, so that those of another version never
hear of each other; and after the database, which publishing knows nothing of.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
from typing import Final

import msgspec

from nuncio.cluster.line import CONNECT_SECONDS, LONGEST_DELAY
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.meeting import RedisMeeting
from nuncio.cluster.redis.subscriptions import CHANNEL
from nuncio.errors import PacketError
from nuncio.workers import frames
from nuncio.workers.channel import Channel
from nuncio.workers.frames import KEY_LENGTH, Answer, Bye, Call, Frame, Here, Outside, Part, Pulse
from nuncio.workers.link import MOST_WAITING, Link
from nuncio.workers.mesh import Mesh

logger = logging.getLogger("nuncio.workers")

# A worker waits so long to be linked with those who are there.
GREET_SECONDS: Final = 2.0

# Presence is told every so many beats.
_BEATS: Final = 2

# A claim outlasts the silence for which a worker is taken for gone, so many times.
_CLAIMS: Final = 3

# Anybody may write to Redis, and not every name is worth memory.
_MOST_WORKERS: Final = 4096


class RedisPlace:
    """A worker in Redis; see `Place`.

    Args:
        meeting: where, and how.

    Attributes:
        dropped: how much arrived that was not from a worker, or of a link that is over.
    """

    def __init__(self, meeting: RedisMeeting) -> None:
        pace = meeting.pace
        self._meeting = meeting
        # Of two beats one may come a little later than the other worker's.
        self._patience = max(2, int(pace.timeout / pace.interval))
        # Redis is tried again so seldom, and it may have been lost just after a beat.
        self._grace = math.ceil(LONGEST_DELAY / pace.interval) + 1
        self._channel = meeting.channel
        self.words = f"in Redis at {meeting.endpoint.words}"
        self._warned = False
        self._bus: Bus | None = None
        self._beating: asyncio.Task[None] | None = None
        self._channels: dict[bytes, Channel] = {}
        self._linked: dict[str, Channel] = {}
        # Calls that were made, and links that were offered, in this or the previous round.
        self._called: dict[str, tuple[bytes, int]] = {}
        self._offered: dict[bytes, tuple[str, bytes, int]] = {}
        self._round = 0
        self.dropped = 0

    # Life.

    async def open(self, mesh: Mesh) -> None:
        """See `Place.open`."""
        self._mesh = mesh
        self._greeted = asyncio.Event()
        bus = self._bus = Bus(self._meeting.endpoint, MOST_WAITING)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await bus.enter(self)
                await self._claim(bus)
                await bus.subscribe(CHANNEL, self._channel_of(mesh.tag), self._arrived)
                await bus.subscribe(CHANNEL, self._channel, self._arrived)
        except BaseException as error:
            self._bus = None
            await bus.leave(self)
            if isinstance(error, (ConnectionError, TimeoutError)):
                why = str(error) or "it does not answer"
                raise ConnectionError(
                    f"Redis, where the workers meet, cannot be reached: {why}"
                ) from error
            raise
        self._beating = asyncio.get_running_loop().create_task(self._beat())
        self._announce()
        await self._meet(bus)

    async def _claim(self, bus: Bus) -> None:
        """Take a tag that nobody has."""
        while True:
            key, life = self._claimed
            if await bus.outgoing.call(key, ("SET", key, b"", "NX", "PX", life)) is not None:
                return
            self._mesh.rename()

    @property
    def _claimed(self) -> tuple[str, int]:
        """The key by which this worker's tag is claimed, and for how many milliseconds."""
        life = int(self._meeting.pace.timeout * 1000) * _CLAIMS
        return f"{self._meeting.prefix}:worker:{self._mesh.tag}", life

    async def _meet(self, bus: Bus) -> None:
        """Wait until this worker is linked with all who are there, as far as Redis knows."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(GREET_SECONDS):
                count = await bus.count(self._channel, sharded=False)
                while len(self._mesh.others) < count - 1:
                    self._greeted.clear()
                    await self._greeted.wait()

    async def close(self) -> None:
        """See `Place.close`."""
        bus, beating = self._bus, self._beating
        self._beating = None
        if bus is None:
            return
        if beating is not None:
            beating.cancel()
        for link in self._mesh.others:
            link.close()
        for channel in list(self._channels.values()):
            channel.abort()
        bus.outgoing.send(self._claimed[0], ("DEL", self._claimed[0]))
        self._bus = None
        self._called.clear()
        self._offered.clear()
        await bus.leave(self)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._meeting.pace.interval)
            self._round += 1
            try:
                for channel in list(self._channels.values()):
                    channel.beat()
            except Exception:
                # Whatever the end of a link leads to, the others go on.
                logger.exception("a link could not be kept")
            if self._round % _BEATS == 0:
                self._announce()

    def _announce(self) -> None:
        """Say that this worker is there, and forget who was called in vain."""
        bus = self._bus
        if bus is None or not bus.healthy:
            return
        oldest = self._round - _BEATS
        self._called = {tag: one for tag, one in self._called.items() if one[-1] > oldest}
        self._offered = {key: one for key, one in self._offered.items() if one[-1] > oldest}
        key, life = self._claimed
        bus.outgoing.send(key, ("SET", key, b"", "PX", life))
        bus.outgoing.send("", ("PUBLISH", self._channel, self._written(Here(self._mesh.tag))))

    def stats(self) -> dict[str, int]:
        """See `Place.stats`."""
        bus = {} if self._bus is None else self._bus.stats()
        return {**bus, "strays": self.dropped}

    def bus_changed(self, why: Exception | None) -> None:
        """See `Member`: links outlive that Redis is lost for a moment."""
        if why is None:
            self._called.clear()
            self._announce()
            for channel in list(self._channels.values()):
                channel.resume()
        self._mesh.place_changed(why)

    # What channels call.

    @property
    def healthy(self) -> bool:
        """See `Sender.healthy`."""
        return self._bus is not None and self._bus.healthy

    def publish(self, tag: str, frame: Frame) -> None:
        """See `Sender.publish`."""
        bus = self._bus
        if bus is not None and bus.healthy:
            bus.outgoing.send("", ("PUBLISH", self._channel_of(tag), self._written(frame)))

    def ask(self, tag: str, frame: Frame) -> asyncio.Future[int] | None:
        """See `Sender.ask`: Redis Cluster counts at one of its servers only."""
        bus = self._bus
        if bus is None or not bus.healthy:
            return None
        heard = bus.outgoing.call("", ("PUBLISH", self._channel_of(tag), self._written(frame)))
        return None if bus.clustered else heard

    def forget(self, channel: Channel) -> None:
        """See `Sender.forget`."""
        self._channels.pop(channel.mine, None)
        if self._linked.get(channel.tag) is channel:
            del self._linked[channel.tag]

    def _channel_of(self, tag: str) -> str:
        return f"{self._channel}{tag}#"

    def _written(self, frame: Frame) -> bytes:
        return self._meeting.signer.sign(frames.encode(frame))

    # What arrives.

    def _arrived(self, name: bytes, data: bytes) -> None:
        try:
            frame = frames.decode(self._meeting.signer.verify(data))
        except (PacketError, msgspec.DecodeError) as error:
            self._drop(str(error))
            if not self._warned:
                self._warned = True
                logger.warning(
                    "what others say %s is not understood: do all workers and emitters there have "
                    "the same secret? Said once",
                    self.words,
                )
            return
        if isinstance(frame, Here):
            self._heard_of(frame.tag)
        elif isinstance(frame, Call):
            self._offer(frame)
        elif isinstance(frame, Answer):
            self._answered(frame)
        elif isinstance(frame, Outside):
            self._mesh.heard_outside(frame.nsp, frame.data)
        else:
            self._carried(frame)

    def _drop(self, why: str) -> None:
        self.dropped += 1
        logger.debug("what came over Redis was dropped: %s", why)

    def _heard_of(self, tag: str) -> None:
        """Another worker is there: it is called, or is to call."""
        mine = self._mesh.tag
        if tag == mine or tag in self._linked:
            return
        if tag < mine:
            self.publish(tag, Here(mine))
        elif tag not in self._called and len(self._called) < _MOST_WORKERS:
            key = secrets.token_bytes(KEY_LENGTH)
            self._called[tag] = (key, self._round)
            self.publish(tag, Call(mine, key))

    def _offer(self, call: Call) -> None:
        if call.tag >= self._mesh.tag:
            self._drop("a call from a worker that is to be called")
        elif len(self._offered) < _MOST_WORKERS:
            key = secrets.token_bytes(KEY_LENGTH)
            self._offered[key] = (call.tag, call.key, self._round)
            self.publish(call.tag, Answer(self._mesh.tag, key, call.key))

    def _answered(self, answer: Answer) -> None:
        called = self._called.get(answer.tag)
        if called is None or called[0] != answer.yours:
            self._drop("an answer to no call")
            return
        del self._called[answer.tag]
        self._link(answer.tag, answer.yours, answer.key, called=True)

    def _carried(self, frame: Part | Pulse | Bye) -> None:
        channel = self._channels.get(frame.key)
        if channel is None:
            channel = self._accepted(frame.key)
        if channel is None:
            self._drop("it is of a link that is over")
        else:
            channel.take(frame)

    def _accepted(self, key: bytes) -> Channel | None:
        """The link that was offered, once somebody uses it: only who received the offer can."""
        offered = self._offered.pop(key, None)
        if offered is None:
            return None
        tag, theirs, _ = offered
        return self._link(tag, key, theirs, called=False)

    def _link(self, tag: str, mine: bytes, theirs: bytes, *, called: bool) -> Channel:
        former = self._linked.get(tag)
        if former is not None:
            # The other worker has given it up: it would not have called otherwise.
            former.end()
        link = Link(self._mesh, called=called)
        link.greeted.add_done_callback(lambda _: self._greeted.set())
        channel = Channel(self, link, tag, mine, theirs, self._patience, self._grace)
        self._channels[mine] = self._linked[tag] = channel
        link.connected(channel)
        return channel
