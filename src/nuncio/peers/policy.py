"""Who may be connected to whom, and how each is introduced: what the application says of it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from nuncio.errors import OptionError

Allow = Callable[[Any, Any], bool | Awaitable[bool]]
"""Asked whether one socket may be connected to another; both are in the same namespace."""

Identify = Callable[[Any], Any]
"""Says who a socket is, in plain data for its peers; may be async."""


def share_a_room(sender: Any, target: Any) -> bool:
    """Allow peers that are in a room together: `io.peers(nuncio.peers.share_a_room)`.

    The rooms that sockets have for themselves do not count, nor does it help to be in one of
    somebody else's. A room that everybody is in allows everybody.

    Args:
        sender: the socket that wants to be connected.
        target: to which one; a `RemoteSocket` when it is on another server.
    """
    own = {sender.id, target.id}
    return bool((set(sender.rooms) & set(target.rooms)) - own)


def check_hook(name: str, hook: object, arguments: int) -> None:
    """Check that a function can be called as it will be.

    Raises:
        OptionError: when it cannot.
    """
    what = "(sender, target)" if arguments == 2 else "(socket)"
    if not callable(hook):
        raise OptionError(f"{name} must be callable with {what}, not {hook!r}")
    try:
        inspect.signature(hook).bind(*[None] * arguments)
    except TypeError as error:
        raise OptionError(f"{name} is called with {what}: {error}") from error
    except ValueError:
        # A builtin that does not tell.
        return
