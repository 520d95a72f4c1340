"""Where the keys come from that tokens are verified with.

Nothing that an unverified token says becomes an address (CVE-2026-32301): its `iss` and `kid` only
choose among what the application has configured, and keys are kept by issuer and `kid` together, so
that one issuer's key never verifies another's token (CVE-2026-49998). A token with an unknown `kid`
makes the keys be fetched again, but not more often than `RETRY_SECONDS`.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt

from nuncio.auth.identity import UNAVAILABLE, refusal
from nuncio.errors import OptionError

logger = logging.getLogger("nuncio.auth")

# How long after fetching keys they may be fetched again for a key that is not among them.
RETRY_SECONDS: Final = 10.0
FETCH_SECONDS: Final = 10.0

_KINDS: Final = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}

Header = Mapping[str, Any]
Fetch = Callable[[], Any]


def checked_algorithms(algorithms: object) -> list[str]:
    """The algorithms that are accepted.

    Raises:
        OptionError: for none, for "none", for unknown ones, and for those that do not go together.
    """
    if isinstance(algorithms, str) or not isinstance(algorithms, (list, tuple, set, frozenset)):
        raise OptionError(f'algorithms must be a list such as ["HS256"], not {algorithms!r}')
    if not algorithms:
        raise OptionError('algorithms: name at least one, such as ["HS256"]')
    for name in algorithms:
        if not isinstance(name, str) or name.lower() == "none":
            raise OptionError(f"algorithms: {name!r} signs nothing; tokens must be signed")
        try:
            jwt.get_algorithm_by_name(name)
        except NotImplementedError as error:
            raise OptionError(f"algorithms: {name!r} is not available: {error}") from None
    secret = [name.startswith("HS") for name in algorithms]
    if any(secret) and not all(secret):
        raise OptionError(
            f"algorithms: {sorted(algorithms)} mixes shared secrets (HS…) with public keys; "
            "whoever has the public key could sign"
        )
    return list(algorithms)


def check_key(key: Any, algorithms: list[str]) -> None:
    """Check a key that stays the same.

    Raises:
        OptionError: when it does not fit the algorithms, or is too short.
    """
    if isinstance(key, jwt.PyJWK):
        if key.algorithm_name not in algorithms:
            raise OptionError(f"key is for {key.algorithm_name}, which is not in algorithms")
        algorithms = [key.algorithm_name]
        key = key.key
    for name in algorithms:
        algorithm = jwt.get_algorithm_by_name(name)
        try:
            prepared = algorithm.prepare_key(key)
        except Exception as error:
            # Never the key itself.
            raise OptionError(f"key does not fit {name}: {type(error).__name__}") from None
        short = algorithm.check_key_length(prepared)
        if short:
            raise OptionError(
                f"key: {short} Make one by "
                'python -c "import secrets; print(secrets.token_urlsafe(64))"'
            )


class KeySets:
    """JSON Web Key Sets (RFC 7517), fetched by the application's functions.

    Args:
        sources: by issuer; the issuer None stands for a set that is used for every token.
        lifetime: seconds for which a set is kept.
        clock: seconds from any beginning.
    """

    def __init__(
        self,
        sources: Mapping[Any, Fetch],
        lifetime: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sets: dict[str | None, _KeySet] = {}
        for issuer, fetch in sources.items():
            if not callable(fetch):
                raise OptionError(
                    f"jwks must be a function that fetches the keys, not {fetch!r}: "
                    "Nuncio fetches nothing by itself"
                )
            self._sets[issuer] = _KeySet(fetch, issuer)
        self._lifetime = lifetime
        self._clock = clock
        # Bounded by the sets themselves: what is not in them is not kept.
        self._built: dict[tuple[str | None, str | None, str], Any] = {}

    async def find(self, issuer: str | None, header: Header) -> Any:
        """The key for a token; None when there is none.

        Args:
            issuer: what the token says of its issuer, not verified.
            header: the token's, not verified; its algorithm is one of those accepted.

        Raises:
            ConnectError: with the code `unavailable`, when the keys have never been fetched.
        """
        found = self._sets.get(issuer)
        if found is None:
            return None
        if found.age(self._clock()) >= self._lifetime:
            await self._fetch(found, self._lifetime)
        key = self._lookup(found, header)
        if key is None and found.age(self._clock()) >= RETRY_SECONDS:
            await self._fetch(found, RETRY_SECONDS)
            key = self._lookup(found, header)
        return key

    async def _fetch(self, one: _KeySet, oldest: float) -> None:
        # Who waited for the lock finds the keys fetched by who held it.
        async with one.lock:
            now = self._clock()
            if one.age(now) < oldest or now - one.tried < RETRY_SECONDS:
                if one.keys is None:
                    raise refusal(UNAVAILABLE)
                return
            one.tried = now
            try:
                one.keys = await one.load()
            except Exception as error:
                kept = "there are none" if one.keys is None else "the old ones are kept"
                logger.error("fetching keys failed, %s: %r", kept, error)
                if one.keys is None:
                    raise refusal(UNAVAILABLE) from error
                return
            one.fetched = self._clock()
            for known in [known for known in self._built if known[0] == one.issuer]:
                del self._built[known]

    def _lookup(self, one: _KeySet, header: Header) -> Any:
        kid, algorithm = header.get("kid"), header["alg"]
        place = (one.issuer, kid, algorithm)
        key = self._built.get(place)
        if key is None:
            key = one.build(kid, algorithm)
            if key is not None:
                self._built[place] = key
        return key


class _KeySet:
    """The keys of one issuer.

    Attributes:
        keys: as fetched, None until then.
        fetched: when, by the clock; `tried` when it was last attempted.
        lock: held by who fetches.
    """

    def __init__(self, fetch: Fetch, issuer: str | None) -> None:
        self._fetch = fetch
        self.issuer = issuer
        self.keys: list[dict[str, Any]] | None = None
        self.fetched = self.tried = float("-inf")
        self.lock = asyncio.Lock()

    def age(self, now: float) -> float:
        """How many seconds ago the keys were fetched."""
        return now - self.fetched

    async def load(self) -> list[dict[str, Any]]:
        """Call the application's function; one that is not async may block, so in a thread."""
        async with asyncio.timeout(FETCH_SECONDS):
            if inspect.iscoroutinefunction(self._fetch):
                document = await self._fetch()
            else:
                document = await asyncio.to_thread(self._fetch)
                if inspect.isawaitable(document):
                    document = await document
        keys = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(keys, list):
            raise TypeError('jwks must return a key set, {"keys": […]}')
        return [key for key in keys if isinstance(key, dict) and _verifies(key)]

    def build(self, kid: str | None, algorithm: str) -> Any:
        """The key with this id for this algorithm; without an id only if there is no choice."""
        fitting = [
            key
            for key in self.keys or []
            if (kid is None or key.get("kid") == kid) and _fits(key, algorithm)
        ]
        if not fitting or (kid is None and len(fitting) > 1):
            return None
        try:
            return jwt.PyJWK(fitting[0], algorithm=algorithm).key
        except Exception as error:
            logger.debug("key %r cannot be used for %s: %r", kid, algorithm, error)
            return None


def _verifies(key: dict[str, Any]) -> bool:
    operations = key.get("key_ops")
    return key.get("use", "sig") == "sig" and (operations is None or "verify" in operations)


def _fits(key: dict[str, Any], algorithm: str) -> bool:
    if "alg" in key:
        return bool(key["alg"] == algorithm)
    return bool(key.get("kty") == _KINDS.get(algorithm[:2]))
