"""The options of the transport `webrtc`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nuncio.errors import OptionError
from nuncio.options import build, did_you_mean, named_options, whole

IceServer = str | Mapping[str, Any]

_SCHEMES: Final = ("stun:", "stuns:", "turn:", "turns:")
_SERVER_KEYS: Final = ("urls", "username", "credential")


@named_options
@dataclass(frozen=True, slots=True)
class WebRTCOptions:
    """How a server takes WebRTC connections.

    Attributes:
        ice_servers: STUN and TURN servers that tell it addresses of its own, as browsers take
            them: URLs, or mappings with `urls`, `username` and `credential`. None are asked unless
            they are named here.
        addresses: the addresses of this machine at which it is to be reached by UDP; None for
            those of all network interfaces, or `127.0.0.1` where there is no other.
        offers: connections that are being made, all together. Further ones are refused.
        offers_per_address: connections that one address is making.
        answers: how many offers are answered at once, for each costs processor time; others wait.
        sdp_bytes: the size of an offer.
        candidates: addresses that an offer may name. Only the first 16 that can be used are.
    """

    ice_servers: Sequence[IceServer] = ()
    addresses: Sequence[str] | None = None
    offers: int = 256
    offers_per_address: int = 64
    answers: int = 8
    sdp_bytes: int = 16_384
    candidates: int = 64

    def __post_init__(self) -> None:
        check_ice_servers(self.ice_servers)
        check_addresses(self.addresses)
        for name in ("offers", "offers_per_address", "answers", "sdp_bytes", "candidates"):
            whole(name, getattr(self, name))

    @classmethod
    def of(cls, value: object) -> WebRTCOptions:
        """What the option `webrtc` of a server means.

        Raises:
            OptionError: for what it cannot be.
        """
        if value is None:
            return cls()
        if isinstance(value, WebRTCOptions):
            return value
        if isinstance(value, Mapping):
            return build(WebRTCOptions, value, "webrtc")
        raise OptionError(f"webrtc must be a nuncio.WebRTCOptions or a mapping, not {value!r}")


def check_ice_servers(servers: object) -> None:
    """Check a list of STUN and TURN servers.

    Raises:
        OptionError: when it is none.
    """
    if isinstance(servers, (str, Mapping)) or not isinstance(servers, Sequence):
        raise OptionError(f'ice_servers must be a list, as ["stun:stun.example"], not {servers!r}')
    for server in servers:
        urls = server
        if isinstance(server, Mapping):
            for key in server:
                if key not in _SERVER_KEYS:
                    hint = did_you_mean(str(key), _SERVER_KEYS)
                    raise OptionError(f"ice_servers: a server has no {key!r}; {hint}".rstrip("; "))
            urls = server.get("urls")
        for url in [urls] if isinstance(urls, str) else urls or [urls]:
            if not isinstance(url, str) or not url.startswith(_SCHEMES):
                raise OptionError(
                    f"ice_servers: {url!r} is no URL as stun:stun.example:3478 or turn:turn.example"
                )


def check_addresses(addresses: object) -> None:
    """Check a list of this machine's addresses.

    Raises:
        OptionError: when it is none.
    """
    if addresses is None:
        return
    if isinstance(addresses, str) or not isinstance(addresses, Sequence) or not addresses:
        raise OptionError(f'addresses must be a list, as ["192.0.2.1"], not {addresses!r}')
    for address in addresses:
        try:
            if ipaddress.ip_address(address).is_unspecified:
                raise ValueError("any address is no address to be reached at")
        except ValueError as error:
            raise OptionError(f"addresses: {error}; leave it out for all of them") from error
