"""WebTransport among the ways to reach a server; its host is `nuncio.webtransport.listener`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nuncio.engine.ways import Way
from nuncio.webtransport.extra import check_extra

if TYPE_CHECKING:
    from nuncio.engine.engine import Engine


class WebTransportWay(Way):
    """Connections of QUIC. By an HTTP request nobody gets there."""

    name = "webtransport"
    method = "CONNECT"
    requests = False

    def __init__(self, engine: Engine) -> None:
        check_extra()
        super().__init__(engine)
