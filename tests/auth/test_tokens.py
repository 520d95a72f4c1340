"""JSON Web Tokens: who is let in, who is not, and what that one learns."""

from __future__ import annotations

import asyncio
import builtins
import hmac
import json
import logging
import time
from typing import Any

import pytest

from nuncio import ConnectError, OptionError, Server, Socket
from nuncio.auth import JWT
from tests.auth.tokens import OTHER, SECRET, ec_key, part, public_pem, rsa_key, token
from tests.support.aio import eventually, run_async
from tests.support.clock import stopped
from tests.support.memory import Client

Headers = list[tuple[bytes, bytes]]


async def code(io: Server[Any, Any], auth: Any = None, headers: Headers | None = None) -> str:
    """What a client is answered: "" when it is let in, else the code of the refusal."""
    client = Client(io, headers=headers)
    client.send("0" if auth is None else "0" + json.dumps(auth))
    await eventually(lambda: client.received)
    [answer] = client.take()
    assert isinstance(answer, str)
    if answer.startswith("0"):
        return ""
    error = json.loads(answer[1:])
    # Nothing but the code tells the refusals apart.
    assert error == {"message": "unauthorized", "data": {"code": error["data"]["code"]}}
    found: str = error["data"]["code"]
    return found


def serving(*args: Any, **options: Any) -> Server[Any, Any]:
    """A server that lets in by token."""
    io = Server()
    options.setdefault("algorithms", ["HS256"])
    io.use(JWT(*(args or (SECRET,)), **options))
    return io


def the_socket(io: Server[Any, Any]) -> Socket:
    """The only socket."""
    [socket] = io.sockets.sockets.values()
    return socket


# Who is let in.


@run_async
async def test_the_claims_are_the_user() -> None:
    io = serving()
    expires = int(time.time()) + 600
    assert await code(io, {"token": token(role="admin", exp=expires)}) == ""
    assert the_socket(io).user == {"sub": "ada", "role": "admin", "exp": expires}
    assert the_socket(io).access().expires_at == expires


@pytest.mark.parametrize("waits", [False, True])
@run_async
async def test_the_user_can_be_loaded(waits: bool) -> None:
    users = {"ada": object()}

    def load(claims: dict[str, Any]) -> Any:
        return users.get(claims["sub"])

    async def load_later(claims: dict[str, Any]) -> Any:
        await asyncio.sleep(0)
        return load(claims)

    io = serving(load_user=load_later if waits else load)
    assert await code(io, {"token": token(sub="grace")}) == "token_invalid"
    assert await code(io, {"token": token()}) == ""
    assert the_socket(io).user is users["ada"]


@run_async
async def test_load_user_may_refuse_in_its_own_words() -> None:
    def load(claims: dict[str, Any]) -> None:
        raise ConnectError("banned", {"until": "monday"})

    client = Client(serving(load_user=load))
    client.send("0" + json.dumps({"token": token()}))
    assert client.take() == ['4{"message":"banned","data":{"until":"monday"}}']


@run_async
async def test_the_token_may_be_elsewhere() -> None:
    good = token().encode()
    bearer = [(b"authorization", b"Bearer " + good)]
    assert await code(serving(), None, bearer) == ""
    assert await code(serving(), None, [(b"authorization", b"bearer  " + good)]) == ""
    assert await code(serving(header=None), None, bearer) == "token_missing"
    assert await code(serving(), None, [(b"authorization", b"Basic " + good)]) == "token_missing"
    assert await code(serving(), None, [(b"authorization", b"Bearer ")]) == "token_missing"
    assert await code(serving(header="x-token"), None, [(b"x-token", b"Bearer " + good)]) == ""
    assert await code(serving(field="jwt"), {"jwt": good.decode()}) == ""
    cookie = [(b"cookie", b"a=b; session=" + good)]
    # Cookies are read only where that is asked for.
    assert await code(serving(), None, cookie) == "token_missing"
    assert await code(serving(cookie="session"), None, cookie) == ""
    assert await code(serving(cookie="other"), None, cookie) == "token_missing"


@run_async
async def test_what_the_client_says_itself_comes_first() -> None:
    bearer = [(b"authorization", b"Bearer " + token(sub="grace").encode())]
    io = serving()
    assert await code(io, {"token": token()}, bearer) == ""
    assert the_socket(io).user["sub"] == "ada"
    assert await code(io, {"token": "rubbish"}, bearer) == "token_invalid"


