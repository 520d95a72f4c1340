"""The official client through nginx, which gives each request to the next of four workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hosts.process import python, running
from tests.support.aio import run_async, within
from tests.support.node import POLLING, UPGRADED, Node, Way
from tests.support.ports import free_port

pytestmark = pytest.mark.proxy

# 1,000 for the record; fewer show the same.
SESSIONS = int(os.environ.get("NUNCIO_SESSIONS", "40"))

_NGINX = """
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    upstream workers {{
        {servers}
        keepalive 64;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://workers;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_buffering off;
            proxy_read_timeout 60s;
        }}
    }}
}}
"""

_SERVER = """
import sys
import nuncio

io = nuncio.Server(workers=sys.argv[1])

@io.on("connection")
def connection(socket):
    socket.join("everybody")

@io.event
def echo(socket, *args):
    return nuncio.Ack(*args)

@io.event
def shout(socket, text):
    io.to("everybody").emit("shout", text)

io.run(port=int(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def port(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where nginx listens."""
    folder = tmp_path_factory.mktemp("n")
    meeting = Path(f"/tmp/nn-{os.getpid()}")
    ports = [free_port() for _ in range(4)]
    listen = free_port()
    with ExitStack() as stack:
        for behind in ports:
            stack.enter_context(running(python("-c", _SERVER, str(meeting), str(behind)), behind))
        file = folder / "nginx.conf"
        file.write_text(
            _NGINX.format(
                user="user root;" if os.getuid() == 0 else "",
                folder=folder,
                port=listen,
                servers=" ".join(f"server 127.0.0.1:{behind};" for behind in ports),
            )
        )
        stack.enter_context(running([program("nginx"), "-c", str(file)], listen))
        yield listen


@pytest.mark.parametrize("way", [POLLING, UPGRADED], ids=lambda way: way.name)
@run_async
async def test_no_sticky_sessions(node: Node, port: int, way: Way) -> None:
    async with node.clients(port=port) as clients:
        all_of_them = []
        for start in range(0, SESSIONS, 20):
            count = min(20, SESSIONS - start)
            # Of one page, official clients would share a connection.
            all_of_them += await asyncio.gather(
                *(clients.connect(way=way, forceNew=True) for _ in range(count))
            )
        for start in range(0, SESSIONS, 20):
            await asyncio.gather(*(_exchange(client, way) for client in all_of_them[start:][:20]))
        await all_of_them[0].emit("shout", "hello")
        for client in all_of_them:
            assert await within(client.next("shout")) == ["hello"]
            assert "disconnect" not in client.names()


async def _exchange(client: object, way: Way) -> None:
    data = b"\x00\xff" * 20_000
    for number in range(3):
        assert await within(client.ask("echo", number, data)) == [number, data]  # type: ignore[attr-defined]
    assert await client.transport() == way.transport  # type: ignore[attr-defined]
