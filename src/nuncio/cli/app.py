"""The command `nuncio` and its commands."""

from __future__ import annotations

import platform
import sys
from typing import Any, Final

import click

from nuncio._build import build_info
from nuncio.cli.connect import connect
from nuncio.cli.dev_cert import dev_cert
from nuncio.cli.serve import serve

# Values may be nested as deep as the protocol allows, and are walked through by recursion.
_RECURSION: Final = 10_000

_EPILOG: Final = """\b
Examples:
  nuncio connect http://localhost:3000
  nuncio connect localhost:3000 --ask 'join lobby'
  nuncio serve app:io --workers 4
  nuncio dev-cert

`nuncio connect --help` and `nuncio serve --help` have more.
"""


class Commands(click.Group):
    """Knows what a URL in the place of a command means."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """See `click.Group`."""
        if "://" in args[0] or args[0].startswith("localhost"):
            ctx.fail(f"which command? Perhaps: nuncio connect {args[0]}")
        return super().resolve_command(ctx, args)


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    info = build_info()
    build = "compiled" if info.compiled else "plain Python"
    click.echo(
        f"nuncio {info.version} ({build}, {platform.python_implementation()} "
        f"{platform.python_version()})"
    )
    ctx.exit()


@click.group(
    cls=Commands,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version and exit.",
)
def nuncio(**given: Any) -> None:
    """Socket.IO on the command line."""


nuncio.add_command(connect)
nuncio.add_command(serve)
nuncio.add_command(dev_cert)


def run() -> None:
    """Run what the arguments of the process say."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION))
    nuncio(prog_name="nuncio")
