"""Where PostgreSQL is, and connections to it: by asyncpg, which is asked for when it is needed."""

from __future__ import annotations

import asyncio
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

from nuncio.cluster.line import CONNECT_SECONDS
from nuncio.errors import OptionError

ENGINE: Final = "PostgreSQL"
MISSING: Final = "clusters over PostgreSQL need asyncpg: pip install 'nuncio[postgres]'"
SCHEMES: Final = ("postgresql", "postgres")

# Who looks at the server's connections finds these by it.
_NAME: Final = "nuncio"

# What a farewell may take; the connection is cut then.
_FAREWELL_SECONDS: Final = 0.5

# One receives, one sends.
_LEAST_POOL: Final = 2


def library() -> ModuleType:
    """asyncpg.

    Raises:
        OptionError: when it is not installed, naming what to install.
    """
    try:
        import asyncpg
    except ImportError as error:
        raise OptionError(MISSING) from error
    found: ModuleType = asyncpg
    return found


class Endpoint:
    """A database.

    Args:
        where: its address, `postgresql://…`, or a pool of asyncpg, of which connections are taken
            for as long as they are needed.

    Raises:
        OptionError: for what is neither, or when asyncpg is not installed.
    """

    def __init__(self, where: Any) -> None:
        self._library = library()
        if isinstance(where, str):
            _check(where)
        elif not isinstance(where, self._library.Pool):
            raise OptionError(
                "url must be an address such as 'postgresql://localhost/chat', or a pool of"
                f" asyncpg, not {where!r}"
            )
        elif where.get_max_size() < _LEAST_POOL:
            raise OptionError(
                f"url: a pool must have room for {_LEAST_POOL} connections that are kept;"
                f" this one has max_size={where.get_max_size()}"
            )
        self._where = where

    @property
    def address(self) -> str | None:
        """The address, where it is one."""
        return self._where if isinstance(self._where, str) else None

    async def prepare(self) -> None:
        """Before the first connection: begin a pool that the application has not begun."""
        if not isinstance(self._where, str):
            await self._where

    async def connect(self) -> Any:
        """A connection."""
        if isinstance(self._where, str):
            settings = {} if "application_name" in self._where else {"application_name": _NAME}
            return await self._library.connect(
                self._where, timeout=CONNECT_SECONDS, server_settings=settings
            )
        return await self._where.acquire(timeout=CONNECT_SECONDS)

    async def disconnect(self, connection: Any) -> None:
        """End a connection; a pool makes others when it needs them."""
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await connection.close()
        except TimeoutError:
            connection.terminate()


def _check(where: str) -> None:
    # What may hold a password is not repeated.
    try:
        parts = urlsplit(where)
        wrong = "" if parts.scheme in SCHEMES else f"it begins with {parts.scheme or 'no scheme'!r}"
        if parts.port == 0:
            wrong = "its port is 0"
    except ValueError as error:
        wrong = str(error)
    if wrong:
        raise OptionError(
            "url must be an address of PostgreSQL, such as 'postgresql://localhost/chat'; of the"
            f" one that was given: {wrong}"
        )
