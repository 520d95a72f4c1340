"""Builds the clients: each in two steps, of which only the first needs a package registry.

What the first step cannot do is the machine's lack, and its tests are skipped; what fails after it
is a failure. Everything lands in `build/` beside a client's sources and is used again.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FETCH_SECONDS = 120
BUILD_SECONDS = 300
# Where the registries are asked for: nothing of it may hang, wait or ask.
ENVIRONMENT = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "CARGO_NET_RETRY": "1"}


@dataclass(frozen=True)
class Toolchain:
    """How a language's client is made.

    Attributes:
        programs: what has to be installed.
        fetch: gets what is not here, from a registry.
        build: makes the program without one.
        command: runs the program; called once it is built.
    """

    programs: Sequence[str]
    fetch: Sequence[str]
    build: Callable[[], Sequence[str]]
    command: Callable[[], Sequence[str]]


def _java_path() -> str:
    return (HERE / "java/build/classpath").read_text().strip()


TOOLCHAINS = {
    "go": Toolchain(
        programs=["go"],
        fetch=["go", "mod", "download"],
        build=lambda: ["go", "build", "-buildvcs=false", "-o", "build/client", "."],
        command=lambda: [str(HERE / "go/build/client")],
    ),
    "java": Toolchain(
        programs=["java", "javac", "mvn"],
        fetch=[
            *("mvn", "--batch-mode", "--quiet", "-Dstyle.color=never"),
            *("dependency:build-classpath", "-Dmdep.outputFile=build/classpath"),
        ],
        build=lambda: [
            *("javac", "-encoding", "UTF-8", "-d", "build/classes"),
            *("-cp", _java_path(), "Client.java"),
        ],
        command=lambda: [
            *("java", "-cp", os.pathsep.join([str(HERE / "java/build/classes"), _java_path()])),
            "Client",
        ],
    ),
    "rust": Toolchain(
        programs=["cargo", "cc", "pkg-config"],
        fetch=["cargo", "fetch"],
        build=lambda: ["cargo", "build", "--locked", "--offline", "--target-dir", "build"],
        command=lambda: [str(HERE / "rust/build/debug/client")],
    ),
}


@functools.cache
def built(language: str) -> tuple[Sequence[str], str]:
    """Build a client, once in a run.

    Args:
        language: its name in TOOLCHAINS.

    Returns:
        the command that runs it, and why there is none: empty if there is.

    Raises:
        AssertionError: its sources do not compile.
    """
    toolchain = TOOLCHAINS[language]
    missing = [name for name in toolchain.programs if shutil.which(name) is None]
    if missing:
        return (), f"not installed: {', '.join(missing)}"
    if language == "rust" and subprocess.run(["pkg-config", "--exists", "openssl"]).returncode:
        return (), "not installed: the headers of OpenSSL"
    folder = HERE / language
    try:
        fetched = _run(toolchain.fetch, folder, FETCH_SECONDS)
    except subprocess.TimeoutExpired:
        return (), f"`{' '.join(toolchain.fetch)}` took too long"
    if fetched.returncode:
        lines = fetched.stdout.splitlines()
        errors = [line.strip() for line in lines if "error" in line.lower()] or lines or ["failed"]
        return (), f"`{' '.join(toolchain.fetch)}`: {errors[0]}"
    made = _run(toolchain.build(), folder, BUILD_SECONDS)
    assert made.returncode == 0, made.stdout
    return toolchain.command(), ""


def _run(command: Sequence[str], folder: Path, seconds: float) -> subprocess.CompletedProcess[str]:
    # Tests of other things may run beside it.
    nice = [] if shutil.which("nice") is None else ["nice", "-n", "10"]
    return subprocess.run(
        [*nice, *command],
        cwd=folder,
        env={**os.environ, **ENVIRONMENT},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )


def client(language: str) -> Sequence[str]:
    """The command that runs a client; the test is skipped where that cannot be built.

    NUNCIO_LANGUAGES names the languages whose clients are built, separated by commas. All whose
    toolchains are installed are built if it is not set.
    """
    wanted = os.environ.get("NUNCIO_LANGUAGES")
    if wanted is not None and language not in wanted.split(","):
        pytest.skip(f"{language} is not among NUNCIO_LANGUAGES")
    command, reason = built(language)
    if reason:
        pytest.skip(reason)
    return command
