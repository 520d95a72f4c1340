"""The official client through nginx, which gives each request to the next of four workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.hosts.process import running
from tests.support.aio import run_async
from tests.support.node import POLLING, UPGRADED, Node, Way
from tests.support.ports import free_port
from tests.workers.crowd import gather, lines, written

pytestmark = pytest.mark.proxy

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


@pytest.fixture(scope="module")
def port(
    program: Callable[[str], str],
    four_workers: list[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    """Where nginx listens."""
    folder, listen = tmp_path_factory.mktemp("n"), free_port()
    configuration = _NGINX.format(
        user="user root;" if os.getuid() == 0 else "",
        folder=folder,
        port=listen,
        servers=lines(four_workers, "server 127.0.0.1:{};"),
    )
    file = written(folder, "nginx.conf", configuration)
    with running([program("nginx"), "-c", file], listen):
        yield listen


@pytest.mark.parametrize("way", [POLLING, UPGRADED], ids=lambda way: way.name)
@run_async
async def test_no_sticky_sessions(node: Node, port: int, way: Way) -> None:
    await gather(node, port, way)
