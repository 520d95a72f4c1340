"""Builds Nuncio: the hot modules compiled to C by mypyc where that is possible, else plain Python.

Everything that is fixed stands in pyproject.toml. Here is the choice between the two builds:

    pip install .                   compiled if a C compiler works, else plain, said in one line
    NUNCIO_PURE=1 pip install .     plain
    NUNCIO_PURE=0 pip install .     compiled, and an error if that cannot be
    pip install -e .                plain: edits would not show in compiled modules

The same sources serve both; a compiled module lies beside its source and Python prefers it.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# The modules on the per-message path, compiled together so that calls between them are C calls.
COMPILED = [
    "src/nuncio/client/asker.py",
    "src/nuncio/client/clock.py",
    "src/nuncio/client/connection.py",
    "src/nuncio/client/dispatch.py",
    "src/nuncio/client/frames.py",
    "src/nuncio/client/keys.py",
    "src/nuncio/client/operator.py",
    "src/nuncio/client/retries.py",
    "src/nuncio/client/session.py",
    "src/nuncio/client/socket.py",
    "src/nuncio/client/waiting.py",
    "src/nuncio/cluster/adapter.py",
    "src/nuncio/cluster/base.py",
    "src/nuncio/cluster/envelope.py",
    "src/nuncio/cluster/following.py",
    "src/nuncio/cluster/memory.py",
    "src/nuncio/cluster/message.py",
    "src/nuncio/cluster/options.py",
    "src/nuncio/cluster/order.py",
    "src/nuncio/cluster/outbox.py",
    "src/nuncio/cluster/past.py",
    "src/nuncio/cluster/recipients.py",
    "src/nuncio/cluster/recovery.py",
    "src/nuncio/cluster/redis/adapter.py",
    "src/nuncio/cluster/redis/classic_adapter.py",
    "src/nuncio/cluster/redis/classic_wire.py",
    "src/nuncio/cluster/redis/commands.py",
    "src/nuncio/cluster/redis/connection.py",
    "src/nuncio/cluster/redis/entries.py",
    "src/nuncio/cluster/redis/hub.py",
    "src/nuncio/cluster/redis/outgoing.py",
    "src/nuncio/cluster/redis/sharded_adapter.py",
    "src/nuncio/cluster/redis/streams_adapter.py",
    "src/nuncio/cluster/redis/subscriptions.py",
    "src/nuncio/cluster/rooms.py",
    "src/nuncio/cluster/values.py",
    "src/nuncio/engine/backlog.py",
    "src/nuncio/engine/dialect.py",
    "src/nuncio/engine/downstream.py",
    "src/nuncio/engine/follow.py",
    "src/nuncio/engine/forever.py",
    "src/nuncio/engine/framing.py",
    "src/nuncio/engine/listener.py",
    "src/nuncio/engine/metered.py",
    "src/nuncio/engine/polling.py",
    "src/nuncio/engine/polling3.py",
    "src/nuncio/engine/probe.py",
    "src/nuncio/engine/rates.py",
    "src/nuncio/engine/request.py",
    "src/nuncio/engine/sent.py",
    "src/nuncio/engine/session.py",
    "src/nuncio/engine/session3.py",
    "src/nuncio/engine/settings.py",
    "src/nuncio/engine/transport.py",
    "src/nuncio/engine/upload.py",
    "src/nuncio/engine/websocket.py",
    "src/nuncio/engine/wheel.py",
    "src/nuncio/handlers/acks.py",
    "src/nuncio/handlers/callbacks.py",
    "src/nuncio/handlers/caller.py",
    "src/nuncio/handlers/handler.py",
    "src/nuncio/handlers/listeners.py",
    "src/nuncio/handlers/replies.py",
    "src/nuncio/handlers/threads.py",
    "src/nuncio/handlers/runners.py",
    "src/nuncio/hosts/exchange.py",
    "src/nuncio/protocol/bytestream.py",
    "src/nuncio/protocol/dialects.py",
    "src/nuncio/protocol/engineio.py",
    "src/nuncio/protocol/engineio3.py",
    "src/nuncio/protocol/frames.py",
    "src/nuncio/protocol/json.py",
    "src/nuncio/protocol/jsonp.py",
    "src/nuncio/protocol/msgpack.py",
    "src/nuncio/protocol/parser.py",
    "src/nuncio/protocol/socketio.py",
    "src/nuncio/server/access.py",
    "src/nuncio/server/asker.py",
    "src/nuncio/server/broadcasting.py",
    "src/nuncio/server/connection.py",
    "src/nuncio/server/dispatch.py",
    "src/nuncio/server/meter.py",
    "src/nuncio/server/namespace.py",
    "src/nuncio/server/oldclients.py",
    "src/nuncio/server/operator.py",
    "src/nuncio/server/parent.py",
    "src/nuncio/server/recoverable.py",
    "src/nuncio/server/socket.py",
    "src/nuncio/slow.py",
]

# mypyc checks types as mypy does. Errors elsewhere, and packages that are not there while
# building, are the business of `make check`, so no configuration file is read here.
MYPY_OPTIONS = [
    "--config-file=",
    "--follow-imports=silent",
    "--ignore-missing-imports",
    "--no-warn-no-return",
]

BUILD_COMMANDS = {"bdist_wheel", "build", "build_ext", "install"}


class CannotCompile(Exception):
    """The compiled build is not possible; the text says why."""


class BuildExtensions(build_ext):
    """The usual command, except that a failing compiler is an exception we can answer."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:
            raise CannotCompile("the C compiler failed, see above") from error
        self.drop_stale()

    def drop_stale(self) -> None:
        """Take away what an earlier build compiled and this one does not."""
        wanted = {Path(self.get_ext_fullpath(extension.name)) for extension in self.extensions}
        for path in Path(self.build_lib).rglob("*"):
            if path.suffix in (".so", ".pyd") and path not in wanted:
                path.unlink()


