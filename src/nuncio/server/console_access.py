"""Who may use the console: the option's settings, its credentials, and sessions by cookie.

A session is a cookie that only this server, and others with the same credentials, can have written:
when it ends and a random part, signed with a key that is derived from the credentials. So nothing
is kept for it, it outlives a restart while one develops, it is known to every process of a cluster,
and it ends when the credentials change.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, ip_address
from typing import Any, Final, TypeAlias

from nuncio.auth.cookies import find_cookie
from nuncio.engine.rates import Buckets, address_of
from nuncio.engine.request import Request
from nuncio.engine.wheel import TimerWheel
from nuncio.errors import OptionError
from nuncio.options import build, named_options, seconds
from nuncio.rate import Rate

# Shorter ones are found by trying, in spite of the limit.
LEAST_CHARACTERS: Final = 8

# Addresses whose wrong attempts are remembered.
MOST_ADDRESSES: Final = 10_000

# Who has a cookie may try passwords against it offline: this is what each try costs them.
_ROUNDS: Final = 200_000

_NONCE_BYTES: Final = 16
_ATTEMPTS: Final = Rate(10, per=60)
_MOST_COOKIE: Final = 256

# A proxy on this machine makes everybody's requests come from here.
_FORWARDED: Final = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")


@named_options
@dataclass(frozen=True, slots=True)
class Console:
    """The settings of the console: `Server(console=nuncio.Console(user="ada", password="…"))`.

    Either `user` and `password`, or a `token`, or `auth=False`.

    Attributes:
        user: the name to sign in with.
        password: at least eight characters.
        token: signs in by itself, without a name; at least eight characters.
        auth: False for no signing in at all. The console is then only for browsers on the same
            machine: requests from loopback addresses, for a loopback host, through no proxy.
        session: seconds after which one must sign in again.
        attempts: how many wrong attempts an address has.

    Raises:
        OptionError: when a setting is wrong, or it is not said who may come in.
    """

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    auth: bool = True
    session: float = 12 * 3600.0
    attempts: Rate = _ATTEMPTS

    def __post_init__(self) -> None:
        given = [self.user, self.password, self.token]
        if not isinstance(self.auth, bool):
            raise OptionError(f"console: auth must be True or False, not {self.auth!r}")
        if not self.auth:
            if given != [None, None, None]:
                raise OptionError("console: auth=False, but there is a user, password or token")
        elif (self.token is None) == (self.user is None or self.password is None) or (
            self.token is not None and given[:2] != [None, None]
        ):
            raise OptionError(
                "console: say who may use it: a user with a password, or a token, or, for browsers"
                " on this machine alone, auth=False"
            )
        for name in ("user", "password", "token"):
            value = getattr(self, name)
            if value is None:
                continue
            # Its value belongs into no message.
            if not isinstance(value, str):
                raise OptionError(f"console: {name} must be a str")
            if not value or (name != "user" and len(value) < LEAST_CHARACTERS):
                raise OptionError(f"console: {name} is too short: {_ADVICE[name]}")
        seconds("console: session", self.session)
        if not isinstance(self.attempts, Rate):
            raise OptionError(f"console: attempts must be a nuncio.Rate, not {self.attempts!r}")


ConsoleOption: TypeAlias = Console | Mapping[str, Any] | bool | None

_ADVICE: Final = {
    "user": "it must not be empty",
    "password": f"at least {LEAST_CHARACTERS} characters, better a few words",
    "token": f"at least {LEAST_CHARACTERS} characters, such as secrets.token_urlsafe() makes",
}


def parse_console(option: ConsoleOption) -> Console | None:
    """What the option `console` means; None when there is none.

    Raises:
        OptionError: for what it cannot be; the text says what to write.
    """
    if option is None or option is False:
        return None
    if isinstance(option, Mapping):
        return build(Console, option, "console")
    if isinstance(option, Console):
        return option
    what = "who may use it?" if option is True else "it must be a nuncio.Console or a mapping:"
    raise OptionError(
        f'console: {what} Write console={{"user": "ada", "password": "…"}}, '
        'or {"token": "…"}, or {"auth": False} for browsers on this machine alone'
    )


class Access:
    """Tells who is signed in, and signs in who knows the credentials.

    Args:
        settings: of the console.

    Attributes:
        asks: whether anybody must sign in at all.
        asks_user: whether for a name, too.
        cookie_name: of the session's cookie.
    """

    def __init__(self, settings: Console) -> None:
        self._settings = settings
        self.asks = settings.auth
        self.asks_user = settings.user is not None
        self._user = _digest(settings.user or "")
        self._secret = _digest(settings.password or settings.token or "")
        self._key = b""
        self.cookie_name = ""
        if self.asks:
            words = b"nuncio console\0" + (settings.user or "").encode("utf-8", "surrogatepass")
            secret = (settings.password or settings.token or "").encode("utf-8", "surrogatepass")
            self._key = hashlib.pbkdf2_hmac("sha256", secret, words, _ROUNDS)
            # Cookies do not know ports, so each console of a machine has one of its own.
            self.cookie_name = "nuncio_console_" + self._sign(b"name")[:8]
        self._attempts: Buckets | None = None

    def lets_in(self, request: Request) -> bool:
        """Whether the request is of somebody who is signed in, or need not be."""
        if not self.asks:
            return is_local(request)
        header = request.headers.get("cookie")
        value = None if header is None else find_cookie(header, self.cookie_name)
        return value is not None and self._valid(value)

    def wait(self, request: Request, wheel: TimerWheel) -> float:
        """How many seconds until this address may try again; 0 when it may."""
        return self._buckets(wheel).wait(address_of(request.client), wheel.now())

    def tries(self, request: Request, wheel: TimerWheel, user: str, secret: str) -> str | None:
        """Sign in.

        Returns:
            The session's cookie, or None when the credentials are wrong, which is counted.
        """
        # Both are compared, in a time that depends on neither.
        right = hmac.compare_digest(_digest(user if self.asks_user else ""), self._user)
        right &= hmac.compare_digest(_digest(secret), self._secret)
        if not right:
            self._buckets(wheel).take(address_of(request.client), wheel.now())
            return None
        ends = str(int(time.time() + self._settings.session))
        begin = f"{ends}.{secrets.token_hex(_NONCE_BYTES)}"
        return self._cookie(f"{begin}.{self._sign(begin.encode())}", self._settings.session)

    def forget(self) -> str:
        """The cookie that takes the session's away."""
        return self._cookie("", 0)

    def _cookie(self, value: str, age: float) -> str:
        # Without a path it is for the console's own folder as the browser sees it, whatever a
        # proxy puts in front.
        return f"{self.cookie_name}={value}; Max-Age={int(age)}; HttpOnly; SameSite=Strict"

    def _valid(self, value: str) -> bool:
        if len(value) > _MOST_COOKIE or not value.isascii():
            return False
        begin, _, signature = value.rpartition(".")
        if not hmac.compare_digest(signature, self._sign(begin.encode())):
            return False
        return time.time() < int(begin.partition(".")[0])

    def _sign(self, what: bytes) -> str:
        return hmac.new(self._key, what, hashlib.sha256).hexdigest()

    def _buckets(self, wheel: TimerWheel) -> Buckets:
        buckets = self._attempts
        if buckets is None or buckets.wheel is not wheel:
            buckets = self._attempts = Buckets(self._settings.attempts, MOST_ADDRESSES, wheel)
        return buckets


def is_local(request: Request) -> bool:
    """Whether the request comes from this machine, as far as can be told.

    The address alone says little: a proxy here passes on everybody's requests, and a page of any
    site can have its own name point here. So there must be no sign of a proxy, and the host must be
    a name or an address that means this machine to the browser, too.
    """
    if request.client is None or not _loopback(str(request.client[0])):
        return False
    if any(request.header(name) is not None for name in _FORWARDED):
        return False
    host = (request.header(b"host") or "").lower()
    name = host[: host.find("]") + 1] if host.startswith("[") else host.partition(":")[0]
    return name == "localhost" or name.endswith(".localhost") or _loopback(name.strip("[]"))


def _loopback(address: str) -> bool:
    try:
        found = ip_address(address.partition("%")[0])
    except (AddressValueError, ValueError):
        return False
    mapped = None if isinstance(found, IPv4Address) else found.ipv4_mapped
    return (mapped or found).is_loopback


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
