"""The CORS policy: who is admitted, and which headers say so.

The expected headers of `MATRIX` were observed with `cors` 2.8.6, the package that Socket.IO uses
in JavaScript. `Content-Length: 0` is the host's to add.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio.engine.cors import CorsOption, CorsOptions, CorsPolicy
from nuncio.engine.request import Request
from nuncio.errors import OptionError

HOST = "chat.example"
A = "https://a.example"
Z = "https://z.example"
ASKED = "x-q, content-type"

ALLOW_METHODS = {"Access-Control-Allow-Methods": "GET,HEAD,PUT,PATCH,POST,DELETE"}
ALLOW_ANY = {"Access-Control-Allow-Origin": "*"}
ALLOW_A = {"Access-Control-Allow-Origin": A}
ALLOW_Z = {"Access-Control-Allow-Origin": Z}
ALLOW_NULL = {"Access-Control-Allow-Origin": "null"}
VARY = {"Vary": "Origin"}
VARY_BOTH = {"Vary": "Origin, Access-Control-Request-Headers"}
VARY_ASKED = {"Vary": "Access-Control-Request-Headers"}


def request(
    origin: str | None = None,
    method: str = "GET",
    *,
    host: str | None = HOST,
    secure: bool = False,
    asked: str | None = None,
) -> Request:
    headers = []
    if host is not None:
        headers.append((b"Host", host.encode("latin-1")))
    if origin is not None:
        headers.append((b"Origin", origin.encode("latin-1")))
    if asked is not None:
        headers.append((b"Access-Control-Request-Headers", asked.encode("latin-1")))
    return Request(method, "/engine.io/", "", lower(headers), None, secure)


def lower(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Headers as hosts hand them on."""
    return [(name.lower(), value) for name, value in headers]


def admits(policy: CorsPolicy, asking: Request) -> bool:
    verdict = policy.admits(asking)
    assert isinstance(verdict, bool)
    return verdict


def headers(policy: CorsPolicy, asking: Request) -> dict[str, str]:
    found = policy.headers(asking, admits(policy, asking))
    assert len(dict(found)) == len(found)
    return dict(found)


def preflight(policy: CorsPolicy, asking: Request) -> tuple[int, dict[str, str]] | None:
    answer = policy.preflight(asking, admits(policy, asking))
    if answer is None:
        return None
    status, found = answer
    assert len(dict(found)) == len(found)
    return status, dict(found)


ANYBODY: list[CorsOption] = ["*", {}, {"origin": "*"}, CorsOptions()]
NOBODY: list[CorsOption] = [None, False, {"origin": False}, {"origin": None}]
LIST: list[CorsOption] = [
    [A],
    (A, re.compile("https://b.example")),
    {A},
    frozenset([A]),
    re.compile(r"https://a\.example"),
    [re.compile(r"https://a\.example"), "https://b.example"],
    {"origin": [A]},
    {"origin": re.compile(r"https://a\.example")},
]
FUNCTION: list[CorsOption] = [lambda origin: origin == A, {"origin": lambda origin: origin == A}]

# Option, origin of the request, whether it is admitted, headers of an ordinary response.
MATRIX: list[tuple[list[CorsOption], str | None, bool, dict[str, str]]] = [
    (ANYBODY, None, True, ALLOW_ANY),
    (ANYBODY, A, True, ALLOW_ANY),
    (ANYBODY, "null", True, ALLOW_ANY),
    (NOBODY, None, True, {}),
    (NOBODY, A, False, {}),
    (NOBODY, "null", False, {}),
    ([A, {"origin": A}], None, True, ALLOW_A | VARY),
    ([A, {"origin": A}], A, True, ALLOW_A | VARY),
    ([A, {"origin": A}], Z, False, ALLOW_A | VARY),
    ([A, {"origin": A}], "null", False, ALLOW_A | VARY),
    ([True, {"origin": True}], None, True, VARY),
    ([True, {"origin": True}], A, True, ALLOW_A | VARY),
    ([True, {"origin": True}], Z, True, ALLOW_Z | VARY),
    ([True, {"origin": True}], "null", True, ALLOW_NULL | VARY),
    (LIST, None, True, VARY),
    (LIST, A, True, ALLOW_A | VARY),
    (LIST, Z, False, VARY),
    (LIST, "null", False, VARY),
    (FUNCTION, None, True, VARY),
    (FUNCTION, A, True, ALLOW_A | VARY),
    (FUNCTION, Z, False, {}),
    (FUNCTION, "null", False, {}),
    ([[]], A, False, VARY),
    ([["null"]], "null", True, ALLOW_NULL | VARY),
    (["null"], "null", True, ALLOW_NULL | VARY),
    ([lambda origin: True], "null", True, ALLOW_NULL | VARY),
]
CASES = [
    (option, origin, admitted, expected)
    for options, origin, admitted, expected in MATRIX
    for option in options
]


