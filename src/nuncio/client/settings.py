"""What of a Manager's options may be changed while it lives."""

from __future__ import annotations

from nuncio.client.backoff import Backoff
from nuncio.client.options import ManagerOptions, check_attempts, check_factor
from nuncio.options import seconds


class Settings:
    """The times and numbers of a Manager's attempts to connect.

    Args:
        options: what they are to begin with.
    """

    def __init__(self, options: ManagerOptions) -> None:
        self._backoff = Backoff(
            options.reconnection_delay, options.reconnection_delay_max, options.randomization_factor
        )
        self._attempts = check_attempts(options.reconnection_attempts)
        self._timeout = options.timeout

    @property
    def reconnection_attempts(self) -> float:
        """How often it tries before it gives up."""
        return self._attempts

    @reconnection_attempts.setter
    def reconnection_attempts(self, value: float) -> None:
        self._attempts = check_attempts(value)

    @property
    def reconnection_delay(self) -> float:
        """Seconds before the first attempt."""
        return self._backoff.least

    @reconnection_delay.setter
    def reconnection_delay(self, value: float) -> None:
        self._backoff.least = seconds("reconnection_delay", value, zero=True)

    @property
    def reconnection_delay_max(self) -> float:
        """No delay is longer."""
        return self._backoff.most

    @reconnection_delay_max.setter
    def reconnection_delay_max(self, value: float) -> None:
        self._backoff.most = seconds("reconnection_delay_max", value, zero=True)

    @property
    def randomization_factor(self) -> float:
        """How far delays are spread, from 0 to 1."""
        return self._backoff.jitter

    @randomization_factor.setter
    def randomization_factor(self, value: float) -> None:
        self._backoff.jitter = check_factor(value)

    @property
    def timeout(self) -> float | None:
        """Seconds that one attempt to connect may take; None for any."""
        return self._timeout

    @timeout.setter
    def timeout(self, value: float | None) -> None:
        self._timeout = None if value is None else seconds("timeout", value)
