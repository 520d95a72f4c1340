"""Where workers meet, and how they find each other."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

import nuncio
from nuncio.errors import OptionError
from nuncio.workers.folder import FolderPlace
from nuncio.workers.link import Link
from nuncio.workers.mesh import Mesh
from nuncio.workers.rendezvous import address, prepare, tags
from tests.support.aio import eventually, run_async
from tests.workers.conftest import Listening


def test_the_folder_is_private(folder: Path) -> None:
    prepare(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    prepare(folder)
    folder.chmod(0o755)
    with pytest.raises(OptionError, match="only this user can enter"):
        prepare(folder)


def test_a_link_in_its_place_is_refused(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir(mode=0o700)
    folder.symlink_to(target)
    try:
        with pytest.raises(OptionError, match="only this user can enter"):
            prepare(folder)
    finally:
        folder.unlink()


def test_a_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="too long"):
        prepare(tmp_path / ("x" * 100))


@pytest.mark.parametrize("option", [5, 1.5, b"/tmp/x", []])
def test_what_workers_cannot_be(option: object) -> None:
    with pytest.raises(OptionError, match="workers must be True, False or a folder"):
        nuncio.Server(workers=option)


@pytest.mark.parametrize(
    "option", ["localhost:6379", "redis:/localhost:6379", "redis:localhost:6379", "rediss:/x/1"]
)
def test_an_address_that_is_none_is_not_taken_for_a_folder(option: str) -> None:
    meant = r"write (redis://localhost:6379|rediss://x/1), or \./(redis|lo)"
    with pytest.raises(OptionError, match=meant):
        nuncio.Server(workers=option)


def test_a_folder_may_have_a_colon_in_its_name(folder: Path) -> None:
    nuncio.Server(workers=f"{folder}:6379")
    nuncio.Server(workers="./localhost:6379")


@run_async
async def test_a_dead_workers_socket_is_removed(folder: Path) -> None:
    prepare(folder)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(address(folder, "abc"))
    mesh = Mesh(FolderPlace(folder))
    await mesh.start()
    assert tags(folder) == [mesh.tag]
    await mesh.stop()
    with pytest.raises(FileNotFoundError):
        tags(folder)


@run_async
async def test_many_that_start_at_once_are_linked_once(folder: Path) -> None:
    meshes = [Mesh(FolderPlace(folder)) for _ in range(6)]
    await asyncio.gather(*(mesh.start() for mesh in meshes))
    everybody = {mesh.tag for mesh in meshes}
    await eventually(
        lambda: all({link.tag for link in m.others} == everybody - {m.tag} for m in meshes)
    )
    for mesh in meshes:
        mesh.enter("/", Listening())
    await eventually(lambda: all(len(mesh.with_namespace("/")) == 5 for mesh in meshes))
    await meshes[0].stop()
    await eventually(lambda: all(len(mesh.others) == 4 for mesh in meshes[1:]))
    for mesh in meshes[1:]:
        await mesh.stop()


@run_async
async def test_who_speaks_another_language_is_hung_up_on(folder: Path) -> None:
    mesh = Mesh(FolderPlace(folder))
    await mesh.start()
    for garbage in (b"GET / HTTP/1.1\r\n\r\n" * 10, b"\x00\x00\x00\x01\xc1", os.urandom(64)):
        reader, writer = await asyncio.open_unix_connection(address(folder, mesh.tag))
        writer.write(garbage[:4] if garbage[:1] == b"G" else garbage)
        writer.write_eof()
        await reader.read()
        writer.close()
    assert mesh.others == []
    await mesh.stop()


@run_async
async def test_a_namespace_that_comes_while_workers_greet_is_told(folder: Path) -> None:
    one, two = Mesh(FolderPlace(folder)), Mesh(FolderPlace(folder))
    await one.start()
    gone = Listening()
    one.enter("/gone", gone)
    connecting = asyncio.ensure_future(two.start())
    met = one.met

    def enter_first(link: Link) -> None:
        # The hello of this side is on its way already.
        one.enter("/late", Listening())
        one.leave("/gone", gone)
        met(link)

    one.met = enter_first  # type: ignore[method-assign]
    await connecting
    await eventually(lambda: two.with_namespace("/late"))
    assert not two.with_namespace("/gone")
    assert two.others[0].told == set()
    await two.stop()
    await one.stop()
