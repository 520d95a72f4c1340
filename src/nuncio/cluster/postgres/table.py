"""The table of attachments: what is too long for a notification, or binary."""

from __future__ import annotations

import re
from typing import Any, Final

from nuncio.cluster.postgres.session import Session
from nuncio.errors import OptionError

# As it stands in SQL: names by themselves, or in quotes; with a schema or without.
_NAME: Final = r'(?:[A-Za-z_][A-Za-z0-9_$]*|"[^"\0]+")'
_TABLE: Final = re.compile(rf"{_NAME}(?:\.{_NAME})?")

# Another server has made it in the same moment.
_MADE_ELSEWHERE: Final = ("42P07", "42710", "23505")
_NOT_ALLOWED: Final = "42501"


class Table:
    """Attachments.

    Args:
        name: the table's, as it is written in SQL.
        lifetime: seconds for which one is kept.

    Raises:
        OptionError: for what is no name.
    """

    def __init__(self, name: str, lifetime: float) -> None:
        if not isinstance(name, str) or _TABLE.fullmatch(name) is None:
            raise OptionError(
                "table_name must be a name as it stands in SQL, such as 'socket_io_attachments'"
                f" or 'chat.attachments', not {name!r}"
            )
        self.name = name
        self._lifetime = lifetime
        # As the official adapter's documentation tells its users to make it.
        self._create = (
            f"CREATE TABLE IF NOT EXISTS {name} (id bigserial UNIQUE,"
            " created_at timestamptz DEFAULT NOW(), payload bytea)"
        )

    async def ensure(self, session: Session) -> None:
        """Make it, if it is not there.

        Raises:
            ConnectionError: when it is not there and may not be made.
        """
        from asyncpg import PostgresError

        if await self._exists(session):
            return
        try:
            await session.ask(session.raw.execute(self._create))
        except PostgresError as error:
            if error.sqlstate in _MADE_ELSEWHERE and await self._exists(session):
                return
            if error.sqlstate != _NOT_ALLOWED:
                raise
            raise ConnectionError(
                f"table_name: there is no table {self.name}, and this user may not make it"
                f" ({error}); let somebody who may do so once: {self._create}"
            ) from error

    async def _exists(self, session: Session) -> bool:
        found = session.raw.fetchval("SELECT to_regclass($1) IS NOT NULL", self.name)
        return bool(await session.ask(found))

    async def write(self, session: Session, payloads: list[Any]) -> list[int]:
        """Write attachments; their ids."""
        size = sum(map(len, payloads))
        query = f"INSERT INTO {self.name} (payload) VALUES ($1) RETURNING id"
        written = session.raw.fetchmany(query, [(payload,) for payload in payloads])
        return [int(row[0]) for row in await session.ask(written, size)]

    async def clean_up(self, session: Session) -> None:
        """Delete those that everybody has had time to read, whoever wrote them."""
        query = f"DELETE FROM {self.name} WHERE created_at < now() - make_interval(secs => $1)"
        await session.ask(session.raw.execute(query, self._lifetime))
