"""One worker: its place in the mesh, and what it passes on or takes."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nuncio.cluster.redis.meeting import RedisMeeting
from nuncio.errors import OptionError
from nuncio.ids import new_id
from nuncio.workers import rendezvous
from nuncio.workers.adapter import WorkersAdapter
from nuncio.workers.folder import FolderPlace
from nuncio.workers.forwarder import Forwarder
from nuncio.workers.link import Link
from nuncio.workers.mesh import Mesh
from nuncio.workers.messages import Answered, Begun, Close, Granted, Piece, Reading, Sent
from nuncio.workers.owner import Owner
from nuncio.workers.place import Place
from nuncio.workers.recovery import RecoveringWorkersAdapter
from nuncio.workers.redis import RedisPlace

if TYPE_CHECKING:
    from nuncio.engine.engine import Engine

# What an address may begin with, written wrongly.
_ADDRESS: Final = re.compile(r"^(rediss?:)?/*")

_FROM_OWNER: Final = (Sent, Answered, Granted, Reading, Close, Begun, Piece)


class Worker:
    """This process among those that serve together.

    Args:
        engine: whose sessions they share.
        place: where they meet.
    """

    def __init__(self, engine: Engine, place: Place) -> None:
        self._place = place
        self.mesh = Mesh(place)
        self.forwarder = Forwarder(engine, self.mesh)
        self._owner = Owner(engine)
        self.mesh.on_message = self._received
        self.mesh.on_lost = self._lost

    def adapter(self, nsp: Any) -> WorkersAdapter:
        """The adapter of a namespace, where the application names no other."""
        kind = WorkersAdapter if nsp.server.recovery is None else RecoveringWorkersAdapter
        return kind(nsp, self.mesh)

    def own_id(self, id: str | None = None) -> str:
        """The id of a new session: it says which worker holds it.

        Args:
            id: what the application would have it be.
        """
        if id is None:
            return self.mesh.tag + new_id()[rendezvous.TAG_LENGTH :]
        return self.mesh.tag + id

    @property
    def meeting(self) -> tuple[str, int]:
        """Where it meets the others, in words, and how many are there."""
        return self._place.words, len(self.mesh.others)

    async def start(self) -> None:
        """Join the others.

        Raises:
            OptionError: when the place where they meet cannot be used.
            ConnectionError: when it cannot be reached.
        """
        await self.mesh.start()

    async def stop(self) -> None:
        """Leave them."""
        await self.mesh.stop()

    def _received(self, link: Link, message: Any) -> None:
        if isinstance(message, _FROM_OWNER):
            self.forwarder.received(link, message)
        else:
            self._owner.received(link, message)

    def _lost(self, link: Link) -> None:
        self.forwarder.lost(link)
        self._owner.lost(link)


def place_of(option: object) -> Place | None:
    """What the option `workers` means; None where a process serves alone.

    Args:
        option: None, for what `nuncio serve` says; False; True, for the processes that have the
            same parent; a folder; Redis' address, or a RedisMeeting.

    Raises:
        OptionError: for anything else, or a folder where there are no Unix sockets, or what was
            most likely meant as an address.
    """
    if option is None:
        option = os.environ.get(rendezvous.VARIABLE) or False
    if option is False:
        return None
    if isinstance(option, RedisMeeting):
        return RedisPlace(option)
    if isinstance(option, str) and "://" in option:
        return RedisPlace(_meeting_at(option))
    if option is not True and not isinstance(option, (str, os.PathLike)):
        raise OptionError(
            "workers must be True, False or a folder, or Redis' address or a RedisMeeting, not "
            f"{option!r}"
        )
    if isinstance(option, str) and ":" in option.partition("/")[0]:
        scheme = "rediss" if option.startswith("rediss:") else "redis"
        raise OptionError(
            f"workers: {option!r} is neither Redis' address nor a folder: write "
            f"{scheme}://{_ADDRESS.sub('', option)}, or ./{option} for a folder of this name"
        )
    if os.name != "posix":
        raise OptionError(
            "workers: they meet over Unix sockets, which this system does not have, or in Redis"
        )
    return FolderPlace(rendezvous.usual_folder() if option is True else Path(option))


def _meeting_at(url: str) -> RedisMeeting:
    try:
        return RedisMeeting(url, secret=os.environ.get(rendezvous.SECRET_VARIABLE) or None)
    except OptionError as error:
        raise OptionError(f"workers: {error}") from error
