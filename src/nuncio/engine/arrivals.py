"""Connections that are no requests, such as WebTransport's.

They pass the same gate in two steps, for whether a client wants a new session is in the first
packet that it sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nuncio.engine.admission import Admission
from nuncio.engine.gates import Gates
from nuncio.engine.refusal import (
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED_PROTOCOL_VERSION,
    Refusals,
)
from nuncio.engine.request import Exchange
from nuncio.engine.session import Session
from nuncio.engine.transport import Transport
from nuncio.engine.ways import Way, revision_of

if TYPE_CHECKING:
    from nuncio.engine.engine import Engine


class Arrivals:
    """Takes connections for an engine.

    Args:
        engine: the engine.
        admission: its checks.
        gates: what the application says of a request.
        refusals: answers who is not let in.
        ways: the transports.
    """

    def __init__(
        self,
        engine: Engine,
        admission: Admission,
        gates: Gates,
        refusals: Refusals,
        ways: dict[str, Way],
    ) -> None:
        self._engine = engine
        self._admission = admission
        self._gates = gates
        self._refusals = refusals
        self._ways = ways

    @property
    def may_wait(self) -> bool:
        """Whether `knock` and `adopt` may have to wait for the application."""
        return self._gates.may_wait

    async def knock(self, exchange: Exchange) -> bool:
        """Whether a connection of this request may be accepted; otherwise it is answered.

        Origin, middlewares and transport are checked, and the session that the query names.
        """
        admission = self._admission
        admitted = await admission.admitted(exchange)
        if exchange.done:
            return False
        admission.cors(exchange, admitted, False)
        if not await self._gates.run_middlewares(exchange, False):
            return False
        query = exchange.request.query
        name = query.get("transport", "")
        if name not in self._ways or self._ways[name].requests:
            self._refusals.refuse(exchange, False, UNKNOWN_TRANSPORT, {"transport": name})
            return False
        if not admission.check_origin(exchange, False, admitted):
            return False
        if self._engine.stopping:
            return admission.has_room(exchange, False)
        sid = query.get("sid")
        if revision_of(exchange.request) != 4:
            # Older revisions know no such transport, whatever the server allows.
            self._refusals.refuse(exchange, False, UNSUPPORTED_PROTOCOL_VERSION, {"protocol": 3})
            return False
        if sid and self._find(exchange, sid) is None:
            return False
        self._engine.header_events.emit(exchange, initial=not sid)
        return True

    async def adopt(self, exchange: Exchange, transport: Transport, sid: str | None) -> None:
        """Take the transport of a connection that was accepted, or refuse its exchange.

        Args:
            exchange: that passed `knock`.
            transport: what carries its packets; it does not read until this has ended.
            sid: of the session that wants to move there; None for a new one.
        """
        if sid is not None:
            session = self._find(exchange, sid)
            if session is not None:
                self._engine.probe(session, transport)
        elif self._admission.may_knock(exchange, False):
            id = await self._admission.id_for(exchange, False)
            if id is not None:
                self._engine.begin(exchange.request, transport, id)

    def refuse_garbage(self, exchange: Exchange) -> None:
        """A connection that was accepted began with what is no open packet."""
        self._refusals.bad_request(exchange, False, "TRANSPORT_HANDSHAKE_ERROR")

    def _find(self, exchange: Exchange, sid: str) -> Session | None:
        """The session that a connection is for; otherwise the exchange is answered."""
        session = self._engine.sessions.get(sid)
        if session is None:
            self._refusals.refuse(exchange, False, UNKNOWN_SID, {"sid": sid})
        elif session.protocol != 4:
            self._refusals.bad_request(
                exchange, False, "PROTOCOL_MISMATCH", protocol=4, previous_protocol=session.protocol
            )
        else:
            return session
        return None
