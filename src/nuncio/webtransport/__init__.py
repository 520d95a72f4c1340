"""WebTransport: one stream of an HTTP/3 session, over QUIC, which is over UDP. Needs aioquic.

`io.run` and `io.listen` serve it where `transports` names it; `nuncio.webtransport.listen` serves
it beside any other ASGI server. Nothing here imports aioquic before it is needed.
"""

from __future__ import annotations

from nuncio.webtransport.certificates import Certificate, make_certificate
from nuncio.webtransport.options import WebTransportOptions
from nuncio.webtransport.standalone import Listening, listen

__all__ = ["Certificate", "Listening", "WebTransportOptions", "listen", "make_certificate"]
