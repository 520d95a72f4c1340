"""Where NATS is, and how to connect: by nats-py, which is asked for when it is needed."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from nuncio.errors import OptionError

MISSING: Final = "clusters over NATS need nats-py: pip install 'nuncio[nats]'"
SCHEMES: Final = ("nats", "tls", "ws", "wss")

# What of nats-py's options is the bus's business: losses above all, which it sees to itself.
_OURS: Final = frozenset(
    (
        "self",
        "servers",
        "allow_reconnect",
        "max_reconnect_attempts",
        "reconnect_time_wait",
        "reconnect_to_server_handler",
        "ping_interval",
        "max_outstanding_pings",
        "no_echo",
        "verbose",
        "pending_size",
        "flusher_queue_size",
        "flush_timeout",
        "drain_timeout",
        "error_cb",
        "disconnected_cb",
        "closed_cb",
        "discovered_server_cb",
        "reconnected_cb",
        "lame_duck_mode_cb",
        "skip_subject_validation",
    )
)

# What of nats-py is used beside its public methods, in `connection.py`.
_INNER: Final = (
    "_process_err",
    "_process_msg",
    "_process_op_err",
    "_reading_task",
    "_transport",
)


class Endpoint:
    """NATS' servers, and how to connect to any of them.

    Args:
        url: the address of one of them, or a list.
        connect: more of the options of `nats.connect`, by name.

    Raises:
        OptionError: for what are none, or when nats-py is not installed.

    Attributes:
        discovered: others of the same cluster, of which NATS has told.
    """

    def __init__(self, url: Any, connect: Mapping[str, Any] | None) -> None:
        try:
            from nats.aio.client import Client
        except ImportError as error:
            raise OptionError(MISSING) from error
        client = Client()
        missing = [name for name in _INNER if not hasattr(client, name)]
        if missing:
            raise OptionError(
                f"this release of nats-py has no {missing[0]}, on which Nuncio stands: install"
                " another one, such as nats-py==2.16"
            )
        self._urls = _urls(url)
        self.discovered: list[str] = []
        self.options = dict(connect or {})
        known = set(inspect.signature(Client.connect).parameters) - _OURS
        for name in self.options:
            if name not in known:
                raise OptionError(
                    f"connect: {name!r} is no option of nats.connect that may be given here; these"
                    f" are: {', '.join(sorted(known))}"
                )

    def servers(self) -> list[str]:
        """The addresses of all servers that are known."""
        userinfo, at, _ = urlsplit(self._urls[0]).netloc.rpartition("@")
        found = list(self._urls)
        for url in self.discovered:
            scheme, _, netloc = url.partition("://")
            found.append(f"{scheme}://{userinfo}{at}{netloc}")
        return found


def _urls(url: Any) -> list[str]:
    urls = [url] if isinstance(url, str) else url
    if not isinstance(urls, Sequence) or not urls or not all(map(_is_url, urls)):
        raise OptionError(
            "url must be an address such as 'nats://localhost:4222', or a list of them, not"
            f" {url!r}; what else a connection needs is given in connect={{…}}"
        )
    return list(urls)


def _is_url(url: Any) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
