"""The options of presence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nuncio.errors import OptionError
from nuncio.options import HOUR, build, named_options, seconds


@named_options
@dataclass(frozen=True, slots=True)
class PresenceOptions:
    """When somebody is taken for gone, and how servers tell each other.

    Attributes:
        leave_grace: seconds that a user may be away before that is told: who reloads a page, or
            whose link breaks for a moment, has never left.
        announce: whether the clients in a room are told who comes and goes, by the event
            `presence`.
        gather: seconds for which joins and leaves are gathered, and then told together.
        beat: seconds between two signs of life of a server.
        lost_after: seconds of silence after which a server, and everybody on it, is taken for gone.
    """

    leave_grace: float = 5.0
    announce: bool = False
    gather: float = 0.05
    beat: float = 5.0
    lost_after: float = 15.0

    def __post_init__(self) -> None:
        seconds("leave_grace", self.leave_grace, zero=True, most=HOUR)
        seconds("gather", self.gather, zero=True, most=60.0)
        seconds("beat", self.beat, most=HOUR)
        seconds("lost_after", self.lost_after, most=HOUR)
        if self.lost_after < 2 * self.beat:
            raise OptionError(
                f"lost_after must be at least twice beat, which is {self.beat:g} seconds, "
                f"not {self.lost_after!r}"
            )
        if not isinstance(self.announce, bool):
            raise OptionError(f"announce must be True or False, not {self.announce!r}")


def presence_options(option: object) -> PresenceOptions:
    """What the option `presence` of a server means.

    Raises:
        OptionError: for what it cannot be.
    """
    if option is None:
        return PresenceOptions()
    if isinstance(option, PresenceOptions):
        return option
    if isinstance(option, Mapping):
        return build(PresenceOptions, dict(option), "presence")
    raise OptionError(f"presence must be a nuncio.PresenceOptions or a mapping, not {option!r}")
