"""The short way of long-polling's requests: all but the first belong to a session. [compiled]"""

from __future__ import annotations

from nuncio.engine.polling import PollingTransport
from nuncio.engine.request import Exchange
from nuncio.engine.session import Session


def follow_up(sessions: dict[str, Session], exchange: Exchange) -> bool:
    """Take a poll or a payload of a session there is: nearly every request of long-polling.

    Returns:
        False when anything is unusual; nothing has been done then, and the engine's full checks
        say what is wrong.
    """
    request = exchange.request
    query = request.query
    sid = query.get("sid")
    session = None if sid is None else sessions.get(sid)
    if session is None or query.get("transport") != "polling":
        return False
    if (query.get("EIO") == "4") != (session.protocol == 4):
        return False
    transport = session.transport
    if not isinstance(transport, PollingTransport):
        return False
    if request.method == "GET":
        transport.get(exchange)
    elif request.method == "POST":
        transport.post(exchange)
    else:
        return False
    return True
