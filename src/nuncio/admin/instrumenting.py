"""`nuncio.instrument`, and what it makes of a server."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from nuncio.admin.actions import FEATURES, Actions
from nuncio.admin.options import (
    DEVELOPMENT,
    Auth,
    Mode,
    check_server_id,
    checked_mode,
    checked_store,
    credentials,
)
from nuncio.admin.pages import Pages
from nuncio.admin.shown import mark, shown
from nuncio.admin.signin import SignIn
from nuncio.admin.stats import Stats, served
from nuncio.admin.stores import MemoryStore, Store
from nuncio.admin.watch import Watch
from nuncio.cluster.values import ADMIN_MARK
from nuncio.errors import ClusterTimeout, OptionError
from nuncio.server.classes import checked_name
from nuncio.server.namespace import Namespace

if TYPE_CHECKING:
    from nuncio.server.server import Server

logger = logging.getLogger("nuncio.admin")

# Of how many sockets a page is told when it comes; browsers get slow with more.
MOST_SHOWN: Final = 10_000


def instrument(
    io: Server[Any, Any],
    *,
    auth: Auth = None,
    mode: Mode = "development",
    read_only: bool = False,
    namespace: str = "/admin",
    server_id: str | None = None,
    store: Store | None = None,
) -> None:
    """Let the official admin page see a server, and act on it.

        nuncio.instrument(io, auth={"username": "ops", "password": "$2b$12$…"}, mode="production")

    The page is at https://admin.socket.io, or wherever `@socket.io/admin-ui` is served; `cors` must
    allow its origin, with credentials. Call it once, before the server serves, and after classes of
    namespaces are registered.

    Args:
        io: the server.
        auth: who may use the page: `username`, and `password` as a bcrypt hash; False lets
            everybody in.
        mode: `production` tells numbers only. `development` also tells every socket, its rooms and
            data, and every event that is received or sent, which costs more than the events
            themselves.
        read_only: whether the page can only look.
        namespace: which the page asks for; it is made here.
        server_id: the name of this server there, other than that of all others; by default the
            host's with the number of the process.
        store: where sessions are kept: a `nuncio.admin.MemoryStore`, which is the default, or a
            `nuncio.admin.RedisStore`, by which one signs in once for several servers.

    Raises:
        OptionError: for an option out of range, without bcrypt, when the namespace is there
            already, and for a server that is instrumented already.
    """
    if io.admin is not None:
        raise OptionError("this server is instrumented already: one admin namespace shows it all")
    if not isinstance(read_only, bool):
        raise OptionError(f"read_only must be True or False, not {read_only!r}")
    who, mode_word = credentials(auth), checked_mode(mode)
    sessions = MemoryStore() if store is None else checked_store(store)
    name = checked_name(namespace)
    if name == "/":
        raise OptionError("namespace: '/' is the clients'; the page needs one of its own")
    check_server_id(server_id)
    sign_in = None if who is None else SignIn(io, who, sessions)
    if sign_in is None:
        logger.warning("the admin page asks for no password: whoever reaches %s may use it", name)
    # Registered, so that it is no child of the application's dynamic namespaces.
    io.of("/")
    nsp = io.register(Namespace(name))
    io.attach_admin(Admin(io, nsp, sign_in, mode_word == DEVELOPMENT, read_only, server_id))


class Admin:
    """A server's side of the admin page.

    Args:
        io: the server.
        nsp: the admin namespace.
        sign_in: its middleware; None to let everybody in.
        development: whether all that happens is told.
        read_only: whether pages can only look.
        server_id: see `instrument`.
    """

    def __init__(
        self,
        io: Any,
        nsp: Namespace,
        sign_in: SignIn | None,
        development: bool,
        read_only: bool,
        server_id: str | None,
    ) -> None:
        self._io = io
        self.development = development
        features = [] if read_only else list(FEATURES)
        self._features = [*features, "AGGREGATED_EVENTS", *(["ALL_EVENTS"] * development)]
        # A page that does not keep up loses the oldest of what it has not read.
        nsp.slow_consumer = "drop_oldest"
        # Pages acknowledge nothing.
        nsp.promised = False
        self._sign_in = sign_in
        if sign_in is not None:
            nsp.use(sign_in)
        pages = Pages(nsp)
        self._watch = Watch(io, pages) if development else None
        nsp.on("connection", self._arrived)
        if not read_only:
            Actions(io).register(nsp)
        self._stats = Stats(io, pages, server_id)

    def begin(self) -> None:
        """The server serves."""
        self._stats.begin()
        if self._watch is not None:
            self._watch.begin()

    def end(self) -> None:
        """The server ends."""
        self._stats.end()
        if self._watch is not None:
            self._watch.end()
        if self._sign_in is not None:
            self._sign_in.end()

    def marked(self, socket: Any, data: Any) -> Any:
        """What another server is told as a socket's data, for its own admin pages.

        Args:
            socket: one of this server's.
            data: its data; None when that cannot be told.
        """
        if not self.development or not (data is None or isinstance(data, dict)):
            return data
        return {**(data or {}), ADMIN_MARK: mark(socket)}

    def _arrived(self, socket: Any) -> None:
        # What a page must have is not dropped, be it behind.
        page = socket.when_slow("disconnect")
        if isinstance(socket.user, str):
            # Only now: the page listens from the moment when it is connected.
            page.emit("session", socket.user)
            # It is a secret, and nobody else's.
            socket.user = None
        page.emit("config", {"supportedFeatures": self._features})
        if self.development:
            # Other servers are asked for that, and the page can act meanwhile.
            self._io.spawn(self._tell_all_sockets(page))

    async def _tell_all_sockets(self, page: Any) -> None:
        found: list[Any] = []
        for nsp in served(self._io):
            try:
                found += await nsp.fetch_sockets()
            except ClusterTimeout as error:
                found += error.responses
        if len(found) > MOST_SHOWN:
            logger.warning("the admin page shows %d of %d sockets", MOST_SHOWN, len(found))
        page.emit("all_sockets", [shown(socket) for socket in found[:MOST_SHOWN]])