@pytest.mark.parametrize(("option", "origin", "admitted", "expected"), CASES)
def test_who_is_admitted_and_what_browsers_are_told(
    option: CorsOption, origin: str | None, admitted: bool, expected: dict[str, str]
) -> None:
    policy = CorsPolicy.parse(option)
    assert admits(policy, request(origin)) is admitted
    assert headers(policy, request(origin)) == expected
    # What is remembered says the same.
    assert admits(policy, request(origin)) is admitted
    assert headers(policy, request(origin)) == expected


@pytest.mark.parametrize(("option", "origin", "admitted", "expected"), CASES)
@pytest.mark.parametrize("asked", [None, ASKED])
def test_preflight_requests(
    option: CorsOption,
    origin: str | None,
    admitted: bool,
    expected: dict[str, str],
    asked: str | None,
) -> None:
    policy = CorsPolicy.parse(option)
    asking = request(origin, "OPTIONS", asked=asked)
    answer = preflight(policy, asking)
    if not expected:
        assert answer is None
        assert headers(policy, asking) == {}
        return
    full = expected | ALLOW_METHODS | (VARY_BOTH if "Vary" in expected else VARY_ASKED)
    if asked is not None:
        full = full | {"Access-Control-Allow-Headers": asked}
    assert answer == (204, full)
    # Middlewares that come before the answer see the same headers.
    assert headers(policy, asking) == full


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "DELETE"])
def test_only_options_requests_are_preflight_requests(method: str) -> None:
    assert preflight(CorsPolicy.parse("*"), request(A, method)) is None


FULL = {
    "origin": [A],
    "methods": ["GET", "POST"],
    "allowed_headers": ["x-a", "x-b"],
    "exposed_headers": ["x-c"],
    "credentials": True,
    "max_age": 600,
    "options_success_status": 200,
}


@pytest.mark.parametrize(("origin", "allowed"), [(None, {}), (A, ALLOW_A), (Z, {}), ("null", {})])
def test_every_setting_at_once(origin: str | None, allowed: dict[str, str]) -> None:
    policy = CorsPolicy.parse(FULL)
    always = {
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": "x-c",
        "Vary": "Origin",
    }
    assert headers(policy, request(origin)) == allowed | always
    assert preflight(policy, request(origin, "OPTIONS", asked=ASKED)) == (
        200,
        allowed
        | always
        | {
            "Access-Control-Allow-Methods": "GET,POST",
            "Access-Control-Allow-Headers": "x-a,x-b",
            "Access-Control-Max-Age": "600",
        },
    )


def test_settings_as_an_object() -> None:
    policy = CorsPolicy.parse(CorsOptions(origin=[A], credentials=True, max_age=1))
    assert headers(policy, request(A)) == ALLOW_A | VARY | {
        "Access-Control-Allow-Credentials": "true"
    }


def test_settings_as_strings_are_sent_as_they_are() -> None:
    policy = CorsPolicy.parse(
        {"methods": "GET, POST", "allowed_headers": "x-a, x-b", "exposed_headers": "x-c, x-d"}
    )
    exposed = {"Access-Control-Expose-Headers": "x-c, x-d"}
    assert headers(policy, request(A)) == ALLOW_ANY | exposed
    assert preflight(policy, request(A, "OPTIONS", asked=ASKED)) == (
        204,
        ALLOW_ANY
        | exposed
        | {
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": "x-a, x-b",
        },
    )


