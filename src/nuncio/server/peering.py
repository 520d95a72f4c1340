"""`io.peers`: whether browsers may be connected to each other, and who decides it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from nuncio.errors import OptionError

if TYPE_CHECKING:
    from nuncio.peers.policy import Identify

A = TypeVar("A", bound=Callable[..., Any])

# Where browsers arrange it. No application's namespace has this name.
PEERS_NAMESPACE: Final = "/.nuncio"


class Peering:
    """The part of a server that is about peers.

    Attributes:
        peering: what arranges links between browsers; None when they may have none.
    """

    peering: Any = None

    @overload
    def peers(self, allow: A, *, identify: Identify | None = None, relay: bool = True) -> A: ...

    @overload
    def peers(
        self, allow: None = None, *, identify: Identify | None = None, relay: bool = True
    ) -> Callable[[A], A]: ...

    def peers(
        self, allow: Any = None, *, identify: Identify | None = None, relay: bool = True
    ) -> Any:
        """Let browsers be connected to each other, by WebRTC or relayed.

        They need the part `peer` of the browser's client. Nobody may be connected to anybody
        unless `allow` says so:

            @io.peers
            async def may_meet(sender, target):
                return await friends(sender.user, target.user)

            io.peers(nuncio.peers.share_a_room)     # or a policy that is there already

        Args:
            allow: called with the socket that asks and the one it wants to be connected to, both
                of one namespace; the latter is a `RemoteSocket` when it is on another server.
                Returns whether they may; it may be async. Raising `ConnectError` refuses with a
                message; whatever else it raises refuses, too. None to use this as a decorator.
            identify: called with a socket; what it returns is told to its peers as
                `peer.identity`. Without it they are told its id and namespace only.
            relay: whether the server relays for browsers that cannot reach each other.

        Returns:
            `allow`, or a decorator.

        Raises:
            OptionError: for what cannot be called so, and when it was said before.
        """
        if allow is None:
            return _Decorator(self, identify, relay)
        from nuncio.peers.policy import check_hook
        from nuncio.peers.signalling import Peers

        check_hook("peers(allow)", allow, 2)
        if identify is not None:
            check_hook("peers(identify=…)", identify, 1)
        if not isinstance(relay, bool):
            raise OptionError(f"peers(relay=…) must be True or False, not {relay!r}")
        if self.peering is not None:
            raise OptionError("peers: it has been said already who may be connected to whom")
        self.peering = Peers(self, allow, identify, relay)
        return allow


class _Decorator:
    """What `@io.peers(…)` applies to the function below it."""

    __slots__ = ("_identify", "_peering", "_relay")

    def __init__(self, peering: Peering, identify: Identify | None, relay: bool) -> None:
        self._peering = peering
        self._identify = identify
        self._relay = relay

    def __call__(self, allow: Callable[[Any, Any], Any]) -> Any:
        return self._peering.peers(allow, identify=self._identify, relay=self._relay)
