"""How WebTransport is served: where, and with which certificate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

from nuncio.errors import OptionError
from nuncio.options import build, named_options, whole

File = str | PathLike[str]


@named_options
@dataclass(frozen=True, slots=True)
class WebTransportOptions:
    """How `io.run` and `io.listen` serve WebTransport.

    Attributes:
        certificate: the file of the certificate; `ssl_certfile` where it is not given.
        key: the file of its key; `ssl_keyfile`, or the file of the certificate.
        password: of that key.
        port: of UDP; the same number as TCP's where it is not given, as browsers expect.
        host: the address to listen on; the same as TCP's where it is not given.
        dev: make a certificate that is not kept, for this machine and the names in `dev_names`,
            valid for 13 days. Pages get its hash from the server; see the guide.
        dev_names: further names and addresses for that certificate.
        pending: connections of QUIC without a session, all together: those that shake hands, and
            those whose session has ended. Who comes beyond them is not answered.
    """

    certificate: File | None = None
    key: File | None = None
    password: str | None = None
    port: int | None = None
    host: str | None = None
    dev: bool = False
    dev_names: tuple[str, ...] = ()
    pending: int = 1000

    def __post_init__(self) -> None:
        for name in ("certificate", "key"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, (str, PathLike)):
                raise OptionError(f"webtransport: {name} must be the path of a file, not {value!r}")
        if self.certificate is None and (self.key is not None or self.password is not None):
            raise OptionError("webtransport: key and password are those of certificate=…")
        if self.password is not None and not isinstance(self.password, str):
            raise OptionError("webtransport: password must be a str")
        if not isinstance(self.dev, bool):
            raise OptionError(f"webtransport: dev must be True or False, not {self.dev!r}")
        if self.dev and self.certificate is not None:
            raise OptionError(
                "webtransport: dev makes a certificate; with certificate= leave it out"
            )
        port = self.port
        if port is not None:
            if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
                raise OptionError(f"webtransport: port must be from 0 to 65535, not {port!r}")
        if self.host is not None and not isinstance(self.host, str):
            raise OptionError(f"webtransport: host must be an address, not {self.host!r}")
        names = self.dev_names
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise OptionError(f"webtransport: dev_names must be a list of names, not {names!r}")
        whole("webtransport: pending", self.pending)

    @classmethod
    def parse(cls, value: Any) -> WebTransportOptions:
        """The options, of themselves, of a mapping, or of None.

        Raises:
            OptionError: for anything else.
        """
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            return build(cls, value, "webtransport")
        raise OptionError(
            "webtransport must be a nuncio.webtransport.WebTransportOptions or a mapping, "
            f"not {value!r}"
        )
