"""Who is let in: the engine's own checks of a request, one by one.

The order in which they come is the engine's. What the application says of a request is asked of
`Gates`, and how many may come in of the `Door`; here the two stand beside what the protocol wants.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nuncio.engine.door import Door
from nuncio.engine.gates import Gates
from nuncio.engine.origins import origin_of
from nuncio.engine.refusal import FORBIDDEN, UNSUPPORTED_PROTOCOL_VERSION, Refusals
from nuncio.engine.request import Exchange

if TYPE_CHECKING:
    from nuncio.engine.engine import Engine

logger = logging.getLogger("nuncio.engine")


class Admission:
    """The checks. Where one says no, the request is answered.

    Args:
        engine: which asks.
        gates: the application's say.
        door: how many may come in.
        refusals: answers who is not let in.
    """

    def __init__(self, engine: Engine, gates: Gates, door: Door, refusals: Refusals) -> None:
        self._engine = engine
        self._gates = gates
        self._door = door
        self._refusals = refusals
        self._warned_origin = False

    async def admitted(self, exchange: Exchange) -> bool:
        """Whether requests of this origin are let in; nothing is answered yet."""
        request = exchange.request
        return await self._gates.admits(request, self._engine.scripted(request))

    def cors(self, exchange: Exchange, admitted: bool, upgrade: bool) -> bool:
        """Add the headers; True when the request was a preflight and is answered."""
        policy = self._engine.cors
        exchange.headers.extend(policy.headers(exchange.request, admitted))
        if exchange.request.method != "OPTIONS" or upgrade:
            return False
        answer = policy.preflight(exchange.request, admitted)
        if answer is None:
            return False
        exchange.headers.clear()
        exchange.respond(answer[0], answer[1], b"")
        return True

    def check_origin(self, exchange: Exchange, upgrade: bool, admitted: bool) -> bool:
        """Whether the origin is one, and is let in."""
        header = exchange.request.header(b"origin")
        origin = header or ""
        if origin and any(character < " " or character > "~" for character in origin):
            self._refusals.bad_request(exchange, upgrade, "INVALID_ORIGIN", origin=origin)
            return False
        if admitted:
            return True
        log = logger.debug if self._warned_origin else logger.warning
        self._warned_origin = True
        policy = self._engine.cors
        why = policy.explain(origin)
        if header is None:
            origin = origin_of(exchange.request.header(b"referer") or "")
            why = policy.explain_script(origin)
        log("refused a connection: %s", why)
        self._refusals.refuse(
            exchange,
            upgrade,
            FORBIDDEN,
            {"name": "ORIGIN_NOT_ALLOWED", "origin": origin},
            "Origin not allowed",
        )
        return False

    def check_protocol(self, exchange: Exchange, upgrade: bool) -> bool:
        """Whether the client speaks a revision that is served."""
        if self._engine.options.allow_eio3 or exchange.request.query.get("EIO") == "4":
            return True
        self._refusals.refuse(exchange, upgrade, UNSUPPORTED_PROTOCOL_VERSION, {"protocol": 3})
        return False

    # New sessions.

    def may_knock(self, exchange: Exchange, upgrade: bool) -> bool:
        """Whether there is room for another session, and its address did not ask too often."""
        return self.has_room(exchange, upgrade) and self._door.knocked(exchange, upgrade)

    def has_room(self, exchange: Exchange, upgrade: bool) -> bool:
        """Whether a new session may be opened now."""
        engine = self._engine
        if not exchange.alive or engine.stopping:
            worker = engine.worker
            if exchange.alive and not upgrade and worker is not None:
                if worker.forwarder.pass_on(exchange):
                    return False
            exchange.respond(503, [("Retry-After", "5"), ("Connection", "close")], b"")
            return False
        return self._door.has_room(exchange, upgrade, engine.may_open)

    async def id_for(self, exchange: Exchange, upgrade: bool) -> str | None:
        """The id of a new session that passed the other checks; None when one says no."""
        engine = self._engine
        request = exchange.request
        message = await self._gates.objection(request)
        if message is not None:
            self._refusals.refuse(exchange, upgrade, FORBIDDEN, {"message": message}, message)
            return None
        if not self.check_protocol(exchange, upgrade):
            return None
        try:
            id = await self._gates.make_id(request, engine.sessions, engine.worker)
        except Exception as error:
            self._refusals.bad_request(exchange, upgrade, "ID_GENERATION_ERROR", error=error)
            return None
        return id if not exchange.done and self.has_room(exchange, upgrade) else None
