"""Where the workers of one server find each other: a folder with a socket of each.

The folder is private to the user, for whoever can connect there can speak for every client.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tempfile
from pathlib import Path
from typing import Final

from nuncio.errors import OptionError

# A session's id begins with its worker's tag. The rest stays beyond guessing.
TAG_LENGTH: Final = 3

# Where `nuncio serve` says that workers meet, and the secret of those who meet in Redis.
VARIABLE: Final = "NUNCIO_WORKERS"
SECRET_VARIABLE: Final = "NUNCIO_WORKERS_SECRET"

_SOCKET: Final = re.compile(r"([A-Za-z0-9_-]{3})\.sock")

# What the address of a Unix socket can hold on every system.
MOST_PATH: Final = 100


def usual_folder() -> Path:
    """The folder of the workers that have this process's parent in common."""
    return Path(tempfile.gettempdir()) / f"nuncio-{os.getuid()}" / str(os.getppid())


def prepare(folder: Path) -> None:
    """Make the folder, private to the user.

    Raises:
        OptionError: when it is not, or its path is too long for sockets in it.
    """
    if len(os.fsencode(folder)) > MOST_PATH - TAG_LENGTH - len("/.sock"):
        raise OptionError(f"workers: the path {folder} is too long for sockets in it")
    for path in (folder.parent, folder):
        try:
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise OptionError(f"workers: cannot make the folder {path}: {error}") from error
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise OptionError(
            f"workers: {folder} must be a folder that only this user can enter (mode 700), "
            "for whoever can connect to a worker can speak for every client"
        )


def address(folder: Path, tag: str) -> str:
    """The address of a worker's socket."""
    return str(folder / f"{tag}.sock")


def rooms(folder: Path, tag: str) -> Path:
    """Where a worker shows which rooms it has."""
    return folder / f"{tag}.rooms"


def clear(folder: Path, tag: str) -> None:
    """Remove what a worker left behind."""
    for path in (Path(address(folder, tag)), rooms(folder, tag)):
        with contextlib.suppress(OSError):
            path.unlink()


def tags(folder: Path) -> list[str]:
    """The tags of all workers that have a socket there, living or dead."""
    found = [_SOCKET.fullmatch(path.name) for path in folder.iterdir()]
    return sorted([match[1] for match in found if match is not None])
