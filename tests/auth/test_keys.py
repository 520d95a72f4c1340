"""Key sets: chosen by issuer and key id together, and fetched no more often than needed."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import jwt
import pytest

from nuncio import ConnectError, Server
from nuncio.auth import JWT
from nuncio.auth.keys import RETRY_SECONDS, KeySets
from tests.auth.test_tokens import code
from tests.auth.tokens import ec_key, jwk, part, rsa_key, token
from tests.support.aio import eventually, run_async, within
from tests.support.memory import Client

A, B = "https://a.example", "https://b.example"
HOUR = 3600.0


class Issuer:
    """An issuer of tokens, and the function that fetches its keys."""

    def __init__(self, *keys: dict[str, Any]) -> None:
        self.document: Any = {"keys": list(keys)}
        self.fetched = 0
        self.gate: asyncio.Event | None = None

    async def __call__(self) -> Any:
        self.fetched += 1
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def serving(jwks: Any, **options: Any) -> Server[Any, Any]:
    io = Server()
    options.setdefault("algorithms", ["RS256"])
    io.use(JWT(jwks=jwks, **options))
    return io


ONE, TWO = jwk(rsa_key("one"), kid="one"), jwk(rsa_key("two"), kid="two")


def header(kid: Any, algorithm: str = "RS256") -> dict[str, Any]:
    return {"alg": algorithm, "kid": kid}


# Which key.


@run_async
async def test_the_key_id_chooses_the_key() -> None:
    io = serving(Issuer(ONE, TWO))
    assert await code(io, {"token": token(rsa_key("one"), "RS256", "one")}) == ""
    assert await code(io, {"token": token(rsa_key("two"), "RS256", "two")}) == ""
    assert await code(io, {"token": token(rsa_key("two"), "RS256", "one")}) == "token_invalid"
    assert await code(io, {"token": token(rsa_key("one"), "RS256", "three")}) == "token_invalid"
    # Which of the two is not said.
    assert await code(io, {"token": token(rsa_key("one"), "RS256")}) == "token_invalid"


@run_async
async def test_a_single_key_needs_no_id() -> None:
    for issuer in (Issuer(jwk(rsa_key("one"))), Issuer(ONE, jwk(ec_key("e"), kid="e"))):
        assert await code(serving(issuer), {"token": token(rsa_key("one"), "RS256")}) == ""


@run_async
async def test_one_issuers_key_never_verifies_anothers_token() -> None:
    """CVE-2026-49998: two issuers whose keys have the same id."""
    mine, theirs = Issuer(jwk(rsa_key("one"), kid="k")), Issuer(jwk(rsa_key("two"), kid="k"))
    io = serving({A: mine, B: theirs})
    for _ in range(2):
        assert await code(io, {"token": token(rsa_key("one"), "RS256", "k", iss=A)}) == ""
        assert await code(io, {"token": token(rsa_key("two"), "RS256", "k", iss=B)}) == ""
        for key, iss in (("two", A), ("one", B)):
            forged = token(rsa_key(key), "RS256", "k", iss=iss)
            assert await code(io, {"token": forged}) == "token_invalid"
    assert (mine.fetched, theirs.fetched) == (1, 1)


@run_async
async def test_what_a_token_says_of_its_issuer_is_no_address() -> None:
    """CVE-2026-32301: no key is fetched for an issuer that nobody configured."""
    issuer = Issuer(ONE)
    io = serving({A: issuer})
    key = rsa_key("one")
    for iss in ("http://169.254.169.254/", A + "/", A.upper(), "", None):
        assert await code(io, {"token": token(key, "RS256", "one", iss=iss)}) == "token_invalid"
    body = {"iss": [A], "sub": "ada"}
    odd = f"{part(header('one'))}.{part(body)}.{part(b'x')}"
    assert await code(io, {"token": odd}) == "token_invalid"
    assert issuer.fetched == 0
    jku = jwt.encode({"sub": "ada", "iss": A}, key, "RS256", {"kid": "x", "jku": "http://evil"})
    assert await code(io, {"token": jku}) == "token_invalid"
    assert issuer.fetched == 1


@run_async
async def test_one_set_goes_with_a_fixed_issuer() -> None:
    io = serving(Issuer(ONE), issuer=A)
    key = rsa_key("one")
    assert await code(io, {"token": token(key, "RS256", "one", iss=A)}) == ""
    assert await code(io, {"token": token(key, "RS256", "one", iss=B)}) == "token_invalid"


@pytest.mark.parametrize(
    "key",
    [
        jwk(rsa_key("one"), kid="k", use="enc"),
        jwk(rsa_key("one"), kid="k", key_ops=["encrypt"]),
        jwk(rsa_key("one"), kid="k", alg="RS512"),
        jwk(ec_key("e"), kid="k"),
        jwk(ec_key("e"), kid="k", alg="RS256"),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k"},
        {"kty": "RSA", "kid": "k"},
        {"kid": "k"},
        "k",
    ],
)
@run_async
async def test_keys_for_something_else_are_not_used(key: Any) -> None:
    assert await KeySets({None: Issuer(key)}, HOUR).find(None, header("k")) is None


@run_async
async def test_keys_that_say_what_they_are_for_are_used() -> None:
    key = jwk(rsa_key("one"), kid="k", use="sig", alg="RS256", key_ops=["verify"])
    assert await KeySets({None: Issuer(key)}, HOUR).find(None, header("k")) is not None


# How often.


@run_async
async def test_a_set_is_fetched_again_when_it_is_old() -> None:
    clock, issuer = Clock(), Issuer(ONE)
    sets = KeySets({None: issuer}, HOUR, clock)
    first = await sets.find(None, header("one"))
    clock.now += HOUR - 1
    assert await sets.find(None, header("one")) is first
    assert issuer.fetched == 1
    issuer.document = {"keys": [TWO]}
    clock.now += 1
    # A key that was taken away verifies nothing any more.
    assert await sets.find(None, header("one")) is None
    assert await sets.find(None, header("two")) is not None
    assert issuer.fetched == 2


@run_async
async def test_an_unknown_key_is_looked_for_but_not_again_and_again() -> None:
    clock, issuer = Clock(), Issuer(ONE)
    sets = KeySets({None: issuer}, HOUR, clock)
    assert await sets.find(None, header("one")) is not None
    for number in range(100):
        assert await sets.find(None, header(f"made up {number}")) is None
    assert issuer.fetched == 1
    issuer.document = {"keys": [ONE, TWO]}
    clock.now += RETRY_SECONDS
    for number in range(100):
        assert await sets.find(None, header(f"made up {number}")) is None
    assert issuer.fetched == 2
    assert await sets.find(None, header("two")) is not None
    # What is not in the set is not kept either.
    assert len(sets._built) == 1


@run_async
async def test_many_who_wait_are_served_by_one_fetch() -> None:
    issuer = Issuer(ONE)
    issuer.gate = asyncio.Event()
    sets = KeySets({None: issuer}, HOUR)
    waiting = [asyncio.ensure_future(sets.find(None, header("one"))) for _ in range(50)]
    await eventually(lambda: issuer.fetched)
    issuer.gate.set()
    found = await within(asyncio.gather(*waiting))
    assert all(key is not None for key in found)
    assert issuer.fetched == 1


@run_async
async def test_old_keys_serve_while_new_ones_cannot_be_fetched(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, issuer = Clock(), Issuer(ONE)
    sets = KeySets({None: issuer}, HOUR, clock)
    assert await sets.find(None, header("one")) is not None
    issuer.document = OSError("unreachable")
    clock.now += HOUR
    for _ in range(10):
        assert await sets.find(None, header("one")) is not None
    assert issuer.fetched == 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    issuer.document = {"keys": [TWO]}
    clock.now += RETRY_SECONDS
    assert await sets.find(None, header("one")) is None
    assert issuer.fetched == 3


@pytest.mark.parametrize("document", [OSError("unreachable"), None, [], {"keys": {}}, {}, "x"])
@run_async
async def test_without_keys_nobody_is_let_in(
    document: Any, caplog: pytest.LogCaptureFixture
) -> None:
    clock, issuer = Clock(), Issuer()
    issuer.document = document
    sets = KeySets({None: issuer}, HOUR, clock)
    for _ in range(10):
        with pytest.raises(ConnectError) as refused:
            await sets.find(None, header("one"))
        assert refused.value.data == {"code": "unavailable"}
    # However many try, it is fetched and written once.
    assert issuer.fetched == 1
    assert len(caplog.records) == 1
    issuer.document = {"keys": [ONE]}
    clock.now += RETRY_SECONDS
    assert await sets.find(None, header("one")) is not None


@run_async
async def test_the_client_learns_that_it_may_try_again() -> None:
    issuer = Issuer()
    issuer.document = OSError("unreachable")
    client = Client(serving(issuer))
    client.send("0" + json.dumps({"token": token(rsa_key("one"), "RS256", "one")}))
    await eventually(lambda: client.received)
    assert client.take() == ['4{"message":"unauthorized","data":{"code":"unavailable"}}']


@run_async
async def test_a_function_that_blocks_runs_in_a_thread() -> None:
    loop = asyncio.get_running_loop()

    def fetch() -> Any:
        # In the loop's own thread this would never come back.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(timeout=10)
        return {"keys": [ONE]}

    assert await within(KeySets({None: fetch}, HOUR).find(None, header("one"))) is not None


@run_async
async def test_a_callable_object_may_be_async() -> None:
    assert await KeySets({None: Issuer(ONE)}, HOUR).find(None, header("one")) is not None
    wrapped: Any = lambda: Issuer(ONE)()  # noqa: E731
    assert await KeySets({None: wrapped}, HOUR).find(None, header("one")) is not None
