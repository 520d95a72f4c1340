"""Other people's proxies: nginx in front of a server, tinyproxy in front of a client."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.hosts.process import running
from tests.support.ports import free_port

Program = Callable[[str], str]

# As the deployment guide says.
_NGINX = """
{user}
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' close; }}
    server {{
        listen 127.0.0.1:{port};
        location /socket.io/ {{
            proxy_pass http://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For 203.0.113.7;
            proxy_set_header X-Forwarded-Proto https;
            proxy_buffering off;
            proxy_read_timeout 60s;
        }}
        # As nginx comes, and with all that may hold a response back.
        location /careless/ {{
            proxy_pass http://127.0.0.1:{behind}/socket.io/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering on;
            gzip on;
            gzip_proxied any;
            gzip_min_length 0;
            gzip_types text/plain text/html text/event-stream application/octet-stream;
        }}
        # HTTP/1.0 to the server, nginx's default for years.
        location /old/ {{
            proxy_pass http://127.0.0.1:{behind}/socket.io/;
            proxy_http_version 1.0;
        }}
    }}
}}
"""

_TINYPROXY = """
Listen 127.0.0.1
Port {port}
Timeout 60
Allow 127.0.0.1
MaxClients 100
DisableViaHeader Yes
LogFile "{folder}/log"
LogLevel Connect
{more}
"""


@contextmanager
def nginx(program: Program, folder: Path, behind: int) -> Iterator[int]:
    """Run nginx in front of a server.

    Args:
        program: finds programs; see `tests/conftest.py`.
        folder: an empty one.
        behind: the server's port.

    Yields:
        the port where nginx listens.
    """
    path, port = program("nginx"), free_port()
    # Its workers must be able to write into the folder.
    user = "user root;" if os.getuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(user=user, folder=folder, port=port, behind=behind))
    with running([path, "-c", str(file)], port):
        yield port


@dataclass
class Tinyproxy:
    """A running HTTP proxy.

    Attributes:
        port: where it listens.
        log: the file in which it writes a line for each request.
    """

    port: int
    log: Path

    @property
    def url(self) -> str:
        """Its address, as clients are given it."""
        return f"http://127.0.0.1:{self.port}"

    def requests(self) -> list[str]:
        """The first lines of all requests made of it, `CONNECT host:port …` among them."""
        marked = [line for line in self.log.read_text().splitlines() if "Request (file" in line]
        return [line.partition("): ")[2] for line in marked]


@contextmanager
def tinyproxy(
    program: Program, folder: Path, credentials: tuple[str, str] | None = None
) -> Iterator[Tinyproxy]:
    """Run an HTTP proxy for clients.

    Args:
        program: finds programs; see `tests/conftest.py`.
        folder: an empty one.
        credentials: a name and a password, which it then wants.
    """
    path, port = program("tinyproxy"), free_port()
    more = "" if credentials is None else "BasicAuth {} {}".format(*credentials)
    file = folder / "tinyproxy.conf"
    file.write_text(_TINYPROXY.format(port=port, folder=folder, more=more))
    with running([path, "-d", "-c", str(file)], port):
        yield Tinyproxy(port, folder / "log")


def basic(name: str, password: str) -> str:
    """The value of a header with credentials."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
