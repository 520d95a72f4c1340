"""The bounds of connection state recovery."""

from __future__ import annotations

from dataclasses import dataclass

from nuncio.errors import OptionError
from nuncio.options import named_options, seconds, whole


@named_options
@dataclass(frozen=True, slots=True)
class RecoveryOptions:
    """`connection_state_recovery={…}`.

    Attributes:
        max_disconnection_duration: seconds for which a lost client is remembered.
        skip_middlewares: whether a recovered client passes the namespace's middlewares unasked.
        max_packets: how many recent events one namespace remembers.
        max_bytes: how many bytes they may have together.
        max_sessions: how many lost clients one namespace remembers.
    """

    max_disconnection_duration: float = 120.0
    skip_middlewares: bool = True
    max_packets: int = 10_000
    max_bytes: int = 16 * 1024 * 1024
    max_sessions: int = 10_000

    def __post_init__(self) -> None:
        seconds("max_disconnection_duration", self.max_disconnection_duration)
        if not isinstance(self.skip_middlewares, bool):
            raise OptionError(
                f"skip_middlewares must be True or False, not {self.skip_middlewares!r}"
            )
        for name in ("max_packets", "max_bytes", "max_sessions"):
            whole(name, getattr(self, name))
