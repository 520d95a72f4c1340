"""What two browsers tell each other through the server until they are connected, and after.

    peer:offer    wants to be connected; answered by the link's id, or by why not
    peer:answer   agrees
    peer:ice      an address under which to try
    peer:relay    they cannot reach each other: the server shall relay
    peer:data     what is relayed
    peer:taken    how much of that was taken, so that more may be sent
    peer:bye      the link has ended

All that is passed on carries `from`, which the server writes: the peer's socket id, its namespace,
and what the application says of it. Nothing that a browser says of itself is passed on, and of the
rest only what this module knows.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from nuncio.cluster.remote import RemoteSocket
from nuncio.errors import ClusterTimeout, ConnectError
from nuncio.ids import new_id
from nuncio.peers.links import Book, End, cost_of
from nuncio.peers.sdp import Unfit, candidate_of, fingerprint_of
from nuncio.protocol.json import simplify
from nuncio.server.peering import PEERS_NAMESPACE
from nuncio.server.socket import RECOVERABLE, Socket

if TYPE_CHECKING:
    from nuncio.engine.session import Session
    from nuncio.peers.policy import Allow, Identify

logger = logging.getLogger("nuncio")

# As Nuncio and the reference make them.
_ID: Final = re.compile(r"[A-Za-z0-9_-]{20}")

CHUNK_BYTES: Final = 64 * 1024

# Why a link could not be made, or has ended: what browsers are told.
INVALID: Final = "peer:invalid"
DENIED: Final = "peer:denied"
UNAVAILABLE: Final = "peer:unavailable"
LIMIT: Final = "peer:limit"
EXPIRED: Final = "peer:expired"
LEFT: Final = "peer:left"

# What a browser may say that it ends a link for.
REASONS: Final = frozenset({"closed", "refused", "failed", "fingerprint", "glare"})

# Between servers.
EVENT: Final = "peer"


class Refused(Exception):
    """An offer cannot be passed on; the argument tells the browser why."""

    def __init__(self, word: str, message: str, data: object = None) -> None:
        super().__init__(message)
        self.answer: dict[str, Any] = {"error": word, "message": message}
        if data is not None:
            self.answer["data"] = data


class Peers:
    """Arranges links between the browsers of a server.

    Args:
        server: the server.
        allow: see `Server.peers`.
        identify: the same.
        relay: the same.
    """

    def __init__(self, server: Any, allow: Allow, identify: Identify | None, relay: bool) -> None:
        self._server = server
        self._allow = allow
        self._identify = identify
        self._relay = relay
        self._limits = server.limits
        self._books: dict[Session, Book] = {}
        # Ends whose other end another server has, by the ids of their links.
        self._afar: dict[str, End] = {}
        # What came over links whose offers wait for the application to introduce somebody.
        self._opening: dict[str, list[tuple[str, dict[str, Any], dict[str, Any]]]] = {}
        nsp = server.of(PEERS_NAMESPACE)
        self._nsp = nsp
        nsp.use(self._admit)
        nsp.on("connection", self._entered)
        nsp.on("peer:offer", self._on_offer)
        nsp.on("peer:data", self._on_data)
        nsp.on("peer:taken", self._on_taken)
        for name in ("answer", "ice", "relay", "bye"):
            nsp.on(f"peer:{name}", _Checked(self, getattr(self, f"_on_{name}")))
        nsp.on_server(EVENT, self._from_server)

    def __repr__(self) -> str:
        return f"<Peers with {self.links} links>"

    @property
    def links(self) -> int:
        """How many ends of links there are at this server."""
        return sum(len(book.ends) for book in self._books.values())

    # Who is there.

    def _admit(self, socket: Socket) -> None:
        # Whoever is in no other namespace has passed none of the application's checks.
        if not socket._connection.sockets:
            raise ConnectError("join another namespace first")

    def _entered(self, socket: Socket) -> None:
        self._books[socket.conn] = Book(socket, self._limits.peer_signals)

    def left(self, socket: Socket, reason: str) -> None:
        """A socket of the server has ended, and its links with it.

        Args:
            socket: of any namespace.
            reason: why. When only its link to the server was lost, peers that are connected
                directly may stay so.
        """
        book = self._books.get(socket.conn)
        if book is None:
            return
        message = {"reason": LEFT, "lost": reason in RECOVERABLE}
        for end in list(book.ends.values()):
            if end.socket is socket or book.control is socket:
                self._end(end, message)
        if book.control is socket:
            del self._books[socket.conn]

    # An offer.

    async def _on_offer(self, control: Socket, message: Any = None) -> dict[str, Any]:
        book = self._books[control.conn]
        try:
            link = await self._offer(book, message)
            return {"link": link, "window": self._limits.peer_relay_bytes}
        except Unfit as error:
            refused = Refused(INVALID, str(error))
        except Refused as error:
            refused = error
        self._server.counters.refused_peers += 1
        logger.debug("%r may not have a peer: %s", control, refused)
        return refused.answer

    async def _offer(self, book: Book, message: Any) -> str:
        self._check_rate(book)
        if not isinstance(message, dict):
            raise Unfit("no offer")
        told = self._session_of(message)
        to = message.get("to")
        sender = book.socket_of(message.get("nsp"))
        if sender is None or not isinstance(to, str) or to == sender.id:
            raise Unfit("nobody's offer, or nobody to offer it to")
        limits = self._limits
        if book.open_offers >= limits.peer_offers:
            raise Refused(LIMIT, "too many offers that nobody has answered")
        if len(book.ends) + book.asking >= limits.peer_links:
            raise Refused(LIMIT, "too many peers")
        book.asking += 1
        try:
            target = await self._find(sender, to)
            await self._ask(sender, target)
            stamp = await self._stamp(sender)
            theirs = None if isinstance(target, RemoteSocket) else await self._stamp(target)
        finally:
            book.asking -= 1
        return self._pass_on(book, sender, target, stamp, theirs, told)

    def _check_rate(self, book: Book) -> None:
        if not book.spend():
            book.control._connection.refused()
            raise Refused(LIMIT, "too many messages")

    def _session_of(self, message: dict[str, Any]) -> dict[str, Any]:
        """What of an offer or an answer is passed on."""
        sdp = message.get("sdp")
        relays = self._relay and message.get("relay") is True
        if sdp is None:
            if not relays:
                raise Unfit("neither a session nor leave to relay")
            return {"sdp": None, "fingerprint": None, "relay": True}
        fingerprint = fingerprint_of(sdp, self._limits.peer_sdp_bytes)
        return {"sdp": sdp, "fingerprint": fingerprint, "relay": relays}

    async def _find(self, sender: Socket, id: str) -> Socket | RemoteSocket:
        """The socket of a namespace with this id, wherever it is."""
        nsp = sender.nsp
        found: Any = nsp.sockets.get(id)
        # Only for what can be an id, for a room may be large, and all of it would be told.
        if found is None and _ID.fullmatch(id) is not None:
            try:
                there = await nsp.to(id).fetch_sockets()
            except ClusterTimeout as error:
                there = error.responses
            # Others may be in its room.
            found = next((one for one in there if one.id == id), None)
        if found is None:
            raise Refused(UNAVAILABLE, "there is nobody of this id")
        return found  # type: ignore[no-any-return]  # one of both, as sockets are

    async def _ask(self, sender: Socket, target: Socket | RemoteSocket) -> None:
        """Ask the application.

        Raises:
            Refused: unless it says yes.
        """
        try:
            verdict = self._allow(sender, target)
            if not isinstance(verdict, bool) and hasattr(verdict, "__await__"):
                verdict = await verdict
        except ConnectError as error:
            raise Refused(DENIED, error.message, error.data) from error
        except Exception as error:
            # A gate that fails stays shut.
            self._server.report(error, sender, "peer:offer")
            verdict = False
        if not verdict:
            raise Refused(DENIED, "not allowed")

    async def _stamp(self, socket: Socket) -> dict[str, Any]:
        """Who a socket is."""
        stamp: dict[str, Any] = {"id": socket.id, "nsp": socket.nsp.name}
        if self._identify is None:
            return stamp
        try:
            identity = self._identify(socket)
            if hasattr(identity, "__await__"):
                identity = await identity
            stamp["identity"] = simplify(identity)
        except Exception as error:
            self._server.report(error, socket, "peer:offer")
            raise Refused(DENIED, "not allowed") from error
        return stamp

    def _pass_on(
        self,
        book: Book,
        sender: Socket,
        target: Socket | RemoteSocket,
        stamp: dict[str, Any],
        theirs: dict[str, Any] | None,
        told: dict[str, Any],
    ) -> str:
        if not sender.connected or not book.control.connected:
            raise Refused(UNAVAILABLE, "it has left")
        end = self._new_end(new_id(), book, sender, stamp, told["relay"], offered=True)
        if theirs is None or isinstance(target, RemoteSocket):
            self._afar[end.id] = end
            self._nsp.server_side_emit(
                EVENT, "offer", end.id, {"nsp": sender.nsp.name, "to": target.id}, stamp, told
            )
            return end.id
        other = self._receive_offer(end.id, target, theirs, stamp, told)
        if other is None:
            self._forget(end)
            raise Refused(UNAVAILABLE, "it cannot be connected to")
        end.other, other.other = other, end
        return end.id

    def _new_end(
        self,
        id: str,
        book: Book,
        socket: Socket,
        stamp: dict[str, Any],
        relays: bool,
        *,
        offered: bool,
    ) -> End:
        end = End(id, book, socket, stamp, offered=offered, relays=relays, expired=self._expired)
        book.ends[id] = end
        book.control._connection.wheel.arm(end, self._limits.peer_seconds)
        return end

    def _receive_offer(
        self,
        id: str,
        target: Socket,
        stamp: dict[str, Any],
        sender: dict[str, Any],
        told: dict[str, Any],
    ) -> End | None:
        """Hand an offer to the browser it is for; None when that is none, or has enough peers."""
        book = self._books.get(target.conn) if target.connected else None
        if book is None or len(book.ends) >= self._limits.peer_links:
            return None
        end = self._new_end(id, book, target, stamp, told["relay"], offered=False)
        window = self._limits.peer_relay_bytes
        end.tell("offer", {"to": target.id, "window": window, **told}, sender)
        return end

    def _expired(self, end: End) -> None:
        """Nobody answered in time; the other end, if it is here, has a timer of its own."""
        end.tell("bye", {"reason": EXPIRED, "lost": False}, None)
        self._end(end, {"reason": EXPIRED, "lost": False})

    # Between the ends of a link.

    def checked(self, control: Socket, message: Any, handle: Any) -> None:
        """Handle a message of somebody who has that link, and sends no more than it may."""
        book = self._books[control.conn]
        try:
            self._check_rate(book)
            link = message.get("link") if isinstance(message, dict) else None
            end = book.ends.get(link) if isinstance(link, str) else None
            if end is None:
                raise Unfit("no such link")
            handle(end, message)
        except (Unfit, Refused) as error:
            self._count(control, error)

    def _count(self, control: Socket, error: object) -> None:
        self._server.counters.refused_peer_messages += 1
        logger.debug("%r sent to a peer what is not passed on: %s", control, error)

    def _on_answer(self, end: End, message: dict[str, Any]) -> None:
        if end.offered or end.answered:
            raise Unfit("no answer was expected")
        told = self._session_of({**message, "relay": end.relays and message.get("relay")})
        self._answered(end, told)
        self._send(end, "answer", told)

    def _answered(self, end: End, told: dict[str, Any]) -> None:
        end.answered = True
        end.relays = told["relay"]
        end.relaying = told["sdp"] is None
        end.book.control._connection.wheel.cancel(end)

    def _on_ice(self, end: End, message: dict[str, Any]) -> None:
        candidate = candidate_of(message.get("candidate"))
        if end.candidates >= self._limits.peer_candidates:
            raise Unfit("too many candidates")
        end.candidates += 1
        self._send(end, "ice", {"candidate": candidate})

    def _on_relay(self, end: End, message: dict[str, Any]) -> None:
        if not end.answered or not end.relays:
            raise Unfit("this link is not relayed")
        end.relaying = True
        self._send(end, "relay", {})

    def _on_bye(self, end: End, message: dict[str, Any]) -> None:
        reason = message.get("reason")
        if reason not in REASONS:
            reason = "closed"
        self._end(end, {"reason": reason, "lost": False})

    def _on_data(self, control: Socket, link: Any = None, data: Any = None) -> None:
        end = self._relaying(control, link)
        if end is None:
            return
        if not isinstance(data, bytes) or not 0 < len(data) <= CHUNK_BYTES:
            self._count(control, "no chunk of bytes")
            return
        cost = cost_of(data)
        if end.unseen and end.unseen + cost > self._limits.peer_relay_bytes:
            # Who does not wait until the other has taken what was sent.
            self._count(control, "more than may be under way")
            end.tell("bye", {"reason": LIMIT, "lost": False}, None)
            self._end(end, {"reason": LIMIT, "lost": False})
            return
        end.unseen += cost
        self._send(end, "data", {"data": data})

    def _on_taken(self, control: Socket, link: Any = None, count: Any = None) -> None:
        end = self._relaying(control, link)
        if end is None:
            return
        if type(count) is not int or not 0 < count <= end.untaken:
            self._count(control, "it has not been sent so much")
            return
        end.untaken -= count
        self._send(end, "taken", {"count": count})

    def _relaying(self, control: Socket, link: Any) -> End | None:
        book = self._books[control.conn]
        end = book.ends.get(link) if isinstance(link, str) else None
        if end is not None and end.relaying:
            return end
        if not book.spend():
            control._connection.refused()
        self._count(control, "no link that is relayed")
        return None

    def _send(self, end: End, event: str, message: dict[str, Any]) -> None:
        """Pass on what one end of a link says."""
        if end.other is not None:
            self._arrive(end.other, event, message, end.stamp)
        else:
            self._nsp.server_side_emit(EVENT, event, end.id, None, end.stamp, message)

    def _arrive(
        self, end: End, event: str, message: dict[str, Any], sender: dict[str, Any]
    ) -> None:
        """The other end of a link has said something."""
        if event == "answer":
            self._answered(end, message)
        elif event == "relay":
            end.relaying = True
        elif event == "data":
            end.untaken += cost_of(message["data"])
        elif event == "taken":
            end.unseen = max(end.unseen - message["count"], 0)
        elif event == "bye":
            self._forget(end)
        end.tell(event, message, sender)

    def _end(self, end: End, message: dict[str, Any]) -> None:
        """A link has ended at this end; the other is told."""
        self._forget(end)
        self._send(end, "bye", message)

    def _forget(self, end: End) -> None:
        end.book.ends.pop(end.id, None)
        self._afar.pop(end.id, None)
        end.book.control._connection.wheel.cancel(end)

    # Between servers.

    async def _from_server(
        self, event: str, link: str, target: Any, sender: dict[str, Any], message: dict[str, Any]
    ) -> None:
        if event == "offer":
            await self._offer_from_server(link, target, sender, message)
            return
        end = self._afar.get(link)
        waiting = self._opening.get(link)
        if waiting is not None:
            if len(waiting) <= self._limits.peer_candidates:
                waiting.append((event, message, sender))
        elif end is not None:
            self._arrive(end, event, message, sender)

    async def _offer_from_server(
        self, link: str, target: dict[str, str], sender: dict[str, Any], told: dict[str, Any]
    ) -> None:
        nsp = self._server.find_namespace(target["nsp"])
        socket = None if nsp is None else nsp.sockets.get(target["to"])
        if socket is None:
            # Of another server.
            return
        end = None
        self._opening[link] = []
        try:
            stamp = await self._stamp(socket)
            told = {**told, "relay": told["relay"] and self._relay}
            end = self._receive_offer(link, socket, stamp, sender, told)
        except Refused as refused:
            logger.debug("%r has no peer: %s", socket, refused)
        finally:
            waiting = self._opening.pop(link)
        if end is None:
            stamp = {"id": target["to"], "nsp": target["nsp"]}
            message = {"reason": UNAVAILABLE, "lost": False}
            self._nsp.server_side_emit(EVENT, "bye", link, None, stamp, message)
            return
        self._afar[link] = end
        for event, message, sender in waiting:
            if link in self._afar:
                self._arrive(end, event, message, sender)


class _Checked:
    """A handler of what is said over a link."""

    __slots__ = ("_handle", "_peers")

    def __init__(self, peers: Peers, handle: Any) -> None:
        self._peers = peers
        self._handle = handle

    def __call__(self, control: Socket, message: Any = None) -> None:
        self._peers.checked(control, message, self._handle)
