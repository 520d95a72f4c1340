"""What is done again and again while a server serves."""

from __future__ import annotations

from typing import Any, Final

from nuncio.engine.wheel import Timer

# The page takes a server that is silent for ten seconds for ill.
REPORT_SECONDS: Final = 2.0


class Rounds(Timer):
    """Does something every two seconds; a derived one says what, by `round`.

    Args:
        io: the server.
    """

    def __init__(self, io: Any) -> None:
        super().__init__()
        self._io = io
        self._wheel: Any = None

    def begin(self) -> None:
        """The server serves."""
        self.end()
        self._wheel = self._io.engine.config().wheel
        self._wheel.arm(self, REPORT_SECONDS)

    def end(self) -> None:
        """The server ends."""
        if self._wheel is not None:
            self._wheel.cancel(self)
            self._wheel = None

    def expire(self, now: float) -> None:
        """The wheel: another round."""
        if self._wheel is not None:
            self._wheel.arm(self, REPORT_SECONDS)
        self.round()

    def round(self) -> None:
        """Do it."""
        raise NotImplementedError
