"""The browser's client, served under the path of the server: the option `serve_client`.

A page then needs no other place to load it from, and gets the client that fits the server:

    <script src="/socket.io/socket.io.min.js"></script>

What may be asked for is a table of names, made when the server is, so no request reaches the file
system with a name of its own. A file is read when it is first asked for, compressed at most once,
and kept. Caches are told to ask again each time (RFC 9111, section 5.2.2.4), which costs a 304
without a body, unless the URL carries the version of what is behind it, as `url` writes it.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

from nuncio.engine.request import Exchange
from nuncio.errors import OptionError
from nuncio.server.static_file import StaticFile

logger = logging.getLogger("nuncio")

StrPath: TypeAlias = str | os.PathLike[str]
ServeClientOption: TypeAlias = bool | StrPath | Mapping[str, StrPath] | None

AUTO: Final = "auto"
BUNDLED: Final = Path(__file__).resolve().parent.parent / "browser"

_BUNDLES: Final = (
    "socket.io.js",
    "socket.io.min.js",
    "socket.io.esm.min.js",
    "socket.io.msgpack.min.js",
    # The client with all transports, and its transports for the official client.
    "socket.io.all.min.js",
    "socket.io.all.esm.min.js",
    "nuncio-transports.min.js",
    "nuncio-transports.esm.min.js",
    # Browsers connected to each other.
    "nuncio-peer.min.js",
    "nuncio-peer.esm.min.js",
)
NAMES: Final = tuple([name + suffix for name in _BUNDLES for suffix in ("", ".map")])

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.(?:js|mjs|map)")
_SCRIPT: Final = "application/javascript; charset=utf-8"
_MAP: Final = "application/json; charset=utf-8"

_CHECK: Final = "public, max-age=0"
_FOREVER: Final = "public, max-age=31536000, immutable"


class ClientFiles:
    """Files under fixed names; built by `parse`.

    Args:
        files: where they are, by the name under which they are served.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._files = {
            name: StaticFile(path, _MAP if name.endswith(".map") else _SCRIPT)
            for name, path in files.items()
        }

    @classmethod
    def parse(cls, option: ServeClientOption) -> ClientFiles | None:
        """Build from the option `serve_client`.

        Args:
            option: `"auto"`, the client that comes with Nuncio where one does; True, the same, and
                it must be there; False or None, nothing; a folder with the official files, such as
                `node_modules/socket.io-client/dist`; one such file; or a mapping from names to
                files.

        Returns:
            None when nothing is served.

        Raises:
            OptionError: when it is none of these, or there is no such file; the text says what
                there should be.
        """
        if option is None or option is False:
            return None
        if option is True or option == AUTO:
            found = _among(BUNDLED)
            if not found and option is True:
                raise OptionError(
                    "serve_client=True: this installation of Nuncio brings no client; name the "
                    'folder of one, such as "node_modules/socket.io-client/dist"'
                )
            return cls(found) if found else None
        if isinstance(option, Mapping):
            return cls({_checked(name): _existing(path) for name, path in option.items()})
        if not isinstance(option, (str, os.PathLike)):
            raise OptionError(
                f"serve_client must be True, False, a folder, a file or a mapping, not {option!r}"
            )
        path = Path(option)
        if not path.is_dir():
            return cls({_official(path): _existing(path)})
        found = _among(path)
        if not found:
            raise OptionError(f"serve_client: {str(path)!r} holds none of {', '.join(NAMES)}")
        return cls(found)

    @property
    def names(self) -> list[str]:
        """What is served."""
        return list(self._files)

    def url(self, name: str, path: str) -> str:
        """A URL that browsers may keep for ever, for it changes with the file.

        Args:
            name: one of `names`.
            path: of the server, without its trailing slash.

        Raises:
            OptionError: when no such file is served.
        """
        file = self._files.get(name)
        if file is None or not self._there(file):
            raise OptionError(f"name: {name!r} is not served; there are {', '.join(self._files)}")
        return f"{path}/{name}?v={file.tag}"

    def serve(self, exchange: Exchange, path: str) -> bool:
        """Answer a request for one of the files.

        Args:
            exchange: the request.
            path: of the server, without its trailing slash.

        Returns:
            False when it is none, and the engine is to answer.
        """
        request = exchange.request
        folder, _, name = request.path.rpartition("/")
        file = self._files.get(name)
        if file is None or request.method not in ("GET", "HEAD"):
            return False
        if folder != path and (
            # The application may be mounted below another path.
            request.path.startswith(path + "/") or not folder.endswith(path)
        ):
            return False
        if not self._there(file):
            del self._files[name]
            return False
        file.answer(exchange, _FOREVER if request.query.get("v") == file.tag else _CHECK)
        return True

    def _there(self, file: StaticFile) -> bool:
        try:
            file.load()
        except OSError as error:
            logger.error("serve_client: a file of the client cannot be read: %s", error)
            return False
        return True


def _among(folder: Path) -> dict[str, Path]:
    """The official files that a folder holds."""
    return {name: folder / name for name in NAMES if (folder / name).is_file()}


def _existing(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"serve_client: a file is a path, not {path!r}")
    if not Path(path).is_file():
        raise OptionError(f"serve_client: there is no file or folder {str(path)!r}")
    return Path(path)


def _official(path: Path) -> str:
    """The name under which a single file is served: its own."""
    if path.is_file() and path.name not in NAMES:
        raise OptionError(
            f"serve_client: under which name? Write serve_client={{'socket.io.js': {str(path)!r}}}"
        )
    return path.name


def _checked(name: object) -> str:
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise OptionError(
            "serve_client: names are letters, digits and ._- alone and end in .js, .mjs or .map, "
            f"not {name!r}"
        )
    return name
