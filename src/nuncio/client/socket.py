"""One namespace on a connection to a server: what `nuncio.connect` gives. [compiled]

It stands on others, each of which is one part of it: who listens (`nuncio.handlers.listeners`),
what arrives (`nuncio.client.dispatch`), what is sent and answered (`nuncio.client.asker`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, cast

from nuncio.client.asker import ClientAsker
from nuncio.client.http import OLD_SERVER
from nuncio.client.inbox import EventStream, Inbox
from nuncio.client.offsets import is_mistaken, is_offset
from nuncio.client.operator import ClientOperator
from nuncio.client.session import ClientSession
from nuncio.client.waiting import SendBuffer
from nuncio.engine.sent import Sent
from nuncio.engine.wheel import TimerWheel
from nuncio.errors import ConnectError, Disconnected, DisconnectReason, TransportError
from nuncio.handlers.listeners import event_name
from nuncio.options import seconds as checked_seconds
from nuncio.protocol.engineio import Message
from nuncio.protocol.parser import Parser
from nuncio.protocol.socketio import ACK, CONNECT, DISCONNECT, EVENT, Packet

IO_CLIENT_DISCONNECT: Final = str(DisconnectReason.IO_CLIENT_DISCONNECT)
IO_SERVER_DISCONNECT: Final = str(DisconnectReason.IO_SERVER_DISCONNECT)
PARSE_ERROR: Final = str(DisconnectReason.PARSE_ERROR)

# How long leaving may wait for acknowledgements without a time-out, in seconds.
PATIENCE: Final = 10.0


class ClientSocket(ClientAsker):
    """One namespace of a server.

    Attributes:
        id: the server's public name for it; empty while it is not connected.
        io: its Manager.
        nsp: the namespace's name.
        connected: whether the server has let it in.
        active: whether it is connected, or will be without further ado.
        recovered: whether the server restored its state after a lost connection.
        auth: the credentials for the next connection: a mapping, or a function that gives one.
    """

    __slots__ = (
        "_ended",
        "_error",
        "_joining",
        "_offset",
        "_over",
        "_pid",
        "_reason",
        "_waiters",
        "active",
        "auth",
        "id",
        "io",
        "recovered",
    )

    def __init__(
        self,
        io: Any,
        runner: Any,
        nsp: str,
        parser: Parser,
        concurrency: int,
        queued_events: int,
        wheel: TimerWheel,
        buffer: SendBuffer,
        retries: int,
        ack_timeout: float,
        pending_acks: int,
        queued_retries: int,
        auth: Any,
        promised: bool,
    ) -> None:
        """Made by `Manager.socket`."""
        super().__init__(
            runner,
            nsp,
            parser,
            concurrency,
            queued_events,
            wheel,
            buffer,
            retries,
            ack_timeout,
            pending_acks,
            queued_retries,
        )
        self.io = io
        self.id = ""
        self.auth = auth
        self.active = False
        self.recovered = False
        self._promised = promised
        self._pid = ""
        self._offset = ""
        # Counts attempts to join, so that credentials that come late are not sent.
        self._joining = 0
        # Whether it has ended for good, and who waits for that or for being let in.
        self._over = False
        self._ended: Any = None
        self._waiters: list[Any] = []
        # Why the latest attempt to connect failed.
        self._error: Exception | None = None
        # Why the latest connection ended, or could not be made.
        self._reason = ""

    def __repr__(self) -> str:
        state = "connected" if self.connected else "active" if self.active else "disconnected"
        return f"<ClientSocket {self.id!r} of {self.nsp!r} {state}>"

    @property
    def disconnected(self) -> bool:
        """The opposite of `connected`."""
        return not self.connected

    @property
    def loop(self) -> Any:
        """The event loop it lives on."""
        return self._runner.loop

    # Connecting.

    def connect(self) -> ClientSocket:
        """Connect; needed only with `auto_connect=False`, or after it was disconnected for good."""
        if self.connected or (self.active and self.io.ready_state == "open"):
            return self
        self.active = True
        self._over = False
        if self._inbox is not None:
            self._inbox.begin_anew()
        self.io.join(self)
        return self

    def open(self) -> ClientSocket:
        """The same as `connect`."""
        return self.connect()

    def disconnect(self) -> ClientSocket:
        """Leave the namespace now; the last one on a connection ends it. It does not reconnect.

        Returns:
            itself, so that `socket.disconnect().connect()` begins a new session.
        """
        self._joining += 1
        if not self.active and not self.connected:
            return self
        session = self.session
        was_connected = self.connected
        if was_connected and session is not None:
            # It has to leave, whatever else waits.
            session.push_kept(self._parser.encode_disconnect(self._prefix))
        self.active = False
        self._reason = IO_CLIENT_DISCONNECT
        self.io.leave(self)
        if was_connected:
            self.lost(IO_CLIENT_DISCONNECT, "")
        elif not self.active:
            self.session = None
            self._early = None
        self._end_for_good()
        return self

    def close(self) -> Awaitable[None]:
        """Leave the namespace once everything that was emitted has been sent.

        Returns:
            something to await until that is done; it is done all the same when nobody awaits it.
        """
        closing: Awaitable[None] = self._runner.spawn(self.io.close_socket(self))
        return closing

    def wait(self) -> Awaitable[None]:
        """Wait until it has ended for good: closed here, or by the server, or given up."""
        future = self._runner.loop.create_future()
        if not self.active or not (self.connected or self.io.trying):
            future.set_result(None)
            return cast("Awaitable[None]", future)
        ended = self._ended
        if ended is None:
            ended = future
            self._ended = ended
        # Whoever is cancelled while waiting cancels it for nobody else.
        return cast("Awaitable[None]", asyncio.shield(ended))

    def wait_connected(self) -> Awaitable[None]:
        """Wait until it is connected.

        Raises:
            ConnectError: when the server refuses it, it has ended meanwhile, or nothing is under
                way by which it could be connected.
        """
        future = self._runner.loop.create_future()
        if self.connected:
            future.set_result(None)
        elif self.active and self.io.trying:
            self._waiters = [one for one in self._waiters if not one.done()]
            self._waiters.append(future)
        else:
            _fail(future, ConnectError("the socket does not connect: call connect() first"))
        return cast("Awaitable[None]", future)

    def _tell_waiters(self, error: Exception | None) -> None:
        waiters = self._waiters
        self._waiters = []
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                _fail(waiter, error)

    def events(self, *names: str) -> EventStream:
        """Iterate over events as they arrive: `async for event in socket.events("message")`.

        The iteration ends when the socket has ended for good. Handlers run all the same. What is
        not taken in time waits, and when much does, the server has to.

        Args:
            names: which events; none for all.

        Raises:
            OptionError: for what is no event's name.
        """
        return self.inbox.stream(names)

    @property
    def inbox(self) -> Inbox:
        """Where events go beside the handlers."""
        inbox = self._inbox
        if inbox is None:
            inbox = Inbox(self)
            self._inbox = inbox
            if self._over:
                inbox.end(self._reason)
        found: Inbox = inbox
        return found

    # Sending.

    def emit(self, event: str, *args: object) -> Sent:
        """Send an event; while there is no connection it waits for the next one.

        A callable as the last argument receives the server's acknowledgement.

        Args:
            event: its name; not one of the reserved ones.
            args: plain data, structs, dataclasses, models; bytes anywhere in them.

        Returns:
            something to await for back-pressure; nothing is lost by not awaiting it.

        Raises:
            OptionError: for a reserved name.
            TypeError: for data that cannot be sent.
            LimitExceeded: when too much waits already.
        """
        if args and callable(args[-1]):
            return self.emit_callback([event, *args[:-1]], args[-1], 0.0, False, True)
        return self.send_event([event, *args], False, True)

    def send(self, *args: object) -> Sent:
        """Send a `message` event; see `emit`."""
        return self.emit("message", *args)

    def emit_with_ack(
        self, event: str, *args: object, timeout: float | None = None
    ) -> Awaitable[Any]:
        """Send an event and wait for the server's acknowledgement.

        Args:
            event: its name.
            args: see `emit`.
            timeout: seconds to wait; None for the option `ack_timeout`, and without it for as long
                as the connection lasts.

        Returns:
            the server's answer, which is one value, or a list when it gave several.

        Raises:
            AckTimeout: when it did not come in time.
            Disconnected: when the connection was lost behind the event.
            Dropped: when the event was dropped, as the option `buffer` allows.
            LimitExceeded: when too many acknowledgements are waited for, or too much waits.
        """
        limit = 0.0 if timeout is None else checked_seconds("timeout", timeout)
        return self.request_ack([event, *args], limit, False, True)

    @property
    def volatile(self) -> ClientOperator:
        """What is emitted with it is dropped when it cannot leave at once."""
        return ClientOperator(self, True)

    def compress(self, compress: bool) -> ClientOperator:
        """Whether the transport may compress what is emitted with it; it may unless told."""
        return ClientOperator(self, False, compress)

    def timeout(self, seconds: float) -> ClientOperator:
        """How long what is emitted with it waits for its acknowledgement.

        Args:
            seconds: above 0.

        Raises:
            OptionError: for what is no such number.
        """
        return ClientOperator(self, False, True, checked_seconds("timeout", seconds))

    # What the Manager tells.

    def begin_joining(self, session: ClientSession) -> int:
        """There is a connection; returns the number of this attempt to join."""
        self.session = session
        self._joining += 1
        return self._joining

    def credentials_came(self, attempt: int, auth: Any) -> None:
        """Send the CONNECT packet, unless it is too late for that.

        Args:
            attempt: as `begin_joining` gave it.
            auth: a dictionary, or None.
        """
        session = self.session
        if attempt != self._joining or session is None or not self.active:
            return
        data = auth
        if self._pid:
            data = {"pid": self._pid, "offset": self._offset}
            if auth is not None:
                data.update(auth)
        try:
            message: Message = self._parser.encode_connect(self._prefix, data)
        except Exception as error:
            self.credentials_failed(attempt, error)
            return
        session.push_kept(message)

    def credentials_failed(self, attempt: int, error: Exception) -> None:
        """The function that gives the credentials failed."""
        if attempt == self._joining and self.active:
            self._runner.report(error, self, "auth")
            self.refused(ConnectError(f"auth failed: {error!r}"))

    def on_packet(self, packet: Packet) -> None:
        """A packet of this namespace arrived, complete."""
        kind = packet.type
        data: Any = packet.data
        if kind == EVENT:
            self.on_event(data, packet.id)
        elif kind == ACK:
            self.on_ack(packet.id, data)
        elif kind == CONNECT:
            self._on_connect(data)
        elif kind == DISCONNECT:
            self._on_disconnect()
        elif isinstance(data, dict):
            self.refused(ConnectError(str(data.get("message", "")), data.get("data")))
        else:
            self.refused(ConnectError(str(data)))

    def _on_connect(self, data: Any) -> None:
        sid = data.get("sid") if isinstance(data, dict) else None
        if not isinstance(sid, str) or not sid:
            self.refused(ConnectError(OLD_SERVER))
            return
        if self.connected:
            # The server repeats itself; the reference tells of it again.
            self.fire("connect", [])
            return
        pid = data.get("pid")
        self.recovered = isinstance(pid, str) and bool(pid) and pid == self._pid
        self._pid = pid if isinstance(pid, str) else ""
        self.id = sid
        self.admitted()
        if not self.connected:
            return
        self.flush_buffer()
        self.drain_retries()
        self._error = None
        self.fire("connect", [])
        if self.connected:
            self._tell_waiters(None)

    def _on_disconnect(self) -> None:
        if not self.connected:
            self.refused(ConnectError(f"the server left {self.nsp} before it was joined"))
            return
        self.active = False
        self._joining += 1
        self.io.leave(self)
        self.lost(IO_SERVER_DISCONNECT, "")
        self._end_for_good()

    def refused(self, error: ConnectError) -> None:
        """The server does not let it in; it does not try again by itself."""
        self.active = False
        self._joining += 1
        self.session = None
        self._early = None
        self._error = error
        self._reason = str(error)
        self.io.leave(self)
        if self.connected:
            # It had let it in, and has changed its mind.
            self.lost(IO_SERVER_DISCONNECT, "")
        self.fire("connect_error", [error])
        self._end_for_good()

    def leave_unseen(self, session: ClientSession) -> None:
        """The server has let it in, which is not wanted any more."""
        session.push_kept(self._parser.encode_disconnect(self._prefix))

    def not_reached(self, error: Exception) -> None:
        """An attempt to reach the server failed; another may follow."""
        if not self.connected:
            self._error = error
            self._reason = str(error)
            self.fire("connect_error", [error])

    def lost(self, reason: str, description: str) -> None:
        """The connection is gone, or the namespace was left.

        What has arrived is still handled, unless the application itself wanted to leave.
        """
        was_connected = self.connected
        self._reason = reason
        self.connected = False
        self.id = ""
        self.session = None
        self._early = None
        if reason == IO_CLIENT_DISCONNECT:
            self._queue = None
        self._joining += 1
        self.unpause()
        if self._retries is not None:
            self._retries.interrupted()
        if was_connected:
            self.fire("disconnect", [reason, description])
        elif self.active:
            words = f"the connection ended before {self.nsp} was joined: {description or reason}"
            self.not_reached(TransportError(words))
        self.fail_sent_acks(reason)

    def gave_up(self) -> None:
        """There will be no connection unless the application asks for one."""
        self._end()

    def _end_for_good(self) -> None:
        # A listener may have told it to connect again.
        if not self.active:
            self._end()

    def _end(self) -> None:
        self._over = True
        if self._inbox is not None:
            self._inbox.end(self._reason)
        ended = self._ended
        self._ended = None
        if ended is not None and not ended.done():
            ended.set_result(None)
        self._tell_waiters(self._error or ConnectError("the socket has ended"))
        self._error = None

    def abandon(self) -> None:
        """Nothing will be sent any more: whoever waits for an answer is told so."""
        error = Disconnected(IO_CLIENT_DISCONNECT)
        if self._retries is not None:
            self._retries.give_up(error)
        self._buffer.take()
        self.fail_sent_acks(IO_CLIENT_DISCONNECT)

    @property
    def unsent(self) -> int:
        """How many events wait for a connection, or with `retries` for an acknowledgement."""
        return len(self._buffer) + (0 if self._retries is None else len(self._retries))

    @property
    def unacknowledged(self) -> bool:
        """Whether events of the queue of `retries` wait for the server."""
        return self._retries is not None and len(self._retries) > 0

    @property
    def patience(self) -> float | None:
        """How long leaving may wait for acknowledgements; None where each has a time-out."""
        return PATIENCE if self._retries is not None and self._ack_timeout == 0.0 else None

    def settled(self) -> Any:
        """A future that is done once there are none, or the connection is lost."""
        assert self._retries is not None
        return self._retries.settled(self._runner.loop)

    def arrived(self, payload: list[Any], id: int) -> None:
        """See `ClientDispatcher.arrived`: remember where to go on after a lost connection."""
        if self._pid and len(payload) > 1:
            last = payload[-1]
            if isinstance(last, str):
                self._remember(last, payload, id)

    def _remember(self, last: str, payload: list[Any], id: int) -> None:
        known = is_offset(last)
        if known or not is_offset(self._offset):
            # Events that cannot be recovered have no offset, and may end with any text.
            self._offset = last
        own = self._listeners
        if not known or own is None or (self._promised and id >= 0):
            # Of promised events it is taken off in any case; see `_is_known`.
            return
        if is_mistaken(len(payload) - 2, own.get(event_name(payload[0]))):
            del payload[-1]

    def flooded(self) -> None:
        """See `ClientDispatcher.flooded`."""
        session = self.session
        if session is not None:
            session.cut(PARSE_ERROR, "too many events before the namespace was joined")


def _fail(future: Any, error: Exception) -> None:
    future.set_exception(error)
    # Somebody who does not await it does not want a complaint about it either.
    future.exception()
