"""Arenas for hostile clients; each module has its own, with the limits it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nuncio import Limits, MsgPackParser
from tests.support.arena import Arena
from tests.support.packed import PackedPeer

LIMITS = Limits(
    payload_packets=100,
    header_bytes=16_384,
    header_seconds=1.5,
    fragments=50,
    attachment_bytes=20_000,
    attachment_seconds=1.0,
    containers=12_000,
    namespaces=3,
    close_seconds=0.3,
)
MAX_SIZE = 50_000


def make(host: str, **options: Any) -> Arena:
    # One of the two on uvloop, the other on asyncio's own loop.
    return Arena(
        host,
        uvloop=host == "native",
        limits=LIMITS,
        max_http_buffer_size=MAX_SIZE,
        upgrade_timeout=1.5,
        **options,
    )


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    """A server behind Nuncio's own path."""
    arena = make("native")
    yield arena
    arena.close()


@pytest.fixture(scope="module", params=["native", "asgi"])
def any_arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """A server behind either path."""
    arena = make(request.param)
    yield arena
    arena.close()


@pytest.fixture(scope="module")
def packed() -> Iterator[Arena]:
    """A server behind Nuncio's own path, with MessagePack."""
    arena = make("native", parser=MsgPackParser(), peer=PackedPeer)
    yield arena
    arena.close()


@pytest.fixture(scope="module", params=["native", "asgi"])
def any_packed(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """A server behind either path, with MessagePack."""
    arena = make(request.param, parser=MsgPackParser(), peer=PackedPeer)
    yield arena
    arena.close()
