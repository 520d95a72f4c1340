"""Functions of the application's that the connection asks, for credentials and headers.

They may block, as everything that is given to a blocking client: each time a thread asks them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nuncio.handlers.binding import is_async_function
from nuncio.sync.lane import in_thread


class Asked:
    """Asks a function in a thread.

    Attributes:
        function: the application's.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.function = function

    async def __call__(self) -> Any:
        return await in_thread(self.function)


def asked(value: Any) -> Any:
    """What the asyncio client gets in place of a value: functions that block are wrapped."""
    if callable(value) and not is_async_function(value):
        return Asked(value)
    return value


def given(value: Any) -> Any:
    """What the application has given."""
    return value.function if isinstance(value, Asked) else value
