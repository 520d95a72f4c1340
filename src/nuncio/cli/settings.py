"""What a connection is made with, read off the command line's options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from nuncio.cli.commands import Command
from nuncio.cli.problems import WrongUse
from nuncio.client.url import encode_query, parse
from nuncio.errors import OptionError

_NEAR: Final = re.compile(r"(localhost|127\.[\d.]+|\[::1\])(:\d+)?(/|\?|$)")
_PORT: Final = re.compile(r":?(\d{1,5})(/.*|\?.*)?")


@dataclass(frozen=True)
class Address:
    """Where to connect.

    Attributes:
        origin: scheme, host and port.
        namespace: the URL's path, or None when it has none.
        query: the URL's query.
    """

    origin: str
    namespace: str | None
    query: list[tuple[str, str]]


@dataclass(frozen=True)
class Settings:
    """All of it.

    Attributes:
        url: the server, without namespace and query.
        namespaces: the first is the one that commands go to.
        auth: credentials.
        manager: further options for `nuncio.Manager`.
        retries: how often to send again what is not acknowledged; None for never.
        parser: how packets are written, `json` or `msgpack`.
        timeout: seconds to wait for what is waited for; None for ever.
        ack_timeout: the same, for acknowledgements.
        keep_trying: whether to go on when the first attempt fails.
        steps: what to do, in order.
        count: after how many events to end; None for no such end.
        listen: whether to stay when all is done.
        patterns: the filter that events must match.
        json: whether to print JSON.
        colour: whether colours are wanted, where there can be any.
        whole: whether nothing is shortened.
        save: where to record, or None.
    """

    url: str
    namespaces: tuple[str, ...] = ("/",)
    auth: Any = None
    manager: Mapping[str, Any] = field(default_factory=dict)
    retries: int | None = None
    parser: str = "json"
    timeout: float | None = 20.0
    ack_timeout: float | None = 20.0
    keep_trying: bool = False
    steps: tuple[Command, ...] = ()
    count: int | None = None
    listen: bool = False
    patterns: tuple[str, ...] = ()
    json: bool = False
    colour: bool = True
    whole: bool = False
    save: Path | None = None

    @property
    def scripted(self) -> bool:
        """Whether options say what to do, so that nothing is read from the user."""
        return bool(self.steps) or self.count is not None or self.listen


def read_address(url: str) -> Address:
    """What a URL means, also one that was written in a hurry: `localhost:3000`, `:3000/chat`.

    Raises:
        WrongUse: when it is none.
    """
    url = url.strip()
    port = _PORT.fullmatch(url)
    if port:
        url = f"http://localhost:{port[1]}{port[2] or ''}"
    elif "://" not in url.partition("?")[0]:
        # As the official client does outside of browsers; except where TLS is hardly meant.
        url = f"{'http' if _NEAR.match(url) else 'https'}://{url}"
    try:
        target = parse(url)
    except OptionError as error:
        hint = "For example: nuncio connect http://localhost:3000"
        raise WrongUse(str(error).removeprefix("url: "), [hint]) from error
    return Address(target.origin, None if target.nsp == "/" else target.nsp, target.query)


def read_namespaces(address: Address, given: Sequence[str]) -> tuple[str, ...]:
    """The URL's and those of `--namespace`, each once; the default one if there are none."""
    names = [] if address.namespace is None else [address.namespace]
    names += [name if name.startswith("/") else f"/{name}" for name in given]
    return tuple(dict.fromkeys(names)) or ("/",)


def read_pairs(given: Sequence[str], separator: str, example: str) -> list[tuple[str, str]]:
    """Names and values, such as headers.

    Raises:
        WrongUse: for what has no separator, or no name.
    """
    found = []
    for text in given:
        name, between, value = text.partition(separator)
        if not between or not name.strip():
            raise WrongUse(f"{text!r} is not of the form {example}")
        found.append((name.strip(), value.strip() if separator == ":" else value))
    return found


def joined_query(address: Address, given: Sequence[str]) -> str | None:
    """The URL's query and that of `--query`, together.

    Raises:
        WrongUse: for what is no pair.
    """
    pairs = address.query + read_pairs(given, "=", "name=value")
    return encode_query(pairs) or None
