"""What all adapters of clusters have in common: operations, requests and their answers. [compiled]

An adapter for an engine derives from `ClusterAdapter` and says how messages travel: `publish`,
`reply` and `server_count`; and it hands what arrives to `received`. What concerns this server's own
sockets is done at once, here; the others are told. How messages look on the way is none of this:
each family of adapters has a codec of its own.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import msgspec
from mypy_extensions import mypyc_attr

from nuncio.cluster.following import FollowingAdapter
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.messages import (
    Broadcast,
    ClientAck,
    ClientCount,
    DisconnectSockets,
    FetchedSockets,
    FetchSockets,
    Kind,
    ServerAnswer,
    ServerSideEmit,
    SocketsRooms,
)
from nuncio.cluster.options import BroadcastOptions
from nuncio.cluster.recipients import from_wire, to_wire
from nuncio.cluster.remote import RemoteSocket, details_of
from nuncio.cluster.rooms import Room
from nuncio.cluster.values import plain, with_text_dates
from nuncio.engine.sent import TAKEN, Sent
from nuncio.errors import (
    AckTimeout,
    ClusterTimeout,
    ClusterUnavailable,
    LimitExceeded,
    OptionError,
    PacketError,
)
from nuncio.protocol.msgpack import MsgPackParser
from nuncio.protocol.socketio import EVENT

logger = logging.getLogger("nuncio.cluster")

S = TypeVar("S")

# How long other servers may take to say who is there.
REQUEST_SECONDS = 5.0


@mypyc_attr(allow_interpreted_subclasses=True)
class ClusterAdapter(FollowingAdapter):
    """One server's part in a cluster, for one namespace.

    Args:
        nsp: see `Adapter`.

    Attributes:
        uid: this adapter, in messages.
        healthy: whether the other servers can be reached, as far as is known.
        dropped: how many messages were no messages.
        request_seconds: how long other servers may take to say who is there.
        request_id: makes the id of a request.
    """

    def __init__(self, nsp: Any) -> None:
        super().__init__(nsp)
        self.uid = self.new_id()
        self.request_id: Callable[[], str] = self.new_id
        self.healthy = True
        self.dropped = 0
        self.request_seconds = REQUEST_SECONDS
        self._text_dates = not isinstance(nsp.server.parser, MsgPackParser)
        self._requests: dict[str, _Request] = {}
        self._handlers: dict[int, Callable[[ClusterMessage], None]] = {
            Kind.BROADCAST: self._on_broadcast,
            Kind.SOCKETS_JOIN: self._on_join,
            Kind.SOCKETS_LEAVE: self._on_leave,
            Kind.DISCONNECT_SOCKETS: self._on_disconnect,
            Kind.FETCH_SOCKETS: self._on_fetch,
            Kind.SERVER_SIDE_EMIT: self._on_server_side_emit,
            Kind.FETCH_SOCKETS_RESPONSE: self._on_fetched,
            Kind.SERVER_SIDE_EMIT_RESPONSE: self._on_server_answer,
            Kind.BROADCAST_CLIENT_COUNT: self._on_client_count,
            Kind.BROADCAST_ACK: self._on_client_ack,
        }

    # What an engine's adapter says.

    def new_id(self) -> str:
        """An id for this adapter, or for a request."""
        return secrets.token_hex(8)

    def publish(self, message: ClusterMessage) -> None:
        """Send a message to all other servers, in order."""
        raise NotImplementedError

    def reply(self, uid: str, message: ClusterMessage) -> None:
        """Send a message to the server whose adapter has this uid."""
        raise NotImplementedError

    def _chosen(self, options: BroadcastOptions) -> Collection[Any] | None:
        """The other servers that an operation may concern, where that is known; None for all.

        What it returns is given to `_tell`, and as many servers are waited for.
        """
        return None

    def _tell(self, kind: int, data: Any, chosen: Collection[Any] | None = None) -> None:
        """Send a message to all other servers, or to those that are chosen."""
        self.publish(ClusterMessage(self.uid, self.nsp.name, kind, data))

    async def server_count(self) -> int:
        """See `Adapter.server_count`.

        Raises:
            ConnectionError: when nobody can be asked.
        """
        raise NotImplementedError

    def stats(self) -> dict[str, int]:
        """Numbers about its part in the cluster; `dropped` is what was no message."""
        return {"dropped": self.dropped, "requests": len(self._requests)}

    def bus_changed(self, why: Exception | None) -> None:
        """The other servers can be reached no longer, or again; the adapter's listeners learn it.

        Args:
            why: what happened; None when all is well.
        """
        healthy = why is None
        if healthy == self.healthy:
            return
        self.healthy = healthy
        events = self._events
        if events is not None:
            if why is None:
                events.emit("healthy")
            else:
                events.emit("unhealthy", why)

    def received(self, message: ClusterMessage) -> None:
        """A message arrived. What is none for us is counted and dropped."""
        if message.uid == self.uid or message.nsp != self.nsp.name:
            return
        handler = self._handlers.get(message.type)
        if handler is None:
            self.drop("unknown type")
            return
        try:
            handler(message)
        except (msgspec.ValidationError, PacketError, ValueError, TypeError) as error:
            self.drop(str(error))

    def drop(self, why: str) -> None:
        """What came is no message."""
        self.dropped += 1
        logger.debug("a message of the cluster was dropped: %r", why)

    # Operations: here at once, and elsewhere.

    def _answer(self, uid: str, kind: int, data: Any) -> None:
        self.reply(uid, ClusterMessage(self.uid, self.nsp.name, kind, data))

    def broadcast(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """See `Adapter.broadcast`."""
        chosen = () if options.local else self._chosen(options)
        if chosen is None or chosen:
            # What cannot be sent is told before anybody has received it.
            packet = {"type": EVENT, "data": plain(payload)}
            try:
                told = Broadcast(packet=packet, opts=to_wire(options))
                self._tell(Kind.BROADCAST, told, chosen)
            except OptionError:
                # The bus can never carry it, which whoever emits it has to know.
                raise
            except Exception as error:
                # The clients of this server are not to miss it, too.
                self.nsp.server.report(error, None, str(payload[0]))
            if self.log is None and self._is_elsewhere(options.rooms):
                # It is known by now that it can be sent, and need not be encoded for nobody.
                return TAKEN
        return self.deliver(payload, options)

    def _is_elsewhere(self, rooms: frozenset[Room]) -> bool:
        """Whether an operation on these rooms, or on everybody, concerns nobody here."""
        for room in rooms:
            if self.has_room(room):
                return False
        return bool(rooms)

    def broadcast_with_ack(
        self, payload: list[Any], options: BroadcastOptions, gathering: Any
    ) -> None:
        """See `Adapter.broadcast_with_ack`."""
        if not options.local:
            # Until it is known how many they are, they count as one that has said nothing.
            gathering.add_servers(1)
            self.nsp.server.spawn(self._ask_for_acks(payload, options, gathering))
        super().broadcast_with_ack(payload, options, gathering)

    async def _ask_for_acks(
        self, payload: list[Any], options: BroadcastOptions, gathering: Any
    ) -> None:
        request = self._new_request(_AckRequest(gathering))
        self._limit(request, options.timeout, gathering.give_up)
        packet = {"type": EVENT, "data": plain(payload)}
        opts = to_wire(options)
        chosen = self._chosen(options)
        self._tell(Kind.BROADCAST, Broadcast(packet=packet, request=request, opts=opts), chosen)
        try:
            gathering.add_servers(await self._others(options.timeout, chosen))
        except ConnectionError as error:
            # Their answers are missing, as far as is known.
            gathering.expect(1)
            gathering.fail(error)
        else:
            gathering.expect(0)

    async def _others(self, seconds: float, chosen: Collection[Any] | None = None) -> int:
        """How many other servers there are, or are chosen.

        Raises:
            ConnectionError: when that cannot be known in time.
        """
        if chosen is not None:
            return len(chosen)
        try:
            async with asyncio.timeout(min(seconds, self.request_seconds)):
                return await self.server_count() - 1
        except TimeoutError as error:
            raise ConnectionError("nobody says how many there are") from error

    async def fetch_sockets(self, options: BroadcastOptions) -> list[Any]:
        """See `Adapter.fetch_sockets`.

        Raises:
            ClusterTimeout: when a server did not answer; `responses` holds the sockets of those
                that did.
            ClusterUnavailable: when nobody could be asked.
        """
        found = await super().fetch_sockets(options)
        if options.local:
            return found
        limit = options.timeout or self.request_seconds
        chosen = self._chosen(options)
        try:
            others = await self._others(limit, chosen)
        except ConnectionError as error:
            raise ClusterUnavailable(str(error), found) from error
        if others <= 0:
            return found
        asked = self._question(others)
        request = self._new_request(asked)
        self._tell(Kind.FETCH_SOCKETS, FetchSockets(to_wire(options), request), chosen)
        complete = await self._wait(request, asked, limit)
        for details in asked.responses:
            found += [RemoteSocket(self.nsp, one) for one in details]
        if not complete:
            raise ClusterTimeout(len(asked.responses), others, found)
        return found

    def add_sockets(self, options: BroadcastOptions, rooms: list[Room]) -> None:
        """See `Adapter.add_sockets`."""
        super().add_sockets(options, rooms)
        if not options.local:
            told = SocketsRooms(to_wire(options), rooms)
            self._tell(Kind.SOCKETS_JOIN, told, self._chosen(options))

    def remove_sockets(self, options: BroadcastOptions, rooms: list[Room]) -> None:
        """See `Adapter.remove_sockets`."""
        super().remove_sockets(options, rooms)
        if not options.local:
            told = SocketsRooms(to_wire(options), rooms)
            self._tell(Kind.SOCKETS_LEAVE, told, self._chosen(options))

    def disconnect_sockets(self, options: BroadcastOptions, close: bool) -> None:
        """See `Adapter.disconnect_sockets`."""
        super().disconnect_sockets(options, close)
        if not options.local:
            told = DisconnectSockets(to_wire(options), close)
            self._tell(Kind.DISCONNECT_SOCKETS, told, self._chosen(options))

    def server_side_emit(self, payload: list[Any]) -> None:
        """See `Adapter.server_side_emit`."""
        self._tell(Kind.SERVER_SIDE_EMIT, ServerSideEmit(packet=plain(payload)))

    async def server_side_emit_with_ack(self, payload: list[Any], timeout: float) -> list[Any]:
        """See `Adapter.server_side_emit_with_ack`."""
        try:
            others = await self._others(timeout)
        except ConnectionError as error:
            raise AckTimeout([]) from error
        if others <= 0:
            return []
        asked = self._question(others)
        request = self._new_request(asked)
        told = ServerSideEmit(request=request, packet=plain(payload))
        self._tell(Kind.SERVER_SIDE_EMIT, told)
        if not await self._wait(request, asked, timeout):
            raise AckTimeout(asked.responses)
        return asked.responses

    # Requests that wait for answers.

    def _question(self, others: int) -> CountedRequest:
        """What gathers the answers of so many other servers."""
        return CountedRequest(others)

    def _new_request(self, request: _Request) -> str:
        id = self.request_id()
        self._requests[id] = request
        return id

    def _limit(self, id: str, seconds: float, give_up: Callable[[], None]) -> None:
        def end() -> None:
            if self._requests.pop(id, None) is not None:
                give_up()

        asyncio.get_running_loop().call_later(seconds, end)

    async def _wait(self, id: str, request: CountedRequest, seconds: float) -> bool:
        """Wait for the answers to a request; whether they all came."""
        try:
            async with asyncio.timeout(seconds):
                await request.complete.wait()
        except TimeoutError:
            return False
        finally:
            self._requests.pop(id, None)
        return True

    # What other servers ask.

    def _on_broadcast(self, message: ClusterMessage) -> None:
        told = message.data
        if type(told) is not Broadcast:
            told = msgspec.convert(told, Broadcast)
        payload = self._payload(told, message.dated)
        options = from_wire(told.opts)
        if told.request is None:
            self.deliver(payload, options)
        else:
            if not options.timeout:
                options.timeout = self.request_seconds
            gathering = _Forwarding(self, message.uid, told.request)
            super().broadcast_with_ack(payload, options, gathering)

    def deliver(self, payload: list[Any], options: BroadcastOptions) -> Sent:
        """Give an event to this server's sockets alone."""
        return super().broadcast(payload, options)

    def _payload(self, told: Broadcast, dated: bool) -> list[Any]:
        """The event's name and arguments.

        Raises:
            ValueError: when there is no event.
        """
        payload = told.packet.get("data")
        if not isinstance(payload, list) or not payload:
            raise ValueError("a broadcast without an event")
        if dated and self._text_dates:
            # As clients of the server that it came from receive them.
            return [with_text_dates(one) for one in payload]
        return payload

    def _on_join(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, SocketsRooms)
        try:
            super().add_sockets(from_wire(told.opts), told.rooms)
        except LimitExceeded as error:
            # The server that asked has its own sockets to answer for, and this one these.
            logger.warning("another server asked for too many rooms: %r", error)

    def _on_leave(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, SocketsRooms)
        super().remove_sockets(from_wire(told.opts), told.rooms)

    def _on_disconnect(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, DisconnectSockets)
        super().disconnect_sockets(from_wire(told.opts), told.close)

    def _on_fetch(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, FetchSockets)
        options = from_wire(told.opts)
        sockets = [details_of(one) for one in self.targets(options.rooms, options.excepted)]
        answer = FetchedSockets(told.request, sockets)
        self._answer(message.uid, Kind.FETCH_SOCKETS_RESPONSE, answer)

    def _on_server_side_emit(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, ServerSideEmit)
        if not told.packet or not isinstance(told.packet[0], str):
            raise ValueError("an event without a name")
        self.nsp.server.spawn(self._handle_server_event(message.uid, told))

    async def _handle_server_event(self, uid: str, told: ServerSideEmit) -> None:
        event = told.packet[0]
        answer = None
        handlers = self.nsp.server_handlers(event)
        for handler in handlers:
            try:
                result = handler.function(*handler.arguments(None, told.packet, None))
                if hasattr(result, "__await__"):
                    result = await result
            except Exception as error:
                self.nsp.server.report(error, None, event)
                continue
            answer = result if answer is None else answer
        if told.request is not None and handlers:
            reply = ServerAnswer(told.request, plain(answer))
            self._answer(uid, Kind.SERVER_SIDE_EMIT_RESPONSE, reply)

    # What other servers answer.

    def _on_fetched(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, FetchedSockets)
        request = self._requests.get(told.request)
        if isinstance(request, CountedRequest):
            request.add(message.uid, told.sockets)

    def _on_server_answer(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, ServerAnswer)
        request = self._requests.get(told.request)
        if isinstance(request, CountedRequest):
            request.add(message.uid, told.packet)

    def _on_client_count(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, ClientCount)
        request = self._requests.get(told.request)
        if isinstance(request, _AckRequest) and told.count >= 0:
            request.gathering.expect(told.count)

    def _on_client_ack(self, message: ClusterMessage) -> None:
        told = msgspec.convert(message.data, ClientAck)
        request = self._requests.get(told.request)
        if isinstance(request, _AckRequest):
            request.gathering.answer(told.packet)


