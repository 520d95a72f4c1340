"""The middleware around an authenticator: letting in, proving again, and the end of it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, overload

from nuncio.auth.identity import UNAUTHORIZED, USER_CHANGED, Authenticator, Identity, refusal
from nuncio.cluster.rooms import Room, rooms_of
from nuncio.errors import ConnectError, Disconnected, OptionError
from nuncio.ids import new_id
from nuncio.options import seconds
from nuncio.protocol.socketio import RESERVED_EVENTS
from nuncio.server.socket import EXPIRING_EVENT

if TYPE_CHECKING:
    from nuncio.server.access import Access
    from nuncio.server.namespace import Namespace
    from nuncio.server.socket import Socket

REFRESHED = "auth_refreshed"

Rooms = Room | Iterable[Room] | None
MaybeIdentity = Identity | None


class Authentication:
    """A middleware for `io.use` that sets `socket.user`; see `middleware` and `JWT`.

    Args:
        authenticator: finds out who a client is.
        optional: whether clients without credentials are let in, as guests: their user is None.
            Wrong credentials are refused all the same.
        room: from a user to the room, or rooms, which its sockets join; None for none.
        refresh_event: the event by which a connected client proves again who it is, its argument
            being a new `auth`; None for no such event.
        expiring_event: the event that tells a client that it should.
        notice: how many seconds before the end that is told; 0 to say nothing.
        same_user: whether a connection stays with its user; a guest may become anybody.

    Raises:
        OptionError: for an option out of range.
    """

    missing = UNAUTHORIZED
    """The code for clients without credentials."""

    authenticates = True
    """That it is asked about clients that recover, too, whatever `skip_middlewares` says."""

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        optional: bool = False,
        room: Callable[[Any], Rooms] | None = None,
        refresh_event: str | None = "auth:refresh",
        expiring_event: str = EXPIRING_EVENT,
        notice: float = 30.0,
        same_user: bool = True,
    ) -> None:
        if not callable(authenticator):
            raise OptionError(f"authenticator must be a function, not {authenticator!r}")
        if room is not None and not callable(room):
            raise OptionError(
                f"room must be a function from a user to a room, not {room!r}: "
                'room=lambda user: f"user:{user.id}"'
            )
        self._authenticator = authenticator
        self._optional = optional
        self._room = room
        self._refresh_event = None if refresh_event is None else _event(refresh_event, "refresh")
        self._expiring_event = _event(expiring_event, "expiring")
        self._notice = seconds("notice", notice, zero=True)
        self._same_user = same_user

    def authenticate(
        self, socket: Socket[Any, Any], auth: dict[str, Any]
    ) -> MaybeIdentity | Awaitable[MaybeIdentity]:
        """Find out who a client is."""
        return self._authenticator(socket, auth)

    # Letting in.

    def __call__(self, socket: Socket[Any, Any]) -> Awaitable[None] | None:
        """See `Namespace.use`."""
        self._listen(socket.nsp)
        found = self.authenticate(socket, socket.handshake.auth)
        if inspect.isawaitable(found):
            return self._admit_later(socket, found)
        self._admit(socket, found)
        return None

    async def _admit_later(self, socket: Socket[Any, Any], found: Awaitable[MaybeIdentity]) -> None:
        self._admit(socket, await found)

    def _admit(self, socket: Socket[Any, Any], identity: MaybeIdentity) -> None:
        if identity is None and not self._optional:
            raise refusal(self.missing)
        access = socket.access()
        if socket.recovered and access.key is not None:
            if identity is None or identity.key != access.key:
                # Whoever has somebody's session, it is not theirs.
                socket.start_afresh(new_id())
        access.authentication = self
        self._adopt(socket, access, identity)

    def _listen(self, nsp: Namespace[Any, Any]) -> None:
        """Have the namespace listen to the event; shared, so it costs nothing per socket."""
        event = self._refresh_event
        if event is not None and self._refreshed not in nsp.listeners(event):
            nsp.on(event, self._refreshed, concurrency=1)

    def _adopt(self, socket: Socket[Any, Any], access: Access, identity: MaybeIdentity) -> None:
        """Make a socket its user's, all at once."""
        if identity is None:
            return
        if not isinstance(identity, Identity):
            raise TypeError(
                f"an authenticator returns nuncio.auth.Identity(user) or None, not {identity!r}"
            )
        wanted = None if self._room is None else self._room(identity.user)
        rooms = () if wanted is None else tuple(rooms_of(wanted, "room"))
        # First what may fail: the socket may be in too many rooms.
        if rooms:
            socket.join(rooms)
        socket.expire_at(identity.expires_at, notice=self._notice, event=self._expiring_event)
        for room in access.rooms:
            if room not in rooms:
                socket.leave(room)
        access.rooms = rooms
        access.user = identity.user
        access.key = identity.key

    # Proving again.

    async def refresh(self, socket: Socket[Any, Any], auth: dict[str, Any]) -> None:
        """See `Socket.refresh_auth`."""
        if not isinstance(auth, dict):
            raise OptionError(f"auth must be a dict, not {auth!r}")
        if not socket.connected:
            raise Disconnected("not connected")
        access = socket.access()
        access.attempts += 1
        attempt = access.attempts
        found = self.authenticate(socket, auth)
        identity = await found if inspect.isawaitable(found) else found
        if identity is None:
            raise refusal(self.missing)
        if not socket.connected:
            raise Disconnected("it left while its credentials were checked")
        if attempt < access.adopted:
            # A later attempt was faster.
            return
        if self._same_user and None not in (access.key, identity.key):
            if access.key != identity.key:
                raise refusal(USER_CHANGED)
        former = access.user
        self._adopt(socket, access, identity)
        socket.replace_auth(auth)
        access.adopted = attempt
        await self._tell(socket, former)

    async def _tell(self, socket: Socket[Any, Any], former: Any) -> None:
        """Let the application look at the rooms again, before the client is answered."""
        nsp = socket.nsp
        for handler in nsp.lifecycle.get(REFRESHED, []):
            if handler.once:
                nsp.forget_handler(handler, REFRESHED)
            waiting = nsp.server.call_lifecycle(handler, socket, [former], spawn=False)
            if waiting is not None:
                try:
                    await waiting
                except Exception as error:
                    nsp.server.report(error, socket, REFRESHED)

    async def _refreshed(self, socket: Socket[Any, Any], auth: Any = None) -> Any:
        """The client's event; the answer says whether it worked."""
        access = socket.access()
        if access.authentication is not self:
            # Another middleware of this namespace let it in.
            return None
        try:
            await self.refresh(socket, auth if isinstance(auth, dict) else {})
        except ConnectError as error:
            return {"ok": False, "error": {"message": error.message, "data": error.data}}
        except Disconnected:
            return None
        except Exception as error:
            socket.nsp.server.report(error, socket, str(self._refresh_event))
            return {"ok": False, "error": {"message": "internal error", "data": None}}
        return {"ok": True, "expires_in": access.seconds_left}


def _event(name: object, which: str) -> str:
    if isinstance(name, str) and name and name not in RESERVED_EVENTS and name != REFRESHED:
        return name
    raise OptionError(f"{which}_event: {name!r} cannot be an event's name")


@overload
def middleware(authenticator: Authenticator, **options: Any) -> Authentication: ...


@overload
def middleware(
    authenticator: None = None, **options: Any
) -> Callable[[Authenticator], Authentication]: ...


def middleware(authenticator: Authenticator | None = None, **options: Any) -> Any:
    """Make a middleware for `io.use` of a function that finds out who a client is.

        @io.use
        @nuncio.auth.middleware(room=lambda user: f"user:{user}")
        async def who(socket, auth):
            name = await find_api_key(auth.get("key"))
            return None if name is None else nuncio.auth.Identity(name)

    Args:
        authenticator: see `Authenticator`; None to use this as a decorator.
        options: those of `Authentication`.

    Raises:
        OptionError: for an option out of range.
    """
    if authenticator is None:
        return lambda function: Authentication(function, **options)
    return Authentication(authenticator, **options)
