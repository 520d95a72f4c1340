"""What becomes of events for a client that is behind. [compiled]

A policy belongs to a server, a namespace or a single emit. It travels with the message, of which
there is one for all recipients. Packets that the protocol needs have none: they are never dropped.
"""

from __future__ import annotations

from typing import Any, Final, final

from nuncio.errors import OptionError

BLOCK: Final = 1
DROP_NEWEST: Final = 2
DROP_OLDEST: Final = 3
CONFLATE: Final = 4


@final
class SlowConsumer:
    """One policy; `"disconnect"`, the default, is None.

    Attributes:
        kind: `BLOCK` … `CONFLATE`.
        key: for `CONFLATE`: messages of the same key replace each other. Before it is an event's:
            also None for the event's name, or a callable that is given its name and arguments.
        nsp: the event's namespace, once it is an event's; each has its own keys.
        ack: the id of the acknowledgement that is waited for, -1 for none.
    """

    __slots__ = ("ack", "key", "kind", "nsp")

    def __init__(self, kind: int, key: object = None, nsp: str = "", ack: int = -1) -> None:
        self.kind = kind
        self.key = key
        self.nsp = nsp
        self.ack = ack

    def __repr__(self) -> str:
        return f"<SlowConsumer {self.word}>"

    @property
    def droppable(self) -> bool:
        """Whether a message may be dropped that already waits."""
        return self.kind != BLOCK

    def of_event(self, nsp: str, payload: list[Any]) -> SlowConsumer:
        """The policy of one event.

        Args:
            nsp: its namespace.
            payload: its name and arguments.

        Raises:
            TypeError: for a key that cannot be one.
        """
        if self.kind != CONFLATE or self.nsp == nsp:
            return self
        key: Any = self.key
        if key is None:
            key = payload[0]
        elif callable(key):
            key = key(*payload)
        try:
            hash(key)
        except TypeError as error:
            raise TypeError(f"conflate: {key!r} cannot be a key: {error}") from error
        return SlowConsumer(CONFLATE, key, nsp)

    @property
    def word(self) -> str:
        """Its name, as options have it."""
        return _WORDS[self.kind]

    def with_ack(self, nsp: str, ack: int) -> SlowConsumer:
        """The same, for an event whose acknowledgement is waited for."""
        return SlowConsumer(self.kind, self.key, nsp, ack)


_WORDS: Final = {
    BLOCK: "block",
    DROP_NEWEST: "drop_newest",
    DROP_OLDEST: "drop_oldest",
    CONFLATE: "conflate",
}
POLICIES: Final[dict[str, SlowConsumer | None]] = {
    "disconnect": None,
    "block": SlowConsumer(BLOCK),
    "drop_newest": SlowConsumer(DROP_NEWEST),
    "drop_oldest": SlowConsumer(DROP_OLDEST),
}


def conflate(key: object = None) -> SlowConsumer:
    """The policy by which a newer event takes the place of an older one that still waits.

    It keeps the older one's place among what waits, so that a value which changes often is not
    put off for ever. Events of one key therefore stay in order; among other events the newer one
    may arrive before some that were emitted earlier.

    Args:
        key: events of the same key replace each other: any hashable value, such as `"price:EUR"`;
            a callable that is given the event's name and arguments and returns one; or None for
            the event's name. Each namespace has its own keys.
    """
    if not callable(key):
        try:
            hash(key)
        except TypeError as error:
            raise OptionError(f"key: {key!r} cannot be a key: {error}") from error
    return SlowConsumer(CONFLATE, key)


def policy_of(value: object, argument: str) -> SlowConsumer | None:
    """The policy that an application names; None for `disconnect`.

    Raises:
        OptionError: for what is none.
    """
    if isinstance(value, SlowConsumer):
        return value
    if isinstance(value, str) and value in POLICIES:
        return POLICIES[value]
    raise OptionError(
        f"{argument} must be 'disconnect', 'block', 'drop_oldest', 'drop_newest' or "
        f"nuncio.conflate(key), not {value!r}"
    )
