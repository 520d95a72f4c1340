"""`nuncio connect`: its options and its help."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from nuncio.cli import settings as read
from nuncio.cli.commands import Command, Replay, parse_as, read_speed
from nuncio.cli.credentials import read_auth
from nuncio.cli.problems import Problem, WrongUse
from nuncio.cli.settings import Settings

T = TypeVar("T")

# Options that are steps of a script; they are taken in the order in which they are written.
_STEPS: Final = {"emit": "emit", "ask": "ask", "wait_for": "wait", "replay": "replay"}
_META: Final = "nuncio.steps"
_GROUPS: Final = {
    "Who and where": (*("namespace", "auth", "header", "cookie", "query", "path", "parser"),),
    "Connection": (
        *("transport", "proxy", "insecure", "ca", "cert", "key"),
        *("timeout", "ack_timeout", "retries", "keep_trying", "no_reconnect"),
    ),
    "Script": (
        *("emit", "ask", "wait_for", "replay", "speed", "compare", "ignore", "count", "listen"),
    ),
    "Output": ("json", "filter", "full", "save", "no_color"),
}

_EPILOG: Final = """\b
Examples:
  nuncio connect http://localhost:3000
  nuncio connect http://localhost:3000/admin --auth token=secret
  nuncio connect localhost:3000 --emit 'message lobby "hello there"'
  nuncio connect localhost:3000 --ask 'join lobby' --wait-for message --json
  echo 'message lobby hi' | nuncio connect localhost:3000

\b
Exit status:
  0    done
  1    not connected, refused, or the connection was lost
  2    wrong use
  3    what was waited for did not come in time
  4    a replay brought something else than was recorded
  130  interrupted
  141  nobody reads its output any more
