"""Certificates of WebTransport: QUIC has no connections without one.

A browser takes a certificate that nobody it trusts has signed if the page knows its hash
(`serverCertificateHashes`), provided that its key is on an elliptic curve and that it is valid for
at most two weeks (W3C WebTransport, "verify a certificate hash").
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from nuncio.errors import OptionError
from nuncio.webtransport.extra import check_extra

# What browsers take by its hash.
MOST_DAYS: Final = 14

# A day less, for clocks differ.
DAYS: Final = 13

NAMES: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key.

    Attributes:
        pem: the certificate, and those that lead from it to a trusted one, in PEM format.
        key: the key, in PEM format.
        hash: the SHA-256 of the certificate, 32 bytes.
        by_hash: whether browsers take it by its hash, and only so.
        expires: when it ends.
        names: the names and addresses that it is for.
    """

    pem: bytes
    key: bytes
    hash: bytes
    by_hash: bool
    expires: datetime.datetime
    names: tuple[str, ...]

    @property
    def hash64(self) -> str:
        """The hash in base64."""
        return base64.b64encode(self.hash).decode()

    def write(self, certificate: str | os.PathLike[str], key: str | os.PathLike[str]) -> None:
        """Write both into files; the key's can be read by its owner alone.

        Raises:
            OSError: when that is not possible.
        """
        with open(certificate, "wb") as file:
            file.write(self.pem)
        descriptor = os.open(key, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            # It may have been there before.
            os.chmod(key, 0o600)
            file.write(self.key)


def make_certificate(names: Sequence[str] = NAMES, days: float = DAYS) -> Certificate:
    """Make a certificate that browsers take by its hash.

    Args:
        names: host names and addresses of the server.
        days: how long it is valid, at most 14.

    Raises:
        OptionError: for names and days that cannot be, and without aioquic.
    """
    check_extra()
    if not 0 < days <= MOST_DAYS:
        raise OptionError(f"days must be above 0 and at most {MOST_DAYS}, not {days!r}")
    if not names:
        raise OptionError("names: a certificate is for a name, such as 'localhost'")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    begin = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    begin -= datetime.timedelta(minutes=5)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    key = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return _described(made, made.public_bytes(serialization.Encoding.PEM), key)


def _general(name: str) -> Any:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        ascii_name = name.encode("idna").decode() if not name.isascii() else name
        if not name or any(character.isspace() or character in "/:@" for character in name):
            raise ValueError("a host's name has no such characters")
        return x509.DNSName(ascii_name)
    except ValueError as error:
        raise OptionError(f"names: {name!r} is neither a name nor an address: {error}") from error


def read_certificate(certificate: Any, key: Any, password: str | None) -> Certificate:
    """Read a certificate and its key from files that `nuncio.hosts.tls` has looked at.

    Raises:
        OptionError: when they cannot be used for QUIC.
    """
    check_extra()
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    with open(certificate, "rb") as file:
        pem = file.read()
    with open(certificate if key is None else key, "rb") as file:
        found = file.read()
    try:
        private: Any = serialization.load_pem_private_key(
            found[found.index(b"-----BEGIN") :] if key is not None else _key_block(found),
            None if password is None else password.encode(),
        )
        first = x509.load_pem_x509_certificates(pem)[0]
    except (ValueError, TypeError, ArithmeticError) as error:
        raise OptionError(f"webtransport: {certificate!r} cannot be used: {error}") from error
    plain = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return _described(first, pem, plain)


def _key_block(pem: bytes) -> bytes:
    """The private key in a file that also holds certificates."""
    at = pem.index(b"PRIVATE KEY-----")
    return pem[pem.rindex(b"-----BEGIN", 0, at) :]


def _described(made: Any, pem: bytes, key: bytes) -> Certificate:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    length = made.not_valid_after_utc - made.not_valid_before_utc
    names: list[str] = []
    try:
        extension = made.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = [str(general.value) for general in extension.value]
    except (x509.ExtensionNotFound, ValueError):
        pass
    by_hash = (
        made.issuer == made.subject
        and isinstance(made.public_key(), ec.EllipticCurvePublicKey)
        and length <= datetime.timedelta(days=MOST_DAYS)
    )
    return Certificate(
        pem, key, made.fingerprint(hashes.SHA256()), by_hash, made.not_valid_after_utc, tuple(names)
    )


def parse_hash(value: object) -> bytes:
    """A hash as it was given: 32 bytes, or text in base64 or hexadecimal, also with colons.

    Raises:
        OptionError: for anything else.
    """
    if (
        isinstance(value, (bytes, bytearray, memoryview))
        and len(value) == hashlib.sha256().digest_size
    ):
        return bytes(value)
    if isinstance(value, str):
        plain = value.strip().replace(":", "")
        try:
            found = (
                bytes.fromhex(plain) if len(plain) == 64 else base64.b64decode(plain, validate=True)
            )
            if len(found) == hashlib.sha256().digest_size:
                return found
        except ValueError:
            pass
    raise OptionError(
        "server_certificate_hashes: a hash is the SHA-256 of a certificate, 32 bytes, or text in "
        f"base64 or hexadecimal, not {value!r}"
    )