@pytest.mark.parametrize(("origin", "allowed"), [(None, {}), (A, ALLOW_A), (Z, {})])
def test_preflight_continue_adds_the_headers_and_leaves_the_answer(
    origin: str | None, allowed: dict[str, str]
) -> None:
    policy = CorsPolicy.parse(
        {"origin": [A], "preflight_continue": True, "max_age": 0, "allowed_headers": []}
    )
    asking = request(origin, "OPTIONS", asked=ASKED)
    assert preflight(policy, asking) is None
    assert headers(policy, asking) == allowed | VARY | ALLOW_METHODS | {
        "Access-Control-Max-Age": "0"
    }


@pytest.mark.parametrize("empty", [None, "", [], ()])
def test_empty_lists_of_names_make_no_header(empty: Any) -> None:
    policy = CorsPolicy.parse({"methods": empty, "exposed_headers": empty})
    assert headers(policy, request(A)) == ALLOW_ANY
    assert preflight(policy, request(A, "OPTIONS")) == (204, ALLOW_ANY | VARY_ASKED)


@pytest.mark.parametrize(
    "asked", ["x-a\0", "x-a\x7f", "x-a\nx: y", "é", 'x-"a"', "x-a;", "(" * 65536]
)
def test_hostile_names_are_not_echoed(asked: str) -> None:
    answer = preflight(CorsPolicy.parse("*"), request(A, "OPTIONS", asked=asked))
    assert answer == (204, ALLOW_ANY | VARY_ASKED | ALLOW_METHODS)


# The server's own pages.


@pytest.mark.parametrize(
    "option", [None, False, A, [], [A], re.compile("https://a"), lambda origin: False]
)
def test_the_servers_own_pages_are_always_admitted(option: CorsOption) -> None:
    policy = CorsPolicy.parse(option)
    assert admits(policy, request(f"http://{HOST}"))
    assert admits(policy, request(f"https://{HOST}"))
    assert admits(policy, request(f"https://{HOST}", secure=True))
    assert admits(policy, request(f"https://{HOST}:8443", host=f"{HOST}:8443", secure=True))
    assert not admits(policy, request(f"http://{HOST}", secure=True))
    assert not admits(policy, request(f"http://{HOST}:3000"))
    assert not admits(policy, request(f"http://{HOST}", host=f"{HOST}:3000"))
    assert not admits(policy, request(f"http://{HOST}", host=None))
    assert not admits(policy, request(f"http://evil{HOST}"))
    assert not admits(policy, request(f"http://{HOST}.evil"))
    assert not admits(policy, request(f"http://{HOST}."))


def test_what_is_remembered_depends_on_host_and_tls() -> None:
    policy = CorsPolicy.parse(None)
    origin = f"http://{HOST}"
    for _ in range(2):
        assert admits(policy, request(origin))
        assert not admits(policy, request(origin, host="other.example"))
        assert not admits(policy, request(origin, secure=True))


def test_forwarded_hosts_are_not_looked_at() -> None:
    block = lower(
        [
            (b"Host", b"inner"),
            (b"X-Forwarded-Host", b"a.example"),
            (b"Forwarded", b"host=a.example;proto=https"),
            (b"X-Forwarded-Proto", b"https"),
            (b"Origin", A.encode()),
        ]
    )
    asking = Request("GET", "/engine.io/", "", block, None, False)
    assert not admits(CorsPolicy.parse(None), asking)


def test_own_pages_need_no_header_unless_the_policy_names_them() -> None:
    own = f"https://{HOST}"
    assert headers(CorsPolicy.parse([A]), request(own)) == VARY
    assert headers(CorsPolicy.parse([own]), request(own)) == VARY | {
        "Access-Control-Allow-Origin": own
    }


@pytest.mark.parametrize("option", [[A], True, re.compile(".*"), lambda origin: True])
def test_who_was_not_admitted_is_not_named(option: CorsOption) -> None:
    for method in ("GET", "OPTIONS"):
        found = dict(CorsPolicy.parse(option).headers(request(A, method), False))
        assert "Access-Control-Allow-Origin" not in found


def test_two_origins_in_one_request_are_none() -> None:
    block = lower([(b"Host", HOST.encode()), (b"Origin", A.encode()), (b"Origin", Z.encode())])
    asking = Request("GET", "/engine.io/", "", block, None, False)
    for option in (None, True, [A, Z], re.compile(".*"), lambda origin: True):
        assert not admits(CorsPolicy.parse(option), asking)


# Comparison.


