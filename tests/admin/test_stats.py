"""The numbers that admin pages are told."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

import nuncio
from tests.admin.site import site
from tests.support.aio import eventually, run_async
from tests.support.memory import Client


def shape(value: Any) -> Any:
    """Which names it has, with values of which kind."""
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    return type(value).__name__


def node_stats() -> dict[str, Any]:
    """What Node's server told."""
    path = Path(__file__).parent / "fixtures" / "admin-ui-production.json"
    for message in json.loads(path.read_text())["messages"]:
        if message.get("observed", {}).get("event") == "server_stats":
            found: dict[str, Any] = message["observed"]["args"][0]
            return found
    raise AssertionError("there are none")


@run_async
async def test_numbers_have_the_shape_of_nodes_and_are_right() -> None:
    async with site(mode="production") as here:
        await here.comes(here.page())
        user = await here.comes(here.client("user"))
        await user.emit_with_ack("hi", {"x": 1})
        (told,) = (await here.hears("server_stats"))[0]
        expected = node_stats()
        kinds = ("rawConnection", "packetsIn", "bytesIn", "packetsOut", "bytesOut")
        for stats in (told, expected):
            events = {one["type"]: one for one in stats.pop("aggregatedEvents")}
            assert {"timestamp", "type", "count"} == set(events["packetsIn"])
            assert all(events[kind]["count"] > 0 for kind in kinds)
            assert events["packetsIn"]["timestamp"] % 1000 == 0
            assert shape(stats.pop("namespaces")[0]) == {"name": "str", "socketsCount": "int"}
        assert shape(told) == shape(expected)
        assert told["serverId"] == "srv-1" and told["pid"] == os.getpid()


@run_async
async def test_numbers_come_until_the_server_ends_and_again_when_it_starts_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nuncio.admin.rounds.REPORT_SECONDS", 0.05)
    io = nuncio.Server()
    nuncio.instrument(io, auth=False, mode="production")

    async def counts() -> None:
        page = Client.join(io, "/admin")
        await eventually(lambda: str(page.received).count("server_stats") > 2)
        # No other process has this name.
        assert f'"serverId":"{socket.gethostname()}#{os.getpid()}"' in str(page.received)

    # Nobody tells it that a host starts, so the first client does.
    await counts()
    await io.close(0.2)
    await io.engine.start()
    await counts()
    await io.close(0.2)
