"""Compression: of HTTP responses, when the client offers it and it pays; and WebSocket's option.

Which content coding is used follows RFC 9110, section 12.5.3. How WebSocket messages are
compressed is in `nuncio.protocol.deflate`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from nuncio.errors import OptionError
from nuncio.options import build, named_options, whole
from nuncio.protocol.deflate import DeflateConfig


@named_options
@dataclass(frozen=True, slots=True)
class HttpCompressionOptions:
    """Every setting of `http_compression`; a mapping with these keys does as well.

    Attributes:
        threshold: bodies of fewer bytes are sent as they are.
        level: from 0, none, to 9, smallest; -1 is zlib's own choice.

    Raises:
        OptionError: when either is out of range.
    """

    threshold: int = 1024
    level: int = -1

    def __post_init__(self) -> None:
        whole("http_compression: threshold", self.threshold, 0)
        whole("http_compression: level", self.level, -1)
        if self.level > 9:
            raise OptionError(f"http_compression: level must be at most 9, not {self.level!r}")


HttpCompressionOption: TypeAlias = bool | HttpCompressionOptions | Mapping[str, Any] | None

# zlib's names for the two formats; "deflate" in HTTP is zlib's own format, not the bare stream.
_GZIP_FORMAT: Final = 31
_ZLIB_FORMAT: Final = 15

# Browsers send some thirty characters. A longer header than this is not read at all.
_MAX_HEADER: Final = 1024
_REMEMBERED: Final = 64

_QUALITY: Final = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


# What a body that is made for one request can be compressed with, the better one first.
_ON_THE_FLY: Final = ("gzip", "deflate")


def negotiate(accept_encoding: str, codings: Sequence[str] = _ON_THE_FLY) -> str | None:
    """The content coding a client likes best.

    Args:
        accept_encoding: the header's value, empty when there is none.
        codings: what can be had, in lower case; on a tie the first wins.

    Returns:
        None when the client takes none of them: then the body is sent as it is, even to a client
        that says it does not want that, as RFC 9110 allows.
    """
    if len(accept_encoding) > _MAX_HEADER:
        return None
    qualities: dict[str, float] = {}
    for element in accept_encoding.lower().split(","):
        coding, _, parameters = element.partition(";")
        coding = coding.strip()
        quality = _quality(parameters)
        qualities[coding] = max(quality, qualities.get(coding, 0.0))
    others = qualities.get("*", 0.0)
    best: str | None = None
    highest = 0.0
    for coding in codings:
        quality = qualities.get(coding, others)
        if quality > highest:
            best, highest = coding, quality
    return best


def _quality(parameters: str) -> float:
    """The weight among a coding's parameters, 1 when there is none, 0 when it is malformed."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            value = value.strip()
            return float(value) if _QUALITY.fullmatch(value) else 0.0
    return 1.0


class HttpCompression:
    """Compresses bodies; built by `parse`.

    Attributes:
        threshold: bodies of fewer bytes are sent as they are.
        level: zlib's.
    """

    __slots__ = ("_chosen", "level", "threshold")

    def __init__(self, options: HttpCompressionOptions) -> None:
        self.threshold = options.threshold
        self.level = options.level
        self._chosen: dict[str, str | None] = {}

    @classmethod
    def parse(cls, option: HttpCompressionOption) -> HttpCompression | None:
        """Build from the option `http_compression`.

        Args:
            option: True, on; False or None, off; or `HttpCompressionOptions`, or a mapping with its
                keys.

        Returns:
            None when it is off.

        Raises:
            OptionError: when it is none of these; the text names the setting.
        """
        if option is None or option is False:
            return None
        if option is True:
            return cls(HttpCompressionOptions())
        if isinstance(option, Mapping):
            option = build(HttpCompressionOptions, option, "http_compression")
        if isinstance(option, HttpCompressionOptions):
            return cls(option)
        raise OptionError(
            f"http_compression must be True, False or a mapping of settings, not {option!r}"
        )

    def encode(self, accept_encoding: str, body: bytes, allowed: bool) -> tuple[bytes, str | None]:
        """Compress a body if that is wanted.

        Args:
            accept_encoding: the request's header, empty when it has none.
            body: what is to be sent.
            allowed: whether what is in it may be compressed.

        Returns:
            What to send, and the `Content-Encoding` header's value, None for no such header.
        """
        if not allowed or len(body) < self.threshold:
            return body, None
        coding = self._coding(accept_encoding)
        if coding is None:
            return body, None
        wbits = _GZIP_FORMAT if coding == "gzip" else _ZLIB_FORMAT
        return zlib.compress(body, self.level, wbits), coding

    def _coding(self, accept_encoding: str) -> str | None:
        chosen = self._chosen
        if accept_encoding in chosen:
            return chosen[accept_encoding]
        coding = negotiate(accept_encoding)
        if len(accept_encoding) <= _MAX_HEADER:
            if len(chosen) >= _REMEMBERED:
                chosen.clear()
            chosen[accept_encoding] = coding
        return coding


def message_compression(option: object) -> DeflateConfig | None:
    """What the option `per_message_deflate` asks for.

    Args:
        option: True, on; False or None, off; or a `DeflateConfig`, or a mapping with its keys.

    Returns:
        None when it is off.

    Raises:
        OptionError: when it is none of these; the text names the setting.
    """
    if option is None or option is False:
        return None
    if option is True:
        return DeflateConfig()
    if isinstance(option, DeflateConfig):
        return option
    if not isinstance(option, Mapping):
        raise OptionError(
            f"per_message_deflate must be True, False or a mapping of settings, not {option!r}"
        )
    try:
        return build(DeflateConfig, option, "per_message_deflate")
    except OptionError:
        raise
    except (TypeError, ValueError) as error:
        raise OptionError(f"per_message_deflate: {error}") from error
