"""Who is who: a login by FastAPI, short-lived tokens, and Socket.IO that lets in by them.

    uvicorn --app-dir examples/auth app:app

A password is sent once, to `/login`, which sets a signed session cookie. With the cookie the page
fetches tokens from `/token`. Socket.IO sees tokens alone: for connecting, and for staying connected
when one runs out.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path
from typing import Any

import fastapi
import jwt
import pydantic
from starlette.middleware.sessions import SessionMiddleware

import nuncio

HERE = Path(__file__).parent
CLIENT = HERE.parent / "chat" / "node_modules" / "socket.io-client" / "dist"

# In production both come from the outside, or nobody stays signed in when the server restarts.
TOKEN_SECRET = os.environ.get("TOKEN_SECRET") or secrets.token_urlsafe(64)
SESSION_SECRET = os.environ.get("SESSION_SECRET") or secrets.token_urlsafe(64)
TOKEN_SECONDS = int(os.environ.get("TOKEN_SECONDS", "60"))
AUDIENCE = "example-chat"


@dataclasses.dataclass(frozen=True)
class User:
    """Somebody with a password, of which only a hash is kept."""

    name: str
    salt: bytes
    hashed: bytes
    admin: bool = False


class Login(pydantic.BaseModel):
    """What a person types in."""

    name: str = pydantic.Field(max_length=50)
    password: str = pydantic.Field(max_length=200)


def hash_password(password: str, salt: bytes) -> bytes:
    """Slow on purpose."""
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def enrol(name: str, password: str, admin: bool = False) -> User:
    """Make a user."""
    salt = os.urandom(16)
    return User(name, salt, hash_password(password, salt), admin)


USERS = {
    user.name: user for user in (enrol("ada", "lovelace", admin=True), enrol("grace", "hopper"))
}
NOBODY = enrol("", secrets.token_urlsafe())

# HTTP: passwords, sessions and tokens.

api = fastapi.FastAPI(title="Who is who")
api.add_middleware(SessionMiddleware, secret_key=SESSION_SECRET, same_site="strict")


@api.post("/login")
def login(given: Login, request: fastapi.Request) -> dict[str, str]:
    """Check a password. For an unknown name it takes as long as for a known one."""
    user = USERS.get(given.name, NOBODY)
    fits = hmac.compare_digest(hash_password(given.password, user.salt), user.hashed)
    if not fits or user is NOBODY:
        raise fastapi.HTTPException(401, "wrong name or password")
    request.session["name"] = user.name
    return {"name": user.name}


@api.get("/token")
def token(request: fastapi.Request) -> dict[str, str]:
    """A token for Socket.IO, for who is signed in."""
    name = request.session.get("name")
    if name not in USERS:
        raise fastapi.HTTPException(401, "sign in first")
    claims = {"sub": name, "aud": AUDIENCE, "exp": int(time.time()) + TOKEN_SECONDS}
    return {"token": jwt.encode(claims, TOKEN_SECRET, "HS256")}


@api.post("/logout")
async def logout(request: fastapi.Request) -> dict[str, bool]:
    """End the session, and every connection of this user."""
    name = request.session.pop("name", None)
    for socket in list(io.sockets.sockets.values()):
        if socket.user.name == name:
            socket.disconnect(reason="signed out")
    return {"ok": True}


@api.get("/")
def page() -> fastapi.responses.FileResponse:
    """The page."""
    return fastapi.responses.FileResponse(HERE / "index.html")


# Socket.IO: tokens.


@dataclasses.dataclass
class Data:
    """What the server remembers of one connection: `socket.data`."""

    said: int = 0


Socket = nuncio.Socket[Data, User]

io: nuncio.Server[Data, User] = nuncio.Server(
    data=Data,
    # The page loads /socket.io/socket.io.min.js.
    serve_client=CLIENT if CLIENT.is_dir() else "auto",
)


def load_user(claims: dict[str, Any]) -> User | None:
    """The user of a token, if there still is such a user."""
    return USERS.get(claims["sub"])


io.use(
    nuncio.auth.JWT(
        TOKEN_SECRET,
        algorithms=["HS256"],
        audience=AUDIENCE,
        load_user=load_user,
        room=lambda user: f"user:{user.name}",
        notice=TOKEN_SECONDS / 3,
    )
)


@io.on("connection")
@io.on("auth_refreshed")
def rights(socket: Socket) -> None:
    """What a user may hear, looked at again with every token."""
    if socket.user.admin:
        socket.join("admins")
    else:
        socket.leave("admins")


@io.event
def whoami(socket: Socket) -> dict[str, Any]:
    """Known from the token, whatever the client says."""
    return {"name": socket.user.name, "admin": socket.user.admin}


@io.event
def say(socket: Socket, text: str) -> int:
    """To everybody, under the speaker's own name."""
    io.emit("said", socket.user.name, text[:500])
    socket.data.said += 1
    return socket.data.said


@io.event
def whisper(socket: Socket, name: str, text: str) -> None:
    """To one user, on all of that user's devices; and to the admins, who hear everything."""
    io.to([f"user:{name}", "admins"]).emit("whispered", socket.user.name, name, text[:500])


app = io.asgi(api)
