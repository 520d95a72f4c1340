"""Which pages of other origins may use the server, and the headers that tell browsers so.

The headers are those of the `cors` package which Socket.IO uses in JavaScript (Fetch standard,
"HTTP extensions"). They only bind browsers that read responses; WebSockets know no such thing. So
the policy also decides, and the engine refuses what it does not admit, whatever the transport.

The server's own pages are always admitted, as are requests without `Origin`: browsers always
send it with what could do harm, so these come from something else. The one exception are scripts:
a page may load one from anywhere, without `Origin`, and sees what it says. JSONP's answers are
scripts, so who asks for one is judged by `Sec-Fetch-Site` (W3C, "Fetch Metadata Request Headers"),
or else by `Referer`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from math import isfinite
from typing import Any, Final, TypeAlias

from nuncio.engine.origins import (
    MAX_LENGTH,
    NULL,
    Origin,
    checked_origin,
    is_own,
    origin_of,
    parse_origin,
)
from nuncio.engine.request import Request
from nuncio.errors import OptionError
from nuncio.options import build, named_options

Headers: TypeAlias = list[tuple[str, str]]
OriginCallable: TypeAlias = Callable[[str], bool | Awaitable[bool]]
OneOrigin: TypeAlias = str | re.Pattern[str]
OriginOption: TypeAlias = bool | OneOrigin | Collection[OneOrigin] | OriginCallable | None
NamesOption: TypeAlias = str | list[str] | tuple[str, ...] | None

_METHODS: Final = "GET,HEAD,PUT,PATCH,POST,DELETE"


@named_options
@dataclass(frozen=True, slots=True)
class CorsOptions:
    """Every setting of `cors`; a mapping with these keys does as well.

    Attributes:
        origin: who is admitted, see the guide.
        methods: answered to preflight requests.
        allowed_headers: answered to preflight requests; those asked for when left out.
        exposed_headers: response headers that pages may read.
        credentials: whether pages may send cookies.
        max_age: seconds for which browsers may keep the answer to a preflight request.
        options_success_status: status of that answer.
        preflight_continue: leave preflight requests to the engine and its middlewares.
    """

    origin: OriginOption = "*"
    methods: NamesOption = _METHODS
    allowed_headers: NamesOption = None
    exposed_headers: NamesOption = None
    credentials: bool = False
    max_age: float | None = None
    options_success_status: int = 204
    preflight_continue: bool = False


CorsOption: TypeAlias = OriginOption | CorsOptions | Mapping[str, Any]

_NAMES: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*")

# What is remembered per policy, each with an origin and a host of MAX_LENGTH at most.
_REMEMBERED: Final = 256

# What was found about an origin.
_REFUSED: Final = 0
_OWN: Final = 1
_LISTED: Final = 2
_TO_ASK: Final = 3


class CorsPolicy:
    """Decides on origins and makes the headers; built by `parse`.

    Attributes:
        enabled: whether anybody but the server's own pages can be admitted. When not, there are
            no headers, and OPTIONS requests are the engine's.
        cookieless: whether everybody is admitted, and nobody by cookies. Browsers send them with
            WebSocket handshakes all the same, so whoever reads one has to look here.
    """

    __slots__ = (
        "_allowed_headers",
        "_any",
        "_ask",
        "_exact",
        "_fixed",
        "_max_age",
        "_methods",
        "_null",
        "_patterns",
        "_preflight_continue",
        "_preflight_status",
        "_reflect_all",
        "_trailing",
        "_verdicts",
        "cookieless",
        "enabled",
    )

    def __init__(self, options: CorsOptions) -> None:
        self._any = False
        self._reflect_all = False
        self._null = False
        self._ask: OriginCallable | None = None
        self._fixed: str | None = None
        self._exact: frozenset[Origin] = frozenset()
        self._patterns: tuple[re.Pattern[str], ...] = ()
        self._verdicts: dict[tuple[str, str, bool], int] = {}
        self.enabled = True
        self._set_origin(options.origin)
        self._methods = _names("methods", options.methods)
        self._allowed_headers = _names("allowed_headers", options.allowed_headers)
        self._max_age = _max_age(options.max_age)
        self._preflight_status = _status(options.options_success_status)
        self._preflight_continue = _flag("preflight_continue", options.preflight_continue)
        self._trailing = self._set_trailing(options)
        self.cookieless = (self._any or self._reflect_all) and not options.credentials

    @classmethod
    def parse(cls, option: CorsOption) -> CorsPolicy:
        """Build a policy from the option `cors`.

        Args:
            option: None or False, the server's own pages alone; `"*"` or `{}`, everybody; an
                origin; a list of origins and compiled patterns (which must match the whole
                origin), or one pattern; True, everybody, by name; a function `origin -> bool`,
                plain or async; or `CorsOptions`, or a mapping with its keys.

        Raises:
            OptionError: when it is none of these; the text names the setting and the fix.
        """
        if isinstance(option, Mapping):
            option = build(CorsOptions, option, "cors")
        if isinstance(option, CorsOptions):
            return cls(option)
        return cls(CorsOptions(option))

    @property
    def may_wait(self) -> bool:
        """Whether `admits` may have to be awaited: the application's function decides."""
        return self._ask is not None

    def _set_origin(self, origin: object) -> None:
        if origin is None or origin is False:
            self.enabled = False
        elif origin is True:
            self._reflect_all = self._null = True
        elif origin == "*":
            self._any = True
        elif isinstance(origin, str):
            self._set_listed([origin])
            self._fixed = NULL if self._null else str(next(iter(self._exact)))
        elif isinstance(origin, re.Pattern):
            self._set_listed([origin])
        elif isinstance(origin, (list, tuple, set, frozenset)):
            self._set_listed(list(origin))
        elif callable(origin):
            self._ask = origin
        else:
            raise OptionError(
                "cors must be an origin, a list of origins and patterns, a function, True, False,"
                f' "*" or a mapping of settings, not {origin!r}'
            )

    def _set_listed(self, origins: list[object]) -> None:
        self._null = NULL in origins
        self._patterns = tuple([_pattern(o) for o in origins if isinstance(o, re.Pattern)])
        self._exact = frozenset(
            [
                checked_origin("cors", origin)
                for origin in origins
                if not isinstance(origin, re.Pattern) and origin != NULL
            ]
        )

    def _set_trailing(self, options: CorsOptions) -> Headers:
        """The headers that every response has, whoever asks."""
        headers: Headers = []
        if _flag("credentials", options.credentials):
            if self._any:
                raise OptionError(
                    'cors: credentials cannot go with the origin "*", browsers refuse the two;'
                    ' list the origins: {"origin": ["https://…"], "credentials": True}'
                )
            headers.append(("Access-Control-Allow-Credentials", "true"))
        exposed = _names("exposed_headers", options.exposed_headers)
        if exposed:
            headers.append(("Access-Control-Expose-Headers", exposed))
        return headers

    # Decisions.

    def admits(self, request: Request, script: bool = False) -> bool | Awaitable[bool]:
        """Whether the page that sent this request may use the server.

        Args:
            request: what it sent.
            script: whether the answer will be a script (JSONP).

        Returns:
            The answer; or something to await for it, when the application's function is async.

        Raises:
            Exception: what the application's function raises.
        """
        if self._any:
            return True
        origin = request.header(b"origin")
        if origin is None:
            return not script or self._admits_script(request)
        return self._decide(origin, request)

    def _admits_script(self, request: Request) -> bool | Awaitable[bool]:
        if self._reflect_all:
            return True
        site = request.header(b"sec-fetch-site")
        if site is not None:
            # A browser's own word, which no page can change.
            return site in ("same-origin", "none")
        referer = request.header(b"referer")
        return referer is None or self._decide(origin_of(referer), request)

    def _decide(self, origin: str, request: Request) -> bool | Awaitable[bool]:
        verdict = self._verdict(origin, request)
        if verdict == _TO_ASK and self._ask is not None:
            answer = self._ask(origin)
            return _truth(answer) if isawaitable(answer) else bool(answer)
        return verdict != _REFUSED

    def _verdict(self, origin: str, request: Request) -> int:
        host = request.header(b"host") or ""
        # WebTransport is always secure, also beside a site that is not, whose pages may come: what
        # they send carries no cookies.
        secure = request.secure and request.method != "CONNECT"
        key = (origin, host, secure)
        verdict = self._verdicts.get(key)
        if verdict is None:
            verdict = self._judge(origin, host, secure)
            if len(origin) <= MAX_LENGTH and len(host) <= MAX_LENGTH:
                if len(self._verdicts) >= _REMEMBERED:
                    self._verdicts.clear()
                self._verdicts[key] = verdict
        return verdict

    def _judge(self, text: str, host: str, secure: bool) -> int:
        origin = parse_origin(text)
        if origin is None:
            if text != NULL:
                return _REFUSED
            if self._ask is not None:
                return _TO_ASK
            return _LISTED if self._null else _REFUSED
        if self._lists(origin):
            return _LISTED
        if is_own(origin, host, secure):
            return _OWN
        return _REFUSED if self._ask is None else _TO_ASK

    def _lists(self, origin: Origin) -> bool:
        if self._reflect_all or origin in self._exact:
            return True
        return any(
            pattern.fullmatch(text) is not None
            for text in (origin.spellings() if self._patterns else [])
            for pattern in self._patterns
        )

    # Headers.

    def headers(self, request: Request, admitted: bool) -> Headers:
        """What the policy adds to a response, an error as well.

        Args:
            request: what is answered.
            admitted: what `admits` said.
        """
        if not self.enabled or (self._ask is not None and not admitted):
            return []
        if request.method == "OPTIONS":
            return self._preflight_headers(request, admitted)
        allowed = self._allowed_origin(request, admitted)
        headers = [] if allowed is None else [("Access-Control-Allow-Origin", allowed)]
        if not self._any:
            headers.append(("Vary", "Origin"))
        return headers + self._trailing

    def preflight(self, request: Request, admitted: bool) -> tuple[int, Headers] | None:
        """Status and headers that answer an OPTIONS request, whose response has no body.

        Args:
            request: what is answered.
            admitted: what `admits` said. One that is not admitted gets no
                `Access-Control-Allow-Origin`, so that the browser goes no further.

        Returns:
            None when the engine has to answer: the policy is off, or its function said no, or
            `preflight_continue` is on, or the request is not OPTIONS.
        """
        if not self.enabled or self._preflight_continue or request.method != "OPTIONS":
            return None
        if self._ask is not None and not admitted:
            return None
        return self._preflight_status, self._preflight_headers(request, admitted)

    def _preflight_headers(self, request: Request, admitted: bool) -> Headers:
        headers: Headers = []
        vary = [] if self._any else ["Origin"]
        allowed = self._allowed_origin(request, admitted)
        if allowed is not None:
            headers.append(("Access-Control-Allow-Origin", allowed))
        if self._methods:
            headers.append(("Access-Control-Allow-Methods", self._methods))
        names = self._allowed_headers
        if names is None:
            vary.append("Access-Control-Request-Headers")
            names = request.header(b"access-control-request-headers") or ""
        if names and _NAMES.fullmatch(names):
            headers.append(("Access-Control-Allow-Headers", names))
        if self._max_age is not None:
            headers.append(("Access-Control-Max-Age", self._max_age))
        if vary:
            headers.append(("Vary", ", ".join(vary)))
        return headers + self._trailing

    def _allowed_origin(self, request: Request, admitted: bool) -> str | None:
        if self._any:
            return "*"
        if self._fixed is not None:
            return self._fixed
        origin = request.header(b"origin")
        if origin is None or not admitted:
            return None
        verdict = self._verdict(origin, request)
        # The server's own pages need no header; a function may know better, behind a proxy that
        # changes `Host`, and was not asked.
        named = verdict == _LISTED or (self._ask is not None and verdict != _REFUSED)
        return origin if named else None

    # Explanations.

    def explain_script(self, page: str) -> str:
        """The same for a page that asked for a script; `page` is its origin, if it is known."""
        shown = ascii(page if len(page) <= 100 else page[:100] + "...") if page else "another site"
        return f"a page of {shown} asked for a script (JSONP), which only this site's pages may do"

    def explain(self, origin: str) -> str:
        """One line for the log: why an origin was refused, and which setting would admit it."""
        shown = ascii(origin if len(origin) <= 100 else origin[:100] + "...")
        if self._ask is not None:
            return f"origin {shown} was refused by the function given as cors"
        if origin == NULL:
            return (
                "origin 'null' (a sandboxed frame, a file or a redirect) is not admitted;"
                ' cors=["null"] admits it, and every other such page'
            )
        parsed = parse_origin(origin)
        if parsed is None:
            return f"origin {shown} is refused: it is not scheme://host[:port]"
        setting = f'cors=["{parsed}"] admits it'
        if self.enabled:
            setting = f'add "{parsed}" to the origins that cors lists'
        return (
            f"origin {shown} is not admitted; {setting}; if it is this site itself, have the"
            " proxy pass on the Host header"
        )


