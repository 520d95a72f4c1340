"""What a room is, and what counts as a list of them. [compiled]"""

from __future__ import annotations

from collections.abc import Iterable

from nuncio.errors import OptionError

Room = str | int


def is_room(value: object) -> bool:
    """Whether it names a room; True and False are no numbers here."""
    return isinstance(value, (str, int)) and not isinstance(value, bool)


def rooms_of(rooms: object, argument: str) -> list[Room]:
    """One room or many, checked.

    Args:
        rooms: a room, or anything that iterates over rooms. It may be anything else too: with a
            narrower annotation the compiled function would raise its own error for that.
        argument: its name, for the error.

    Raises:
        OptionError: for what cannot be a room.
    """
    if is_room(rooms):
        return [rooms]  # type: ignore[list-item]
    if isinstance(rooms, Iterable) and not isinstance(rooms, (bytes, bytearray)):
        listed = list(rooms)
        for room in listed:
            if not is_room(room):
                raise OptionError(f"{argument}: a room is a str or an int, not {room!r}")
        return listed
    raise OptionError(f"{argument} must be a str, an int or a list of them, not {rooms!r}")
