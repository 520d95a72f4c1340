"""The cookie that carries the session's id to load balancers which keep a session on one server.

It is sent with the first response of a session that begins with long-polling (RFC 6265), written
as the `cookie` package that Socket.IO uses in JavaScript writes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from math import floor, isfinite
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

from nuncio.errors import OptionError
from nuncio.options import build, named_options


@named_options
@dataclass(frozen=True, slots=True)
class CookieOptions:
    """Every setting of `cookie`; a mapping with these keys does as well.

    Attributes:
        name: the cookie's name.
        path: below which paths it is sent; False or None for none said.
        domain: for which hosts, beside the server's own.
        expires: when the browser forgets it, aware of its zone, or an HTTP date.
        max_age: after how many seconds the browser forgets it.
        secure: only over TLS.
        http_only: out of reach of scripts.
        same_site: with which requests of other sites it goes; True for `"strict"`, False or
            None for none said.
        partitioned: kept apart for each site that embeds the page.
        priority: which cookies browsers drop first.
        encode: writes the value, in place of percent-encoding.
    """

    name: str = "io"
    path: str | Literal[False] | None = "/"
    domain: str | None = None
    expires: datetime | str | None = None
    max_age: float | None = None
    secure: bool = False
    http_only: bool = True
    same_site: Literal["strict", "lax", "none"] | bool | None = "lax"
    partitioned: bool = False
    priority: Literal["low", "medium", "high"] | None = None
    encode: Callable[[str], str] | None = None


CookieSetting: TypeAlias = bool | str | CookieOptions | Mapping[str, Any] | None

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(r"(\"?)[!#-+\--:<-\[\]-~]*\1")
_PATH: Final = re.compile(r"[ -:=-~]*")
_LABEL: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII | re.IGNORECASE)
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

# What JavaScript's encodeURIComponent leaves as it is, beside letters and digits.
_UNENCODED: Final = "-_.!~*'()"


class CookieOption:
    """A cookie to be; built by `parse`.

    Attributes:
        name: the cookie's name.
    """

    __slots__ = ("_attributes", "_encode", "name")

    def __init__(self, options: CookieOptions) -> None:
        self.name = _name(options.name)
        if options.encode is not None and not callable(options.encode):
            raise OptionError(f"cookie: encode must be callable, not {options.encode!r}")
        self._encode = options.encode or _percent
        attributes = [
            _max_age(options.max_age),
            _domain(options.domain),
            _path(options.path),
            _expires(options.expires),
            "HttpOnly" if _flag("http_only", options.http_only) else "",
            "Secure" if _flag("secure", options.secure) else "",
            "Partitioned" if _flag("partitioned", options.partitioned) else "",
            _priority(options.priority),
            _same_site(options.same_site, options.secure),
        ]
        self._attributes = "".join([f"; {attribute}" for attribute in attributes if attribute])
        if options.encode is not None:
            # Better told now than to the first client.
            self.header("Ab0_-")

    @classmethod
    def parse(cls, option: CookieSetting) -> CookieOption | None:
        """Build a cookie from the option `cookie`.

        Args:
            option: None or False, no cookie; True, one named `io`; a name; or `CookieOptions`, or
                a mapping with its keys.

        Raises:
            OptionError: when it is none of these; the text names the setting.
        """
        if option is None or option is False:
            return None
        if option is True:
            return cls(CookieOptions())
        if isinstance(option, str):
            return cls(CookieOptions(option))
        if isinstance(option, Mapping):
            option = build(CookieOptions, option, "cookie")
        if isinstance(option, CookieOptions):
            return cls(option)
        raise OptionError(f"cookie must be True, a name or a mapping of settings, not {option!r}")

    def header(self, value: str) -> str:
        """The value of the `Set-Cookie` header.

        Args:
            value: the cookie's value; what cookies cannot hold is percent-encoded, in UTF-8.

        Raises:
            OptionError: when the value holds control characters or lone surrogates, or `encode`
                returned what no cookie can hold.
        """
        encoded = self._encode(value)
        if not isinstance(encoded, str) or _VALUE.fullmatch(encoded) is None:
            raise OptionError(
                f"cookie: encode must return printable ASCII without '\",;\\' or spaces,"
                f" not {encoded!r}"
            )
        return f"{self.name}={encoded}{self._attributes}"


def _percent(value: str) -> str:
    """What JavaScript's encodeURIComponent makes of a value."""
    if _CONTROL.search(value):
        raise OptionError(f"cookie: the value holds a control character: {value!r}")
    try:
        return quote(value, safe=_UNENCODED)
    except UnicodeEncodeError:
        raise OptionError(f"cookie: the value is not valid text: {value!r}") from None


def _name(value: object) -> str:
    if not isinstance(value, str) or _NAME.fullmatch(value) is None:
        raise OptionError(
            f"cookie: name must be letters, digits and !#$%&'*+-.^_`|~ alone, not {value!r}"
        )
    return value


def _path(value: object) -> str:
    if value is None or value is False or value == "":
        return ""
    if not isinstance(value, str) or _PATH.fullmatch(value) is None:
        raise OptionError(f"cookie: path must be printable ASCII without ';' or '<', not {value!r}")
    return f"Path={value}"


def _domain(value: object) -> str:
    if value is None or value is False or value == "":
        return ""
    labels = value.removeprefix(".").split(".") if isinstance(value, str) else [""]
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise OptionError(f"cookie: domain must be a host name in ASCII, not {value!r}")
    return f"Domain={value}"


def _max_age(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise OptionError(f"cookie: max_age must be a number of seconds, not {value!r}")
    return f"Max-Age={floor(value)}"


def _expires(value: object) -> str:
    if value is None or value is False:
        return ""
    if isinstance(value, str):
        try:
            value = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            raise OptionError(
                f"cookie: expires must be like 'Wed, 21 Oct 2026 07:28:00 GMT', not {value!r}"
            ) from None
    if not isinstance(value, datetime):
        raise OptionError(f"cookie: expires must be a datetime or an HTTP date, not {value!r}")
    if value.utcoffset() is None:
        raise OptionError(
            "cookie: expires must know its time zone: datetime(…, tzinfo=timezone.utc)"
        )
    return f"Expires={format_datetime(value.astimezone(UTC), usegmt=True)}"


def _priority(value: object) -> str:
    if value is None:
        return ""
    return f"Priority={_word('priority', value, ('low', 'medium', 'high'))}"


def _same_site(value: object, secure: bool) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return "SameSite=Strict"
    word = _word("same_site", value, ("strict", "lax", "none"))
    if word == "None" and not secure:
        raise OptionError('cookie: same_site="none" needs secure=True, or browsers drop the cookie')
    return f"SameSite={word}"


def _word(setting: str, value: object, words: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value.lower() not in words:
        raise OptionError(f"cookie: {setting} must be one of {', '.join(words)}, not {value!r}")
    return value.capitalize()


def _flag(setting: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f"cookie: {setting} must be True or False, not {value!r}")
    return value
