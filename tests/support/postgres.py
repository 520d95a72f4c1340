"""Real PostgreSQL, started by the tests that need it, each on a port of its own.

    async with Postgres(path) as postgres:
        io = nuncio.Server(adapter=PostgresAdapter(postgres.url))

It refuses to run as root, and runs as somebody else then. `freeze` and `thaw` stop and continue all
of its processes; `stop` and `start` keep what is in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import asyncpg

from tests.support.aio import DEADLINE, within
from tests.support.ports import free_port

# As whom it runs, where tests run as root: whoever is there first.
_USERS = ("postgres", "nobody")

# Nothing of what it holds is of worth, and it shall be small and quick.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "2MB",
    "max_connections": "60",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "log_min_messages": "panic",
}


class Postgres:
    """One server.

    Args:
        program: the path of postgres.
    """

    def __init__(self, program: str) -> None:
        self._program = program
        self.port = free_port()
        self._directory = ""
        self._process: asyncio.subprocess.Process | None = None
        self._frozen: list[int] = []

    @property
    def url(self) -> str:
        """Its address."""
        return self.url_of("postgres")

    def url_of(self, user: str) -> str:
        """The address for one of its users."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/postgres"

    async def __aenter__(self) -> Self:
        self._directory = tempfile.mkdtemp(prefix="nuncio-postgres-")
        user = _somebody()
        if user is not None:
            os.chown(self._directory, user.pw_uid, user.pw_gid)
        initdb = str(Path(self._program).with_name("initdb"))
        options = ("-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync")
        made = await self._run(
            *(initdb, "-D", self._directory, *options, "--wal-segsize=1", "--no-instructions")
        )
        assert await within(made.wait()) == 0
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _run(self, *command: str) -> asyncio.subprocess.Process:
        user = _somebody()
        as_user: dict[str, Any] = {}
        if user is not None:
            as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=self._directory,
            **as_user,
        )

    async def start(self) -> None:
        """Start it, with what was in it before, and wait until it answers."""
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self._process = await self._run(
            self._program, "-D", self._directory, "-p", str(self.port), *settings
        )
        async with asyncio.timeout(DEADLINE / 3):
            while not await self._answers():
                assert self._process.returncode is None, "PostgreSQL has ended"
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        with contextlib.suppress(OSError, asyncpg.PostgresError):
            await self.execute("SELECT 1")
            return True
        return False

    async def go_on(self) -> None:
        """Start it if it was stopped, thaw it if it was frozen."""
        self.thaw()
        if self._process is None:
            await self.start()

    async def stop(self) -> None:
        """End it at once."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            self.thaw()
            process.send_signal(signal.SIGQUIT)
            await within(process.wait())

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        """A connection."""
        connection = await asyncpg.connect(self.url)
        try:
            yield connection
        finally:
            await connection.close()

    async def execute(self, query: str, *args: Any) -> None:
        """Carry out a statement."""
        async with self.connection() as connection:
            await connection.execute(query, *args)

    async def value(self, query: str, *args: Any) -> Any:
        """What a query gives."""
        async with self.connection() as connection:
            return await connection.fetchval(query, *args)

    async def notify(self, channel: str, *texts: str) -> None:
        """Say something on a channel."""
        async with self.connection() as connection:
            for text in texts:
                await connection.execute("SELECT pg_notify($1, $2)", channel, text)

    async def kill_connections(self, condition: str = "true") -> int:
        """Cut connections of Nuncio's; how many there were.

        Args:
            condition: on the columns of `pg_stat_activity`.
        """
        killed: int = await self.value(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            f" WHERE application_name = 'nuncio' AND {condition}"
        )
        return killed

    async def freeze(self) -> None:
        """Let it do nothing until `thaw`."""
        assert self._process is not None
        async with self.connection() as connection:
            pids = [row[0] for row in await connection.fetch("SELECT pid FROM pg_stat_activity")]
            pids.remove(connection.get_server_pid())
        self._frozen = [self._process.pid, *pids]
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        self._frozen = []

    def _signal(self, number: int) -> None:
        for pid in self._frozen:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def _somebody() -> pwd.struct_passwd | None:
    """As whom it runs; None for whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise AssertionError("PostgreSQL does not run as root, and there is nobody else")
