"""The list of who is there: pure bookkeeping, without clocks and without a network.

A user may be in a room several times: with two tabs, on two servers. Each time is a stay, known by
the server and the socket. A user whose last stay has ended is still there until `expire` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

Room = str | int
Key = str | int
Place = tuple[Room, Key]
Stay = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Present:
    """One user in a room.

    Attributes:
        key: who it is.
        metas: what was said of each of its stays: one for each tab or device.
        away: whether it is not connected just now, and may come back.
    """

    key: Key
    metas: tuple[Any, ...]
    away: bool


class _Person:
    __slots__ = ("last", "stays")

    def __init__(self) -> None:
        self.stays: dict[Stay, Any] = {}
        self.last: Any = None


class Roll:
    """Who is in which room.

    Args:
        joined: called with room, key and meta when somebody comes.
        updated: called so when something else is said of somebody who is there.
        away: called with room and key when the last stay of somebody ends; `expire` is to be called
            later, unless it comes back.
        left: called with room, key and the last meta when somebody is gone.
    """

    def __init__(
        self,
        joined: Callable[[Room, Key, Any], None],
        updated: Callable[[Room, Key, Any], None],
        away: Callable[[Room, Key], None],
        left: Callable[[Room, Key, Any], None],
    ) -> None:
        self._joined = joined
        self._updated = updated
        self._away = away
        self._left = left
        self._rooms: dict[Room, dict[Key, _Person]] = {}
        # What each server has told, so that all of it can go with the server.
        self._of_server: dict[str, set[tuple[Room, Key, str]]] = {}

    def add(self, room: Room, key: Key, stay: Stay, meta: Any) -> None:
        """Somebody is there."""
        people = self._rooms.setdefault(room, {})
        person = people.get(key)
        new = person is None
        if person is None:
            person = people[key] = _Person()
        known = stay in person.stays
        changed = known and person.stays[stay] != meta
        person.stays[stay] = meta
        self._of_server.setdefault(stay[0], set()).add((room, key, stay[1]))
        if new:
            self._joined(room, key, meta)
        elif changed:
            self._updated(room, key, meta)

    def remove(self, room: Room, key: Key, stay: Stay) -> None:
        """A stay has ended."""
        told = self._of_server.get(stay[0])
        if told is not None:
            told.discard((room, key, stay[1]))
            if not told:
                del self._of_server[stay[0]]
        person = self._rooms.get(room, {}).get(key)
        if person is None or stay not in person.stays:
            return
        person.last = person.stays.pop(stay)
        if not person.stays:
            self._away(room, key)

    def replace(self, server: str, stays: Iterable[tuple[Room, Key, str, Any]]) -> None:
        """All that a server has to tell, in place of what it told before."""
        gone = set(self._of_server.get(server, ()))
        for room, key, socket, meta in stays:
            gone.discard((room, key, socket))
            self.add(room, key, (server, socket), meta)
        for room, key, socket in gone:
            self.remove(room, key, (server, socket))

    def expire(self, room: Room, key: Key) -> None:
        """Somebody who is away has been so for long enough."""
        people = self._rooms.get(room)
        person = None if people is None else people.get(key)
        if people is None or person is None or person.stays:
            return
        del people[key]
        if not people:
            del self._rooms[room]
        self._left(room, key, person.last)

    def is_away(self, room: Room, key: Key) -> bool:
        """Whether somebody is there whose last stay has ended."""
        person = self._rooms.get(room, {}).get(key)
        return person is not None and not person.stays

    def of(self, server: str) -> Iterator[tuple[Room, Key, str, Any]]:
        """The stays that a server has told."""
        for room, key, socket in self._of_server.get(server, ()):
            yield room, key, socket, self._rooms[room][key].stays[server, socket]

    def meta(self, room: Room, key: Key, stay: Stay) -> Any:
        """What is said of a stay."""
        return self._rooms[room][key].stays[stay]

    def members(self, room: Room) -> list[Present]:
        """Who is in a room, in the order in which they came."""
        return [
            Present(key, tuple(person.stays.values()) or (person.last,), not person.stays)
            for key, person in self._rooms.get(room, {}).items()
        ]

    def count(self, room: Room) -> int:
        """How many are in a room."""
        return len(self._rooms.get(room, ()))

    def rooms(self) -> list[Room]:
        """The rooms that somebody is in."""
        return list(self._rooms)

    def servers(self) -> list[str]:
        """The servers on which somebody is."""
        return list(self._of_server)
