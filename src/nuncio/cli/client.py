"""The connection, by Nuncio's own client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from nuncio.cli import text
from nuncio.cli.advice import advise
from nuncio.cli.happenings import (
    Answer,
    Answered,
    Connected,
    ConnectFailed,
    Disconnected,
    GaveUp,
    NoAnswer,
    Received,
    Reconnected,
    Reconnecting,
    Sent,
    Upgraded,
)
from nuncio.cli.journal import Journal
from nuncio.cli.link import Facts
from nuncio.cli.problems import NotConnected, Problem, TimedOut, WrongUse
from nuncio.cli.settings import Settings
from nuncio.client.inbox import Event
from nuncio.client.manager import Manager
from nuncio.client.socket import ClientSocket
from nuncio.errors import AckTimeout, ConnectError, NuncioError, OptionError, TransportError
from nuncio.options import MOST_SECONDS
from nuncio.protocol.msgpack import MsgPackParser
from nuncio.protocol.socketio import EVENT, Packet

# Events of the server that wait for their answer; the oldest are forgotten.
_QUESTIONS: Final = 1000


@contextmanager
def _sending(name: str) -> Iterator[None]:
    """Turn what the client says to wrong events into what the user can mend."""
    try:
        yield
    except (NuncioError, TypeError, ValueError) as error:
        raise WrongUse(f"{text.name(name)} cannot be sent: {error}") from error


def _no_answer(name: str, error: Exception, timeout: float | None) -> Problem:
    if isinstance(error, AckTimeout):
        limit = "" if timeout is None else f" within {text.seconds(timeout)}"
        hint = "Does the server acknowledge this event? --ack-timeout gives it more time."
        return TimedOut(f"{text.name(name)}: no answer{limit}", [hint], told=True)
    return NotConnected(f"{text.name(name)}: {error}", told=True)


class ClientLink:
    """See `nuncio.cli.link.Link`.

    Args:
        settings: where to connect, and how.
        journal: is told what happens.

    Raises:
        WrongUse: for settings that cannot be.
    """

    def __init__(self, settings: Settings, journal: Journal) -> None:
        self._settings = settings
        self._tell = journal.tell
        options = dict(settings.manager)
        if settings.parser == "msgpack":
            options["parser"] = MsgPackParser()
        try:
            self._manager = Manager(settings.url, auto_connect=False, **options)
        except OptionError as error:
            raise WrongUse(str(error)) from error
        self._sockets: dict[str, ClientSocket] = {}
        # Credentials that a namespace has of its own.
        self._auth: dict[str, Mapping[str, Any] | None] = {}
        self._names = list(settings.namespaces)
        # Whether the server ever let us in; before that, failing is the end.
        self._welcome = False
        self._asks = 0
        self._questions: dict[int, tuple[str, Event]] = {}
        self._question = 0
        self._latency: tuple[float, str] | None = None
        self._joining: dict[str, float] = {}
        self._pinged: float | None = None
        self._listen()

    def _listen(self) -> None:
        manager = self._manager
        manager.on("open", self._opened)
        manager.on("packet", self._packet)
        manager.on("ping", self._ping)
        manager.on("reconnect_attempt", lambda number: self._tell(Reconnecting(number)))
        manager.on("reconnect", lambda number: self._tell(Reconnected(number)))
        manager.on("reconnect_failed", lambda: self._tell(GaveUp()))

    # What the Manager tells.

    def _opened(self) -> None:
        engine = self._manager.engine
        assert engine is not None
        engine.on("upgrade", lambda transport: self._tell(Upgraded(transport.name)))
        for namespace in self._sockets:
            self._joining[namespace] = time.monotonic()

    def _ping(self) -> None:
        self._pinged = time.monotonic()

    def _packet(self, packet: Packet) -> None:
        """Every packet comes here first, so events are told in order with all else."""
        socket = self._sockets.get(packet.nsp)
        if packet.type != EVENT or socket is None or not socket.active:
            return
        data: Any = packet.data
        event = Event(socket, str(data[0]), list(data[1:]), packet.id)
        question = self._keep_question(packet.nsp, event) if event.wants_ack else None
        self._tell(Received(packet.nsp, event.name, tuple(event.args), question))

    def _keep_question(self, namespace: str, event: Event) -> int:
        self._question += 1
        self._questions[self._question] = (namespace, event)
        if len(self._questions) > _QUESTIONS:
            del self._questions[next(iter(self._questions))]
        return self._question

    # What sockets tell.

    def _joined(self, namespace: str) -> None:
        socket = self._sockets[namespace]
        self._welcome = True
        begun = self._joining.pop(namespace, None)
        if begun is not None:
            self._latency = (time.monotonic() - begun, f"joining {namespace}")
        self._tell(Connected(namespace, socket.id, self._transport() or "", socket.recovered))

    def _left(self, namespace: str, reason: str) -> None:
        again = self._sockets[namespace].active and self._manager.reconnection
        self._tell(Disconnected(namespace, reason, again))

    def _failed(self, namespace: str, error: ConnectError) -> None:
        socket = self._sockets[namespace]
        refused = not isinstance(error, (TransportError, TimeoutError))
        if not refused and not self._welcome and not self._settings.keep_trying:
            # Or it would try again, as after a lost connection.
            socket.disconnect()
        again = socket.active and self._manager.reconnection
        stays = any(socket.connected for socket in self._sockets.values())
        engine = self._manager.engine
        # It has an id once the server has answered.
        opened = engine is not None and engine.id != ""
        advice = advise(error, self._settings, namespace, opened=opened, stays=stays)
        self._tell(
            ConnectFailed(namespace, advice.message, error.data, refused, again, advice.hints)
        )

    def _transport(self) -> str | None:
        engine = self._manager.engine
        transport = None if engine is None else engine.transport
        return None if transport is None else transport.name

    # `Link`.

    def namespaces(self) -> list[str]:
        """See `Link.namespaces`."""
        return list(self._names)

    def connect(self, namespace: str) -> None:
        """See `Link.connect`."""
        socket = self._sockets.get(namespace)
        if socket is None:
            socket = self._make(namespace)
        if not socket.active:
            if self._manager.ready_state == "open":
                self._joining[namespace] = time.monotonic()
            socket.connect()

    def _make(self, namespace: str) -> ClientSocket:
        settings = self._settings
        options: dict[str, Any] = {"auth": self._auth.get(namespace, settings.auth)}
        if settings.retries is not None:
            options |= {"retries": settings.retries, "ack_timeout": settings.ack_timeout}
        socket = self._manager.socket(namespace, **options)
        self._sockets[namespace] = socket
        if namespace not in self._names:
            self._names.append(namespace)
        socket.on("connect", lambda: self._joined(namespace))
        socket.on("connect_error", lambda error: self._failed(namespace, error))
        socket.on("disconnect", lambda reason: self._left(namespace, reason))
        return socket

    def set_auth(self, namespace: str, auth: Mapping[str, Any] | None) -> None:
        """See `Link.set_auth`."""
        self._auth[namespace] = auth
        if namespace in self._sockets:
            self._sockets[namespace].auth = auth

    async def connected(self, namespace: str) -> None:
        """See `Link.connected`."""
        try:
            await self._sockets[namespace].wait_connected()
        except ConnectError as error:
            raise NotConnected(f"{namespace}: {error.message}", told=True) from error

    async def ready(self, namespace: str) -> None:
        """See `Link.ready`."""
        self._usable(namespace)
        await self.connected(namespace)

    def is_connected(self, namespace: str) -> bool:
        """See `Link.is_connected`."""
        socket = self._sockets.get(namespace)
        return socket is not None and bool(socket.connected)

    def is_alive(self) -> bool:
        """See `Link.is_alive`."""
        return any(
            socket.connected or (socket.active and self._may_come())
            for socket in self._sockets.values()
        )

    def _may_come(self) -> bool:
        return self._manager.reconnection or self._manager.ready_state != "closed"

    def disconnect(self, namespace: str) -> None:
        """See `Link.disconnect`."""
        self._sockets[namespace].disconnect()

    def _usable(self, namespace: str) -> ClientSocket:
        """The socket to send with; one that is about to be connected sends then."""
        if namespace not in self._sockets:
            self.connect(namespace)
        socket = self._sockets[namespace]
        if not socket.active:
            raise NotConnected(f"{namespace} is not connected", ["connect connects it again"])
        return socket

    def emit(self, namespace: str, name: str, args: Sequence[Any]) -> None:
        """See `Link.emit`."""
        socket = self._usable(namespace)
        with _sending(name):
            socket.emit(name, *args)
        self._tell(Sent(namespace, name, tuple(args)))

    async def ask(
        self, namespace: str, name: str, args: Sequence[Any], timeout: float | None
    ) -> tuple[Any, ...]:
        """See `Link.ask`."""
        socket = self._usable(namespace)
        answer: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()
        self._asks += 1
        number, begun = self._asks, time.monotonic()

        def answered(error: Exception | None, *values: Any) -> None:
            took = time.monotonic() - begun
            if error is None:
                self._latency = (took, f"the answer to {name}")
                self._tell(Answer(namespace, name, values, number, took))
            else:
                late = isinstance(error, AckTimeout)
                why = "timeout" if late else "disconnected"
                self._tell(NoAnswer(namespace, name, number, took, why))
            if answer.done():
                return
            if error is None:
                answer.set_result(values)
            else:
                answer.set_exception(_no_answer(name, error, timeout))

        with _sending(name):
            # With a time-out the callback is told of every end.
            socket.timeout(timeout or MOST_SECONDS).emit(name, *args, answered)
        self._tell(Sent(namespace, name, tuple(args), number))
        return await answer

    def answer(self, question: int | None, args: Sequence[Any]) -> None:
        """See `Link.answer`."""
        if not self._questions:
            raise WrongUse("the server has asked nothing that waits for an answer")
        number = next(reversed(self._questions)) if question is None else question
        found = self._questions.pop(number, None)
        if found is None:
            known = ", ".join(f"#{number}" for number in list(self._questions)[-10:])
            raise WrongUse(f"no event #{question} waits for an answer", [f"There is {known}"])
        namespace, event = found
        if not self.is_connected(namespace):
            raise NotConnected(f"{namespace} is no longer connected; the question is void")
        with _sending(event.name):
            event.ack(*args)
        self._tell(Answered(namespace, event.name, tuple(args), number))

    def facts(self) -> Facts:
        """See `Link.facts`."""
        latency, measured = self._latency or (None, "")
        return Facts(
            state=self._manager.ready_state,
            transport=self._transport(),
            ids={
                name: self._sockets[name].id if self.is_connected(name) else None
                for name in self._names
                if name in self._sockets
            },
            latency=latency,
            measured=measured,
            heartbeat=None if self._pinged is None else time.monotonic() - self._pinged,
            reconnecting=self.is_alive(),
        )

    async def drained(self) -> None:
        """See `Link.drained`."""
        engine = self._manager.engine
        session = None if engine is None else engine.session
        if session is not None and session.is_open:
            await session.drain()

    async def close(self) -> None:
        """See `Link.close`."""
        await self._manager.close()