"""


class _Ordered(click.Command):
    """A command that knows in which order its options were written."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Note the order, then go on as usual."""
        values, _, order = self.make_parser(ctx).parse_args(list(args))
        taken = {name: iter(values.get(name) or ()) for name in _STEPS}
        ctx.meta[_META] = [
            (param, next(taken[param.name])) for param in order if param.name in taken
        ]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options in groups."""
        rows = {
            param.name or "": param.get_help_record(ctx)
            for param in self.get_params(ctx)
            if isinstance(param, click.Option)
        }
        sections = {
            title: [rows.pop(name, None) for name in names] for title, names in _GROUPS.items()
        }
        # That of --help itself, which click makes.
        sections["Output"] += rows.values()
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl([record for record in records if record is not None])


def _wrong(problem: Problem, param: click.Parameter) -> click.BadParameter:
    hints = "".join(f"\n  {hint}" for hint in problem.hints)
    return click.BadParameter(problem.message + hints, param=param)


def _checked(convert: Callable[[Any], Any]) -> Callable[..., Any]:
    """A callback that makes of a wrong value an error that names the option."""

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        try:
            return convert(value)
        except Problem as problem:
            raise _wrong(problem, param) from problem

    return callback


def _transports(given: Sequence[str]) -> list[str]:
    return [name.strip() for text in given for name in text.split(",") if name.strip()]


def _seconds(value: float | None) -> float | None:
    if value is not None and not 0 <= value < math.inf:
        raise WrongUse("it must be a number of seconds, or 0 for no limit")
    return value


def _at_least(least: int) -> Callable[[int | None], int | None]:
    def check(value: int | None) -> int | None:
        if value is not None and value < least:
            raise WrongUse(f"it must be at least {least}")
        return value

    return check


def _headers(given: Sequence[str]) -> dict[str, str]:
    return dict(read.read_pairs(given, ":", "'Name: value'"))


def _cookies(given: Sequence[str]) -> dict[str, str]:
    return dict(read.read_pairs(given, "=", "name=value"))


_FILE: Final = click.Path(exists=True, dir_okay=False)


@click.command(
    "connect",
    cls=_Ordered,
    epilog=_EPILOG,
    short_help="Talk to a server by hand, or by a script.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.argument("url", callback=_checked(read.read_address))
@click.option(
    "-n",
    "--namespace",
    multiple=True,
    metavar="NAME",
    help="Connect this namespace; several share one connection.",
)
@click.option(
    "-a",
    "--auth",
    multiple=True,
    metavar="JSON",
    callback=_checked(read_auth),
    help="Credentials: JSON, key=text, key:=JSON, or @file.",
)
@click.option(
    "-t",
    "--transport",
    multiple=True,
    metavar="NAME",
    callback=_checked(_transports),
    help="polling or websocket; with both, it begins with the first.",
)
@click.option(
    "-H",
    "--header",
    multiple=True,
    metavar="'NAME: VALUE'",
    callback=_checked(_headers),
    help="A header of each request.",
)
@click.option(
    "--cookie",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_checked(_cookies),
    help="A cookie of each request.",
)
@click.option("--query", multiple=True, metavar="NAME=VALUE", help="A parameter of each request.")
@click.option(
    "--path", default="/socket.io", show_default=True, help="Where on the server Socket.IO is."
)
@click.option(
    "--parser",
    type=click.Choice(["json", "msgpack"]),
    default="json",
    show_default=True,
    help="How packets are written; the server must use the same.",
)
@click.option("-k", "--insecure", is_flag=True, help="Take any certificate of the server's.")
@click.option("--ca", type=_FILE, help="Certificates that are trusted, in place of the system's.")
@click.option("--cert", type=_FILE, help="The tool's own certificate.")
@click.option("--key", type=_FILE, help="Its key.")
@click.option("--proxy", metavar="URL", help="An HTTP proxy.")
@click.option(
    "--no-reconnect", is_flag=True, help="Do not connect again when the connection is lost."
)
@click.option("--keep-trying", is_flag=True, help="Go on when the first attempt fails.")
@click.option(
    "--retries",
    type=int,
    callback=_checked(_at_least(0)),
    help="Send again, so many times, what is not acknowledged.",
)
@click.option(
    "--timeout",
    type=float,
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    callback=_checked(_seconds),
    help="How long to wait for the connection, and for each thing that is waited for; 0: for ever.",
)
@click.option(
    "--ack-timeout",
    type=float,
    metavar="SECONDS",
    callback=_checked(_seconds),
    help="How long to wait for an acknowledgement.  [default: --timeout]",
)
@click.option(
    "--emit",
    multiple=True,
    metavar="'NAME ARG…'",
    help="Send an event. This and the next three are done in the order given.",
)
@click.option(
    "--ask",
    multiple=True,
    metavar="'NAME ARG…'",
    help="Send an event and wait for its acknowledgement.",
)
@click.option(
    "--wait-for",
    multiple=True,
    metavar="NAME[=JSON]",
    help="Wait for an event, whose first argument is this, or has these keys.",
)
@click.option(
    "--replay", multiple=True, metavar="FILE", help="Send again what a recording says was sent."
)
@click.option(
    "--speed",
    default="1",
    metavar="X",
    callback=_checked(read_speed),
    help="Replay X times as fast.",
)
@click.option("--compare", is_flag=True, help="Replay, and compare what comes.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="KEY",
    help="Do not compare this key of objects, or this event.",
)
@click.option(
    "--count",
    type=int,
    metavar="N",
    callback=_checked(_at_least(1)),
    help="End when N events have come.",
)
@click.option("--listen", is_flag=True, help="Stay, and show what comes until interrupted.")
@click.option(
    "--filter",
    multiple=True,
    metavar="PATTERN",
    help="Show only events whose names match; !PATTERN hides.",
)
@click.option(
    "--save",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Record everything that happens.",
)
@click.option("--json", is_flag=True, help="Print everything that happens as lines of JSON.")
@click.option("--full", is_flag=True, help="Shorten nothing.")
@click.option("--no-color", is_flag=True, help="No colours; nor are there with NO_COLOR set.")
@click.pass_context
def connect(ctx: click.Context, /, **_: Any) -> None:
    """Connect to a Socket.IO server and talk to it.

    In a terminal there is a prompt: type events as `message lobby hello`, and `help` for the rest.
    Otherwise lines of standard input are commands, unless options say what to do.

    The path of URL is the namespace. `localhost:3000` and `:3000` are URLs, too.
    """
    from nuncio.cli.run import run

    ctx.exit(run(settings_of(ctx)))


def settings_of(ctx: click.Context) -> Settings:
    """What the arguments of a command line say.

    Raises:
        click.BadParameter: for what makes no sense.
    """
    given = ctx.params
    address: read.Address = given["url"]
    timeout = given["timeout"] or None
    ack_timeout = timeout if given["ack_timeout"] is None else given["ack_timeout"] or None
    try:
        query = read.joined_query(address, given["query"])
    except WrongUse as problem:
        raise click.BadParameter(problem.message, param_hint="'--query'") from problem
    return Settings(
        url=address.origin,
        namespaces=read.read_namespaces(address, given["namespace"]),
        auth=given["auth"],
        manager=_manager_options(given, query, timeout),
        retries=given["retries"],
        parser=given["parser"],
        timeout=timeout,
        ack_timeout=ack_timeout,
        keep_trying=given["keep_trying"],
        steps=tuple(_step(param, text, given) for param, text in ctx.meta[_META]),
        count=given["count"],
        listen=given["listen"],
        patterns=given["filter"],
        json=given["json"],
        colour=not given["no_color"],
        whole=given["full"],
        save=given["save"],
    )


def _manager_options(
    given: dict[str, Any], query: str | None, timeout: float | None
) -> dict[str, Any]:
    options: dict[str, Any] = {
        "path": "/" + given["path"].strip("/"),
        "query": query,
        "extra_headers": given["header"],
        "cookies": given["cookie"],
        "reject_unauthorized": not given["insecure"],
        "ca": given["ca"],
        "cert": given["cert"],
        "key": given["key"],
        "proxy": given["proxy"],
        "reconnection": not given["no_reconnect"],
        "timeout": timeout,
    }
    if given["transport"]:
        options["transports"] = given["transport"]
    return options


def _step(param: click.Parameter, text: str, given: dict[str, Any]) -> Command:
    assert param.name is not None
    try:
        if param.name == "replay":
            return Replay(text, given["speed"], given["compare"], tuple(given["ignore"]))
        return parse_as(_STEPS[param.name], text)
    except Problem as problem:
        raise _wrong(problem, param) from problem
