"""Which rooms a worker has, where the others can see it before they send something there.

Each worker counts its rooms in a file that all of them have in their memory, by places that follow
from the room's name: a counting Bloom filter. What is counted there is seen by all at once. So
nothing is announced, nothing can be behind, and whoever was told that a client is in a room can
already reach it. Two rooms may share their places: then something is sent to a worker that nobody
there is waiting for, and dropped.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import mmap
import os
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from nuncio.cluster.rooms import Room
from nuncio.workers import rendezvous

if TYPE_CHECKING:
    from nuncio.workers.link import Link

logger = logging.getLogger("nuncio.workers")

# One byte each. With 20,000 rooms of a worker, clients' own among them, one in 700 that it does not
# have is taken for one of its; with 100,000, one in 33.
PLACES: Final = 1 << 20
_MASK: Final = PLACES - 1

# So many rooms share a place that nobody can say any longer when the last of them is gone.
FULL: Final = 255

# The places of the rooms that were last emitted to are known.
_REMEMBERED: Final = 4096

Places = tuple[int, int]


def _places(key: str) -> Places:
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    number = int.from_bytes(digest, "little")
    return number & _MASK, number >> 32 & _MASK


def places_of(nsp: str, room: Room) -> Places:
    """Where a room of a namespace is counted; the same in all workers."""
    # Numbers are not the rooms that are called like them.
    return _places(f"{nsp}\0#{room:x}" if isinstance(room, int) else f"{nsp}\0={room}")


def places_of_anybody(nsp: str) -> Places:
    """Where it is counted that a namespace has clients."""
    return _places(f"{nsp}\0*")


def places_of_all(nsp: str) -> Places:
    """Where it is counted that a worker is to be sent everything of a namespace."""
    return _places(f"{nsp}\0**")


def remembered_places(nsp: str) -> Callable[[Room], Places]:
    """As `places_of`, of one namespace, for rooms that are asked for again and again."""
    return functools.lru_cache(_REMEMBERED)(functools.partial(places_of, nsp))


class OwnRooms:
    """What this worker has.

    Args:
        path: of the file, which is made anew.

    Raises:
        OSError: when it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b") as file:
            # Written, not only made long: that the disk is full is to be known now, not once a page
            # of it is needed.
            file.write(bytes(PLACES))
            file.flush()
            self._counts = mmap.mmap(file.fileno(), PLACES)

    def add(self, places: Places) -> None:
        """Count a room."""
        counts = self._counts
        for place in places:
            if counts[place] < FULL:
                counts[place] += 1

    def remove(self, places: Places) -> None:
        """Count it no longer."""
        counts = self._counts
        for place in places:
            if 0 < counts[place] < FULL:
                counts[place] -= 1

    def close(self) -> None:
        """Nobody else can see it from now on."""
        self._path.unlink(missing_ok=True)


class TheirRooms:
    """What another worker has.

    Args:
        path: of its file.

    Raises:
        OSError: when it cannot be read, or is none.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != PLACES:
                raise OSError(f"{path} is not what a worker counts its rooms in")
            self._counts = mmap.mmap(file.fileno(), PLACES, access=mmap.ACCESS_READ)

    def have_any(self, wanted: Iterable[Places]) -> bool:
        """Whether it may have one of the rooms that are counted at these places."""
        counts = self._counts
        for one, two in wanted:
            if counts[one] and counts[two]:
                return True
        return False


class Routes:
    """To which of the other workers something has to be sent.

    Attributes:
        own: what this worker has; None where nobody can see it, so that it is sent everything.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._theirs: WeakKeyDictionary[Link, TheirRooms | None] = WeakKeyDictionary()
        self.own: OwnRooms | None = None

    def begin(self, folder: Path, tag: str) -> None:
        """This worker joins the others.

        Args:
            folder: where they meet.
            tag: this worker's.
        """
        if self.own is not None:
            return
        self._folder = folder
        try:
            self.own = OwnRooms(rendezvous.rooms(folder, tag))
        except OSError as error:
            logger.warning(
                "this worker is sent everything, for it cannot show its rooms: %s", error
            )

    def end(self) -> None:
        """It leaves them."""
        own, self.own = self.own, None
        if own is not None:
            with contextlib.suppress(OSError):
                own.close()

    def lead_to(self, link: Link, wanted: Iterable[Places]) -> bool:
        """Whether a worker may have one of the rooms that are counted at these places."""
        try:
            theirs = self._theirs[link]
        except KeyError:
            theirs = self._theirs[link] = self._look(link)
        return theirs is None or theirs.have_any(wanted)

    def blind(self, link: Link) -> bool:
        """Whether nobody sees what a worker has, so that it is sent everything."""
        return self.lead_to(link, ())

    def _look(self, link: Link) -> TheirRooms | None:
        if self._folder is None:
            return None
        try:
            return TheirRooms(rendezvous.rooms(self._folder, link.tag))
        except OSError as error:
            logger.debug("the worker %s is sent everything: %s", link.tag, error)
            return None