@run_async
async def test_guests() -> None:
    io = serving(optional=True)
    assert await code(io) == ""
    assert the_socket(io).user is None
    assert await code(io, {"token": token(exp=1)}) == "token_expired"
    assert await code(io, {"token": "rubbish"}) == "token_invalid"


@run_async
async def test_public_keys() -> None:
    private = rsa_key("one")
    io = serving(public_pem(private), algorithms=["RS256", "PS256"])
    assert await code(io, {"token": token(private, "RS256")}) == ""
    assert await code(io, {"token": token(private, "PS256")}) == ""
    assert await code(io, {"token": token(private, "RS512")}) == "token_invalid"
    assert await code(io, {"token": token(rsa_key("two"), "RS256")}) == "token_invalid"
    io = serving(ec_key("one").public_key(), algorithms=["ES256"])
    assert await code(io, {"token": token(ec_key("one"), "ES256")}) == ""


@run_async
async def test_audience_and_issuer() -> None:
    io = serving(audience="chat", issuer="https://a.example")
    good: dict[str, Any] = {"aud": "chat", "iss": "https://a.example"}
    assert await code(io, {"token": token(**good)}) == ""
    assert await code(io, {"token": token(**{**good, "aud": ["mail", "chat"]})}) == ""
    for wrong in ({"aud": "mail"}, {"aud": None}, {"iss": "https://b.example"}, {"iss": None}):
        assert await code(io, {"token": token(**{**good, **wrong})}) == "token_invalid", wrong
    several = serving(audience=["chat", "mail"], issuer=["x", "y"])
    assert await code(several, {"token": token(aud="mail", iss="y")}) == ""
    assert await code(several, {"token": token(aud="mail", iss="z")}) == "token_invalid"
    # Meant for somebody else, as far as anybody knows.
    assert await code(serving(), {"token": token(aud="chat")}) == "token_invalid"


@run_async
async def test_claims_that_are_required() -> None:
    assert await code(serving(), {"token": token(exp=None)}) == "token_invalid"
    io = serving(require=[])
    assert await code(io, {"token": token(exp=None)}) == ""
    assert the_socket(io).access().expires_at is None
    assert await code(serving(require=["exp", "jti"]), {"token": token()}) == "token_invalid"
    assert await code(serving(require="jti"), {"token": token(jti="1")}) == ""


@run_async
async def test_clocks_may_differ_by_the_leeway() -> None:
    now = int(time.time())
    late = {"token": token(exp=now - 30)}
    assert await code(serving(), late) == "token_expired"
    io = serving(leeway=3600)
    assert await code(io, late) == ""
    assert the_socket(io).access().expires_at == now - 30 + 3600
    early = {"token": token(nbf=now + 1000)}
    assert await code(serving(), early) == "token_invalid"
    assert await code(serving(leeway=3600), early) == ""


# A function that finds the key.


@pytest.mark.parametrize("waits", [False, True])
@run_async
async def test_a_function_finds_the_key(waits: bool) -> None:
    asked: list[dict[str, Any]] = []

    def find(header: dict[str, Any]) -> str:
        asked.append(header)
        return {"one": SECRET, "two": OTHER}[header["kid"]]

    async def find_later(header: dict[str, Any]) -> str:
        await asyncio.sleep(0)
        return find(header)

    io = serving(find_later if waits else find)
    assert await code(io, {"token": token(OTHER, kid="two")}) == ""
    assert asked == [{"alg": "HS256", "typ": "JWT", "kid": "two"}]
    assert await code(io, {"token": token(OTHER, kid="one")}) == "token_invalid"
    assert await code(io, {"token": token(kid="three")}) == "token_invalid"
    assert await code(io, {"token": token()}) == "token_invalid"
    assert await code(serving(lambda header: None), {"token": token()}) == "token_invalid"


@run_async
async def test_the_function_is_not_asked_about_what_can_never_be_accepted() -> None:
    asked: list[Any] = []
    io = serving(asked.append)
    for bad in (*HOSTILE[:12], "rubbish", token(rsa_key("one"), "RS256"), "x" * 10_000):
        assert await code(io, {"token": bad}) == "token_invalid"
    assert asked == []


@run_async
async def test_a_function_that_fails_tells_the_client_nothing() -> None:
    def find(header: dict[str, Any]) -> str:
        raise RuntimeError("the password of the database is 1234")

    io = serving(find)
    errors: list[Exception] = []
    io.on_error(errors.append)
    client = Client(io)
    client.send("0" + json.dumps({"token": token()}))
    await eventually(lambda: client.received)
    assert client.take() == ['4{"message":"internal error"}']
    assert [type(error) for error in errors] == [RuntimeError]