@mypyc_attr(allow_interpreted_subclasses=True)
class _Request:
    """A question that waits for the other servers."""


class _AckRequest(_Request):
    """A broadcast that is acknowledged."""

    def __init__(self, gathering: Any) -> None:
        self.gathering = gathering


@mypyc_attr(allow_interpreted_subclasses=True)
class CountedRequest(_Request):
    """A question that each other server answers once."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self._answered: set[str] = set()
        self.responses: list[Any] = []
        self.complete = asyncio.Event()

    def add(self, uid: str, response: Any) -> None:
        """One more answer; the servers of some families do not say whose it is."""
        if uid and uid in self._answered:
            return
        self._answered.add(uid)
        self.responses.append(response)
        if len(self.responses) >= self._expected:
            self.complete.set()


class _Forwarding:
    """Takes the acknowledgements of this server's clients to the server that asked."""

    def __init__(self, adapter: ClusterAdapter, uid: str, request: str) -> None:
        self._adapter = adapter
        self._uid = uid
        self._request = request

    def expect(self, count: int) -> None:
        """How many clients there are."""
        answer = ClientCount(self._request, count)
        self._adapter._answer(self._uid, Kind.BROADCAST_CLIENT_COUNT, answer)

    def answer(self, value: Any) -> None:
        """One answered."""
        answer = ClientAck(self._request, value)
        self._adapter._answer(self._uid, Kind.BROADCAST_ACK, answer)

    def fail(self, error: Exception) -> None:
        """One will not: whoever asked finds out by its time-out."""
