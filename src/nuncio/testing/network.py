"""What goes wrong between clients and servers, when a test says so."""

from __future__ import annotations

import asyncio
from typing import Any

from nuncio.errors import OptionError
from nuncio.options import seconds as checked_seconds
from nuncio.testing.wire import CLIENT, SERVER, Link

_BOTH = (SERVER, CLIENT)


class Network:
    """What links run through. Each client has one of its own, unless it is given another's.

        network = nuncio.testing.Network()
        ada = await nuncio.testing.connect(io, network=network)
        network.cut()

    Times are those of the event loop, which a `Clock` may move.
    """

    def __init__(self) -> None:
        self._links: set[Link] = set()
        self._held: dict[str, bool] = dict.fromkeys(_BOTH, False)
        self._delay = 0.0
        self._refusing = False
        self._changed: list[asyncio.Future[None]] = []
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._carried = 0

    def __repr__(self) -> str:
        words = [f"{len(self.links)} links"]
        words += [f"holds what goes to the {to}" for to in _BOTH if self._held[to]]
        if self._refusing:
            words.append("refuses new ones")
        if self._delay:
            words.append(f"takes {self._delay:g} s")
        return f"<Network: {', '.join(words)}>"

    @property
    def links(self) -> set[Link]:
        """The links there are."""
        self._links = {link for link in self._links if not link.over}
        return self._links

    # What tests do.

    def cut(self) -> None:
        """Cut every link, now: both sides see `transport close`, what is on its way is lost.

        Clients that reconnect may do so at once; see `down`.
        """
        for link in list(self.links):
            link.cut()

    def refuse(self) -> None:
        """Let nobody connect, as where no server listens. Links that are there stay."""
        self._refusing = True
        self._tell()

    def accept(self) -> None:
        """Let clients connect again, after `refuse`."""
        self._refusing = False
        self._tell()

    def down(self, seconds: float | None = None) -> None:
        """Cut every link, and let nobody connect.

        Args:
            seconds: for how long; None until `up`.

        Raises:
            OptionError: for what is no such number.
        """
        self.refuse()
        self.cut()
        self._later("down", seconds, self.up)

    def up(self) -> None:
        """The network is there again, after `down`."""
        self._forget("down")
        self.accept()

    def hold(self, to: str | None = None, seconds: float | None = None) -> None:
        """Hold what is sent from now on, and attempts to connect: neither side sees anything wrong.

        What one side may have under way without an answer then fills up, and heartbeats stay out.

        Args:
            to: `server` or `client`, for the one direction; None for both.
            seconds: for how long; None until `release`.

        Raises:
            OptionError: for another direction, or what is no number of seconds.
        """
        for one in _directions(to):
            self._held[one] = True
            self._later(one, seconds, lambda one=one: self.release(one))

    def release(self, to: str | None = None) -> None:
        """Let what was held arrive, in order.

        Args:
            to: see `hold`.

        Raises:
            OptionError: for another direction.
        """
        for one in _directions(to):
            self._forget(one)
            self._held[one] = False
        self._tell()
        for link in list(self.links):
            link.go_on()

    @property
    def delay(self) -> float:
        """Seconds that everything takes from one side to the other; may be set."""
        return self._delay

    @delay.setter
    def delay(self, seconds: float) -> None:
        self._delay = checked_seconds("delay", seconds, zero=True)

    @property
    def disturbed(self) -> bool:
        """Whether anything of the above is in force."""
        return self._refusing or bool(self._delay) or any(self._held.values())

    # What links and attempts to connect ask.

    def holds(self, to: str) -> bool:
        """Whether nothing arrives there."""
        return self._held[to]

    def carried(self) -> None:
        """Something has arrived."""
        self._carried += 1

    @property
    def count(self) -> int:
        """How much has arrived so far."""
        return self._carried

    def add(self, link: Link) -> None:
        """Somebody connects."""
        self._links.add(link)

    async def pass_through(self, link: Link, to: str) -> bool:
        """Bring a part of the handshake to one side.

        Returns:
            whether it got there: somebody listens, and the link was not cut meanwhile.
        """
        loop = asyncio.get_running_loop()
        due = loop.time() + self._delay
        while not link.is_cut and not (to == SERVER and self._refusing):
            left = due - loop.time()
            if left <= 0 and not self._held[to]:
                return True
            changed: asyncio.Future[None] = loop.create_future()
            self._changed.append(changed)
            timeout = left if left > 0 else None
            await asyncio.wait(
                (changed, link.broken), timeout=timeout, return_when=asyncio.FIRST_COMPLETED
            )
        return False

    def _tell(self) -> None:
        changed, self._changed = self._changed, []
        for one in changed:
            if not one.done():
                one.set_result(None)

    def _later(self, what: str, seconds: float | None, function: Any) -> None:
        self._forget(what)
        if seconds is not None:
            loop = asyncio.get_running_loop()
            self._timers[what] = loop.call_later(checked_seconds("seconds", seconds), function)

    def _forget(self, what: str) -> None:
        timer = self._timers.pop(what, None)
        if timer is not None:
            timer.cancel()


def _directions(to: str | None) -> tuple[str, ...]:
    if to is None:
        return _BOTH
    if to not in _BOTH:
        raise OptionError(f"to must be 'server', 'client', or None for both, not {to!r}")
    return (to,)
