"""What hostile clients do on either transport, whatever their packets are made of."""

from __future__ import annotations

import pytest

from tests.support.aio import eventually
from tests.support.arena import Arena
from tests.support.packed import as_polled
from tests.support.rawclient import Peer, Polling

transports = pytest.mark.parametrize("transport", ["websocket", "polling"])


async def send(client: Polling | Peer, *packets: str | bytes) -> None:
    """Send packets: one frame for each, or one payload for all."""
    if isinstance(client, Peer):
        await client.socket.send(*packets)
        return
    response = await client.post("\x1e".join(map(as_polled, packets)))
    # Whatever it did, the request was understood.
    assert (response.status, response.text) == (200, "ok")


async def is_closed(arena: Arena, client: Polling | Peer) -> str:
    """Wait until the server has closed; the reason that the socket was given."""
    if isinstance(client, Peer):
        await client.socket.closed()
        sid = client.socket.sid
    else:
        sid = client.sid
        response = await client.get()
        if response.status == 200:
            # Its goodbye, which it fetches.
            assert response.text.split("\x1e")[-1] == "1"
            response = await client.get()
        assert response.json == {"code": 1, "message": "Session ID unknown"}
    await eventually(lambda: arena.unknown(sid))
    return list(arena.sockets.values())[-1]
