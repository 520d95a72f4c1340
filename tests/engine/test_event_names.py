"""Who listens to an event that never comes is told so, with what to do instead."""

from __future__ import annotations

import re

import pytest

import nuncio
from nuncio.engine import Engine
from nuncio.errors import OptionError
from tests.support.aio import run_async
from tests.support.door import Door
from tests.support.memory import Client

# All that Node's engine and its sessions emit, and how the errors go on.
ENGINE = {
    "flush": "session.on('drain'), or socket.conn.on('drain')",
    "drain": "session.on('drain'), or socket.conn.on('drain')",
    "connectionError": "did you mean 'connection_error'",
    "initialHeaders": "did you mean 'initial_headers'",
    "conection": "did you mean 'connection'",
}
BOTH = {
    "open": "engine.on('connection')",
    "flush": "write 'drain'",
    "mesage": "",
    "closed": "did you mean 'close'",
    "upgraded": "did you mean 'upgrade'",
}
SESSION = BOTH | {
    "packet": "'message' and 'heartbeat'",
    "packetCreate": "wrap session.send",
    "data": "write 'message'",
}
CONN = BOTH | {
    "packet": "socket.on_any(",
    "packetCreate": "socket.on_any_outgoing(",
    "packet_create": "socket.on_any_outgoing(",
    "data": "socket.on_any(",
    "message": "socket.on_any(",
}


@pytest.mark.parametrize(("event", "hint"), ENGINE.items())
def test_an_unknown_event_of_the_engine(event: str, hint: str) -> None:
    for engine in (Engine(), nuncio.Server().engine):
        with pytest.raises(OptionError, match=f"event: the engine has no.*{re.escape(hint)}"):
            engine.on(event, print)
        with pytest.raises(OptionError, match=f"event: the engine has no.*{re.escape(hint)}"):
            engine.once(event)


def refused(session: nuncio.Session, event: str) -> str:
    with pytest.raises(OptionError) as caught:
        session.on(event, print)
    with pytest.raises(OptionError):
        session.once(event)
    with pytest.raises(OptionError):
        session.off(event)
    return str(caught.value)


@run_async
async def test_an_unknown_event_of_a_session() -> None:
    door = Door()
    await door.knock()
    (session,) = door.sessions
    for event, hint in SESSION.items():
        assert f"event: the session has no event '{event}'" in refused(session, event)
        assert hint in refused(session, event)
    for event in ("message", "close", "upgrading", "upgrade", "heartbeat", "drain"):
        session.on(event, print)


@run_async
async def test_an_unknown_event_of_a_session_under_socketio() -> None:
    io = nuncio.Server()
    sessions: list[nuncio.Session] = []
    io.engine.on("connection", sessions.append)
    sockets: list[nuncio.Socket] = []
    io.on("connection", sockets.append)
    Client(io).connect()
    for session in (sessions[0], sockets[0].conn):
        for event, hint in CONN.items():
            assert f"event: socket.conn has no event '{event}'" in refused(session, event)
            assert hint in refused(session, event)
        for event in ("close", "upgrading", "upgrade", "heartbeat", "drain"):
            session.on(event, print)
    await io.close()
