"""`nuncio serve`: an application in one process or in several."""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final

import click

from nuncio._build import build_info
from nuncio.errors import OptionError
from nuncio.workers.rendezvous import VARIABLE

_EPILOG: Final = """\b
Examples:
  nuncio serve app:io                    the object `io` of app.py, on http://localhost:3000
  nuncio serve app:io --workers 4        in four processes; no sticky sessions needed
  kill -HUP PID                          replaces the workers one by one
  nuncio serve app:io --workers 4 --meet redis://10.0.0.9
                                         the same on each of several machines

\b
Exit status:
  0    stopped in order
  1    the application, or the port, could not be used
  2    wrong use
"""


@click.command(epilog=_EPILOG, short_help="Serve an application, in one process or in several.")
@click.argument("target", metavar="MODULE:OBJECT")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=3000, show_default=True, help="Port to listen on; 0: a free one.")
@click.option(
    "--workers",
    default=1,
    show_default=True,
    metavar="N",
    help="How many processes share the work.",
)
@click.option(
    "--meet",
    metavar="ADDRESS",
    envvar=VARIABLE,
    help="Redis' address, where the workers of several machines meet; or a folder.",
)
@click.option("--ssl-certfile", help="Certificate, for https.")
@click.option("--ssl-keyfile", help="Its private key.")
@click.option("--forwarded-allow-ips", help="Proxies that are believed, with commas; * for all.")
@click.option(
    "--shutdown-timeout",
    default=10.0,
    show_default=True,
    metavar="S",
    help="Seconds that a stop may take.",
)
@click.option(
    "--drain-window",
    default=10.0,
    show_default=True,
    metavar="S",
    help="Seconds over which the clients of a replaced worker move to the others.",
)
@click.option(
    "--drain",
    is_flag=True,
    help="On SIGTERM, too, first send the clients to other servers, over that time.",
)
@click.option("--log-level", default="warning", show_default=True, help="Of uvicorn's log.")
def serve(
    target: str, host: str, port: int, workers: int, meet: str | None, drain: bool, **given: Any
) -> None:
    """Serve the application that MODULE:OBJECT names: a nuncio.Server, or what io.asgi() returned.

    With --workers, each request may reach any of the processes: what belongs to a session is passed
    to the one that holds it, and rooms and broadcasts reach the clients of all. With --meet, so may
    those of several machines.
    """
    if workers < 1:
        raise click.UsageError("--workers must be 1 or more")
    draining = {"drain": drain, "drain_window": given.pop("drain_window")}
    options = {name: value for name, value in given.items() if value is not None}
    try:
        if workers == 1 and not drain:
            _alone(target, host, port, meet, options)
        else:
            _together(target, host, port, workers, meet, draining, options)
    except OptionError as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(error.strerror or str(error)) from error


def _alone(target: str, host: str, port: int, meet: str | None, options: dict[str, Any]) -> None:
    from nuncio.hosts.application import load, load_worker
    from nuncio.hosts.serve import run

    if meet:
        os.environ[VARIABLE] = meet
    application = load_worker(target) if meet else load(target)
    if application.app is not None:
        options["app"] = application.app
    run(application.engine, host, port, **options)


def _together(
    target: str,
    host: str,
    port: int,
    workers: int,
    meet: str | None,
    draining: dict[str, Any],
    options: dict[str, Any],
) -> None:
    if os.name != "posix":
        raise click.UsageError(
            "--workers and --drain need Unix sockets, which this system does not have"
        )
    from nuncio.hosts.serve import listening_socket
    from nuncio.workers.supervisor import CannotStart, Supervisor

    listener = listening_socket(host, port)
    listener.set_inheritable(True)
    scheme = "https" if "ssl_certfile" in options else "http"
    address = host if ":" not in host else f"[{host}]"
    kind = "compiled" if build_info().compiled else "plain Python"
    where = f"{scheme}://{address}:{listener.getsockname()[1]}"

    async def supervise() -> None:
        supervisor = Supervisor(
            target,
            workers,
            listener,
            click.echo,
            greeting=f"Nuncio listening on {where} ({kind}, process {os.getpid()})",
            shutdown_timeout=options.pop("shutdown_timeout"),
            **draining,
            meet=meet,
            options=options,
        )
        await supervisor.run()

    try:
        asyncio.run(supervise())
    except CannotStart as error:
        raise click.ClickException(f"a worker could not start: {error}") from error
    finally:
        listener.close()
