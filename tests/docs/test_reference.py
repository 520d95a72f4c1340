"""The reference has everything that `import nuncio` gives."""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import Any

import nuncio
from tests.docs.samples import ROOT

REFERENCE = ROOT / "docs" / "reference"


def directives() -> dict[str, set[str] | None]:
    """What mkdocstrings is told to show, and which members of it; None for all."""
    found: dict[str, set[str] | None] = {}
    for page in sorted(REFERENCE.glob("*.md")):
        for name, options in re.findall(
            r"^::: (\S+)\n((?: {4}.*\n)*)", page.read_text() + "\n", re.MULTILINE
        ):
            listed = re.search(r"^ {6}members:(.*)\n((?: {8}- .*\n)*)", options, re.MULTILINE)
            found[name] = None if listed is None else set(re.findall(r'- "?([^"\n]+)', listed[2]))
    return found


def resolve(path: str) -> Any:
    """What a dotted name stands for."""
    names = path.split(".")
    for size in range(len(names), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(names[:size]))
        except ModuleNotFoundError:
            continue
        for name in names[size:]:
            found = getattr(found, name)
        return found
    raise LookupError(path)


def is_shown(name: str, shown: dict[str, set[str] | None]) -> bool:
    """Whether one of the directives is for this name of the package, or for its module.

    A module of the package is there once something of it is.
    """
    value = getattr(nuncio, name)
    if isinstance(value, ModuleType):
        return any(
            path == value.__name__ or path.startswith(value.__name__ + ".") for path in shown
        )
    for path, members in shown.items():
        found = resolve(path)
        if path == f"nuncio.{name}" or (isinstance(value, type) and found is value):
            return True
        if isinstance(found, ModuleType) and vars(found).get(name) is value:
            # What a module imports from another is not shown with it.
            if getattr(value, "__module__", path) != path:
                continue
            if members is None or name in members:
                return True
    return False


def test_every_name_of_the_package_is_in_the_reference() -> None:
    shown = directives()
    missing = [
        name for name in nuncio.__all__ if name != "__version__" and not is_shown(name, shown)
    ]
    assert not missing, f"docs/reference has no `::: nuncio.…` for {', '.join(missing)}"


def test_what_the_reference_shows_exists() -> None:
    for path, members in directives().items():
        found = resolve(path)
        for member in members or ():
            assert hasattr(found, member), f"{path}.{member}"
