"""Which build of Nuncio runs: compiled to C by mypyc, or plain Python.

The sources are the same and so is the behaviour; only the speed differs, so this is the first thing
to look at when a server is slower than expected. What is said here is read off the files that
Python loads, never off a flag, so it cannot be wrong about the running process.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

__version__: Final = "0.1.0"

_EXTENSIONS: Final = tuple(EXTENSION_SUFFIXES)


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """What `build_info` found.

    Attributes:
        version: Nuncio's version.
        compiled: whether any module runs as C.
        modules: the names of the modules that do, sorted.
        python: implementation and version, such as "CPython 3.11.7".
        msgspec: its version.
        uvicorn: its version.
        uvloop: its version, or None where it is not installed (it does not exist for Windows).
    """

    version: str
    compiled: bool
    modules: tuple[str, ...]
    python: str
    msgspec: str
    uvicorn: str
    uvloop: str | None

    def __str__(self) -> str:
        speed = f"compiled ({len(self.modules)} modules)" if self.compiled else "plain Python"
        loop = f"uvloop {self.uvloop}" if self.uvloop else "no uvloop"
        return (
            f"Nuncio {self.version}, {speed}, on {self.python}, "
            f"msgspec {self.msgspec}, uvicorn {self.uvicorn}, {loop}"
        )


def build_info() -> BuildInfo:
    """Say which build of Nuncio this process runs.

    Returns:
        The versions that matter and the compiled modules; `str()` of it is one line for a log.
    """
    modules = tuple(sorted(_compiled_modules()))
    return BuildInfo(
        version=__version__,
        compiled=bool(modules),
        modules=modules,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        msgspec=_version("msgspec") or "missing",
        uvicorn=_version("uvicorn") or "missing",
        uvloop=_version("uvloop"),
    )


def _compiled_modules() -> Iterator[str]:
    # Sources lie beside the compiled modules in both builds.
    package = Path(__file__).parent
    for path in package.rglob("*.py"):
        name = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        if _runs_as_c(name, path):
            yield name


def _runs_as_c(name: str, source: Path) -> bool:
    loaded = sys.modules.get(name)
    if loaded is not None:
        return str(loaded.__file__).endswith(_EXTENSIONS)
    # Not imported yet: Python takes an extension module before the source of the same name.
    return any(source.with_suffix(suffix).exists() for suffix in _EXTENSIONS)


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
