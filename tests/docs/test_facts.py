"""What the documentation says of names, defaults and files is so."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import nuncio
import nuncio.cluster
import nuncio.engine
import nuncio.testing
from nuncio import errors
from nuncio.auth import identity
from nuncio.engine.options import EngineOptions
from nuncio.hosts.serve import OPTIONS
from nuncio.protocol.deflate import DeflateConfig
from nuncio.server.facade import Facade
from nuncio.server.options import ServerOptions
from tests.docs.samples import PAGES, ROOT, blocks_of

GUIDE = ROOT / "docs" / "guide"
# Defaults that are no literals.
OBJECTS = {
    "nuncio.Limits()": nuncio.Limits(),
    "nuncio.JSONParser()": nuncio.JSONParser,
    "nuncio.Rate(10, burst=1000)": nuncio.Rate(10, burst=1000),
    "nuncio.Rate(20, burst=400)": nuncio.Rate(20, burst=400),
}


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its head."""
    section = re.split(r"^#+ ", page.read_text(), flags=re.MULTILINE)
    text = next(part for part in section if part.startswith(heading + "\n"))
    table = re.search(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert table, f"{page} has no table under {heading!r}"
    lines = table[0].splitlines()[2:]
    return [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]


def names(cell: str) -> list[str]:
    """The names that a cell holds."""
    return re.findall(r"`([^`]+)`", cell)


def defaults(table: list[list[str]]) -> dict[str, Any]:
    """Names and defaults; one default may stand for several names."""
    found: dict[str, Any] = {}
    for row in table:
        value = names(row[1])[0]
        for name in names(row[0]):
            found[name] = OBJECTS[value] if value in OBJECTS else ast.literal_eval(value)
    return found


def fields_of(*objects: Any) -> dict[str, Any]:
    """The names and values of the fields of dataclasses; a parser's is its class."""
    found = {
        field.name: getattr(one, field.name) for one in objects for field in dataclasses.fields(one)
    }
    for name, value in found.items():
        if isinstance(value, nuncio.Parser):
            found[name] = type(value)
    return found


def test_every_limit_is_documented_with_its_default() -> None:
    table = rows(GUIDE / "limits.md", "Every limit")
    assert defaults(table) == fields_of(nuncio.Limits())


def test_every_counter_is_documented() -> None:
    text = (GUIDE / "limits.md").read_text()
    named = set(re.findall(r"^\| `([a-z_]+)` \|", text[text.index("## Counters") :], re.MULTILINE))
    assert named == set(nuncio.Server().stats())


def test_every_option_is_documented_with_its_default() -> None:
    table = rows(GUIDE / "server.md", "Options")
    assert defaults(table) == fields_of(ServerOptions(), EngineOptions()) | {"path": "/socket.io"}


def test_every_setting_of_the_compression_is_documented_with_its_default() -> None:
    table = rows(GUIDE / "compression.md", "WebSocket")
    assert defaults(table) == fields_of(DeflateConfig())


def test_every_option_of_run_is_documented() -> None:
    table = rows(GUIDE / "server.md", "Start")
    assert set(defaults(table)) == {*OPTIONS, "host", "port"}


def test_every_option_of_authentication_is_documented_with_its_default() -> None:
    page = (GUIDE / "authentication.md").read_text()
    section = page.partition("\n## Tokens\n")[2].partition("\n## ")[0]
    documented = dict(re.findall(r"^\| `(\w+)` \| (?:`([^`]+)`)? ?\|", section, re.MULTILINE))
    parameters = {
        name: parameter
        for kind in (nuncio.auth.Authentication, nuncio.auth.JWT)
        for name, parameter in inspect.signature(kind).parameters.items()
        if name not in ("authenticator", "options")
    }
    assert documented.keys() == parameters.keys()
    for name, default in documented.items():
        found = parameters[name].default
        needed = found is inspect.Parameter.empty or name == "key"
        assert default == "" if needed else ast.literal_eval(default) == found, name


def test_every_option_of_the_admin_page_is_documented() -> None:
    table = rows(GUIDE / "admin.md", "The admin page")
    parameters = inspect.signature(nuncio.instrument).parameters
    assert [names(row[0])[0] for row in table] == list(parameters)[1:]
    for row in table:
        name, default = names(row[0])[0], names(row[1])
        if name not in ("auth", "server_id", "store"):
            assert ast.literal_eval(default[0]) == parameters[name].default, name


def test_every_code_of_a_refusal_is_documented() -> None:
    page = (GUIDE / "authentication.md").read_text()
    codes = {value for name, value in vars(identity).items() if name.isupper()}
    assert codes == {code for code in codes if f"`{code}`" in page}


def test_every_disconnect_reason_is_documented() -> None:
    table = rows(GUIDE / "errors-and-limits.md", "Disconnect reasons")
    assert {names(row[0])[0] for row in table} == {str(word) for word in nuncio.DisconnectReason}


def test_every_exception_is_documented() -> None:
    table = rows(GUIDE / "errors-and-limits.md", "Exceptions")
    known = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.NuncioError)
    }
    # The two that are bases are in the tree above the table.
    assert {names(row[0])[0] for row in table} == known - {"NuncioError", "AckError"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_are_there(page: Path) -> None:
    for name in re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.(?:py|md|js|c|toml))`", page.read_text()):
        assert (ROOT / name).exists() or (ROOT / "src" / "nuncio" / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_of_the_package_exist(page: Path) -> None:
    # In code only; `nuncio.hosts.…` and the like are imported to be looked up.
    for name in re.findall(r"\bnuncio\.([A-Za-z_]+)", page.read_text()):
        submodule = ROOT / "src" / "nuncio" / name
        found = hasattr(nuncio, name) or submodule.is_dir() or submodule.with_suffix(".py").exists()
        assert found or name in OUTSIDE, f"nuncio.{name}"


REFERENCE = "".join(page.read_text() for page in sorted((ROOT / "docs" / "reference").glob("*.md")))
# Each name that is described, and what is said of how: for classes, which members.
DESCRIBED = dict(re.findall(r"^::: ([\w.]+)\n((?: .*\n)*)", REFERENCE, re.MULTILINE))


@pytest.mark.parametrize(
    "module", [nuncio, nuncio.auth, nuncio.cluster, nuncio.engine, nuncio.sync, nuncio.testing]
)
def test_every_public_name_is_in_the_reference(module: ModuleType) -> None:
    for name, value in vars(module).items():
        if name.startswith("_") or isinstance(value, ModuleType):
            continue
        # A function may be called as the module it is in.
        known = {f"{module.__name__}.{name}", f"{module.__name__}.{name}.{name}", f"nuncio.{name}"}
        assert known & DESCRIBED.keys(), f"{module.__name__}.{name}"


@pytest.mark.parametrize(
    "kind", [nuncio.Server, nuncio.Namespace, nuncio.Socket, nuncio.RemoteSocket, nuncio.Session]
)
def test_members_in_the_reference_exist_and_say_what_they_do(kind: type) -> None:
    members = members_of(kind)
    assert members
    for name in members:
        member = getattr(kind, name)
        # Compiled methods have no docstrings; the pages are made from the sources.
        assert inspect.getdoc(member) or nuncio.build_info().compiled, name


def test_what_chooses_recipients_is_in_the_reference_of_all_that_have_it() -> None:
    shared = {name for name in vars(nuncio.BroadcastOperator) if not name.startswith("_")}
    for kind in (nuncio.Server, nuncio.Namespace):
        assert shared <= members_of(kind)
    here = {name for name in shared if hasattr(nuncio.Socket, name)}
    assert here <= members_of(nuncio.Socket)
    passed_on = {name for name in vars(Facade) if not name.startswith("_")}
    assert passed_on - {"default_namespace"} <= members_of(nuncio.Server)


def members_of(kind: type) -> set[str]:
    """The members of a class that the reference shows."""
    return set(re.findall(r'^ +- "?(\w+)"?$', DESCRIBED[f"nuncio.{kind.__name__}"], re.MULTILINE))


# Endings of file names that look like attributes.
OUTSIDE = ("sock",)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shell = "".join(block.text for block in blocks_of(page) if block.language == "sh")
    named = set(re.findall(r"^make ([a-z]+)", shell, re.MULTILINE))
    named |= set(re.findall(r"(?:`|^ {4})make ([a-z]+)", page.read_text(), re.MULTILINE))
    assert named <= targets
