"""`nuncio.webtransport.listen`: WebTransport beside any ASGI server that serves the rest."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from nuncio.errors import OptionError
from nuncio.webtransport.options import WebTransportOptions

if TYPE_CHECKING:
    from nuncio.engine.engine import Engine
    from nuncio.server.server import Server
    from nuncio.webtransport.host import WebTransportHost


class Listening:
    """A listener for WebTransport; also an async context manager.

    Attributes:
        port: of UDP.
        certificate_hash: the SHA-256 of the certificate in base64.
    """

    def __init__(self, host: WebTransportHost) -> None:
        self._host = host
        self.port = host.port
        self.certificate_hash = host.certificate.hash64

    async def close(self) -> None:
        """End the connections and stop listening; sessions end with `transport close`."""
        await self._host.close()

    async def __aenter__(self) -> Listening:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def listen(
    io: Server | Engine,
    host: str = "127.0.0.1",
    port: int = 3000,
    *,
    options: WebTransportOptions | None = None,
    **more: Any,
) -> Listening:
    """Serve WebTransport, and nothing else, in the running loop.

    It goes with an application that another host serves (`io.asgi(…)` under uvicorn or hypercorn)
    in the same process: a session may begin there and move here.

    Args:
        io: the server, which has `webtransport` among its transports.
        host: the address to listen on.
        port: of UDP; clients expect the same number as TCP's.
        options: see `WebTransportOptions`; its fields may also be given by name, such as
            `certificate=…` and `key=…`.

    Raises:
        OptionError: for wrong options, without a certificate, or without aioquic.
        OSError: when the port cannot be listened on.
    """
    from nuncio.engine.engine import Engine
    from nuncio.webtransport.host import WebTransportHost

    engine = io if isinstance(io, Engine) else io.engine
    if "webtransport" not in engine.options.transports:
        raise OptionError(
            "io must have webtransport among its transports: "
            "nuncio.Server(transports=['polling', 'websocket', 'webtransport'])"
        )
    if options is not None and more:
        raise OptionError(f"options has it all: leave out {', '.join(more)}")
    asyncio.get_running_loop()
    serving = WebTransportHost([engine], options if options is not None else more)
    serving.bind(host, port)
    try:
        await serving.start()
    except BaseException:
        await serving.close()
        raise
    return Listening(serving)
