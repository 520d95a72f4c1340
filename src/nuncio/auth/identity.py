"""What an authenticator is and what it returns."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from nuncio.errors import ConnectError

if TYPE_CHECKING:
    from nuncio.server.socket import Socket

# The codes that clients see, in `err.data.code`.
UNAUTHORIZED: Final = "unauthorized"
TOKEN_MISSING: Final = "token_missing"
TOKEN_EXPIRED: Final = "token_expired"
TOKEN_INVALID: Final = "token_invalid"
USER_CHANGED: Final = "user_changed"
UNAVAILABLE: Final = "unavailable"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a client has proved to be.

    Attributes:
        user: becomes `socket.user`: a model, a dict of claims, a name.
        expires_at: until when that holds, in seconds since the epoch; None for as long as the
            connection lasts.
        key: what tells users apart, such as their number; a live connection is not handed from one
            user to another. None where that cannot be told.
    """

    user: Any
    expires_at: float | None = None
    key: Any = None


class Authenticator(Protocol):
    """A function that finds out who a client is."""

    def __call__(
        self, socket: Socket, auth: dict[str, Any], /
    ) -> Identity | Awaitable[Identity | None] | None:
        """Find out who a client is; may be async.

        Args:
            socket: not connected yet, unless the client proves again who it is.
            auth: what the client sent as `auth`; any JSON may be in it.

        Returns:
            The identity; None when there are no credentials, or they do not hold.

        Raises:
            ConnectError: to refuse with other words than `unauthorized`.
        """


def refusal(code: str) -> ConnectError:
    """The refusal that says no more than its code."""
    return ConnectError("unauthorized", {"code": code})