@pytest.mark.parametrize(
    "option", [["https://a.b"], ["https://a.b:443"], "HTTPS://A.B", ["https://A.b:443"]]
)
def test_case_and_default_ports_make_no_difference(option: CorsOption) -> None:
    policy = CorsPolicy.parse(option)
    for origin in ("https://a.b", "https://a.b:443", "HTTPS://A.b", "https://A.B:443"):
        assert admits(policy, request(origin))


@pytest.mark.parametrize(
    "pattern",
    [
        r"https://([a-z0-9-]+\.)?example\.com",
        r"https://([a-z0-9-]+\.)?EXAMPLE\.com:443",
        r"^https://.*example\.com$",
        r"https://([^.]+\.)*example\.com(:443)?",
    ],
)
def test_patterns_ignore_case_and_default_ports(pattern: str) -> None:
    policy = CorsPolicy.parse(re.compile(pattern))
    for origin in (
        "https://example.com",
        "https://a.example.com",
        "https://a.example.com:443",
        "HTTPS://A.EXAMPLE.COM",
    ):
        assert admits(policy, request(origin)), origin
        assert headers(policy, request(origin))["Access-Control-Allow-Origin"] == origin


LOOK_ALIKES = [
    "https://evilexample.com",
    "https://example.com.evil",
    "https://example.com.",
    "https://a.example.com.",
    "https://example.comevil",
    "https://examplexcom",
    "https://example.com:8443",
    "https://example.com:80",
    "http://example.com",
    "https://evil/https://example.com",
    "https://evil?https://example.com",
    "https://evil#.example.com",
    "https://evil@example.com",
    "https://example.com@evil",
    "https://example.com\\.evil",
    "https://evil\\.example.com",
    "https://evil\n.example.com",
    "https://example.com\nevil",
    "https://evil\nhttps://example.com",
    "https://evil .example.com",
    "https://evil,.example.com",
    "https://evil%2f.example.com",
    "https://evil\0.example.com",
    "https://evil\xe9.example.com",
    "xhttps://example.com",
    "https:///example.com",
    "https://example.com/",
    "example.com",
    "https://",
    "",
    "null",
    "NULL",
    "undefined",
]


@pytest.mark.parametrize("origin", LOOK_ALIKES)
@pytest.mark.parametrize(
    "option",
    [
        "https://example.com",
        ["https://example.com"],
        re.compile(r"https://([a-z0-9-]+\.)?example\.com"),
        [re.compile(r"^https://(.*\.)?example\.com$", re.MULTILINE | re.DOTALL)],
    ],
)
def test_look_alikes_are_refused(option: CorsOption, origin: str) -> None:
    policy = CorsPolicy.parse(option)
    assert not admits(policy, request(origin))
    assert headers(policy, request(origin)).get("Access-Control-Allow-Origin") in (
        None,
        "https://example.com" if isinstance(option, str) else None,
    )


def test_patterns_match_the_whole_origin_and_keep_no_state() -> None:
    policy = CorsPolicy.parse(re.compile(r"https://a\.b"))
    for _ in range(3):
        assert admits(policy, request("https://a.b"))
        assert not admits(policy, request("https://a.b.c"))
        assert not admits(policy, request("xhttps://a.b"))


def test_patterns_never_admit_null() -> None:
    for pattern in (".*", "null|https://a", "(?s).*"):
        assert not admits(CorsPolicy.parse(re.compile(pattern)), request("null"))


MALFORMED = [
    "",
    "garbage",
    "https://a.example\nx: y",
    "https://a.example\0",
    "https://a.example\x7f",
    "https://\xff",
    "https://a.example/" + "x" * 65536,
    "https://" + "a" * 65536,
    "https://" + "a." * 32768,
    "x" * 65536,
]


@pytest.mark.parametrize("origin", MALFORMED)
def test_what_is_not_an_origin_is_refused_and_never_reflected(origin: str) -> None:
    def asked(origin: str) -> bool:
        raise AssertionError("the function is only asked about origins")

    options: list[CorsOption] = [None, True, [A], A, re.compile("(?s).*"), asked]
    for option in options:
        policy = CorsPolicy.parse(option)
        assert not admits(policy, request(origin))
        for method in ("GET", "OPTIONS"):
            found = headers(policy, request(origin, method))
            assert found.get("Access-Control-Allow-Origin") in (None, A)


