"""The examples of authentication let in who they should."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path

import pytest

from tests.hosts.process import ROOT, python, running
from tests.support.aio import run_async
from tests.support.ports import free_port
from tests.support.rawclient import Peer, Response, WebSocket, fetch, websocket_target

EXAMPLES = ROOT / "examples"


async def post(port: int, path: str, body: str, kind: str, cookie: str = "") -> Response:
    """Send a form or JSON."""
    headers = [("Content-Type", f"application/{kind}"), ("Host", f"localhost:{port}")]
    return await fetch(port, path, "POST", [*headers, ("Cookie", cookie)], body.encode())


async def refusal(port: int, cookie: str) -> str:
    """What a client is told that is not let in."""
    target = websocket_target()
    async with await WebSocket.open(port, target, [("Cookie", cookie)]) as client:
        await client.receive()
        await client.send("40")
        answer = str(await client.receive())
        assert answer.startswith("44"), answer
        message: str = json.loads(answer[2:])["message"]
        return message


def cookie_of(response: Response) -> str:
    """The cookie that a response sets."""
    header = response.header("set-cookie")
    assert header is not None
    return header.partition(";")[0]


def test_the_authentication_example(monkeypatch: pytest.MonkeyPatch) -> None:
    async def visit() -> None:
        for wrong in ({"name": "grace", "password": "x"}, {"name": "", "password": ""}):
            assert (await post(port, "/login", json.dumps(wrong), "json")).status == 401
        assert (await fetch(port, "/token")).status == 401
        assert "keepSignedIn" in (await fetch(port, "/")).text
        tokens = {}
        cookies = {}
        for name, password in (("ada", "lovelace"), ("grace", "hopper")):
            body = json.dumps({"name": name, "password": password})
            cookies[name] = cookie_of(await post(port, "/login", body, "json"))
            response = await fetch(port, "/token", headers=[("Cookie", cookies[name])])
            tokens[name] = response.json["token"]
        async with (
            await Peer.join(port, auth={"token": tokens["ada"]}) as ada,
            await Peer.join(port, auth={"token": tokens["grace"]}) as grace,
        ):
            assert await ada.ask("whoami") == [{"name": "ada", "admin": True}]
            assert await grace.ask("whoami") == [{"name": "grace", "admin": False}]
            await grace.socket.send('42["say","hello"]')
            assert await ada.receive() == '42["said","grace","hello"]'
            assert await grace.receive() == '42["said","grace","hello"]'
            await grace.socket.send('42["whisper","grace","to myself"]')
            assert await ada.receive() == '42["whispered","grace","grace","to myself"]'
            assert await grace.receive() == '42["whispered","grace","grace","to myself"]'
            [answer] = await grace.ask("auth:refresh", {"token": tokens["ada"]})
            assert answer["error"]["data"] == {"code": "user_changed"}
            [answer] = await grace.ask("auth:refresh", {"token": tokens["grace"]})
            assert answer["ok"]
            await post(port, "/logout", "", "json", cookies["grace"])
            assert await grace.receive() == '42["disconnect_reason","signed out"]'
            assert await grace.receive() == "41"
            assert await ada.ask("whoami") == [{"name": "ada", "admin": True}]

    monkeypatch.setenv("TOKEN_SECONDS", "3600")
    port = free_port()
    app = ("-m", "uvicorn", "--app-dir", "examples/auth", "app:app", "--port", str(port))
    with running(python(*app), port):
        run_async(visit)()


def test_the_django_example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def visit() -> None:
        form = urllib.parse.urlencode({"name": "ada", "password": "lovelace"})
        wrong = await post(port, "/login", "name=ada&password=x", "x-www-form-urlencoded")
        assert wrong.status == 401
        response = await post(port, "/login", form, "x-www-form-urlencoded")
        cookie = cookie_of(response)
        for bad in ("", "sessionid=", "sessionid=" + "x" * 32, cookie + "x"):
            assert await refusal(port, bad) == "unauthorized"
        async with await Peer.join(port, headers=[("Cookie", cookie)]) as ada:
            assert await ada.ask("whoami") == ["ada"]
            await post(port, "/logout", "", "x-www-form-urlencoded", cookie)
            assert await ada.receive() == '42["disconnect_reason","signed out"]'
        assert await refusal(port, cookie) == "unauthorized"

    port = free_port()
    monkeypatch.setenv("DATA", str(tmp_path))
    monkeypatch.setenv("PORT", str(port))
    with running(python("examples/auth/django_app.py"), port):
        run_async(visit)()


def test_the_guide_shows_what_the_examples_do() -> None:
    guide = (ROOT / "docs" / "guide" / "authentication.md").read_text()
    source = (EXAMPLES / "auth" / "django_app.py").read_text()
    start = source.index("async def by_session")
    assert source[start : source.index("\n\n\n", start)] in guide
