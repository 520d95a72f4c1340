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
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

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
_LONGEST: Final = 256

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


def remembered_places(nsp: str) -> Callable[[Room], Places]:
    """As `places_of`, of one namespace, for rooms that are asked for again and again."""
    remembered = functools.lru_cache(_REMEMBERED)(functools.partial(places_of, nsp))

    def places(room: Room) -> Places:
        length = len(room) if isinstance(room, str) else room.bit_length()
        # Who can choose a room's name is not to choose how much is remembered.
        return remembered(room) if length <= _LONGEST else places_of(nsp, room)

    return places


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
        try:
            with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b") as file:
                # Written, not only made long: that the disk is full is to be known now, not once a
                # page of it is needed.
                file.write(bytes(PLACES))
                file.flush()
                self._counts = mmap.mmap(file.fileno(), PLACES)
        except BaseException:
            # Else it would seem that there are no rooms here.
            path.unlink(missing_ok=True)
            raise

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


# What is counted at each place: what of a worker's is seen.
Counts = Any


def counts_at(path: Path) -> Counts:
    """What another worker has.

    Args:
        path: of its file.

    Raises:
        OSError: when it cannot be read, or is none.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size != PLACES:
            raise OSError(f"{path} is not what a worker counts its rooms in")
        return mmap.mmap(file.fileno(), PLACES, access=mmap.ACCESS_READ)


class Everything:
    """Stands for what cannot be seen: it may have any room."""

    def __getitem__(self, place: int) -> int:
        return 1


class Routes:
    """To which of the other workers something has to be sent.

    Attributes:
        own: what this worker has; None where nobody can see it, so that it is sent everything.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
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
            logger.warning("this worker cannot show its rooms, so it is sent all: %s", error)

    def end(self) -> None:
        """It leaves them."""
        own, self.own = self.own, None
        if own is not None:
            with contextlib.suppress(OSError):
                own.close()

    def leading_to(self, links: list[Link], wanted: list[Places]) -> list[Link]:
        """The workers that may have one of the rooms that are counted at these places."""
        found = []
        for link in links:
            counts = link.rooms
            if counts is None:
                counts = link.rooms = self._look(link)
            for one, two in wanted:
                if counts[one] and counts[two]:
                    found.append(link)
                    break
        return found

    def flooded(self, links: list[Link]) -> int:
        """How many workers are sent everything, as it cannot be seen what they have."""
        self.leading_to(links, [])
        return sum([isinstance(link.rooms, Everything) for link in links])

    def _look(self, link: Link) -> Counts:
        if self._folder is None:
            return Everything()
        try:
            return counts_at(rendezvous.rooms(self._folder, link.tag))
        except OSError as error:
            logger.debug("the worker %s is sent everything: %s", link.tag, error)
            return Everything()