@pytest.mark.parametrize(
    "origin", ["capacitor://localhost", "ionic://localhost", "file://", "chrome-extension://abc"]
)
def test_apps_can_be_listed(origin: str) -> None:
    policy = CorsPolicy.parse([origin])
    assert admits(policy, request(origin))
    assert not admits(policy, request("http://localhost"))
    assert not admits(CorsPolicy.parse(None), request(origin, host="localhost"))


def test_a_fixed_origin_is_written_as_browsers_compare_it() -> None:
    policy = CorsPolicy.parse("HTTPS://A.Example:443")
    assert headers(policy, request(None)) == ALLOW_A | VARY


# Functions.


def test_a_function_is_asked_each_time() -> None:
    asked = []

    def allow(origin: str) -> bool:
        asked.append(origin)
        return len(asked) == 1

    policy = CorsPolicy.parse(allow)
    assert admits(policy, request(A))
    assert not admits(policy, request(A))
    assert asked == [A, A]


def test_a_function_is_not_asked_without_need() -> None:
    def never(origin: str) -> bool:
        raise AssertionError(origin)

    policy = CorsPolicy.parse(never)
    assert admits(policy, request(None))
    assert admits(policy, request(f"http://{HOST}"))


@pytest.mark.parametrize(
    ("answer", "admitted"), [(1, True), ("yes", True), (0, False), (None, False)]
)
def test_what_a_function_returns_counts_by_its_truth(answer: Any, admitted: bool) -> None:
    async def later(origin: str) -> Any:
        return answer

    assert admits(CorsPolicy.parse(lambda origin: answer), request(A)) is admitted
    verdict = CorsPolicy.parse(later).admits(request(A))
    assert not isinstance(verdict, bool)

    async def ask() -> object:
        return await verdict

    assert asyncio.run(ask()) is admitted


def test_only_a_functions_policy_may_wait() -> None:
    async def allow(origin: str) -> bool:
        return True

    assert CorsPolicy.parse(allow).may_wait
    assert CorsPolicy.parse({"origin": allow}).may_wait
    assert not CorsPolicy.parse([A]).may_wait
    # What needs no asking is answered at once.
    assert CorsPolicy.parse(allow).admits(request(None)) is True
    assert CorsPolicy.parse(allow).admits(request("garbage")) is False


def test_what_a_function_raises_is_passed_on() -> None:
    def broken(origin: str) -> bool:
        raise LookupError(origin)

    with pytest.raises(LookupError, match=r"a\.example"):
        CorsPolicy.parse(broken).admits(request(A))


# Bounds.


def test_what_is_remembered_is_bounded() -> None:
    policy = CorsPolicy.parse([A])
    for number in range(2000):
        assert not admits(policy, request(f"https://{number}.example"))
        assert not admits(policy, request(Z, host=f"{number}.example"))
        assert len(policy._verdicts) <= 256
    assert admits(policy, request(A))


def test_long_values_are_not_remembered() -> None:
    policy = CorsPolicy.parse([A])
    assert not admits(policy, request("https://" + "a" * 65536))
    assert not admits(policy, request(Z, host="a" * 65536))
    assert not policy._verdicts


def test_headers_may_be_changed_by_whoever_gets_them() -> None:
    for option in ("*", A, [A], True):
        policy = CorsPolicy.parse({"origin": option, "exposed_headers": "x-a"})
        policy.headers(request(A), True).clear()
        assert "Access-Control-Allow-Origin" in headers(policy, request(A))
        assert "Access-Control-Expose-Headers" in headers(policy, request(A))


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_no_origin_puts_control_characters_into_a_response(origin: str) -> None:
    block = [(b"host", b"a"), (b"origin", origin.encode("latin-1"))]
    for option in (True, [A], re.compile("(?s).*"), lambda origin: True):
        asking = Request("GET", "/", "", block, None, False)
        for _, value in CorsPolicy.parse(option).headers(asking, True):
            assert value.isascii() and value.isprintable()