# Hostile tokens.

NONE = part({"alg": "none", "typ": "JWT"})
HEADER = part({"alg": "HS256", "typ": "JWT"})
PAYLOAD = part({"sub": "ada", "exp": int(time.time()) + 3600})
DEEP = b"[" * 2500


def signed(head: Any, payload: Any) -> str:
    """A token signed as it should be, around anything."""
    body = f"{part(head)}.{part(payload)}"
    return f"{body}.{part(hmac.digest(SECRET.encode(), body.encode(), 'sha256'))}"


# These carry a good signature, as from an issuer with a bug.
SIGNED: list[Any] = [
    signed({"alg": "HS256"}, b"[]"),
    signed({"alg": "HS256"}, b"null"),
    signed({"alg": "HS256"}, DEEP),
    signed({"alg": "HS256"}, {"sub": "ada", "exp": "soon"}),
    signed({"alg": "HS256"}, {"sub": "ada", "exp": [1]}),
    signed({"alg": "HS256"}, b'{"sub":"ada","exp":1e400}'),
    signed({"alg": "HS256"}, b'{"sub":"ada","exp":NaN}'),
    signed({"alg": "HS256"}, {"sub": ["ada"], "exp": int(time.time()) + 3600}),
    signed({"alg": "HS256", "crit": ["x"], "x": 1}, {"exp": int(time.time()) + 3600}),
]
HOSTILE: list[Any] = [
    f"{NONE}.{PAYLOAD}.",
    f"{NONE}.{PAYLOAD}",
    f"{part({'alg': 'None'})}.{PAYLOAD}.",
    f"{part({'alg': ''})}.{PAYLOAD}.",
    f"{part({'alg': None})}.{PAYLOAD}.",
    f"{part({'alg': ['HS256']})}.{PAYLOAD}.",
    f"{part({'alg': {'HS256': 1}})}.{PAYLOAD}.",
    f"{part({'typ': 'JWT'})}.{PAYLOAD}.",
    f"{part({'alg': 'HS256', 'kid': 5})}.{PAYLOAD}.",
    f"{part({'alg': 'HS256', 'kid': {'a': 1}})}.{PAYLOAD}.",
    f"{part([])}.{PAYLOAD}.",
    f"{part(DEEP)}.{PAYLOAD}.",
    f"{HEADER}.{part(DEEP)}.x"[: 2 * 10**6],
    token(OTHER),
    token() + "x",
    token()[:-4],
    token().replace(".", "", 1),
    "",
    ".",
    "..",
    "...",
    "rubbish",
    "é.\ud800.\0",
    "x" * 100_000,
    "." * 8000,
    token(sub="ada", padding="x" * 8192),
    *SIGNED,
]
NOT_TEXT: list[Any] = [5, True, False, 1.5, [token()], {"token": token()}, [[[]]], 10**30]


@pytest.mark.parametrize("bad", range(len(HOSTILE)))
@run_async
async def test_hostile_tokens_are_invalid(bad: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sends = HOSTILE[bad]
    # A function that finds the key makes no difference.
    for key in (SECRET, lambda header: SECRET):
        assert await code(serving(key), {"token": sends}) == "token_invalid"
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]
    # Nothing that a peer can make long is written.
    assert all(len(record.getMessage()) < 1000 for record in caplog.records)


@pytest.mark.parametrize("bad", NOT_TEXT, ids=repr)
@run_async
async def test_what_is_no_text_is_no_token(bad: Any) -> None:
    assert await code(serving(), {"token": bad}) == "token_invalid"


@pytest.mark.parametrize("auth", [None, {}, {"token": None}, {"tokens": "x"}])
@run_async
async def test_no_token_is_missing(auth: Any) -> None:
    assert await code(serving(), auth) == "token_missing"


@run_async
async def test_a_public_key_is_no_shared_secret() -> None:
    # The classic: sign by HMAC with the public key, which everybody has.
    pem = public_pem(rsa_key("one"))
    body = f"{HEADER}.{PAYLOAD}"
    forged = f"{body}.{part(hmac.digest(pem.encode(), body.encode(), 'sha256'))}"
    for key in (pem, lambda header: pem):
        assert await code(serving(key, algorithms=["RS256"]), {"token": forged}) == "token_invalid"


