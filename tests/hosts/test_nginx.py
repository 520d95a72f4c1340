"""nginx in front, configured as the deployment guide says."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts.process import python, running
from tests.support.aio import run_async
from tests.support.node import POLLING, UPGRADED, WEBSOCKET, Node, Way
from tests.support.ports import free_port

CONFIGURATION = """
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen 127.0.0.1:{port};
        location /socket.io/ {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For 203.0.113.7;
            proxy_set_header X-Forwarded-Proto https;
            proxy_buffering off;
            proxy_read_timeout 60s;
        }}
    }}
}}
"""


@pytest.fixture(scope="module")
def port(program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where nginx listens."""
    nginx = program("nginx")
    folder: Path = tmp_path_factory.mktemp("nginx")
    port, behind = free_port(), free_port()
    # Its workers must be able to write into the folder.
    user = "user root;" if os.getuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(CONFIGURATION.format(user=user, folder=folder, port=port, behind=behind))
    serve = f"from tests.hosts.application import io; io.run(port={behind})"
    with running(python("-c", serve), behind), running([nginx, "-c", str(file)], port):
        yield port


@pytest.mark.proxy
@pytest.mark.parametrize("way", [POLLING, WEBSOCKET, UPGRADED], ids=lambda way: way.name)
@run_async
async def test_through_a_reverse_proxy(node: Node, port: int, way: Way) -> None:
    async with node.clients(port=port) as clients:
        client = await clients.connect(way=way)
        values = ["text", {"a": 1}, b"\x00\xff" * 40_000]
        await client.emit("echo", *values)
        assert await client.next("echo") == values
        # The proxy is on this machine, and so trusted to say who the client is.
        assert await client.ask("who") == ["203.0.113.7", True]
        assert await client.transport() == way.transport
        await client.emit("leave")
        assert (await client.next("disconnect"))[0] == "io server disconnect"
