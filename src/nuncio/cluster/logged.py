"""Connection state recovery by a log that a bus keeps: a client may come back to any server.

Every event that may be recovered carries its place in the log, which is known only once the bus has
taken it. So such events go to this server's clients when they are read from the log, among those of
other servers and in the same order for all: what a client has received last tells exactly what it
has missed. While the bus is away they go at once, for clients must not wait for it; then their id
is that of the place before, and a name of their own behind it.

A place is a number that grows, and the text that clients are given of it: see `session_wire`.

A client may come back to another server before its former one has noticed that it was lost. So
servers ask each other to let go of whom they do not find on the bus.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from nuncio.cluster import session_wire
from nuncio.cluster.away import Away
from nuncio.cluster.base import ClusterAdapter
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import Broadcast, Kind
from nuncio.cluster.numbered import Early, Numbered, Origin
from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.outbox import FORGOTTEN, OVERFLOW, Outbox
from nuncio.cluster.pending import Pending
from nuncio.cluster.recipients import from_wire, to_wire
from nuncio.cluster.recovery import SavedSession
from nuncio.cluster.replay import Replay
from nuncio.cluster.rooms import Room
from nuncio.cluster.session_wire import BESIDE, START, id_of, position_of
from nuncio.cluster.travel import first_id, shape
from nuncio.cluster.underway import Underway
from nuncio.cluster.values import plain
from nuncio.engine.sent import TAKEN, Sent
from nuncio.errors import AckTimeout, LimitExceeded, PacketError
from nuncio.protocol.engineio import Message
from nuncio.protocol.socketio import EVENT

logger = logging.getLogger("nuncio.cluster")

# An event is given to this server's clients after so long, whatever the bus does.
PATIENCE_SECONDS: Final = 1.0

# Who missed more begins afresh.
MOST_MISSED: Final = 100_000

# So much longer the bus remembers a client than it may be away: its server looks whether it is
# back.
GRACE_SECONDS: Final = 5.0

# By this event servers ask each other for a client that is back, and for how many seconds.
_LET_GO: Final = "nuncio:let-go"
_LET_GO_SECONDS: Final = 2.0

# How often it is looked whether a client is found that is being looked for.
_LOOK_SECONDS: Final = 0.02

# What a client's secret looks like, at any server; the id of an event; and what stands behind that.
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID: Final = re.compile(r"[0-9]{1,18}-[0-9]{1,18}")
_BESIDE: Final = re.compile(r"([0-9a-f]{1,32})\.([0-9]{1,18})")


class LoggedAdapter(ClusterAdapter):
    """The part of an engine's adapter that recovers clients by a log.

    The engine's adapter says how events get into the log, and calls `mine` and `others` with what
    is read from it; and it keeps sessions. To stand before another adapter among the bases.
    """

    def __init__(self, nsp: Any, *rest: Any) -> None:
        super().__init__(nsp, *rest)
        recovery = nsp.server.recovery
        nsp.number_acks_from(first_id())
        # The log of one server alone is not needed.
        self.log = None
        self._duration = float(recovery.max_disconnection_duration)
        self._namespace = nsp
        self._number = 0
        self._pending: dict[int, Pending] = {}
        self._numbered = Numbered(self.uid)
        self._reading = 0
        self._losses = 0
        # Of clients that are looked for, and of those that were found, by their secrets.
        self._looking: set[Replay] = set()
        self._replays: dict[str, Replay] = {}
        self._underway = Underway(self._store, self.retrieve, lambda: self.reachable)
        self._away = Away(self._duration, recovery.max_sessions, self._expired)
        nsp.on_server(_LET_GO, self._let_go)

    # What an engine's adapter says.

    @property
    def reachable(self) -> bool:
        """Whether the log can be added to, as far as is known."""
        raise NotImplementedError

    def append(
        self, message: ClusterMessage, number: int, promised: bool = False
    ) -> asyncio.Future[Any]:
        """Add a message to the log.

        Args:
            message: the message.
            number: goes with it, so that this server knows its own when it reads them.
            promised: whether it must get there, though a connection is lost meanwhile.

        Returns:
            What fails with ConnectionError when it was not added.

        Raises:
            LimitExceeded: when it is too large for the log.
        """
        raise NotImplementedError

    def position(self) -> int:
        """See `Adapter.position`: the last place that was read."""
        raise NotImplementedError

    def offset_at(self, position: int) -> str:
        """What clients are given of a place."""
        return id_of(position)

    def may_be_offset(self, offset: str) -> bool:
        """Whether a client may have been given this."""
        return _ID.fullmatch(offset) is not None

    async def read_for(
        self, told: session_wire.Session, offset: str, known: bool
    ) -> tuple[int, list[tuple[int, Any]] | None]:
        """What a client may have missed.

        Args:
            told: what was kept of it. Where places are not the same for all servers, it is given
                this one's.
            offset: what the client says that it has received last; empty for nothing.
            known: whether it says that it has the very event there, and not only what was before.

        Returns:
            The place after which it has missed something, and all entries after that; None when
            some of them have been forgotten.

        Raises:
            ConnectionError: when the bus cannot be asked.
            PacketError: for places that are none.
        """
        after = session_wire.saved(told).since
        if offset:
            # An offset of an earlier session does not reach back before this one.
            after = max(position_of(offset), after)
        return after, await self.read_after(after, known)

    async def read_after(self, position: int, known: bool) -> list[tuple[int, Any]] | None:
        """All entries after a place; None when some of them, or that place, have been forgotten.

        Args:
            position: the place.
            known: whether a client says that it has what is there.

        Raises:
            ConnectionError: when the bus cannot be asked.
        """
        raise NotImplementedError

    def message_of(self, entry: Any) -> ClusterMessage:
        """The message of an entry.

        Raises:
            PacketError: when it is none.
        """
        raise NotImplementedError

    def origin_of(self, entry: Any) -> Origin:
        """Where an entry's event is from, as far as the entry says.

        Raises:
            PacketError: when it is no entry.
        """
        raise NotImplementedError

    def is_repeated(self, position: int, entry: Any) -> bool:
        """Whether an entry's event was in another entry before."""
        return False

    def keep_session(self, pid: str, data: bytes, seconds: float) -> asyncio.Future[Any]:
        """Keep a client's session for so long.

        Returns:
            What is done once it is kept, or will not be.
        """
        raise NotImplementedError

    def take_session(
        self, pid: str, wanted: Callable[[bytes], bool] | None = None
    ) -> Awaitable[bytes | None]:
        """Take a client's session, so that nobody else can; None when there is none.

        Args:
            pid: the client's secret.
            wanted: says whether it is to be taken; None for in any case.

        Raises:
            ConnectionError: when the bus cannot be asked.
            PacketError: when nobody of this cluster kept what is there.
        """
        raise NotImplementedError

    def store(self, told: session_wire.Session, seconds: float) -> asyncio.Future[Any]:
        """Keep a client's session for so long; see `keep_session`."""
        return self.keep_session(told.pid, session_wire.encode(told), seconds)

    def _store(self, told: session_wire.Session) -> asyncio.Future[Any]:
        return self.store(told, self._duration + GRACE_SECONDS)

    async def retrieve(self, pid: str, by: str = "") -> session_wire.Session | None:
        """Take a client's session; see `take_session`.

        Args:
            pid: the client's secret.
            by: the name of the loss that it must be of; empty for any.

        Raises:
            PacketError: when it is no session.
        """

        def wanted(text: bytes) -> bool:
            return session_wire.decode(text).by == by

        text = await self.take_session(pid, wanted if by else None)
        return None if text is None else session_wire.decode(text)

    def end_log(self) -> None:
        """Nothing more is read."""
        self.deliver_pending()
        self._numbered.clear()
        self._away.clear()
        for replay in list(self._looking):
            replay.end()

    def deliver_pending(self) -> None:
        """The log cannot be added to: this server's clients get what is on its way there."""
        for number in list(self._pending):
            self._deliver_late(number)

    def bus_changed(self, why: Exception | None) -> None:
        """See `ClusterAdapter.bus_changed`; what is on its way goes before what goes at once."""
        if why is not None:
            self.deliver_pending()
        super().bus_changed(why)

    # Events.

    def broadcast(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """See `Adapter.broadcast`."""
        if options.volatile:
            return super().broadcast(payload, options)
        self._number += 1
        number = self._number
        pending = Pending(number, payload, options, self.targets(options.rooms, options.excepted))
        if options.local:
            return self._give(pending, 0)
        packet = {"type": EVENT, "data": plain(payload)}
        told = Broadcast(packet=packet, opts=to_wire(options))
        message = ClusterMessage(self.uid, self.nsp.name, Kind.BROADCAST, told)
        try:
            added = self.append(message, number, options.promised)
        except LimitExceeded as error:
            logger.debug("an event cannot be recovered: %s", error)
            return super().broadcast(payload, options)
        added.add_done_callback(lambda answer: self._answered(number, answer))
        if not self.reachable:
            self._numbered.given_early(number)
            return self._give(pending, 0)
        self._pending[number] = pending
        loop = asyncio.get_running_loop()
        pending.timer = loop.call_later(PATIENCE_SECONDS, self._deliver_late, number)
        return pending.sent

    def _answered(self, number: int, answer: asyncio.Future[Any]) -> None:
        if answer.cancelled() or answer.exception() is not None:
            self._deliver_late(number)

    def disconnect_sockets(self, options: BroadcastOptions, close: bool) -> None:
        """See `Adapter.disconnect_sockets`; what was emitted before comes first."""
        if self._pending:
            self._hurry(set(self.targets(options.rooms, options.excepted)))
        super().disconnect_sockets(options, close)

    def _hurry(self, leaving: set[Any]) -> None:
        """Give to sockets that leave now what is still on its way through the log."""
        for pending in self._pending.values():
            mine = [socket for socket in pending.sockets if socket in leaving]
            if mine:
                pending.sockets = [one for one in pending.sockets if one not in leaving]
                self._give(Pending(pending.number, pending.payload, pending.options, mine), 0)

    def _deliver_late(self, number: int) -> None:
        """The bus does not say that it has an event: this server's clients get it none the less."""
        pending = self._pending.pop(number, None)
        if pending is not None:
            self._numbered.given_early(number)
            self._give(pending, 0)

    def mine(self, position: int, entry: Any, number: int) -> None:
        """An entry was read that this server has added, with this number."""
        self._remember(position, entry)
        self._numbered.came(number)
        pending = self._pending.pop(number, None)
        if pending is not None:
            self._give(pending, position)

    def others(self, position: int, entry: Any, handle: Callable[[], None]) -> None:
        """An entry of another server was read, which is handled by calling `handle`."""
        self._remember(position, entry)
        self._reading = position
        try:
            handle()
        finally:
            self._reading = 0

    def _remember(self, position: int, entry: Any) -> None:
        for replay in list(self._looking):
            replay.arrived(position, entry)

    def deliver(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """See `ClusterAdapter.deliver`: those of other servers, with their place."""
        if not self._reading or options.volatile:
            return super().deliver(payload, options)
        sockets = self.targets(options.rooms, options.excepted)
        return self._give(Pending(0, payload, options, sockets), self._reading)

    def _give(self, pending: Pending, position: int) -> Sent:
        """Send an event to the sockets that were meant when it was emitted, as far as they stay."""
        if pending.timer is not None:
            pending.timer.cancel()
        nsp, options = self.nsp, pending.options
        promised = options.promised
        if position:
            id = self.offset_at(position)
        else:
            position = self.position()
            id = f"{self.offset_at(position)}{BESIDE}{self.uid}.{pending.number}"
        payload = [*pending.payload, id]
        ack = nsp.next_ack_id() if promised else -1
        message = nsp.encode(payload, ack, options.compress)
        if options.slow is not None and options.slow.droppable and not promised:
            message.slow = options.slow.of_event(nsp.name, payload)
        behind: list[Sent] = []
        for socket in pending.sockets:
            if not socket.connected:
                continue
            if promised and not socket.promise(ack, position, message, payload):
                continue
            socket.notify_outgoing(payload)
            sent = socket._connection.session.push(message)
            if sent is not TAKEN:
                behind.append(sent)
        pending.sent.given(behind)
        return pending.sent

    # Clients that come and go.

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
            told = session_wire.told(session, self.position(), self.offset_at)
        except (TypeError, ValueError, RecursionError) as error:
            # Back without its data it would not be the client that it was.
            logger.warning("the client %r cannot come back: %r", session.sid, error)
            self._namespace.session_lost(session)
            return
        self._losses += 1
        told.by, told.early = f"{self.uid}.{self._losses}", self._numbered.early()
        replay = self._replays.get(session.pid)
        if replay is not None:
            # It was lost again before it was told what it had missed.
            replay.end()
            told.left, told.early = self.offset_at(replay.left), replay.early
        self._underway.keep(told)
        self._away.add(session, told.by)

    def _expired(self, session: SavedSession, by: str) -> None:
        self.nsp.server.spawn(self._give_up(session, by))

    async def _give_up(self, session: SavedSession, by: str) -> None:
        """The time of a client is up; if no server has restored it, it is lost."""
        try:
            # Another server may have restored it and lost it again, and answers for it now.
            if await self.retrieve(session.pid, by) is None:
                return
        except (ConnectionError, PacketError) as error:
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
        place, mark, beside = offset.partition(BESIDE)
        if not _SECRET.fullmatch(pid) or (offset and not self.may_be_offset(place)):
            # Nobody else is troubled with it.
            return None
        if mark and not _BESIDE.fullmatch(beside):
            return None
        return self._restore(pid, offset)

    async def _restore(self, pid: str, offset: str) -> SavedSession | None:
        session = None
        replay: Replay | None = None
        try:
            async with asyncio.timeout(self.request_seconds):
                replay = self._begin_looking(pid)
                session = await self._found(pid, offset, replay)
        except PacketError as error:
            self.drop(str(error))
        except (ConnectionError, TimeoutError) as error:
            logger.debug("a client could not be restored: %r", error)
        finally:
            if session is None and replay is not None:
                replay.end()
        return session

    def _begin_looking(self, pid: str) -> Replay:
        def forget() -> None:
            self._looking.discard(replay)
            if self._replays.get(pid) is replay:
                del self._replays[pid]

        replay = Replay(asyncio.get_running_loop(), forget, MOST_MISSED)
        self._looking.add(replay)
        return replay

    async def _found(self, pid: str, offset: str, replay: Replay) -> SavedSession | None:
        told = await self._underway.take(pid)
        if told is None:
            await self._have_it_let_go(pid)
            told = await self._underway.take(pid)
        here = self._away.take(pid, "" if told is None else told.by)
        if told is None:
            return None
        self._replays[pid] = replay
        kept = copy.copy(told)
        place, _, beside = offset.partition(BESIDE)
        try:
            after, entries = await self.read_for(told, place, bool(offset) and not beside)
        except (ConnectionError, asyncio.CancelledError):
            # The bus has gone away meanwhile, or the server ends. The client may try again.
            self._underway.keep(kept)
            if here is not None:
                self._away.add(here, kept.by)
            raise
        session = session_wire.saved(told)
        if here is not None:
            session.data, session.access = here.data, here.access
        elif not shape(session, self.nsp.server.options.data):
            return None
        session.offset = offset
        self._promise_again(session, told)
        if entries is None:
            session.ending = FORGOTTEN
            self._namespace.session_lost(session)
            return None
        early = told.early + _early_until(beside)
        replay.begin(after, position_of(told.left or START), entries, early)
        return session

    async def _have_it_let_go(self, pid: str) -> None:
        """Have whoever holds a client keep it on the bus, as its connection there is dead.

        Perhaps that has not noticed yet. Where all have answered, what they have kept is there.
        """
        await self._let_go(pid)
        with contextlib.suppress(AckTimeout):
            await self.server_side_emit_with_ack([_LET_GO, pid], _LET_GO_SECONDS)

    async def _let_go(self, pid: Any) -> bool:
        """A client is back, over another connection than it has here, if it has one."""
        if not isinstance(pid, str):
            return False
        await self._underway.taken(pid)
        replay = self._replays.get(pid)
        # It is found again, to be let in over a connection that will turn out to be dead.
        while replay is not None and not replay.ended.is_set() and not self._namespace.is_live(pid):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await replay.ended.wait()
        held = bool(self._namespace.is_live(pid))
        self._namespace.take_over(pid)
        await self._underway.kept(pid)
        return held

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
        for position, entry in replay.until(self.position(), self._is_given):
            event = self._event(position, entry, session)
            if event is None or (replay.early and replay.had(self.origin_of(entry))):
                continue
            payload, options = event
            payload = [*payload, self.offset_at(position)]
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
        # In the order of the log; what has no place there comes first.
        return [message for _, message in sorted(found, key=lambda one: one[0])]

    def _hand_over(self, session: SavedSession) -> None:
        """The socket was given its session before what it missed was known to be promised."""
        socket = self.sockets.get(session.sid)
        if socket is not None:
            socket._outbox = session.outbox

    def _include(self, session: SavedSession) -> None:
        """What this server emitted, and has not read from the log yet, is for it, too."""
        socket = self.sockets.get(session.sid)
        if socket is None:
            return
        for pending in self._pending.values():
            options = pending.options
            if _concerns(options, session.rooms, self.position() + 1):
                pending.sockets.append(socket)

    def _is_given(self, entry: Any) -> bool:
        """Whether an entry is this server's own, and its clients have its event."""
        try:
            uid, number = self.origin_of(entry)
        except PacketError:
            return False
        return bool(uid == self.uid) and number > 0 and number not in self._pending

    def _event(
        self, position: int, entry: Any, session: SavedSession
    ) -> tuple[list[Any], BroadcastOptions] | None:
        """The event of an entry, if a client would have received it."""
        try:
            message = self.message_of(entry)
            if self.is_repeated(position, entry):
                return None
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
    """Whether who was in these rooms, since certain places, receives an event."""
    if any(room in rooms for room in options.excepted):
        return False
    return not options.rooms or any(rooms.get(room, position) < position for room in options.rooms)


def _early_until(beside: str) -> list[Early]:
    """What a client has been given early that names the last of it; nothing for no name."""
    match = _BESIDE.fullmatch(beside)
    return [] if match is None else [(match[1], 1, int(match[2]))]
