"""Session descriptions: what of them is needed for one data channel, and nothing else.

An offer comes from anybody, and libraries for WebRTC do what it says: they make sockets for each
section, and send to each address. So it is read strictly here, and what is handed on is written
anew from what was understood (RFC 8866, RFC 8841, RFC 8839).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from nuncio.errors import PacketError

# How many addresses of one peer are tried.
MOST_TRIED: Final = 16

# Whoever takes less in one message makes sending expensive.
LEAST_MESSAGE: Final = 1024

# Of who does not say (RFC 8841, section 6.1).
DEFAULT_MESSAGE: Final = 65536

_SECTION: Final = re.compile(r"application \d{1,5} UDP/DTLS/SCTP webrtc-datachannel")
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINT: Final = re.compile(r"sha-256 ((?:[0-9A-F]{2}:){31}[0-9A-F]{2})", re.IGNORECASE)
_MID: Final = re.compile(r"[!#-'*+\-.0-9A-Z^-~]{1,32}")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_FOUNDATION: Final = re.compile(r"[A-Za-z0-9+/]{1,32}")

_SETUPS: Final = ("actpass", "active", "passive")
_TYPES: Final = ("host", "srflx", "relay")

# What a section for data may say once; the rest of it is of no interest here.
_ONCE: Final = ("ice-ufrag", "ice-pwd", "fingerprint", "setup", "mid", "sctp-port")


@dataclass(frozen=True, slots=True)
class Offer:
    """What a peer offers.

    Attributes:
        ufrag: name of its ICE session.
        password: of it.
        fingerprint: SHA-256 of its certificate.
        setup: its role in DTLS: `actpass`, `active` or `passive`.
        mid: the section's name.
        port: of SCTP.
        message: bytes that it takes in one message; 0 for any number.
        candidates: addresses at which it may be reached, as they are written.
    """

    ufrag: str
    password: str
    fingerprint: str
    setup: str
    mid: str
    port: int
    message: int
    candidates: tuple[str, ...]

    @property
    def key(self) -> str:
        """What no two offers have in common."""
        return f"{self.fingerprint} {self.ufrag} {self.password}"

    def text(self, *, complete: bool) -> str:
        """It as a session description.

        Args:
            complete: whether the peer can only be at one of these addresses. A browser that hides
                its own comes from another.
        """
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 0.0.0.0",
            "s=-",
            "t=0 0",
            f"a=group:BUNDLE {self.mid}",
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
            "c=IN IP4 0.0.0.0",
            *(f"a=candidate:{candidate}" for candidate in self.candidates),
            *(["a=end-of-candidates"] if complete else []),
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.password}",
            f"a=fingerprint:sha-256 {self.fingerprint}",
            f"a=setup:{self.setup}",
            f"a=mid:{self.mid}",
            f"a=sctp-port:{self.port}",
            f"a=max-message-size:{self.message}",
        ]
        return "\r\n".join(lines) + "\r\n"


def read_offer(data: bytes, most_candidates: int, *, loopback: bool) -> Offer:
    """Read an offer, or an answer, which says the same.

    Candidates that hide behind a name (`….local`) are left out: to resolve them takes a second,
    and is not needed, since the peer comes to us. So are those of other kinds than UDP, and
    addresses that no peer can have.

    Args:
        data: what came.
        most_candidates: how many candidates it may have.
        loopback: whether the peer may be on this machine.

    Raises:
        PacketError: when it is no description of one section for data channels.
    """
    try:
        lines = data.decode("ascii").replace("\r\n", "\n").rstrip("\n").split("\n")
    except UnicodeDecodeError as error:
        raise PacketError("a session description is ASCII") from error
    if lines[0] != "v=0":
        raise PacketError("it does not begin as a session description")
    said: dict[str, str] = {}
    own: dict[str, str] = {}
    candidates: list[str] = []
    sections = 0
    for line in lines:
        kind, _, value = line.partition("=")
        if kind == "m":
            sections += 1
            if sections > 1 or _SECTION.fullmatch(value) is None:
                raise PacketError("it must have one section, for data channels")
        elif kind == "a":
            name, _, value = value.partition(":")
            if name == "fingerprint" and not value.lower().startswith("sha-256 "):
                # Others of the same certificate, for who wants them.
                continue
            if name == "candidate":
                candidates.append(value)
                if len(candidates) > most_candidates:
                    raise PacketError(f"it has more than {most_candidates} candidates")
            elif name in own if sections else name in said:
                if name in _ONCE:
                    raise PacketError(f"it says a={name} twice")
            else:
                # What is said of the session holds for the section, unless that says otherwise.
                (own if sections else said)[name] = value
    if not sections:
        raise PacketError("it must have one section, for data channels")
    return _offer({**said, **own}, candidates, loopback)


def _offer(said: dict[str, str], candidates: list[str], loopback: bool) -> Offer:
    message = _number(said, "max-message-size", 0, 2**32, DEFAULT_MESSAGE)
    if 0 < message < LEAST_MESSAGE:
        raise PacketError(f"a=max-message-size must be at least {LEAST_MESSAGE}")
    setup = said.get("setup", "")
    if setup not in _SETUPS:
        raise PacketError("a=setup is missing or wrong")
    found = _FINGERPRINT.fullmatch(said.get("fingerprint", ""))
    if found is None:
        raise PacketError("a=fingerprint must be one of SHA-256")
    usable = [one for one in (_usable(each, loopback) for each in candidates) if one]
    return Offer(
        _match(said, "ice-ufrag", _UFRAG),
        _match(said, "ice-pwd", _PASSWORD),
        found[1].upper(),
        setup,
        _match(said, "mid", _MID),
        _number(said, "sctp-port", 1, 65535, 5000),
        message,
        tuple(usable[:MOST_TRIED]),
    )


def _match(said: dict[str, str], name: str, pattern: re.Pattern[str]) -> str:
    value = said.get(name, "")
    if pattern.fullmatch(value) is None:
        raise PacketError(f"a={name} is missing or wrong")
    return value


def _number(said: dict[str, str], name: str, least: int, most: int, default: int) -> int:
    value = said.get(name, str(default))
    if _NUMBER.fullmatch(value) is None or not least <= int(value) <= most:
        raise PacketError(f"a={name} is wrong")
    return int(value)


def _usable(candidate: str, loopback: bool) -> str:
    """What of a candidate is handed on; empty when nothing is."""
    parts = candidate.split(" ")[:8]
    if len(parts) < 8:
        return ""
    foundation, component, transport, priority, host, port, typ, kind = parts
    if component != "1" or transport.lower() != "udp" or typ != "typ" or kind not in _TYPES:
        return ""
    if _FOUNDATION.fullmatch(foundation) is None:
        return ""
    for number, most in ((priority, 2**32 - 1), (port, 65535)):
        if _NUMBER.fullmatch(number) is None or not 0 < int(number) <= most:
            return ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ""
    if address.is_multicast or address.is_unspecified or host == "255.255.255.255":
        return ""
    return "" if address.is_loopback and not loopback else " ".join(parts)
