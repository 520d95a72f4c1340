"""The sending half of a namespace, and what its adapter asks of it. [compiled]

Everything that goes to many sockets passes through the adapter, which hands on what concerns this
server's own sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, overload

from mypy_extensions import mypyc_attr

from nuncio.cluster.adapter import Adapter
from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.outbox import OVERFLOW, Outbox
from nuncio.cluster.rooms import Room, rooms_of
from nuncio.engine.sent import TAKEN, Sent
from nuncio.engine.wheel import TimerWheel
from nuncio.errors import LimitExceeded, OptionError
from nuncio.handlers.acks import PendingAck
from nuncio.handlers.binding import bind
from nuncio.handlers.handler import Handler
from nuncio.handlers.threads import Threads
from nuncio.options import seconds as checked_seconds
from nuncio.protocol.engineio import Message
from nuncio.protocol.parser import Parser
from nuncio.server.classes import Unregistered
from nuncio.server.generics import D, U, subscripted
from nuncio.server.operator import BroadcastOperator
from nuncio.server.participation import Participation
from nuncio.slow import CONFLATE, policy_of

if TYPE_CHECKING:
    from nuncio.server.socket import Socket

H = TypeVar("H", bound=Callable[..., Any])

RESERVED_SERVER_EVENTS: Final = frozenset({"connect", "connection", "new_namespace"})

AT_MOST_ONCE: Final = "at-most-once"
AT_LEAST_ONCE: Final = "at-least-once"

_NO_ROOMS: Final[frozenset[Room]] = frozenset()


def promises(guarantee: object, recovering: bool) -> bool:
    """Whether a guarantee of delivery is the stronger one.

    Raises:
        OptionError: for what is no guarantee, and without connection state recovery.
    """
    if guarantee == AT_MOST_ONCE:
        return False
    if guarantee != AT_LEAST_ONCE:
        raise OptionError(
            f"delivery must be {AT_MOST_ONCE!r} or {AT_LEAST_ONCE!r}, not {guarantee!r}"
        )
    if not recovering:
        raise OptionError(
            f"delivery={AT_LEAST_ONCE!r} needs connection_state_recovery=True, by which a "
            "client that comes back is known again"
        )
    return True


@mypyc_attr(allow_interpreted_subclasses=True)
class Broadcaster(Generic[D, U]):
    """Sends to the sockets of a namespace.

    Attributes:
        name: begins with `/`.
        server: the server it belongs to.
        sockets: connected sockets by id.
        adapter: its rooms, and the other servers.
        promised: whether events are delivered at least once unless they say otherwise.
        slow: what becomes of events for clients that are behind; None for `disconnect`.
        recovering: whether clients that lost their link may recover what they missed.
        takes_part: whether it is of use: its adapter has joined the cluster.
        participation: joins and leaves.
        threads: the server's.
        parser: the server's.
        prefix: what the parser needs of the name, in every packet.
    """

    __slots__ = (
        "_ids",
        "_server_handlers",
        "adapter",
        "name",
        "parser",
        "participation",
        "prefix",
        "promised",
        "recovering",
        "server",
        "slow",
        "sockets",
        "takes_part",
        "threads",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.server: Any = Unregistered(name)
        self.sockets: dict[str, Socket[D, U]] = {}
        self._server_handlers: dict[str, list[Handler]] = {}
        self._ids = 0

    def begin(self, server: Any, name: str) -> None:
        """Send on behalf of a server."""
        self.server = server
        self.name = name
        self.threads: Threads = server.threads
        self.parser: Parser = server.parser
        self.prefix = self.parser.prefix(name)
        self.recovering: bool = server.recovery is not None
        self.promised = self.checked_delivery(server.options.delivery)
        self.slow = policy_of(server.options.slow_consumer, "slow_consumer")
        adapter: Adapter = server.make_adapter(self)
        self.adapter = adapter
        self.takes_part: bool = True
        self.participation: Any = Participation(self)

    @classmethod
    def __class_getitem__(cls, parameters: Any) -> Any:
        return subscripted(cls, parameters)

    # What applications use.

    def _all(self) -> BroadcastOperator:
        options = BroadcastOptions()
        options.promised = self.promised
        options.slow = self.slow
        return BroadcastOperator(self, options)

    def all_but(self, id: str) -> BroadcastOptions:
        """Everybody but one socket, as `socket.broadcast` means it."""
        options = BroadcastOptions(_NO_ROOMS, frozenset((id,)))
        options.promised = self.promised
        options.slow = self.slow
        return options

    @property
    def slow_consumer(self) -> Any:
        """What becomes of events for clients that are behind, unless an emit says otherwise.

        `disconnect`, `block`, `drop_oldest`, `drop_newest`, or `nuncio.conflate(key)`. May be
        assigned at any time.

        Raises:
            OptionError: for what is none of these.
        """
        slow = self.slow
        if slow is None:
            return "disconnect"
        return slow if slow.kind == CONFLATE else slow.word

    @slow_consumer.setter
    def slow_consumer(self, policy: Any) -> None:
        self.slow = policy_of(policy, "slow_consumer")

    def emit(self, event: str, *args: object) -> Sent:
        """Send an event to everybody in the namespace; see `BroadcastOperator.emit`."""
        return self._all().emit(event, *args)

    def send(self, *args: object) -> Sent:
        """Send a `message` event to everybody."""
        return self._all().emit("message", *args)

    def to(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody in a room, or in any of several; nobody gets anything twice.

        Raises:
            OptionError: for what cannot be a room.
        """
        options = BroadcastOptions(frozenset(rooms_of(rooms, "rooms")))
        options.promised = self.promised
        options.slow = self.slow
        return BroadcastOperator(self, options)

    def in_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """The same as `to`."""
        return self.to(rooms)

    def except_(self, rooms: Room | Iterable[Room]) -> BroadcastOperator:
        """Everybody but those in this room, or in any of these.

        Raises:
            OptionError: for what cannot be a room.
        """
        return self._all().except_(rooms)

    @property
    def volatile(self) -> BroadcastOperator:
        """See `BroadcastOperator.volatile`."""
        return self._all().volatile

    @property
    def local(self) -> BroadcastOperator:
        """See `BroadcastOperator.local`."""
        return self._all().local

    def compress(self, compress: bool) -> BroadcastOperator:
        """See `BroadcastOperator.compress`."""
        return self._all().compress(compress)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """See `BroadcastOperator.timeout`."""
        return self._all().timeout(seconds)

    def delivery(self, guarantee: str) -> BroadcastOperator:
        """See `BroadcastOperator.delivery`."""
        return self._all().delivery(guarantee)

    def when_slow(self, policy: Any) -> BroadcastOperator:
        """See `BroadcastOperator.when_slow`."""
        return self._all().when_slow(policy)

    def emit_with_ack(self, event: str, *args: object) -> Awaitable[list[Any]]:
        """See `BroadcastOperator.emit_with_ack`; needs `timeout`."""
        return self._all().emit_with_ack(event, *args)

    def fetch_sockets(self) -> Awaitable[list[Any]]:
        """See `BroadcastOperator.fetch_sockets`."""
        return self.fetch(BroadcastOptions())

    def sockets_join(self, rooms: Room | Iterable[Room]) -> None:
        """See `BroadcastOperator.sockets_join`."""
        self._all().sockets_join(rooms)

    def sockets_leave(self, rooms: Room | Iterable[Room]) -> None:
        """See `BroadcastOperator.sockets_leave`."""
        self._all().sockets_leave(rooms)

    def disconnect_sockets(self, close: bool = False) -> None:
        """See `BroadcastOperator.disconnect_sockets`."""
        self._all().disconnect_sockets(close)

    def checked_delivery(self, guarantee: object) -> bool:
        """Whether a guarantee is the stronger one; see `promises`."""
        return promises(guarantee, self.recovering)

    # What operators ask; a parent namespace answers for its children.

    def broadcast(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """Send an event to many."""
        threads = self.threads
        if threads.used and threads.away():
            threads.call(self.broadcast, payload, options)
            return TAKEN
        if options.slow is not None:
            options = self._decided(options, payload)
        return self.adapter.broadcast(payload, options)

    def _decided(self, options: BroadcastOptions, payload: list[Any]) -> BroadcastOptions:
        """With the key of this event, where its policy has keys."""
        slow = options.slow
        assert slow is not None
        of_event = slow.of_event(self.name, payload)
        if of_event is not slow:
            options = options.copy()
            options.slow = of_event
        return options

    def broadcast_with_ack(
        self, payload: list[Any], options: BroadcastOptions
    ) -> Awaitable[list[Any]]:
        """Send an event to many and gather the answers."""
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        if options.slow is not None:
            options = self._decided(options, payload)
        self.adapter.broadcast_with_ack(payload, options, self.server.gather_acks(future))
        return future

    def fetch(self, options: BroadcastOptions) -> Awaitable[list[Any]]:
        """See `Adapter.fetch_sockets`."""
        return self.adapter.fetch_sockets(options)

    def add_sockets(self, options: BroadcastOptions, rooms: list[Room]) -> None:
        """See `Adapter.add_sockets`."""
        threads = self.threads
        if threads.used and threads.away():
            threads.call(self.adapter.add_sockets, options, rooms)
        else:
            self.adapter.add_sockets(options, rooms)

    def remove_sockets(self, options: BroadcastOptions, rooms: list[Room]) -> None:
        """See `Adapter.remove_sockets`."""
        threads = self.threads
        if threads.used and threads.away():
            threads.call(self.adapter.remove_sockets, options, rooms)
        else:
            self.adapter.remove_sockets(options, rooms)

    def disconnect_many(self, options: BroadcastOptions, close: bool) -> None:
        """See `Adapter.disconnect_sockets`."""
        threads = self.threads
        if threads.used and threads.away():
            threads.call(self.adapter.disconnect_sockets, options, close)
        else:
            self.adapter.disconnect_sockets(options, close)

    # What adapters ask.

    def encode(self, payload: list[Any], id: int, compress: bool) -> Message:
        """An event's packet."""
        return self.parser.encode_event(self.prefix, id, payload, compress)

    def deliver(self, message: Message, payload: list[Any], options: BroadcastOptions) -> Sent:
        """Send an encoded event to those of this server's sockets whom it is meant for."""
        behind: list[Sent] | None = None
        volatile = options.volatile
        for socket in self.adapter.targets(options.rooms, options.excepted):
            socket.notify_outgoing(payload)
            sent = socket._connection.session.push(message, volatile)
            if sent is not TAKEN:
                if behind is None:
                    behind = []
                behind.append(sent)
        return TAKEN if behind is None else SentToMany(behind)

    def deliver_promised(
        self,
        id: int,
        number: int,
        message: Message,
        payload: list[Any],
        options: BroadcastOptions,
    ) -> Sent:
        """As `deliver`; recipients who are away for a moment are meant, too."""
        for saved in self.adapter.absent(options):
            if saved.outbox is None:
                saved.outbox = self.new_outbox()
            if not saved.outbox.add(id, number, message, payload):
                self.undelivered(saved.sid, saved.data, saved.user, OVERFLOW, [payload])
        behind: list[Sent] = []
        for socket in self.adapter.targets(options.rooms, options.excepted):
            if socket.promise(id, number, message, payload):
                socket.notify_outgoing(payload)
                sent = socket._connection.session.push(message)
                if sent is not TAKEN:
                    behind.append(sent)
        return SentToMany(behind) if behind else TAKEN

    def new_outbox(self) -> Outbox:
        """Where a client's promised events wait for its acknowledgements."""
        limits = self.server.limits
        return Outbox(limits.unacknowledged_events, limits.unacknowledged_bytes)

    def undelivered(
        self, sid: str, data: Any, user: Any, reason: str, payloads: list[list[Any]]
    ) -> None:
        """Tell the application what was promised and cannot be delivered."""
        self.server.undelivered(self, sid, data, user, reason, payloads)

    def next_ack_id(self) -> int:
        """The next acknowledgement's id."""
        id = self._ids
        self._ids = id + 1
        return id

    def number_acks_from(self, first: int) -> None:
        """Begin the ids of acknowledgements elsewhere than at 0."""
        self._ids = first

    def deliver_with_ack(
        self, payload: list[Any], options: BroadcastOptions, gathering: Any
    ) -> None:
        """Send an event to this server's sockets and gather their answers."""
        sockets = self.adapter.targets(options.rooms, options.excepted)
        id = self.next_ack_id()
        message = self.encode(payload, id, options.compress)
        slow = options.slow
        if slow is not None and slow.droppable:
            message.slow = slow.of_event(self.name, payload).with_ack(self.name, id)
        gathering.expect(len(sockets))
        for socket in sockets:
            socket.notify_outgoing(payload)
            try:
                socket._wait_for_ack(_SharedAck(socket, id, gathering), options.timeout)
            except LimitExceeded as error:
                # It owes too many answers already; the others can give theirs.
                gathering.fail(error)
            else:
                socket.push(message)

    @property
    def wheel(self) -> TimerWheel:
        """The running loop's timers."""
        wheel: TimerWheel = self.server.engine.config().wheel
        return wheel

    # Messages between servers.

    def server_side_emit(self, event: str, *args: object) -> None:
        """Send an event to the other servers of the cluster; this one does not receive it.

        Their `on_server` handlers receive the arguments. A callable as the last argument receives
        their answers, as in JavaScript: first an error or None, then the list of those that came
        within 5 seconds.

        Raises:
            OptionError: for a reserved name.
        """
        _check_server_event(event)
        if args and callable(args[-1]):
            self.server.tell_answers(self.server_side_emit_with_ack(event, *args[:-1]), args[-1])
            return
        self.adapter.server_side_emit([event, *args])

    def server_side_emit_with_ack(
        self, event: str, *args: object, timeout: float = 5.0
    ) -> Awaitable[list[Any]]:
        """Send an event to the other servers and wait for their answers.

        Args:
            event: its name.
            args: plain data.
            timeout: seconds to wait.

        Returns:
            What the handler of each other server returned; none of them, no answers.

        Raises:
            AckTimeout: when some did not come in time; `responses` holds those that did.
            OptionError: for a reserved name.
        """
        _check_server_event(event)
        limit = checked_seconds("timeout", timeout)
        return self.adapter.server_side_emit_with_ack([event, *args], limit)

    @overload
    def on_server(self, event: str, handler: H) -> H: ...

    @overload
    def on_server(self, event: str, handler: None = None) -> Callable[[H], H]: ...

    def on_server(self, event: str, handler: Any = None) -> Any:
        """Handle what other servers send by `server_side_emit`.

        These are not the clients' events: no client can call such a handler. What it returns
        answers `server_side_emit_with_ack`; it may be async.

        Args:
            event: its name.
            handler: receives the arguments; None to use this as a decorator.
        """
        if handler is None:
            return _ServerDecorator(self, event)
        _check_server_event(event)
        bound = bind(handler, event, takes_socket=False, lifecycle=True, injects=False)
        self._server_handlers = {
            **self._server_handlers,
            event: [*self._server_handlers.get(event, []), bound],
        }
        return handler

    def server_handlers(self, event: str) -> list[Handler]:
        """What an adapter calls when another server sent an event."""
        return self._server_handlers.get(event, [])


class SentToMany(Sent):
    """What a broadcast returns when some recipients are behind."""

    __slots__ = ("_behind",)

    def __init__(self, behind: list[Sent]) -> None:
        super().__init__(None)
        self._behind = behind

    def __await__(self) -> Generator[Any, None, None]:
        for sent in self._behind:
            yield from sent.__await__()

    @property
    def taken(self) -> bool:
        """See `Sent.taken`."""
        for sent in self._behind:
            if not sent.taken:
                return False
        return True


class _SharedAck(PendingAck):
    """One recipient's part in a broadcast that is acknowledged."""

    __slots__ = ("_gathering",)

    def __init__(self, socket: Socket, id: int, gathering: Any) -> None:
        super().__init__(socket, id)
        self._gathering = gathering

    def answer(self, values: list[Any]) -> None:
        """See `PendingAck.answer`."""
        self._gathering.answer(values[0] if values else None)

    def fail(self, error: Exception) -> None:
        """See `PendingAck.fail`."""
        self._gathering.fail(error)


class _ServerDecorator:
    """What `@io.on_server(name)` applies to the function below it."""

    __slots__ = ("_event", "_nsp")

    def __init__(self, nsp: Broadcaster, event: str) -> None:
        self._nsp = nsp
        self._event = event

    def __call__(self, handler: Any) -> Any:
        return self._nsp.on_server(self._event, handler)


def _check_server_event(event: object) -> None:
    if not isinstance(event, str) or not event:
        raise OptionError(f"event: an event's name is a non-empty str, not {event!r}")
    if event in RESERVED_SERVER_EVENTS:
        raise OptionError(f'event: "{event}" is a reserved event name')
