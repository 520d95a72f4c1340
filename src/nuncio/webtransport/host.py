"""WebTransport beside a server: from its options to a listener that begins and ends with it."""

from __future__ import annotations

import socket
from typing import Any

from nuncio.engine.engine import Engine
from nuncio.errors import OptionError
from nuncio.hosts.tls import check_tls
from nuncio.webtransport.certificates import NAMES, Certificate, make_certificate, read_certificate
from nuncio.webtransport.extra import check_extra
from nuncio.webtransport.hashes import publish
from nuncio.webtransport.options import WebTransportOptions

_NO_CERTIFICATE = (
    "webtransport needs a certificate: give ssl_certfile=… and ssl_keyfile=…, or "
    "webtransport={'certificate': …, 'key': …}; while you develop, webtransport={'dev': True}"
)


class WebTransportHost:
    """Serves WebTransport for some engines.

    Args:
        engines: those that have it among their transports.
        options: a `WebTransportOptions`, a mapping, or None.
        certfile: the server's own certificate, where it has one.
        keyfile: its key.
        password: of that.

    Raises:
        OptionError: for wrong options, without a certificate, and without aioquic.

    Attributes:
        certificate: the one that is used.
    """

    def __init__(
        self,
        engines: list[Engine],
        options: Any,
        certfile: Any = None,
        keyfile: Any = None,
        password: str | None = None,
    ) -> None:
        check_extra()
        self._options = given = WebTransportOptions.parse(options)
        self._engines = engines
        self._socket: socket.socket | None = None
        self._listener: Any = None
        self._host = ""
        if given.dev:
            self.certificate = make_certificate((*NAMES, *given.dev_names))
        elif given.certificate is not None:
            self.certificate = _read(given.certificate, given.key, given.password)
        elif certfile is not None:
            self.certificate = read_certificate(certfile, keyfile, password)
        else:
            raise OptionError(_NO_CERTIFICATE)

    @property
    def fixed(self) -> bool:
        """Whether the port of UDP is another than TCP's."""
        return self._options.port is not None

    @property
    def port(self) -> int:
        """The port of UDP; 0 while it does not listen."""
        return 0 if self._socket is None else int(self._socket.getsockname()[1])

    @property
    def listener(self) -> Any:
        """The listener, while there is one."""
        return self._listener

    def bind(self, host: str, port: int) -> None:
        """Take the port.

        Args:
            host: TCP's address.
            port: and its port.

        Raises:
            OSError: when that is not possible.
        """
        from nuncio.webtransport.listener import bind

        options = self._options
        self._host = host if options.host is None else options.host
        self._socket = bind(self._host, port if options.port is None else options.port)

    def unbind(self) -> None:
        """Give back a port on which nobody listens, or listens any longer."""
        if self._socket is not None and self._listener is None:
            self._socket.close()
            self._socket = None

    async def start(self) -> None:
        """Listen; the engines have been started."""
        from nuncio.webtransport.listener import start

        assert self._socket is not None
        pending = self._options.pending
        self._listener = await start(self._engines, self._socket, self.certificate, pending)
        for engine in self._engines:
            publish(engine, self.certificate)

    async def close(self, seconds: float = 1.0) -> None:
        """End the connections, and stop listening; twice does no harm.

        Args:
            seconds: how long clients may take to get the last of what was sent to them.
        """
        listener, self._listener = self._listener, None
        if listener is not None:
            await listener.close(seconds)
            self._socket = None
        self.unbind()


def _read(certificate: Any, key: Any, password: str | None) -> Certificate:
    try:
        check_tls(
            {"ssl_certfile": certificate, "ssl_keyfile": key, "ssl_keyfile_password": password}
        )
    except OptionError as error:
        words = str(error)
        for ours, theirs in (
            ("password", "ssl_keyfile_password"),
            ("key", "ssl_keyfile"),
            ("certificate", "ssl_certfile"),
        ):
            words = words.replace(theirs, ours)
        raise OptionError(f"webtransport: {words}") from error
    return read_certificate(certificate, key, password)
