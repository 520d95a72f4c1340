"""Connection state recovery over streams: a client may come back to any server of the cluster.

Every event that may be recovered carries the id of its entry in the stream, which is known only
once Redis has taken it. So such events go to this server's clients when they are read from the
stream, among those of other servers and in the same order for all: what a client has received last
tells exactly what it has missed. While Redis is away they go at once and without an id, for clients
must not wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, Final

import msgspec

from nuncio.cluster import envelope
from nuncio.cluster.messages import Broadcast, ClusterMessage, Kind, from_wire, to_wire
from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.outbox import FORGOTTEN, OVERFLOW, Outbox
from nuncio.cluster.recovery import SavedSession
from nuncio.cluster.redis import session_wire
from nuncio.cluster.redis.away import Away
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.hub import Hub
from nuncio.cluster.redis.reader import START, Fields, mapped
from nuncio.cluster.redis.session_wire import id_of, position_of
from nuncio.cluster.redis.streams import RedisStreamsAdapter, StreamsAdapter
from nuncio.cluster.rooms import Room
from nuncio.cluster.travel import first_id, shape
from nuncio.cluster.values import plain
from nuncio.engine.sent import TAKEN, Sent, SentLater
from nuncio.errors import PacketError
from nuncio.protocol.engineio import Message
from nuncio.protocol.socketio import EVENT

logger = logging.getLogger("nuncio.cluster")

# An event is given to this server's clients after so long, whatever Redis does.
PATIENCE_SECONDS: Final = 1.0

# What clients missed is asked for in parts. Who missed more than all of them begins afresh.
_PART: Final = 1000
_MOST_PARTS: Final = 100

# Between being asked for and being let in a client may not take longer.
_ADMISSION_SECONDS: Final = 60.0

# So much longer Redis remembers a client than it may be away: its server looks whether it is back.
_GRACE_SECONDS: Final = 5.0

# An entry's number at the server that added it, which knows its own by that.
_NUMBER: Final = "n"

_ID: Final = re.compile(r"[0-9]{1,18}-[0-9]{1,18}")


class RecoveringAdapter(StreamsAdapter):
    """See `RedisStreamsAdapter`, with connection state recovery."""

    def __init__(self, nsp: Any, bus: Bus, hub: Hub, settings: RedisStreamsAdapter) -> None:
        super().__init__(nsp, bus, hub, settings)
        recovery = nsp.server.recovery
        nsp.number_acks_from(first_id())
        # The stream is the log.
        self.log = None
        self._duration = float(recovery.max_disconnection_duration)
        self._namespace = nsp
        self._number = 0
        self._pending: dict[int, _Pending] = {}
        self._reading = ""
        self._replays: dict[str, _Replay] = {}
        self._away = Away(self._duration, recovery.max_sessions, self._expired)

    async def end(self) -> None:
        """See `BusAdapter.end`."""
        for number in list(self._pending):
            self._deliver_late(number)
        self._away.clear()
        self._replays.clear()
        await super().end()

    # Events.

    def broadcast(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """See `Adapter.broadcast`."""
        if options.volatile:
            return super().broadcast(payload, options)
        meant = self.targets(options.rooms, options.excepted)
        if options.local:
            return self._give(_Pending(payload, options, meant), "")
        packet = {"type": EVENT, "data": plain(payload)}
        told = Broadcast(packet=packet, opts=to_wire(options))
        message = ClusterMessage(self.uid, self.nsp.name, Kind.BROADCAST, told)
        fields = envelope.to_fields(message, self.settings.only_plaintext)
        self._number += 1
        number = self._number
        pending = _Pending(payload, options, meant)
        added = self.bus.call(self.stream, *self.entry([*fields, _NUMBER, str(number)]))
        added.add_done_callback(lambda answer: self._answered(number, answer))
        if not self.bus.healthy:
            return self._give(pending, "")
        self._pending[number] = pending
        loop = asyncio.get_running_loop()
        pending.timer = loop.call_later(PATIENCE_SECONDS, self._deliver_late, number)
        return pending.sent

    def _answered(self, number: int, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled() or answer.exception() is not None:
            self._deliver_late(number)

    def _deliver_late(self, number: int) -> None:
        """Redis does not say that it has an event: this server's clients get it none the less."""
        pending = self._pending.pop(number, None)
        if pending is not None:
            self._give(pending, "")

    def entry_read(self, id: str, fields: Fields) -> None:
        """See `StreamsAdapter.entry_read`."""
        for replay in list(self._replays.values()):
            replay.arrived(id, fields)
        if fields.get(b"uid") == self.uid.encode():
            number = fields.get(_NUMBER.encode(), b"")
            pending = self._pending.pop(int(number), None) if number.isdigit() else None
            if pending is not None:
                self._give(pending, id)
            return
        self._reading = id
        try:
            super().entry_read(id, fields)
        finally:
            self._reading = ""

    def deliver(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """See `ClusterAdapter.deliver`: those of other servers, with the id of their entry."""
        if not self._reading or options.volatile:
            return super().deliver(payload, options)
        sockets = self.targets(options.rooms, options.excepted)
        return self._give(_Pending(payload, options, sockets), self._reading)

    def _give(self, pending: _Pending, id: str) -> Sent:
        """Send an event to the sockets that were meant when it was emitted, as far as they stay."""
        if pending.timer is not None:
            pending.timer.cancel()
        nsp, options = self.nsp, pending.options
        promised = options.promised
        payload = [*pending.payload, id] if id or promised else pending.payload
        ack = nsp.next_ack_id() if promised else -1
        message = nsp.encode(payload, ack, options.compress)
        if options.slow is not None and options.slow.droppable and not promised:
            message.slow = options.slow.of_event(nsp.name, payload)
        behind: list[Sent] = []
        number = position_of(id) if id else 0
        for socket in pending.sockets:
            if not socket.connected:
                continue
            if promised and not socket.promise(ack, number, message, payload):
                continue
            socket.notify_outgoing(payload)
            sent = socket._connection.session.push(message)
            if sent is not TAKEN:
                behind.append(sent)
        pending.sent.given(behind)
        return pending.sent

    # Clients that come and go.

    def position(self) -> int:
        """See `Adapter.position`."""
        return position_of(self.hub.position(self.stream) or START)

    def add_all(self, socket: Any, rooms: Any) -> None:
        """See `Adapter.add_all`; what was said in a room before somebody joined is not for him."""
        listed = list(rooms)
        before = set(socket.joined_rooms() or ())
        try:
            super().add_all(socket, listed)
        finally:
            mine = socket.joined_rooms() or {}
            position = self.position()
            for room in listed:
                if room in mine and room not in before:
                    mine[room] = position

    def persist_session(self, session: SavedSession) -> None:
        """See `Adapter.persist_session`."""
        try:
            told = session_wire.told(session, self.position())
        except (TypeError, ValueError, RecursionError) as error:
            # Back without its data it would not be the client that it was.
            logger.warning("the client %r cannot come back: %r", session.sid, error)
            self._namespace.session_lost(session)
            return
        key = self._key(session.pid)
        lifetime = round((self._duration + _GRACE_SECONDS) * 1000)
        kept = self.settings.signer.sign(session_wire.encode(told), self._place(key))
        self.bus.send(key, "SET", key, kept, "PX", str(lifetime))
        self._away.add(session)

    def _key(self, pid: str) -> str:
        return self.settings.session_key_prefix + pid

    def _place(self, key: str) -> bytes:
        """What the signature of a session holds for."""
        return self.settings.place("session", key.encode(errors="replace"))

    def _expired(self, session: SavedSession) -> None:
        self.nsp.server.spawn(self._give_up(session))

    async def _give_up(self, session: SavedSession) -> None:
        """The time of a client is up; if no server has restored it, it is lost."""
        key = self._key(session.pid)
        try:
            if await self.bus.call(key, "GETDEL", key) is None:
                return
        except ConnectionError as error:
            logger.debug("nobody says whether the client %r came back: %r", session.sid, error)
        self._namespace.session_lost(session)

    def remembers(self, pid: str) -> bool:
        """See `Adapter.remembers`."""
        return self._away.remembers(pid)

    @property
    def occupied(self) -> bool:
        """See `Adapter.occupied`."""
        return len(self._away) > 0

    def give_up_sessions(self) -> None:
        """See `Adapter.give_up_sessions`: its clients may come back to another server."""

    # Clients that come back.

    def restore_session(self, pid: str, offset: str) -> Any:
        """See `Adapter.restore_session`."""
        if offset and not _ID.fullmatch(offset):
            return None
        return self._restore(pid, offset)

    async def _restore(self, pid: str, offset: str) -> SavedSession | None:
        replay = _Replay(asyncio.get_running_loop(), lambda: self._replays.pop(pid, None))
        self._replays[pid] = replay
        session = None
        try:
            async with asyncio.timeout(self.request_seconds):
                session = await self._found(pid, offset, replay)
        except PacketError as error:
            self.drop(str(error))
        except (ConnectionError, TimeoutError) as error:
            logger.debug("a client could not be restored: %r", error)
        if session is None:
            replay.end()
        return session

    async def _found(self, pid: str, offset: str, replay: _Replay) -> SavedSession | None:
        key = self._key(pid)
        text = await self.bus.call(key, "GETDEL", key)
        here = self._away.take(pid)
        if text is None:
            return None
        told = session_wire.decode(self.settings.signer.verify(text, self._place(key)))
        session = session_wire.saved(told)
        if here is not None:
            session.data, session.access = here.data, here.access
        elif not shape(session, self.nsp.server.options.data):
            return None
        after = max(position_of(offset), session.since) if offset else session.since
        session.offset = offset
        self._promise_again(session, told)
        entries = await self._entries(id_of(after), known=bool(offset))
        if entries is None:
            session.ending = FORGOTTEN
            self._namespace.session_lost(session)
            return None
        replay.begin(after, position_of(told.left or START), entries)
        return session

    async def _entries(self, after: str, known: bool) -> list[tuple[str, Fields]] | None:
        """All entries after one; None when that one is forgotten, and perhaps others with it."""
        stream, call = self.stream, self.bus.call
        moment, _, number = after.partition("-")
        begin = f"{moment}-{int(number) + 1}"
        first = call(stream, "XRANGE", stream, after, after)
        found: list[tuple[str, Fields]] = []
        for _ in range(_MOST_PARTS):
            part = await call(stream, "XRANGE", stream, begin, "+", "COUNT", str(_PART))
            found += [(id.decode(), mapped(fields)) for id, fields in part]
            if len(part) < _PART:
                break
            moment, _, number = found[-1][0].partition("-")
            begin = f"{moment}-{int(number) + 1}"
        else:
            return None
        if await first:
            return found
        # Before the first event of all there was none to be forgotten.
        fresh = after == START and len(found) < self.settings.max_len
        return found if fresh and not known else None

    def _promise_again(self, session: SavedSession, told: session_wire.Session) -> None:
        if not told.outbox:
            return
        outbox = self.nsp.new_outbox()
        session.outbox = outbox
        for id, payload in told.outbox:
            self._promise(session, outbox, position_of(id), payload, True)

    def _promise(
        self,
        session: SavedSession,
        outbox: Outbox,
        position: int,
        payload: list[Any],
        compress: bool,
    ) -> Message | None:
        id = self.nsp.next_ack_id()
        message = self.nsp.encode(payload, id, compress)
        if outbox.add(id, position, message, payload):
            return message
        self.nsp.undelivered(session.sid, session.data, session.user, OVERFLOW, [payload])
        return None

    def missed(self, session: SavedSession) -> list[Message] | None:
        """See `Adapter.missed`."""
        replay = self._replays.get(session.pid)
        if replay is None:
            return None
        replay.end()
        self._include(session)
        outbox = session.outbox
        promised = [] if outbox is None else list(outbox.unacknowledged())
        known = {number for number, _ in promised}
        found = list(promised)
        for id, fields in replay.until(self.position()):
            position = position_of(id)
            event = self._event(position, fields, session)
            if event is None:
                continue
            payload, options = event
            payload = [*payload, id]
            if not options.promised:
                message = self.nsp.encode(payload, -1, options.compress)
                found.append((position, message))
            elif position > replay.left and position not in known:
                if outbox is None:
                    session.outbox = outbox = self.nsp.new_outbox()
                kept = self._promise(session, outbox, position, payload, options.compress)
                if kept is not None:
                    found.append((position, kept))
        self._hand_over(session)
        # In the order of the stream; what has no place there comes first.
        return [message for _, message in sorted(found, key=lambda one: one[0])]

    def _hand_over(self, session: SavedSession) -> None:
        """The socket was given its session before what it missed was known to be promised."""
        socket = self.sockets.get(session.sid)
        if socket is not None:
            socket._outbox = session.outbox

    def _include(self, session: SavedSession) -> None:
        """What this server emitted, and has not read from the stream yet, is for it, too."""
        socket = self.sockets.get(session.sid)
        if socket is None:
            return
        for pending in self._pending.values():
            options = pending.options
            if _concerns(options, session.rooms, self.position() + 1):
                pending.sockets.append(socket)

    def _event(
        self, position: int, fields: Fields, session: SavedSession
    ) -> tuple[list[Any], BroadcastOptions] | None:
        """The event of an entry, if a client would have received it."""
        try:
            self.settings.verify_entry(self.stream, fields)
            message = envelope.from_fields(fields)
            if message.type != Kind.BROADCAST or message.nsp != self.nsp.name:
                return None
            told = msgspec.convert(message.data, Broadcast)
            payload = self._payload(told, message.dated)
            options = from_wire(told.opts)
        except (PacketError, msgspec.ValidationError, ValueError, TypeError) as error:
            self.drop(str(error))
            return None
        if options.volatile or told.request is not None:
            return None
        return (payload, options) if _concerns(options, session.rooms, position) else None


def _concerns(options: BroadcastOptions, rooms: dict[Room, int], position: int) -> bool:
    """Whether who was in these rooms, since certain positions, receives an event."""
    if any(room in rooms for room in options.excepted):
        return False
    return not options.rooms or any(rooms.get(room, position) < position for room in options.rooms)


class _Pending:
    """An event of this server on its way through the stream, or one of another that arrived."""

    __slots__ = ("options", "payload", "sent", "sockets", "timer")

    def __init__(self, payload: list[Any], options: BroadcastOptions, sockets: list[Any]) -> None:
        self.payload = payload
        self.options = options
        self.sockets = sockets
        self.sent = SentLater()
        self.timer: asyncio.TimerHandle | None = None


class _Replay:
    """What a client has missed that is being let in: as the stream said, and what arrived since.

    Args:
        loop: the running loop.
        forget: called when it is of no use any longer.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, forget: Any) -> None:
        self._forget = forget
        self._after = 0
        # What it was promised before is in its outbox, or acknowledged.
        self.left = 0
        self._entries: dict[str, Fields] = {}
        self._timer = loop.call_later(_ADMISSION_SECONDS, forget)

    def begin(self, after: int, left: int, entries: list[tuple[str, Fields]]) -> None:
        """What the stream holds after a position, and when the client was lost."""
        self._after = after
        self.left = left
        self._entries = {**dict(entries), **self._entries}

    def arrived(self, id: str, fields: Fields) -> None:
        """An entry was read while the client was being let in."""
        self._entries[id] = fields
        if len(self._entries) > _PART * _MOST_PARTS:
            # Too much to be told at once.
            self.end()

    def until(self, position: int) -> list[tuple[str, Fields]]:
        """What the client has missed until a position; what comes after that it will be sent."""
        return [
            (id, fields)
            for id, fields in self._entries.items()
            if self._after < position_of(id) <= position
        ]

    def end(self) -> None:
        """The client is in, or will never be."""
        self._timer.cancel()
        self._forget()
