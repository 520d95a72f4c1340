"""A folder as the place where the workers of one machine meet.

A worker makes a socket of its own in the folder, then connects to everybody who is there: so of two
workers the later one has called the earlier one. A worker that dies leaves its socket behind, which
the next one to call it finds dead and removes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import Final

from nuncio.workers import rendezvous
from nuncio.workers.link import Link
from nuncio.workers.mesh import Mesh
from nuncio.workers.pipe import Pipe

logger = logging.getLogger("nuncio.workers")

# A worker that is there answers at once; one that has stopped is not waited for.
GREET_SECONDS: Final = 2.0


class FolderPlace:
    """A worker in its folder; see `Place`.

    Args:
        folder: private to the user.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.words = f"in the folder {folder}"
        self._mesh: Mesh | None = None
        self._server: asyncio.AbstractServer | None = None

    async def open(self, mesh: Mesh) -> None:
        """See `Place.open`."""
        rendezvous.prepare(self.folder)
        while mesh.tag in rendezvous.tags(self.folder):
            mesh.rename()
        self._mesh = mesh
        mesh.routes.begin(self.folder, mesh.tag)
        # Who finds a socket that does not listen yet takes its worker for dead.
        unseen = str(self.folder / f"{mesh.tag}.new")
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Pipe(Link(mesh)), unseen)
        os.chmod(unseen, 0o600)
        os.rename(unseen, rendezvous.address(self.folder, mesh.tag))
        others = [tag for tag in rendezvous.tags(self.folder) if tag != mesh.tag]
        await asyncio.gather(*(self._call(mesh, tag) for tag in others))

    async def _call(self, mesh: Mesh, tag: str) -> None:
        path = rendezvous.address(self.folder, tag)
        try:
            _, pipe = await asyncio.get_running_loop().create_unix_connection(
                lambda: Pipe(Link(mesh, called=True)), path
            )
        except (ConnectionRefusedError, FileNotFoundError):
            logger.debug("the worker %s is dead; its socket is removed", tag)
            rendezvous.clear(self.folder, tag)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(pipe.link.greeted), GREET_SECONDS)

    async def close(self) -> None:
        """See `Place.close`."""
        mesh, server = self._mesh, self._server
        self._mesh = self._server = None
        if mesh is None or server is None:
            return
        mesh.routes.end()
        rendezvous.clear(self.folder, mesh.tag)
        server.close()
        for link in mesh.others:
            link.close()
        with contextlib.suppress(OSError):
            # The last one closes the door.
            self.folder.rmdir()

    def stats(self) -> dict[str, int]:
        """See `Place.stats`: nobody else can come here."""
        return {}
