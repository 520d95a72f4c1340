"""JSON Web Tokens (RFC 7519), verified by PyJWT, which is imported when first needed."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from nuncio.auth.cookies import cookie as read_cookie
from nuncio.auth.identity import (
    TOKEN_EXPIRED,
    TOKEN_INVALID,
    TOKEN_MISSING,
    Identity,
    refusal,
)
from nuncio.auth.middleware import Authentication, MaybeIdentity
from nuncio.errors import OptionError
from nuncio.options import seconds, whole

if TYPE_CHECKING:
    from nuncio.server.socket import Socket

logger = logging.getLogger("nuncio.auth")

# A date that no clock will see, but that fits a float and the timers.
FAR_AWAY: Final = 2**40

Claims = dict[str, Any]


class JWT(Authentication):
    """A middleware for `io.use` that lets in who has a valid token.

        io.use(nuncio.auth.JWT(SECRET, algorithms=["HS256"], audience="chat"))

    The token is looked for in `auth[field]`, then in the header `Authorization: Bearer …`, then in
    a cookie if one is named. `socket.user` becomes what `load_user` makes of its claims, or the
    claims. The client is disconnected when the token expires, unless it sends a fresh one before:
    see `Socket.refresh_auth`. Who is refused gets `connect_error` with `unauthorized`, and in
    `data.code` one of `token_missing`, `token_expired`, `token_invalid` and, while keys cannot be
    fetched, `unavailable`; why a token is invalid
    is written to the log `nuncio.auth`, at debug level.

    Args:
        key: a secret, a public key (PEM text or a key object), or a function (may be async) from a
            token's header, which nobody has verified, to one of these; None or `LookupError` when
            there is no such key.
        jwks: a function (may be async) that fetches a JSON Web Key Set as a dict; or such
            functions by issuer. Instead of `key`.
        algorithms: those accepted, such as `["RS256"]`; shared secrets and public keys cannot be
            mixed.
        audience: the audience, or several, that a token may be for. Without one, tokens that name
            an audience are refused.
        issuer: who must have issued a token, or several who may have.
        leeway: seconds by which clocks may differ.
        require: claims that a token must have. Without `exp` it would hold for ever.
        load_user: a function (may be async) from the claims to the user; None for no such user.
        field: where `auth` holds the token.
        header: the header that may hold it, in lower case; None to look at none.
        cookie: the cookie that may hold it; None to look at none. Browsers send cookies whichever
            page asks, so mind `cors`.
        max_bytes: how long a token may be.
        jwks_seconds: for how long a fetched key set is used.
        options: those of `Authentication`: `optional`, `room`, `refresh_event`, `expiring_event`,
            `notice`, `same_user`.

    Raises:
        ImportError: without PyJWT.
        OptionError: for an option out of range, and a key that does not fit the algorithms.
    """

    missing = TOKEN_MISSING

    def __init__(
        self,
        key: Any = None,
        *,
        algorithms: Iterable[str],
        jwks: Callable[[], Any] | Mapping[str, Callable[[], Any]] | None = None,
        audience: str | Iterable[str] | None = None,
        issuer: str | Iterable[str] | None = None,
        leeway: float = 0.0,
        require: Iterable[str] = ("exp",),
        load_user: Callable[[Claims], Any] | None = None,
        field: str = "token",
        header: str | None = "authorization",
        cookie: str | None = None,
        max_bytes: int = 8192,
        jwks_seconds: float = 300.0,
        **options: Any,
    ) -> None:
        try:
            import jwt
            from jwt import PyJWK, PyJWT  # noqa: F401  # another package is called jwt, too
        except ImportError as error:
            raise ImportError("nuncio.auth.JWT needs PyJWT: pip install nuncio[jwt]") from error
        from nuncio.auth.keys import KeySets, check_key, checked_algorithms

        super().__init__(self.authenticate, **options)
        self._algorithms = checked_algorithms(algorithms)
        if (key is None) == (jwks is None):
            raise OptionError("key: give either key or jwks")
        if load_user is not None and not callable(load_user):
            raise OptionError(f"load_user must be a function, not {load_user!r}")
        self._key = key
        self._sets: KeySets | None = None
        self._by_issuer = isinstance(jwks, Mapping)
        lifetime = seconds("jwks_seconds", jwks_seconds)
        if isinstance(jwks, Mapping):
            if issuer is not None:
                raise OptionError("issuer: the issuers are those of jwks already")
            self._sets = KeySets(jwks, lifetime)
        elif jwks is not None:
            self._sets = KeySets({None: jwks}, lifetime)
        elif not callable(key):
            check_key(key, self._algorithms)
        self._audience = _texts("audience", audience)
        self._issuer = _texts("issuer", issuer)
        self._leeway = seconds("leeway", leeway, zero=True)
        self._load_user = load_user
        self._field = field
        self._header = header
        self._cookie = cookie
        self._max_bytes = whole("max_bytes", max_bytes)
        # A key that is too short is refused, too.
        self._jwt = PyJWT(
            {"require": _texts("require", require) or [], "enforce_minimum_key_length": True}
        )
        self._read_header = jwt.get_unverified_header
        self._expired = jwt.ExpiredSignatureError

    def authenticate(
        self, socket: Socket[Any, Any], auth: dict[str, Any]
    ) -> MaybeIdentity | Awaitable[MaybeIdentity]:
        """Find the token and verify it; at once where nothing has to be waited for."""
        token = self._token(socket, auth)
        if token is None:
            return None
        if not isinstance(token, str) or len(token) > self._max_bytes:
            raise self._invalid("it is no text, or too long")
        if self._sets is not None or callable(self._key):
            return self._with_found_key(token)
        return self._identity(self._verify(token, self._key, self._algorithms, self._issuer))

    def _token(self, socket: Socket[Any, Any], auth: dict[str, Any]) -> Any:
        token = auth.get(self._field)
        if token is not None or socket.connected:
            # Who is connected proves anew who it is; its old request proves nothing.
            return token
        if self._header is not None:
            kind, _, credentials = socket.handshake.headers.get(self._header, "").partition(" ")
            if kind.lower() == "bearer" and credentials.strip():
                return credentials.strip()
        if self._cookie is not None:
            return read_cookie(socket, self._cookie) or None
        return None

    # Keys.

    async def _with_found_key(self, token: str) -> MaybeIdentity:
        try:
            header = self._read_header(token)
        except Exception as error:
            raise self._invalid(error) from None
        algorithm = header.get("alg")
        if algorithm not in self._algorithms:
            raise self._invalid("its algorithm is not accepted")
        issuer = self._issuer
        if self._sets is None:
            key = await self._ask_for_key(header)
        else:
            named = self._named_issuer(token) if self._by_issuer else None
            if named is not None:
                issuer = [named]
            key = await self._sets.find(named, header)
        if key is None:
            raise self._invalid("there is no such key")
        found = self._identity(self._verify(token, key, [algorithm], issuer))
        return await found if inspect.isawaitable(found) else found

    async def _ask_for_key(self, header: dict[str, Any]) -> Any:
        try:
            key = self._key(header)
            return await key if inspect.isawaitable(key) else key
        except LookupError:
            return None

    def _named_issuer(self, token: str) -> str:
        """Whose keys to try; the token is then verified to be of this issuer."""
        try:
            claims = self._jwt.decode(token, options={"verify_signature": False, "require": []})
        except Exception as error:
            raise self._invalid(error) from None
        issuer = claims.get("iss")
        if not isinstance(issuer, str):
            raise self._invalid("it names no issuer")
        return issuer

    # Verifying.

    def _verify(
        self, token: str, key: Any, algorithms: list[str], issuer: list[str] | None
    ) -> Claims:
        try:
            return self._jwt.decode(
                token,
                key,
                algorithms=algorithms,
                audience=self._audience,
                issuer=issuer,
                leeway=self._leeway,
            )
        except self._expired:
            raise refusal(TOKEN_EXPIRED) from None
        except Exception as error:
            # Not only PyJWT's own: a token may hold anything, and all of it is the peer's doing.
            raise self._invalid(error) from None

    def _identity(self, claims: Claims) -> MaybeIdentity | Awaitable[MaybeIdentity]:
        expires_at: float | None = None
        if "exp" in claims:
            # It was verified to be a number.
            expires_at = min(int(claims["exp"]), FAR_AWAY) + self._leeway
        subject = claims.get("sub")
        key = None if subject is None else [claims.get("iss"), subject]
        if self._load_user is None:
            return Identity(claims, expires_at, key)
        user = self._load_user(claims)
        if inspect.isawaitable(user):
            return self._loaded(user, expires_at, key)
        return self._known(user, expires_at, key)

    async def _loaded(
        self, user: Awaitable[Any], expires_at: float | None, key: Any
    ) -> MaybeIdentity:
        return self._known(await user, expires_at, key)

    def _known(self, user: Any, expires_at: float | None, key: Any) -> Identity:
        if user is None:
            raise self._invalid("load_user knows no such user")
        return Identity(user, expires_at, key)

    def _invalid(self, why: object) -> Exception:
        logger.debug("refused a token: %r", why)
        return refusal(TOKEN_INVALID)


def _texts(name: str, value: object) -> list[str] | None:
    """One text, or several, as a list."""
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    if isinstance(texts, Iterable):
        listed = list(texts)
        if all(isinstance(text, str) and text for text in listed) and (listed or name == "require"):
            return listed
    raise OptionError(f"{name} must be a str, or several, not {value!r}")
