"""`GET /socket.io/webtransport.json`: by which hash pages may trust the server's certificate.

Only where browsers take the certificate by its hash alone, as that of `nuncio dev-cert`. So pages
in development need no copy of a hash, which is another one after two weeks at most. Who can change
this answer could as well change the page that asks for it.
"""

from __future__ import annotations

import msgspec

from nuncio.engine.engine import Engine
from nuncio.engine.request import Exchange
from nuncio.webtransport.certificates import Certificate

NAME = "webtransport.json"


def publish(engine: Engine, certificate: Certificate) -> None:
    """Serve the hash of a certificate beside an engine's other files.

    Args:
        engine: on whose path.
        certificate: that browsers would not trust otherwise; others are not published.
    """
    if not certificate.by_hash:
        return
    before = engine.serve_file
    if isinstance(before, _Hashes):
        before = before.before
    engine.serve_file = _Hashes(engine, certificate, before)


class _Hashes:
    """Answers requests for the hash; all others are for those who served files before."""

    def __init__(self, engine: Engine, certificate: Certificate, before: object) -> None:
        self.before = before if callable(before) else None
        self._path = f"{engine.path}/{NAME}"
        expires = certificate.expires.isoformat()
        self._body = msgspec.json.encode(
            {
                "serverCertificateHashes": [{"algorithm": "sha-256", "value": certificate.hash64}],
                "expires": expires,
            }
        )

    def __call__(self, exchange: Exchange) -> bool:
        request = exchange.request
        if request.path == self._path and request.method in ("GET", "HEAD"):
            body = self._body if request.method == "GET" else b""
            headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store")]
            exchange.respond(200, headers, body)
            return True
        return self.before is not None and bool(self.before(exchange))
