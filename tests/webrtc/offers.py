"""Offers as browsers make them."""

from __future__ import annotations

import random

FINGERPRINT = ":".join(f"{byte:02X}" for byte in range(32))


def chromium(
    *lines: str, without: str = "", ufrag: str | None = None, section: str | None = None
) -> bytes:
    """An offer of Chromium's.

    Args:
        lines: further ones.
        without: those that begin so are left out.
        ufrag: what makes it another than all others; chosen by chance if it is not said.
        section: the line of its section.
    """
    if ufrag is None:
        ufrag = "".join(random.choices("abcdefgh", k=8))
    text = [
        "v=0",
        "o=- 4611731400430051336 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS",
        section or "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
        "c=IN IP4 0.0.0.0",
        "a=candidate:1 1 udp 2113937151 bc55975a-ab26-4fa9-9758-278d32f2d9e4.local 47728 typ host "
        "generation 0 ufrag 9FYw network-cost 999",
        f"a=ice-ufrag:{ufrag}",
        "a=ice-pwd:asd88fgpdd777uzjYhagZg12",
        "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {FINGERPRINT}",
        "a=setup:actpass",
        "a=mid:0",
        "a=sctp-port:5000",
        "a=max-message-size:262144",
    ]
    kept = [line for line in text if not (without and line.startswith(without))]
    kept += lines
    return ("\r\n".join(kept) + "\r\n").encode()