# Wrong options.


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"allowedHeaders": "x"}, "did you mean 'allowed_headers'?"),
        ({"maxAge": 1}, "did you mean 'max_age'?"),
        ({"origins": A}, "did you mean 'origin'?"),
        ({"preflightContinue": True}, "did you mean 'preflight_continue'?"),
        ({"optionsSuccessStatus": 200}, "did you mean 'options_success_status'?"),
        ({"credentials": True}, "list the origins"),
        ({"origin": "*", "credentials": True}, "list the origins"),
        ({"credentials": "yes"}, "credentials must be True or False"),
        ({"credentials": 1, "origin": A}, "credentials must be True or False"),
        ({"preflight_continue": 1}, "preflight_continue must be True or False"),
        ({"max_age": "1"}, "max_age must be a number of seconds"),
        ({"max_age": True}, "max_age must be a number of seconds"),
        ({"max_age": float("inf")}, "max_age must be a number of seconds"),
        ({"options_success_status": 404}, "options_success_status must be 200 to 299"),
        ({"options_success_status": "204"}, "options_success_status must be 200 to 299"),
        ({"options_success_status": True}, "options_success_status must be 200 to 299"),
        ({"methods": 5}, "methods must be a string or a list of strings"),
        ({"methods": ["GET", 5]}, "methods must be a string or a list of strings"),
        ({"methods": "GET\r\nx: y"}, "methods holds a character"),
        ({"allowed_headers": "x\n"}, "allowed_headers holds a character"),
        ({"exposed_headers": ["é"]}, "exposed_headers holds a character"),
        ({"origin": {}}, "cors must be"),
        (5, "cors must be"),
        (b"https://a.example", "cors must be"),
        (0, "cors must be"),
        ("", "not an origin"),
        ("a.example", "write 'https://a.example'"),
        ("https://a.example/", "must not end with a slash, write 'https://a.example'"),
        ([A, "https://b.example/"], "write 'https://b.example'"),
        ([A, "https://b.example/path"], "write 'https://b.example'"),
        (["*"], 'any origin is cors="*"'),
        ([A, "*"], 'any origin is cors="*"'),
        (["https://*.example.com"], "re.compile"),
        ([True], "a string or a pattern"),
        ([[A]], "a string or a pattern"),
        (re.compile(b"https://a"), "pattern of bytes"),
        ([re.compile(b"https://a")], "pattern of bytes"),
    ],
)
def test_wrong_options_are_told_with_the_fix(option: Any, text: str) -> None:
    with pytest.raises(OptionError, match=re.escape(text)) as raised:
        CorsPolicy.parse(option)
    assert "cors" in str(raised.value)


@pytest.mark.parametrize(
    "origin", [A, [A], re.compile("https://a"), True, lambda origin: True, ["null"]]
)
def test_credentials_go_with_origins_that_are_named(origin: Any) -> None:
    policy = CorsPolicy.parse({"origin": origin, "credentials": True})
    assert ("Access-Control-Allow-Credentials", "true") in policy.headers(request(A), True)


@pytest.mark.parametrize("option", NOBODY)
def test_without_a_policy_nothing_is_enabled(option: CorsOption) -> None:
    policy = CorsPolicy.parse(option)
    assert not policy.enabled
    assert preflight(policy, request(None, "OPTIONS", asked=ASKED)) is None


@pytest.mark.parametrize("option", ["*", A, [A], [], True, re.compile("x"), lambda origin: True])
def test_with_a_policy_it_is_enabled(option: CorsOption) -> None:
    assert CorsPolicy.parse(option).enabled


# Explanations.


@pytest.mark.parametrize(
    ("option", "origin", "text"),
    [
        (None, "https://A.example:443", 'cors=["https://a.example"] admits it'),
        (None, Z, "the proxy pass on the Host header"),
        ([A], Z, 'add "https://z.example" to the origins that cors lists'),
        (None, "null", 'cors=["null"] admits it'),
        (None, "garbage", "it is not scheme://host[:port]"),
        (lambda origin: False, Z, "refused by the function given as cors"),
    ],
)
def test_the_log_says_which_setting_to_add(option: CorsOption, origin: str, text: str) -> None:
    assert text in CorsPolicy.parse(option).explain(origin)


@given(st.text(max_size=200))
def test_explanations_are_one_short_harmless_line(origin: str) -> None:
    for option in (None, [A], lambda origin: False):
        line = CorsPolicy.parse(option).explain(origin)
        assert line.isprintable() and line.isascii()
        assert len(line) < 1500


def test_explanations_cut_long_origins() -> None:
    assert len(CorsPolicy.parse(None).explain("\0" * 65536)) < 600
