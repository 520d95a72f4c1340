"""Connection state recovery over streams: the log is the stream, and sessions are keys of Redis."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from nuncio.cluster import envelope
from nuncio.cluster.logged import MOST_MISSED, LoggedAdapter
from nuncio.cluster.messages import ClusterMessage
from nuncio.cluster.redis.reader import Fields, mapped
from nuncio.cluster.redis.streams import StreamsAdapter
from nuncio.cluster.session_wire import START, id_of, position_of

# What clients missed is asked for in parts.
_PART: Final = 1000
_MOST_PARTS: Final = MOST_MISSED // _PART

# An entry's number at the server that added it, which knows its own by that.
_NUMBER: Final = "n"


class RecoveringAdapter(LoggedAdapter, StreamsAdapter):
    """See `RedisStreamsAdapter`, with connection state recovery."""

    async def end(self) -> None:
        """See `BusAdapter.end`."""
        self.end_log()
        await super().end()

    # The stream.

    @property
    def reachable(self) -> bool:
        """See `LoggedAdapter.reachable`."""
        return self.bus.healthy

    def append(self, message: ClusterMessage, number: int) -> asyncio.Future[Any]:
        """See `LoggedAdapter.append`."""
        fields = envelope.to_fields(message, self.settings.only_plaintext)
        return self.bus.call(self.stream, *self.entry([*fields, _NUMBER, str(number)]))

    def entry_read(self, id: str, fields: Fields) -> None:
        """See `StreamsAdapter.entry_read`."""
        position = position_of(id)
        if fields.get(b"uid") == self.uid.encode():
            number = fields.get(_NUMBER.encode(), b"")
            self.mine(position, fields, int(number) if number.isdigit() else 0)
            return
        handle = super().entry_read
        self.others(position, fields, lambda: handle(id, fields))

    def message_of(self, entry: Any) -> ClusterMessage:
        """See `LoggedAdapter.message_of`."""
        self.settings.verify_entry(self.stream, entry)
        return envelope.from_fields(entry)

    def position(self) -> int:
        """See `LoggedAdapter.position`."""
        return position_of(self.hub.position(self.stream) or START)

    async def read_after(self, position: int, known: bool) -> list[tuple[int, Any]] | None:
        """See `LoggedAdapter.read_after`; that place itself must still be there, too."""
        stream, call = self.stream, self.bus.call
        after = id_of(position)
        moment, _, number = after.partition("-")
        begin = f"{moment}-{int(number) + 1}"
        first = call(stream, "XRANGE", stream, after, after)
        found: list[tuple[int, Any]] = []
        for _ in range(_MOST_PARTS):
            part = await call(stream, "XRANGE", stream, begin, "+", "COUNT", str(_PART))
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

    def keep_session(self, pid: str, data: bytes, seconds: float) -> None:
        """See `LoggedAdapter.keep_session`."""
        key = self._key(pid)
        kept = self.settings.signer.sign(data, self._place(key))
        self.bus.send(key, "SET", key, kept, "PX", str(round(seconds * 1000)))

    async def take_session(self, pid: str) -> bytes | None:
        """See `LoggedAdapter.take_session`."""
        key = self._key(pid)
        kept = await self.bus.call(key, "GETDEL", key)
        return None if kept is None else self.settings.signer.verify(kept, self._place(key))

    def _place(self, key: str) -> bytes:
        """What the signature of a session holds for."""
        return self.settings.place("session", key.encode(errors="replace"))
