"""WebTransport from the client's side: its class, which imports aioquic when it opens."""

from __future__ import annotations

from nuncio.client.dial import Dial
from nuncio.client.transports import ClientTransport
from nuncio.engine.transport import Transport
from nuncio.errors import OptionError, TransportError
from nuncio.webtransport.extra import check_extra


class WebTransport(ClientTransport):
    """WebTransport over HTTP/3; needs the extra `nuncio[webtransport]`.

    Certificates are checked as the options `ca`, `reject_unauthorized`, `cert` and `key` say; or,
    without any authority, by `server_certificate_hashes`.

    Raises:
        OptionError: where aioquic is not installed.
    """

    name = "webtransport"

    def __init__(self) -> None:
        check_extra()

    async def open(self, dial: Dial) -> Transport:
        """See `ClientTransport.open`."""
        options = dial.options_of(self.name)
        if options.ssl is not None:
            raise OptionError("ssl is for TCP: for webtransport write ca=…, cert=… and key=…")
        if options.proxy is not None:
            raise TransportError("webtransport: there is no way through a proxy", self.name)
        from nuncio.webtransport.client import connect

        return await connect(dial)