@run_async
async def test_an_expired_token_says_so_only_if_it_was_signed() -> None:
    io = serving()
    assert await code(io, {"token": token(exp=1)}) == "token_expired"
    assert await code(io, {"token": token(OTHER, exp=1)}) == "token_invalid"


@run_async
async def test_an_end_in_the_far_future_is_no_harm() -> None:
    io = Server()
    clock = stopped(io)
    io.use(JWT(SECRET, algorithms=["HS256"]))
    for exp in (10**18, 10**400):
        assert await code(io, {"token": token(exp=exp)}) == ""
    clock.advance(10**6)
    assert len(io.sockets.sockets) == 2
    assert clock.failures == []


# While connected.


@run_async
async def test_a_fresh_token_extends_the_connection() -> None:
    io = Server()
    clock = stopped(io)
    io.use(JWT(SECRET, algorithms=["HS256"], room=lambda user: f"user:{user['sub']}"))
    now = int(time.time())
    client = Client.join(io, auth={"token": token(exp=now + 100)})
    socket = client.socket
    clock.advance(90)
    await socket.refresh_auth({"token": token(exp=now + 1000, role="admin")})
    assert socket.user["role"] == "admin"
    assert socket.rooms == {client.sid, "user:ada"}
    clock.advance(800)
    assert socket.connected
    for bad, why in (
        ({"token": token(OTHER)}, "token_invalid"),
        ({"token": token(exp=1)}, "token_expired"),
        ({"token": token(sub="grace")}, "user_changed"),
        ({"token": token(iss="elsewhere")}, "user_changed"),
        ({}, "token_missing"),
    ):
        with pytest.raises(ConnectError) as refused:
            await socket.refresh_auth(bad)
        assert refused.value.data == {"code": why}
    assert socket.user["role"] == "admin"
    clock.advance(200)
    assert not socket.connected


@run_async
async def test_the_old_request_proves_nothing_anew() -> None:
    headers = [
        (b"authorization", b"Bearer " + token().encode()),
        (b"cookie", b"session=" + token().encode()),
    ]
    io = serving(cookie="session")
    assert await code(io, None, headers) == ""
    with pytest.raises(ConnectError) as refused:
        await the_socket(io).refresh_auth({})
    assert refused.value.data == {"code": "token_missing"}


# Options.


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"algorithms": []}, "name at least one"),
        ({"algorithms": "HS256"}, "must be a list"),
        ({"algorithms": ["none"]}, "signs nothing"),
        ({"algorithms": ["HS256", "None"]}, "signs nothing"),
        ({"algorithms": [None]}, "signs nothing"),
        ({"algorithms": ["HS257"]}, "'HS257' is not available"),
        ({"algorithms": ["HS256", "RS256"]}, "mixes shared secrets"),
        ({"key": None}, "give either key or jwks"),
        ({"jwks": dict}, "give either key or jwks"),
        ({"key": None, "jwks": "https://a.example/jwks"}, "Nuncio fetches nothing by itself"),
        ({"key": None, "jwks": {"a": "https://a.example/jwks"}}, "fetches nothing by itself"),
        ({"key": None, "jwks": {"a": dict}, "issuer": "a"}, "issuers are those of jwks"),
        ({"key": "short"}, "token_urlsafe"),
        ({"key": 5}, "key does not fit HS256"),
        ({"key": public_pem(rsa_key("one"))}, "key does not fit HS256"),
        ({"key": "no pem", "algorithms": ["RS256"]}, "key does not fit RS256"),
        ({"audience": ""}, "audience must be"),
        ({"audience": []}, "audience must be"),
        ({"issuer": 5}, "issuer must be"),
        ({"require": 5}, "require must be"),
        ({"leeway": -1}, "leeway"),
        ({"load_user": "ada"}, "load_user must be a function"),
        ({"max_bytes": 0}, "max_bytes"),
        ({"jwks_seconds": 0}, "jwks_seconds"),
        ({"notice": -1}, "notice"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], named: str) -> None:
    given = {"key": SECRET, "algorithms": ["HS256"], **options}
    with pytest.raises(OptionError, match=named) as wrong:
        JWT(**given)
    # Keys stay out of what is printed and logged.
    assert SECRET not in str(wrong.value)


def test_algorithms_have_to_be_named() -> None:
    options: dict[str, Any] = {}
    with pytest.raises(TypeError, match="algorithms"):
        JWT(SECRET, **options)


def test_without_pyjwt_the_text_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "jwt" or name.startswith("jwt."):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install nuncio\[jwt\]"):
        JWT(SECRET, algorithms=["HS256"])
