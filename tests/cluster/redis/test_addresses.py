"""Where Redis may be, and how one gets in: TLS, a Unix socket, a password and a database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from tests.cluster.redis.test_faults import MAKERS
from tests.support.aio import run_async
from tests.support.authority import Authority
from tests.support.ports import free_port
from tests.support.redis import Redis
from tests.support.two import joined


async def meet(place: Any, maker: str) -> None:
    """Two servers that reach each other."""
    async with joined(*[MAKERS[maker](place) for _ in range(2)]) as pair:
        await pair.reaches("e")
        await pair.reaches("x" * 100_000)
        assert len(await pair.one.fetch_sockets()) == 2


@pytest.mark.parametrize("maker", MAKERS)
@run_async
async def test_redis_over_tls(program: Any, maker: str, tmp_path: Path) -> None:
    authority = Authority(program("openssl"), tmp_path)
    cert, key = authority.issue("redis")
    port = free_port()
    options = {
        "tls-port": str(port),
        "tls-cert-file": str(cert),
        "tls-key-file": str(key),
        "tls-ca-cert-file": str(authority.ca),
        "tls-auth-clients": "no",
    }
    async with Redis(program("redis-server"), **options):
        await meet(f"rediss://localhost:{port}?ssl_ca_certs={authority.ca}", maker)
        client = redis.asyncio.Redis(port=port, ssl=True, ssl_ca_certs=str(authority.ca))
        await meet(client, maker)
        await client.aclose()
        with pytest.raises(ConnectionError, match="certificate"):
            await meet(f"rediss://localhost:{port}", maker)


@pytest.mark.parametrize("where", ["unix://{path}", "unix://:open-sesame@{path}?db=3"])
@run_async
async def test_redis_over_a_unix_socket(program: Any, where: str, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    async with Redis(program("redis-server"), unixsocket=str(path)) as server:
        if "sesame" in where:
            await server.command("CONFIG", "SET", "requirepass", "open-sesame")
            with pytest.raises(ConnectionError, match=r"[Aa]uth"):
                await meet(f"unix://{path}", "classic")
        await meet(where.format(path=path), "streams")
