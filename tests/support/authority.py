"""An authority that signs certificates for tests, made by OpenSSL: for servers and clients here."""

from __future__ import annotations

import subprocess
from pathlib import Path

PASSPHRASE = "open sesame"

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


class Authority:
    """Certificates and keys in files.

    Args:
        openssl: the program's path.
        folder: an empty one.
        name: in the authority's certificate.

    Attributes:
        ca: its own certificate.
    """

    def __init__(self, openssl: str, folder: Path, name: str = "Test authority") -> None:
        self._openssl = openssl
        self._folder = folder
        self._run(
            *("req", "-x509", *_CURVE, "-nodes", "-days", "2", "-subj", f"/CN={name}"),
            *("-addext", "keyUsage=critical,keyCertSign"),
            *("-keyout", "ca.key", "-out", "ca.crt"),
        )
        self.ca = folder / "ca.crt"

    def _run(self, *arguments: str) -> None:
        command = [self._openssl, *arguments]
        subprocess.run(command, check=True, capture_output=True, cwd=self._folder)

    def issue(self, owner: str, names: str = _NAMES) -> tuple[Path, Path]:
        """Sign a certificate.

        Args:
            owner: in its subject, and in the names of the files.
            names: for what hosts it is.

        Returns:
            the files of the certificate and of its key.
        """
        cert, key = f"{owner}.crt", f"{owner}.key"
        self._run(
            *("req", "-x509", *_CURVE, "-nodes", "-days", "2", "-subj", f"/CN={owner}"),
            *("-CA", "ca.crt", "-CAkey", "ca.key", "-addext", names),
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", key, "-out", cert),
        )
        return self._folder / cert, self._folder / key

    def lock(self, key: Path) -> Path:
        """The same key in another file, encrypted with `PASSPHRASE`."""
        locked = key.with_suffix(".locked")
        self._run(
            *("pkcs8", "-topk8", "-in", str(key), "-out", str(locked)),
            *("-passout", f"pass:{PASSPHRASE}"),
        )
        return locked
