"""Signing in to the admin page: by the id of a session, or by name and password.

Passwords are compared by bcrypt, which takes a tenth of a second of a core, and so is done in
threads, a few at most. A name that is wrong costs the same time as a password that is wrong.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from nuncio.admin.options import Credentials
from nuncio.admin.stores import Store
from nuncio.engine.rates import Buckets, address_of
from nuncio.errors import ConnectError, OptionError, rate_limited
from nuncio.rate import Rate

logger = logging.getLogger("nuncio.admin")

# The page asks for a password when it reads exactly this.
REFUSED: Final = "invalid credentials"
TOO_MANY: Final = "too many attempts"

# Wrong attempts that an address has, and how many addresses are remembered.
ATTEMPTS: Final = Rate(10, per=60)
MOST_ADDRESSES: Final = 10_000

# How many passwords are compared at once, and how many attempts may wait for that or for the store.
THREADS: Final = 2
MOST_WAITING: Final = 16

# What bcrypt looks at; the rest is nothing to it, and libraries refuse or ignore it.
_MOST_BYTES: Final = 72
_MOST_SESSION: Final = 64
_SESSION_BYTES: Final = 16


def bcrypt_check() -> Callable[[bytes, bytes], bool]:
    """The function that compares a password with a hash.

    Raises:
        OptionError: without bcrypt, with what to install.
    """
    try:
        import bcrypt
    except ImportError as error:
        raise OptionError(
            "auth: passwords of the admin page need bcrypt: pip install 'nuncio[admin]'"
        ) from error
    return bcrypt.checkpw


class SignIn:
    """The middleware of the admin namespace.

    `socket.user` becomes the id of the session that begins; it stays None for who has one.

    Args:
        io: the server.
        credentials: who may come in.
        store: where sessions are kept.

    Raises:
        OptionError: without bcrypt.
    """

    # Also who recovers a lost connection is checked.
    authenticates = True

    def __init__(self, io: Any, credentials: Credentials, store: Store) -> None:
        self._io = io
        self._username = _digest(credentials.username)
        self._password = credentials.password
        self._store = store
        self._check = bcrypt_check()
        self._executor: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._attempts: Buckets | None = None

    async def __call__(self, socket: Any) -> None:
        """Let a page in, or not.

        Raises:
            ConnectError: when it is not let in.
        """
        auth = socket.handshake.auth
        session = auth.get("sessionId")
        if isinstance(session, str) and 0 < len(session) <= _MOST_SESSION:
            with self._turn():
                if await self._store.has(session):
                    return
        username, password = auth.get("username"), auth.get("password")
        if not isinstance(username, str) or not isinstance(password, str):
            raise ConnectError(REFUSED)
        await self._compare(username, password, address_of(socket.request.client))
        socket.user = await self._begin()

    async def _compare(self, username: str, password: str, address: str) -> None:
        wheel = self._io.engine.config().wheel
        attempts = self._attempts
        if attempts is None or attempts.wheel is not wheel:
            attempts = self._attempts = Buckets(ATTEMPTS, MOST_ADDRESSES, wheel)
        wait = attempts.wait(address, wheel.now())
        if wait:
            raise self._too_many(wait)
        right = hmac.compare_digest(_digest(username), self._username)
        with self._turn():
            right &= await self._compare_password(password)
        if not right:
            attempts.take(address, wheel.now())
            self._io.counters.refused_sign_ins += 1
            logger.info("a wrong name or password for the admin page, from %s", address)
            raise ConnectError(REFUSED)

    async def _compare_password(self, password: str) -> bool:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="nuncio-admin")
        given = password.encode("utf-8", "surrogatepass")[:_MOST_BYTES]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._check, given, self._password)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Something that takes its time, of which there may be so much."""
        if self._waiting >= MOST_WAITING:
            raise self._too_many(1.0)
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    def _too_many(self, wait: float) -> ConnectError:
        self._io.counters.refused_sign_ins += 1
        return ConnectError(TOO_MANY, rate_limited(wait))

    async def _begin(self) -> str | None:
        session = secrets.token_hex(_SESSION_BYTES)
        try:
            await self._store.add(session)
        except Exception:
            # Who knows the password may come in, and has to type it the next time, too.
            logger.warning("the admin page's session cannot be kept", exc_info=True)
            return None
        return session

    def end(self) -> None:
        """The server ends."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
            self._executor = None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
