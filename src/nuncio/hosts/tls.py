"""The certificate and the key of `io.run` and `io.listen`, looked at before anything is begun.

Python's `ssl` tells of a missing file without its name, and of any other mistake in OpenSSL's
words. Here the error names the option and the file.
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Mapping
from typing import Any, Final

from nuncio.errors import OptionError

_CERTIFICATE: Final = re.compile(rb"-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----")
_KEY: Final = re.compile(rb"-----BEGIN ([A-Z0-9]+ )?PRIVATE KEY-----")


def check_tls(options: Mapping[str, Any]) -> None:
    """Check `ssl_certfile`, `ssl_keyfile` and `ssl_keyfile_password`.

    Raises:
        OptionError: when a server could not use them.
    """
    certfile = options.get("ssl_certfile")
    keyfile = options.get("ssl_keyfile")
    password = options.get("ssl_keyfile_password")
    if certfile is None:
        for name in ("ssl_keyfile", "ssl_keyfile_password"):
            if options.get(name) is not None:
                raise OptionError(f"{name} is of no use without ssl_certfile")
        return
    if password is not None and not isinstance(password, str):
        raise OptionError(f"ssl_keyfile_password must be text, not {type(password).__name__}")
    certificate = _read("ssl_certfile", certfile)
    if not _CERTIFICATE.search(certificate):
        raise OptionError(f"ssl_certfile: there is no certificate in PEM format in {certfile!r}")
    if keyfile is None:
        if not _KEY.search(certificate):
            raise OptionError(
                f"ssl_certfile: {certfile!r} holds no private key; name its file: ssl_keyfile=…"
            )
    elif not _KEY.search(_read("ssl_keyfile", keyfile)):
        raise OptionError(f"ssl_keyfile: there is no private key in PEM format in {keyfile!r}")
    _load(certfile, keyfile, password)


def _read(name: str, path: Any) -> bytes:
    if not isinstance(path, (str, os.PathLike)):
        raise OptionError(f"{name} must be the path of a file, not {path!r}")
    try:
        with open(path, "rb") as file:
            return file.read()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OptionError(f"{name}: cannot read {path!r}: {why}") from error


def _load(certfile: Any, keyfile: Any, password: str | None) -> None:
    """Load them as the host will, and say what OpenSSL has against them."""
    where = f"ssl_certfile: {certfile!r}" if keyfile is None else f"ssl_keyfile: {keyfile!r}"
    asked = False

    def tell() -> str:
        nonlocal asked
        asked = True
        return password or ""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without an answer OpenSSL would ask at the terminal, and the server wait for it.
        context.load_cert_chain(certfile, keyfile, tell)
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        if reason == "KEY_VALUES_MISMATCH":
            raise OptionError(
                f"{where} is not the private key of the certificate in {certfile!r}"
            ) from error
        if asked and password is None:
            raise OptionError(f"{where} is encrypted: give ssl_keyfile_password=…") from error
        if asked:
            raise OptionError(f"ssl_keyfile_password is not the password of {where}") from error
        if not _loads(certfile):
            where = f"ssl_certfile: {certfile!r}"
        raise OptionError(f"{where} cannot be used: {reason}") from error


def _loads(certfile: Any) -> bool:
    """Whether it is not the certificate that is broken."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(certfile)
    except ssl.SSLError:
        return False
    return True
