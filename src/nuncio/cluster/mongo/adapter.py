"""The adapter over MongoDB, as @socket.io/mongo-adapter: every message is a document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from nuncio.cluster.bus import OUTGOING_BYTES, BusFactory
from nuncio.cluster.heartbeats import HEARTBEAT_INTERVAL, HEARTBEAT_TIMEOUT, Pace
from nuncio.cluster.mongo.endpoint import Endpoint
from nuncio.errors import OptionError
from nuncio.options import did_you_mean, in_snake_case, seconds, whole

if TYPE_CHECKING:
    from nuncio.cluster.mongo.bus import Bus
    from nuncio.cluster.mongo.member import CollectionAdapter
    from nuncio.cluster.mongo.sending import BlockingSender, LoopSender

COLLECTION: Final = "socket.io-adapter-events"

# More than the largest document, or that would not fit.
CAPPED_BYTES: Final = 64 * 1024 * 1024

# Of pymongo's `watch`. Where it goes on, and in which session, is the adapter's business.
_WATCHING: Final = (
    "full_document",
    "full_document_before_change",
    "max_await_time_ms",
    "batch_size",
    "collation",
    "comment",
    "show_expanded_events",
    "resume_after",
    "start_after",
    "start_at_operation_time",
)


class MongoAdapter(BusFactory["Bus"]):
    """Joins servers over MongoDB, beside Node servers with @socket.io/mongo-adapter 0.4.

        io = nuncio.Server(adapter=MongoAdapter("mongodb://localhost:27017/mydb"))

    MongoDB has to be a replica set, be it of one member: others have no change streams. With
    `connection_state_recovery` a client that lost its connection may come back to any of the
    servers. Needs `nuncio[mongo]`. One object serves all namespaces, and may serve several servers.

    Args:
        url: MongoDB's address, with the name of a database; or a collection of
            `pymongo.AsyncMongoClient`, which stays open.
        database: the database's name, where the address names none.
        collection: the collection's name; the same on all servers. It is made if it is not there.
        requests_timeout: seconds that other servers may take to answer.
        heartbeat_interval: seconds between two signs that this server is there.
        heartbeat_timeout: seconds of silence after which another server counts no longer.
        add_created_at_field: documents say when they were made, and are forgotten by age; else by
            size. The same on all servers and emitters.
        change_stream_options: more arguments of pymongo's `watch`.
        capped_bytes: the size of a collection that is made here, without `add_created_at_field`.
        expire_after: seconds after which documents are forgotten in one that is made here, with it.
        outgoing_bytes: how much may wait to be sent while MongoDB is away; what is more is dropped.

    Raises:
        OptionError: for a wrong option, or when pymongo is not installed.
    """

    def __init__(
        self,
        url: Any,
        *,
        database: str | None = None,
        collection: str = COLLECTION,
        requests_timeout: float = 5.0,
        heartbeat_interval: float = HEARTBEAT_INTERVAL,
        heartbeat_timeout: float = HEARTBEAT_TIMEOUT,
        add_created_at_field: bool = False,
        change_stream_options: Mapping[str, Any] | None = None,
        capped_bytes: int = CAPPED_BYTES,
        expire_after: float = 3600.0,
        outgoing_bytes: int = OUTGOING_BYTES,
    ) -> None:
        super().__init__(outgoing_bytes)
        self._endpoint = Endpoint(url, database, collection)
        self.requests_timeout = seconds("requests_timeout", requests_timeout)
        self.pace = Pace(heartbeat_interval, heartbeat_timeout)
        if not isinstance(add_created_at_field, bool):
            raise OptionError(
                f"add_created_at_field must be True or False, not {add_created_at_field!r}"
            )
        self._watching = _watching(change_stream_options)
        from nuncio.cluster.mongo.place import Keeping

        self._keeping = Keeping(
            whole("capped_bytes", capped_bytes, least=4096),
            seconds("expire_after", expire_after),
            add_created_at_field,
        )

    def __call__(self, nsp: Any) -> CollectionAdapter:
        """The adapter of one server's namespace."""
        from nuncio.cluster.mongo.member import CollectionAdapter
        from nuncio.cluster.mongo.recovery import RecoveringAdapter

        kind = CollectionAdapter if nsp.server.recovery is None else RecoveringAdapter
        return kind(nsp, self.bus_of(nsp.server), self)

    def _new_bus(self, server: Any = None) -> Bus:
        from nuncio.cluster.mongo.bus import Bus

        if server is None:
            return Bus(self._endpoint, self._keeping, self._outgoing_bytes)
        # What clients may recover is read with all that others say, in one order for all.
        own = server.recovery is not None
        return Bus(self._endpoint, self._keeping, self._outgoing_bytes, self._watching, own)

    # Emitters.

    def sender(self) -> LoopSender:
        """See `Target`."""
        from nuncio.cluster.mongo.sending import LoopSender

        return LoopSender(self._new_bus())

    def blocking_sender(self) -> BlockingSender:
        """See `Target`."""
        from nuncio.cluster.mongo.sending import BlockingSender

        return BlockingSender(self._endpoint, self._keeping)


def _watching(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The options of change streams, checked.

    Raises:
        OptionError: for what `watch` does not have.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise OptionError(f"change_stream_options must be a mapping, not {given!r}")
    for name in given:
        if name not in _WATCHING:
            hint = did_you_mean(in_snake_case(str(name)), _WATCHING)
            raise OptionError(
                f"change_stream_options: there is no {name!r}" + (hint and f"; {hint}")
            )
    options = dict(given)
    whole("max_await_time_ms", options.get("max_await_time_ms", 1000))
    return options
