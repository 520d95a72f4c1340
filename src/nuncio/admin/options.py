"""What `instrument` is given, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from nuncio.admin.stores import Store
from nuncio.errors import OptionError
from nuncio.options import unknown_option

DEVELOPMENT: Final = "development"
PRODUCTION: Final = "production"

Mode: TypeAlias = Literal["development", "production"]
Auth: TypeAlias = Mapping[str, Any] | Literal[False] | None

_HASH: Final = re.compile(r"\$2[abxy]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")

_SAY_WHO: Final = (
    'auth: say who may use the admin page: auth={"username": "ops", "password": "$2b$…"}, with '
    "the password as a bcrypt hash, or, for everybody who reaches this server, auth=False"
)
_NO_HASH: Final = (
    "auth: password must be a bcrypt hash, not the password itself. Make one: python -c "
    "'import bcrypt, getpass; print(bcrypt.hashpw(getpass.getpass().encode(), "
    "bcrypt.gensalt()).decode())'"
)


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may sign in.

    Attributes:
        username: the name.
        password: a bcrypt hash.
    """

    username: str
    password: bytes


def credentials(auth: object) -> Credentials | None:
    """What the option `auth` says; None for no signing in.

    Raises:
        OptionError: when it does not say who may come in, and for what is no hash.
    """
    if auth is False:
        return None
    if not isinstance(auth, Mapping):
        raise OptionError(_SAY_WHO)
    known = ("username", "password", "type")
    for name in auth:
        if name not in known:
            raise unknown_option(str(name), known, "auth")
    if auth.get("type", "basic") != "basic":
        raise OptionError(f"auth: type must be 'basic', not {auth['type']!r}")
    username, password = auth.get("username"), auth.get("password")
    if not isinstance(username, str) or not username or password is None:
        raise OptionError(_SAY_WHO)
    if isinstance(password, str):
        password = password.encode("utf-8", "surrogatepass")
    # Its value belongs into no message.
    if not isinstance(password, bytes) or not _HASH.fullmatch(password.decode("latin-1")):
        raise OptionError(_NO_HASH)
    return Credentials(username, password)


def checked_mode(mode: object) -> str:
    """The mode.

    Raises:
        OptionError: for what is none.
    """
    if mode not in (DEVELOPMENT, PRODUCTION):
        raise OptionError(f"mode must be 'development' or 'production', not {mode!r}")
    return str(mode)


def checked_store(store: Any) -> Store:
    """Where sessions are kept.

    Raises:
        OptionError: for what is no store.
    """
    if not (callable(getattr(store, "has", None)) and callable(getattr(store, "add", None))):
        raise OptionError(
            "store must be a nuncio.admin.MemoryStore() or nuncio.admin.RedisStore(url), or have "
            f"async methods has(session) and add(session), not {store!r}"
        )
    found: Store = store
    return found


def check_server_id(server_id: object) -> None:
    """Check the name under which the page shows this server; None for one of its own.

    Raises:
        OptionError: for what is no name.
    """
    if server_id is not None and (not isinstance(server_id, str) or not server_id):
        raise OptionError(f"server_id must be a str, not {server_id!r}")
