"""Connection state recovery over streams: the log is the stream, and sessions are keys of Redis.

What was promised is added once more when a connection is lost before Redis has answered. If it was
added before, servers know it by who emitted it and its number there, and pass it over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from nuncio.cluster import envelope
from nuncio.cluster.logged import MOST_MISSED, LoggedAdapter
from nuncio.cluster.message import ClusterMessage
from nuncio.cluster.numbered import Origin
from nuncio.cluster.redis.bus import Bus
from nuncio.cluster.redis.entries import Fields, mapped
from nuncio.cluster.redis.hub import Hub
from nuncio.cluster.redis.repeated import Repeated
from nuncio.cluster.redis.streams import RedisStreamsAdapter
from nuncio.cluster.redis.streams_adapter import StreamsAdapter
from nuncio.cluster.session_wire import START, id_of, position_of

# What clients missed is asked for in parts.
_PART: Final = 1000
_MOST_PARTS: Final = MOST_MISSED // _PART

# An entry's number at the server that added it, which knows its own by that; and the mark of an
# entry whose event may be there already.
_NUMBER: Final = b"n"
_AGAIN: Final = b"again"

_LONGEST: Final = 18


class RecoveringAdapter(LoggedAdapter, StreamsAdapter):
    """See `RedisStreamsAdapter`, with connection state recovery."""

    def __init__(self, nsp: Any, bus: Bus, hub: Hub, settings: RedisStreamsAdapter) -> None:
        super().__init__(nsp, bus, hub, settings)
        self._repeated = Repeated()

    async def end(self) -> None:
        """See `BusAdapter.end`."""
        self.end_log()
        self._repeated.clear()
        await super().end()

    # The stream.

    @property
    def reachable(self) -> bool:
        """See `LoggedAdapter.reachable`."""
        return self.bus.healthy

    def append(
        self, message: ClusterMessage, number: int, promised: bool = False
    ) -> asyncio.Future[Any]:
        """See `LoggedAdapter.append`."""
        fields = envelope.to_fields(message, self.settings.only_plaintext)
        fields += [_NUMBER, b"%d" % number]
        again = self.entry([*fields, _AGAIN, b"1"]) if promised else None
        return self.outgoing.call(self.stream, self.entry(fields), again)

    def entry_read(self, id: str, fields: Fields) -> None:
        """See `StreamsAdapter.entry_read`."""
        position = position_of(id)
        if self.is_repeated(position, fields):
            return
        origin = self.origin_of(fields)
        if origin.uid == self.uid:
            self.mine(position, fields, origin.number)
            return
        handle = super().entry_read
        self.others(position, fields, lambda: handle(id, fields))

    def origin_of(self, entry: Any) -> Origin:
        """See `LoggedAdapter.origin_of`."""
        number = entry.get(_NUMBER, b"")
        valid = number.isdigit() and len(number) <= _LONGEST
        return Origin(entry.get(b"uid", b"").decode(errors="replace"), int(number) if valid else 0)

    def is_repeated(self, position: int, entry: Any) -> bool:
        """See `LoggedAdapter.is_repeated`."""
        again = _AGAIN in entry
        return self._repeated.is_known(position, self.origin_of(entry), again)

    def message_of(self, entry: Any) -> ClusterMessage:
        """See `LoggedAdapter.message_of`."""
        self.verify(entry)
        return envelope.from_fields(entry)

    def position(self) -> int:
        """See `LoggedAdapter.position`."""
        return position_of(self.hub.position(self.stream) or START)

    async def read_after(self, position: int, known: bool) -> list[tuple[int, Any]] | None:
        """See `LoggedAdapter.read_after`; that place itself must still be there, too."""
        stream, call = self.stream, self.outgoing.call
        after = id_of(position)
        moment, _, number = after.partition("-")
        begin = f"{moment}-{int(number) + 1}"
        first = call(stream, ("XRANGE", stream, after, after))
        found: list[tuple[int, Any]] = []
        for _ in range(_MOST_PARTS):
            part = await call(stream, ("XRANGE", stream, begin, "+", "COUNT", str(_PART)))
            found += [(position_of(id.decode()), mapped(fields)) for id, fields in part]
            if len(part) < _PART:
                break
            moment, _, number = id_of(found[-1][0]).partition("-")
            begin = f"{moment}-{int(number) + 1}"
        else:
            return None
        if await first:
            return found
        # Before the first event of all there was none to be forgotten.
        fresh = after == START and len(found) < self.settings.max_len
        return found if fresh and not known else None

    # Sessions.

    def _key(self, pid: str) -> str:
        return self.settings.session_key_prefix + pid

    def keep_session(self, pid: str, data: bytes, seconds: float) -> asyncio.Future[Any]:
        """See `LoggedAdapter.keep_session`."""
        key = self._key(pid)
        kept = self.settings.signer.sign(data, self._place(key))
        command = ("SET", key, kept, "PX", str(round(seconds * 1000)))
        return self.outgoing.call(key, command, command)

    async def take_session(
        self, pid: str, wanted: Callable[[bytes], bool] | None = None
    ) -> bytes | None:
        """See `LoggedAdapter.take_session`."""
        key = self._key(pid)
        if wanted is not None:
            present = self._verified(key, await self.outgoing.call(key, ("GET", key)))
            if present is None or not wanted(present):
                return None
        return self._verified(key, await self.outgoing.call(key, ("GETDEL", key)))

    def _verified(self, key: str, kept: bytes | None) -> bytes | None:
        return None if kept is None else self.settings.signer.verify(kept, self._place(key))

    def _place(self, key: str) -> bytes:
        """What the signature of a session holds for."""
        return self.settings.place("session", key.encode(errors="replace"))
