"""What the page on scaling says of several machines: its commands and configurations work."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

import nuncio
from nuncio.cli.serve import serve
from tests.docs.samples import ROOT, Block, blocks_of
from tests.hosts.process import python, running
from tests.support.aio import eventually, run_async, within
from tests.support.ports import free_port
from tests.support.rawclient import fetch
from tests.support.redis import Redis

PAGE = blocks_of(ROOT / "docs" / "scaling.md")


def block(language: str, part: str) -> Block:
    """The block of the page that has something in it."""
    (found,) = [one for one in PAGE if one.language == language and part in one.text]
    return found


@pytest.fixture(scope="module")
def redis(program: Callable[[str], str]) -> Iterator[Redis]:
    with asyncio.Runner() as runner:
        redis = Redis(program("redis-server"))
        runner.run(redis.__aenter__())
        yield redis
        runner.run(redis.__aexit__())


def with_ports(text: str, ports: dict[str, int]) -> str:
    """A text with other ports than it names."""
    return re.sub("|".join(ports), lambda found: str(ports[found[0]]), text)


def nginx_file(folder: Path, text: str) -> list[str]:
    """How the page starts nginx, with its configuration in a folder."""
    if os.getuid() == 0:
        text = "user root;\n" + text
    (folder / "nginx.conf").write_text(text)
    told = block("sh", "nginx -p").text.replace("$PWD", str(folder))
    name, *arguments = shlex.split(told)
    assert name == "nginx"
    return arguments


@pytest.fixture(scope="module")
def machines(
    redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, dict[str, int]]]:
    """The two machines of the page, and where everything listens."""
    folder = tmp_path_factory.mktemp("scaling")
    (folder / "app.py").write_text(block("python", 'socket.join("lobby")').text)
    ports = {"6379": redis.port, **{port: free_port() for port in ("3001", "3002", "8080")}}
    begin, *commands = block("sh", "redis-server").text.splitlines()
    assert begin == "redis-server --port 6379"
    with ExitStack() as stack:
        for command, port in zip(commands, ("3001", "3002"), strict=True):
            told = shlex.split(with_ports(command, ports))
            assert told[:2] == ["nuncio", "serve"] and str(ports[port]) in told
            arguments = python("-m", "nuncio", *told[1:])
            # Modules are found in the present folder.
            shell = ["sh", "-c", f"cd {folder} && exec {shlex.join(arguments)}"]
            stack.enter_context(running(shell, ports[port]))
        yield folder, ports


@pytest.mark.slow
@pytest.mark.proxy
@pytest.mark.parametrize("name", ["nginx", "haproxy"])
@run_async
async def test_two_machines_in_ten_minutes(
    program: Callable[[str], str], machines: tuple[Path, dict[str, int]], name: str
) -> None:
    folder, ports = machines
    path = program(name)
    if name == "nginx":
        command = [path, *nginx_file(folder, with_ports(block("nginx", "events").text, ports))]
    else:
        file = folder / "haproxy.cfg"
        file.write_text(with_ports(block("haproxy", "backend").text, ports))
        command = [path, "-db", "-f", str(file)]
    with running(command, ports["8080"]):
        heard: list[tuple[int, str]] = []
        sockets = []
        for number in range(6):
            ways = ["polling"] if number % 2 else ["polling", "websocket"]
            socket = await nuncio.connect(
                f"http://127.0.0.1:{ports['8080']}", transports=ways, force_new=True
            )
            socket.on("message", lambda text, number=number: heard.append((number, text)))
            sockets.append(socket)
        for number, socket in enumerate(sockets):
            socket.emit("message", f"from {number}")
        # Everybody hears of everybody, whoever joined the room at which machine.
        await eventually(lambda: len(heard) == 36)
        assert len(set(heard)) == 36
        for socket in sockets:
            await within(socket.close())


def test_the_configurations_are_whole(program: Callable[[str], str], tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(block("haproxy", "backend").text)
    nginx = nginx_file(tmp_path, block("nginx", "events").text)
    for command in ([program("haproxy"), "-c", "-f", str(file)], [program("nginx"), "-t", *nginx]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_what_is_said_to_kubernetes() -> None:
    deployment, service, ingress = yaml.safe_load_all(block("yaml", "Deployment").text)
    pod: dict[str, Any] = deployment["spec"]["template"]
    container = pod["spec"]["containers"][0]
    command = container["command"] + container["args"]
    assert command[:2] == ["nuncio", "serve"]
    given = serve.make_context("serve", command[2:]).params
    assert given["drain"] and given["host"] == "0.0.0.0"
    assert given["port"] == container["ports"][0]["containerPort"]
    sleep = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    needed = sleep + given["drain_window"] + given["shutdown_timeout"]
    assert needed < pod["spec"]["terminationGracePeriodSeconds"]
    # Everything is called what the others call it, and nothing sticks.
    assert pod["metadata"]["labels"] == deployment["spec"]["selector"]["matchLabels"]
    assert service["spec"]["selector"] == pod["metadata"]["labels"]
    port = service["spec"]["ports"][0]
    assert port["targetPort"] == container["ports"][0]["name"]
    (path,) = ingress["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    assert path["backend"]["service"]["port"]["name"] == port["name"]
    assert "affinity" not in block("yaml", "Deployment").text.lower()


@run_async
async def test_the_probe_begins_no_session() -> None:
    deployment = next(yaml.safe_load_all(block("yaml", "Deployment").text))
    probe = deployment["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["httpGet"]
    io = nuncio.Server()
    async with await io.listen(0) as listening:
        assert (await fetch(listening.port, probe["path"])).status == 200
        assert not io.engine.sessions
    await io.close()
