"""Connection state recovery over streams: a client may come back to any server of the cluster.

Every event that may be recovered carries the id of its entry in the stream, which is known only
once Redis has taken it. So such events go to this server's clients when they are read from the
stream, among those of other servers and in the same order for all: what a client has received last
tells exactly what it has missed. While Redis is away they go at once, for clients must not wait for
it; then their id is that of the entry before, and a name of their own behind it.

What was promised is added once more when a connection is lost before Redis has answered. If it was
added before, servers know it by who emitted it and its number there, and pass it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
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
from nuncio.cluster.redis.numbered import AGAIN, NUMBER, Numbered, number_of
from nuncio.cluster.redis.pending import Pending
from nuncio.cluster.redis.reader import START, Fields, mapped
from nuncio.cluster.redis.replay import Replay
from nuncio.cluster.redis.session_wire import BESIDE, id_of, position_of
from nuncio.cluster.redis.streams import RedisStreamsAdapter, StreamsAdapter
from nuncio.cluster.rooms import Room
from nuncio.cluster.values import plain
from nuncio.engine.sent import TAKEN, Sent
from nuncio.errors import AckTimeout, PacketError
from nuncio.protocol.engineio import Message
from nuncio.protocol.socketio import EVENT

logger = logging.getLogger("nuncio.cluster")

# An event is given to this server's clients after so long, whatever Redis does.
PATIENCE_SECONDS: Final = 1.0

# What clients missed is asked for in parts. Who missed more than all of them begins afresh.
_PART: Final = 1000
_MOST_PARTS: Final = 100

# So much longer Redis remembers a client than it may be away: its server looks whether it is back.
_GRACE_SECONDS: Final = 5.0

# By this event servers ask each other for a client that is back, and for how many seconds.
_LET_GO: Final = "nuncio:let-go"
_LET_GO_SECONDS: Final = 2.0

# What a client's secret looks like, at any server; and the id of an event.
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID: Final = re.compile(r"[0-9]{1,18}-[0-9]{1,18}(\+[0-9a-f]{1,32}\.[0-9]{1,18})?")


class RecoveringAdapter(StreamsAdapter):
    """See `RedisStreamsAdapter`, with connection state recovery."""

    def __init__(self, nsp: Any, bus: Bus, hub: Hub, settings: RedisStreamsAdapter) -> None:
        super().__init__(nsp, bus, hub, settings)
        recovery = nsp.server.recovery
        # The stream is the log.
        self.log = None
        self._duration = float(recovery.max_disconnection_duration)
        self._namespace = nsp
        self._number = 0
        self._pending: dict[int, Pending] = {}
        self._numbered = Numbered(self.uid)
        self._reading = ""
        # Of clients that are looked for, and of those that were found, by their secrets.
        self._looking: set[Replay] = set()
        self._replays: dict[str, Replay] = {}
        self._taking: dict[str, asyncio.Future[Any]] = {}
        self._away = Away(self._duration, recovery.max_sessions, self._expired)
        nsp.on_server(_LET_GO, self._let_go)

    async def end(self) -> None:
        """See `BusAdapter.end`."""
        self._deliver_all()
        self._numbered.clear()
        self._away.clear()
        for replay in list(self._looking):
            replay.end()
        await super().end()

    # Events.

    def broadcast(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """See `Adapter.broadcast`."""
        if options.volatile:
            return super().broadcast(payload, options)
        self._number += 1
        number = self._number
        meant = self.targets(options.rooms, options.excepted)
        pending = Pending(number, payload, options, meant)
        if options.local:
            return self._give(pending, "")
        packet = {"type": EVENT, "data": plain(payload)}
        told = Broadcast(packet=packet, opts=to_wire(options))
        message = ClusterMessage(self.uid, self.nsp.name, Kind.BROADCAST, told)
        fields = envelope.to_fields(message, self.settings.only_plaintext)
        fields += [NUMBER, str(number)]
        again = self.entry([*fields, AGAIN, "1"]) if options.promised else None
        added = self.bus.call(self.stream, *self.entry(fields), again=again)
        added.add_done_callback(lambda answer: self._answered(number, answer))
        if not self.bus.healthy:
            self._numbered.given_early(number)
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
            self._numbered.given_early(number)
            self._give(pending, "")

    def _deliver_all(self) -> None:
        """Give this server's clients all that is on its way, before anything that comes later."""
        for number in list(self._pending):
            self._deliver_late(number)

    def bus_changed(self, why: Exception | None) -> None:
        """See `ClusterAdapter.bus_changed`."""
        if why is not None:
            self._deliver_all()
        super().bus_changed(why)

    def entry_arrived(self, id: str, fields: Fields) -> None:
        """See `StreamsAdapter.entry_arrived`."""
        if self._numbered.is_known(id, fields):
            return
        for replay in list(self._looking):
            replay.arrived(id, fields)
        if fields.get(b"uid") == self.uid.encode():
            pending = self._pending.pop(self._numbered.came(fields), None)
            if pending is not None:
                self._give(pending, id)
            return
        self._reading = id
        try:
            super().entry_arrived(id, fields)
        finally:
            self._reading = ""

    def deliver(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """See `ClusterAdapter.deliver`: those of other servers, with the id of their entry."""
        if not self._reading or options.volatile:
            return super().deliver(payload, options)
        sockets = self.targets(options.rooms, options.excepted)
        return self._give(Pending(0, payload, options, sockets), self._reading)

    def _give(self, pending: Pending, id: str) -> Sent:
        """Send an event to the sockets that were meant when it was emitted, as far as they stay."""
        if pending.timer is not None:
            pending.timer.cancel()
        nsp, options = self.nsp, pending.options
        promised = options.promised
        if not id:
            before = self.hub.position(self.stream) or START
            id = f"{before}{BESIDE}{self.uid}.{pending.number}"
        payload = [*pending.payload, id]
        ack = nsp.next_ack_id() if promised else -1
        message = nsp.encode(payload, ack, options.compress)
        if options.slow is not None and options.slow.droppable and not promised:
            message.slow = options.slow.of_event(nsp.name, payload)
        behind: list[Sent] = []
        number = position_of(id)
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
        told.by, told.early = self.uid, self._numbered.early()
        replay = self._replays.get(session.pid)
        if replay is not None:
            # It was lost again before it was told what it had missed.
            replay.end()
            told.left, told.early = id_of(replay.left), replay.early
        text = session_wire.encode(told)
        self._keep(session.pid, text)
        self._away.add(session, text)

    def _keep(self, pid: str, text: bytes) -> None:
        key = self._key(pid)
        lifetime = round((self._duration + _GRACE_SECONDS) * 1000)
        command = ("SET", key, text, "PX", str(lifetime))
        self.bus.send(key, *command, again=command)

    def _key(self, pid: str) -> str:
        return self.settings.session_key_prefix + pid

    def _expired(self, session: SavedSession, text: bytes) -> None:
        self.nsp.server.spawn(self._give_up(session, text))

    async def _give_up(self, session: SavedSession, text: bytes) -> None:
        """The time of a client is up; if no server has restored it, it is lost."""
        key = self._key(session.pid)
        try:
            # Another server may have restored it and lost it again, and answers for it now.
            if await self.bus.call(key, "GET", key) != text:
                return
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
        if not _SECRET.fullmatch(pid) or (offset and not _ID.fullmatch(offset)):
            # Nobody else is troubled with it.
            return None
        return self._restore(pid, offset)

    async def _restore(self, pid: str, offset: str) -> SavedSession | None:
        session = None
        replay: Replay | None = None
        try:
            async with asyncio.timeout(self.request_seconds):
                replay = self._begin_looking(pid)
                session = await self._found(pid, offset, replay)
        except (ConnectionError, TimeoutError, PacketError) as error:
            logger.debug("a client could not be restored: %r", error)
        if session is None and replay is not None:
            replay.end()
        return session

    def _begin_looking(self, pid: str) -> Replay:
        def forget() -> None:
            self._looking.discard(replay)
            if self._replays.get(pid) is replay:
                del self._replays[pid]

        replay = Replay(asyncio.get_running_loop(), forget, _PART * _MOST_PARTS)
        self._looking.add(replay)
        return replay

    async def _found(self, pid: str, offset: str, replay: Replay) -> SavedSession | None:
        text = await self._taken(pid)
        if text is None:
            await self._have_it_let_go(pid)
            text = await self._taken(pid)
        here = self._away.take(pid, text)
        if text is None:
            return None
        self._replays[pid] = replay
        told = session_wire.decode(text)
        session = session_wire.saved(told)
        if here is not None:
            session.data, session.access = here.data, here.access
        elif not self._shape(session):
            return None
        after = max(position_of(offset), session.since) if offset else session.since
        session.offset = offset
        self._promise_again(session, told)
        try:
            entries = await self._entries(id_of(after), known=bool(offset))
        except BaseException:
            # Redis has gone away meanwhile, or the server ends. The client may try again.
            self._keep(pid, text)
            raise
        if entries is None:
            session.ending = FORGOTTEN
            self._namespace.session_lost(session)
            return None
        replay.begin(after, position_of(told.left or START), entries, told.early)
        return session

    async def _taken(self, pid: str) -> bytes | None:
        """What Redis has of a client, which it has no longer then."""
        key = self._key(pid)
        taking = self.bus.call(key, "GETDEL", key)
        self._taking[pid] = taking
        try:
            text: bytes | None = await asyncio.shield(taking)
        except asyncio.CancelledError:
            # It was waited for long enough, and Redis may hand it over none the less.
            taking.add_done_callback(functools.partial(self._give_back, pid))
            raise
        finally:
            if self._taking.get(pid) is taking:
                del self._taking[pid]
        return text

    def _give_back(self, pid: str, taking: asyncio.Future[Any]) -> None:
        if not taking.cancelled() and taking.exception() is None and taking.result() is not None:
            self._keep(pid, taking.result())

    async def _have_it_let_go(self, pid: str) -> None:
        """Have whoever holds a client keep it in Redis, as its connection there is dead.

        Perhaps that has not noticed yet. Where all have answered, what they have kept is there.
        """
        await self._let_go(pid)
        with contextlib.suppress(AckTimeout):
            await self.server_side_emit_with_ack([_LET_GO, pid], _LET_GO_SECONDS)

    async def _let_go(self, pid: Any) -> bool:
        """A client is back, over another connection than it has here, if it has one."""
        if not isinstance(pid, str):
            return False
        taking = self._taking.get(pid)
        if taking is not None:
            await asyncio.wait((taking,))
            # Whoever asked for it goes on first.
            await asyncio.sleep(0)
        replay = self._replays.get(pid)
        if replay is not None:
            # It is being let in, over a connection that will turn out to be dead.
            await replay.ended.wait()
        live = self._namespace._live.get(pid)
        if live is None:
            return False
        live.replaced()
        return True

    def _shape(self, session: SavedSession) -> bool:
        """Make the data of a client of another server what this application keeps of one."""
        kind = self.nsp.server.options.data
        if not isinstance(kind, type) or isinstance(session.data, kind):
            return True
        try:
            session.data = msgspec.convert(session.data, kind)
        except (msgspec.ValidationError, TypeError) as error:
            logger.warning("the client %r cannot come back: %s", session.sid, error)
            return False
        return True

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
        for id, fields in replay.until(self.position(), self._is_given):
            position = position_of(id)
            if self._numbered.is_known(id, fields) or replay.had(fields):
                continue
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

    def _is_given(self, fields: Fields) -> bool:
        """Whether an entry is this server's own, and its clients have its event."""
        own = fields.get(b"uid") == self.uid.encode()
        return own and number_of(fields) not in self._pending

    def _event(
        self, position: int, fields: Fields, session: SavedSession
    ) -> tuple[list[Any], BroadcastOptions] | None:
        """The event of an entry, if a client would have received it."""
        try:
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