def say(text: str) -> None:
    print(f"nuncio: {text}", file=sys.stderr, flush=True)


def check_compiler() -> None:
    """Compile one line that needs a C compiler and Python's headers."""
    from distutils.ccompiler import new_compiler
    from distutils.sysconfig import customize_compiler, get_python_inc

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\nint nuncio_probe;\n")
        try:
            compiler = new_compiler()
            customize_compiler(compiler)
            compiler.compile([str(source)], output_dir=folder, include_dirs=[get_python_inc()])
        except Exception as error:
            raise CannotCompile("there is no C compiler with Python's headers") from error


def extensions() -> list[Extension]:
    """Translate the modules to C."""
    check_compiler()
    try:
        from mypyc.build import mypycify
    except ImportError as error:
        raise CannotCompile(f"mypyc is not there: {error}") from error
    try:
        built: list[Extension] = mypycify(
            [*MYPY_OPTIONS, *COMPILED],
            opt_level="3",
            debug_level="0",
            strict_dunder_typing=True,
            group_name="nuncio",
        )
    except SystemExit as error:
        raise CannotCompile("mypyc refused the sources, see above") from error
    return built


def drop_stale() -> None:
    """Empty build/lib* of Python files, or modules since removed would be installed again."""
    for folder in Path("build").glob("lib*"):
        for path in folder.rglob("*.py"):
            path.unlink()


def build(**options: Any) -> None:
    drop_stale()
    setup(**options)


def give_up(reason: CannotCompile) -> NoReturn:
    say(f"NUNCIO_PURE=0 asks for the compiled build, but {reason}")
    sys.exit(1)


def main() -> None:
    choice = os.environ.get("NUNCIO_PURE", "")
    if choice not in ("", "0", "1"):
        sys.exit(f"nuncio: NUNCIO_PURE is {choice!r}; it can be 1 (plain) or 0 (compiled)")
    if choice == "1" or not BUILD_COMMANDS.intersection(sys.argv):
        build()
        return
    try:
        build(ext_modules=extensions(), cmdclass={"build_ext": BuildExtensions})
        say(f"compiled {len(COMPILED)} modules to C")
    except CannotCompile as reason:
        if choice == "0":
            give_up(reason)
        say(f"building plain Python, slower but the same: {reason}")
        build()


main()
