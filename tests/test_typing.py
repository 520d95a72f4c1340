"""What mypy, strict, knows of `socket.data` and `socket.user` in a small program."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROGRAM = """
from __future__ import annotations

import dataclasses
from typing import Any

import nuncio
from nuncio import auth


@dataclasses.dataclass
class Data:
    name: str = ""


@dataclasses.dataclass
class User:
    id: int


io = nuncio.Server(data=Data)
both: nuncio.Server[Data, User] = nuncio.Server(data=Data, ping_interval=5)
plain = nuncio.Server(ping_interval=5)
options: dict[str, object] = {}
later = nuncio.Server(**options)

reveal_type(io)  # nuncio.server.server.Server[program.Data, Any]
reveal_type(plain)  # nuncio.server.server.Server[Any, Any]
reveal_type(both.of("/a").sockets["x"].user)  # program.User
reveal_type(io.sockets.sockets["x"].data)  # program.Data


@io.event
def hello(socket: nuncio.Socket[Data, User]) -> str:
    reveal_type(socket.user.id)  # int
    reveal_type(socket.handshake.auth)  # dict[str, Any]
    socket.data.nme = "ada"  # ERROR attr-defined
    socket.data.name = 5  # ERROR assignment
    socket.user = "ada"  # ERROR assignment
    return socket.data.name


@both.use
async def who(socket: nuncio.Socket[Data, User]) -> None:
    socket.user = User(1)


@plain.on("connection")
def connection(socket: nuncio.Socket) -> None:
    socket.data["name"] = "ada"
    socket.user = {"name": "ada"}
    socket.disconnect(reason="bye", data={"for": "now"})
    socket.expire_at(5, notice=1)


@plain.use
@auth.middleware(optional=True)
async def known(socket: nuncio.Socket, given: dict[str, Any]) -> auth.Identity | None:
    reveal_type(auth.cookie(socket, "session"))  # str | None
    await socket.refresh_auth({})
    return auth.Identity(User(1), key=1)


@auth.middleware
def wrong(socket: nuncio.Socket, given: dict[str, Any]) -> str:  # BELOW
    return ""


both.use(auth.JWT("key", algorithms=["HS256"]))
"""


def test_data_and_user_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api", reason="mypy comes with the extra `dev`")
    (tmp_path / "program.py").write_text(PROGRAM)
    # Where nothing but the package itself says what it is.
    monkeypatch.chdir(tmp_path)
    output, failed, _ = api.run(["--strict", "--no-incremental", "--config-file=", "program.py"])
    assert not failed
    said: dict[int, str] = {}
    for line in output.splitlines():
        match = re.match(
            r'program\.py:(\d+): (?:note: Revealed type is "(.*)"|error: .*\[(.*)\])', line
        )
        if match:
            said[int(match[1])] = match[2] or f"ERROR {match[3]}"
    wanted = {
        number: line.partition("  # ")[2]
        for number, line in enumerate(PROGRAM.splitlines(), 1)
        if "  # " in line and not line.endswith("BELOW")
    }
    # The decorator is where a function of the wrong kind is told.
    [place] = [i for i, line in enumerate(PROGRAM.splitlines(), 1) if line.endswith("BELOW")]
    assert said.pop(place - 1, said.pop(place, "")).startswith("ERROR"), output
    assert said == wanted, output
