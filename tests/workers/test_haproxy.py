"""The official client through HAProxy, which gives each request to the next of four workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.hosts.process import running
from tests.support.aio import run_async
from tests.support.node import POLLING, UPGRADED, Node, Way
from tests.support.ports import free_port
from tests.workers.crowd import gather, lines, written

pytestmark = pytest.mark.proxy

_HAPROXY = """
global
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
frontend nuncio
    bind 127.0.0.1:{port}
    default_backend workers
backend workers
    balance roundrobin
{servers}
"""


@pytest.fixture(scope="module")
def port(
    program: Callable[[str], str],
    four_workers: list[int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    """Where HAProxy listens."""
    listen = free_port()
    servers = lines(four_workers, "    server at-{0} 127.0.0.1:{0}")
    configuration = _HAPROXY.format(port=listen, servers=servers)
    file = written(tmp_path_factory.mktemp("h"), "haproxy.cfg", configuration)
    with running([program("haproxy"), "-db", "-f", file], listen):
        yield listen


@pytest.mark.parametrize("way", [POLLING, UPGRADED], ids=lambda way: way.name)
@run_async
async def test_no_sticky_sessions(node: Node, port: int, way: Way) -> None:
    await gather(node, port, way)