async def _truth(answer: Awaitable[object]) -> bool:
    return bool(await answer)


def _pattern(pattern: re.Pattern[Any]) -> re.Pattern[str]:
    """The pattern without regard to case, which origins do not have."""
    if not isinstance(pattern.pattern, str):
        raise OptionError(f"cors: {pattern!r} is a pattern of bytes; origins are strings")
    return re.compile(pattern.pattern, pattern.flags | re.IGNORECASE)


def _names(setting: str, value: object) -> str | None:
    """Names as they stand in a header; None when the setting is left out."""
    if value is None or value == "":
        return None
    if isinstance(value, (list, tuple)) and all(isinstance(name, str) for name in value):
        value = ",".join(value)
    if not isinstance(value, str):
        raise OptionError(f"cors: {setting} must be a string or a list of strings, not {value!r}")
    if _NAMES.fullmatch(value) is None:
        raise OptionError(f"cors: {setting} holds a character that names cannot have: {value!r}")
    return value


def _max_age(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        raise OptionError(f"cors: max_age must be a number of seconds, not {value!r}")
    return str(int(value))


def _status(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 299:
        raise OptionError(f"cors: options_success_status must be 200 to 299, not {value!r}")
    return value


def _flag(setting: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise OptionError(f"cors: {setting} must be True or False, not {value!r}")
    return value
