"""`nuncio dev-cert`: a certificate for WebTransport while one develops."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from nuncio.errors import OptionError
from nuncio.webtransport.certificates import DAYS, NAMES, Certificate, make_certificate

_EPILOG: Final = """\b
Examples:
  nuncio dev-cert
  nuncio dev-cert 192.168.0.7 laptop.local --out certs
  nuncio dev-cert --hash-only
"""


@click.command("dev-cert", epilog=_EPILOG)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "-o",
    "--out",
    "folder",
    default=".",
    metavar="FOLDER",
    help="Where dev-cert.pem and dev-key.pem are written; here, unless it is said.",
)
@click.option(
    "--days",
    type=click.FloatRange(0, 14, min_open=True),
    default=DAYS,
    show_default=True,
    help="How long it is valid: browsers take two weeks at most.",
)
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@click.option("--hash-only", is_flag=True, help="Print nothing but the hash, in base64.")
@click.pass_context
def dev_cert(
    ctx: click.Context,
    names: tuple[str, ...],
    folder: str,
    days: float,
    force: bool,
    hash_only: bool,
) -> None:
    """Make a certificate for WebTransport on this machine.

    Browsers take it without any authority if the page knows its hash. NAME is a further host name
    or address by which the server is reached; localhost, 127.0.0.1 and ::1 are always among them.
    """
    place = Path(folder)
    certificate, key = place / "dev-cert.pem", place / "dev-key.pem"
    if not force:
        for path in (certificate, key):
            if path.exists():
                ctx.fail(f"{path} is there already; --force overwrites it")
    try:
        made = make_certificate(tuple(dict.fromkeys((*NAMES, *names))), days)
        place.mkdir(parents=True, exist_ok=True)
        made.write(certificate, key)
    except OptionError as error:
        ctx.fail(str(error))
    except OSError as error:
        raise click.FileError(str(error.filename or place), error.strerror) from error
    click.echo(made.hash64 if hash_only else _told(made, certificate, key))


def _told(made: Certificate, certificate: Path, key: Path) -> str:
    """What was made, and how it is used."""
    title = click.style("SHA-256", bold=True)
    files = f"'certificate': '{_shown(certificate)}', 'key': '{_shown(key)}'"
    return f"""\
{click.style(_shown(certificate), bold=True)} and {click.style(_shown(key), bold=True)}
for {", ".join(made.names)}
until {made.expires:%Y-%m-%d %H:%M} UTC

{title}  {made.hash64}

{click.style("Server", bold=True)}
  io = nuncio.Server(transports=['polling', 'websocket', 'webtransport'])
  io.run(webtransport={{{files}}})

{click.style("Pages", bold=True)}, with Nuncio's browser client: nothing to do.
  The server tells the hash at /socket.io/webtransport.json; on this machine the client asks for it.
{click.style("Pages", bold=True)}, with the official client:
  const answer = await fetch("/socket.io/webtransport.json");
  const {{ serverCertificateHashes }} = await answer.json();
  for (const hash of serverCertificateHashes)
    hash.value = Uint8Array.from(atob(hash.value), (c) => c.charCodeAt(0));
  io({{
    transports: ["polling", "websocket", "webtransport"],
    transportOptions: {{ webtransport: {{ serverCertificateHashes }} }},
  }});
{click.style("Python", bold=True)}
  nuncio.connect(url, transports=['webtransport'],
                 server_certificate_hashes=['{made.hash64}'])"""


def _shown(path: Path) -> str:
    text = str(path)
    return text if os.path.isabs(text) else os.path.normpath(text)
