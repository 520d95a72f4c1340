"""What to write in place of an attribute that JavaScript's server has and ours does not.

Each is a descriptor, as `__getattr__` would slow down every other attribute, and so every message.
"""

from __future__ import annotations

import dataclasses
from typing import Final, NoReturn

from nuncio.engine.options import EngineOptions
from nuncio.errors import OptionError
from nuncio.server.options import ServerOptions

_BESIDE: Final = "another application is served beside: io.run(app=…) or io.asgi(app)"
_FETCH: Final = "write await io.fetch_sockets()"
_OWN: Final = "io.run and io.listen make their own"

_INSTEAD: Final = {
    "adapter": "it is an option, Server(adapter=…); a namespace's own is io.of(name).adapter",
    "allSockets": _FETCH,
    "all_sockets": _FETCH,
    "attach": _BESIDE,
    "attachApp": _BESIDE,
    "attach_app": _BESIDE,
    "bind": _BESIDE,
    "connectTimeout": "it is an option, Server(connect_timeout=…)",
    "httpServer": _OWN,
    "http_server": _OWN,
    "instrument": "write nuncio.instrument(io, auth=…)",
    "path": "it is an option, Server(path=…), and read as io.engine.path",
    "serveClient": "it is an option, Server(serve_client=…)",
    "write": "write io.send",
}

# Options whose names servers have as attributes, or applications may want for something else.
_TAKEN: Final = frozenset({"data", "delivery", "limits", "parser", "presence", "threads"})


class _Instead:
    """An attribute that is not there, and cannot be set.

    Args:
        name: the attribute's.
        hint: what to write.
    """

    def __init__(self, name: str, hint: str) -> None:
        self._text = f"Server has no attribute {name!r}: {hint}"

    def __get__(self, io: object, cls: type) -> NoReturn:
        raise AttributeError(self._text)

    def __set__(self, io: object, value: object) -> NoReturn:
        # An option that is assigned would have no effect.
        raise OptionError(self._text)


class Hints:
    """The hints, for `Server` to inherit; type checkers see none of these attributes."""


def _add_hints() -> None:
    for options in (ServerOptions, EngineOptions):
        for field in dataclasses.fields(options):
            if field.name not in _TAKEN and field.name not in _INSTEAD:
                _add(field.name, f"it is an option, Server({field.name}=…)")
    for name, hint in _INSTEAD.items():
        _add(name, hint)


def _add(name: str, hint: str) -> None:
    setattr(Hints, name, _Instead(name, hint))


_add_hints()
