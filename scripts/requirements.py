"""Print what the package and one optional group of it require, without building the package.

Usage: python scripts/requirements.py GROUP
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path


def requirements(project: dict[str, object], group: str) -> list[str]:
    """The requirements of a group, with references such as "nuncio[test,docs]" followed."""
    optional = project["optional-dependencies"]
    assert isinstance(optional, dict)
    found: list[str] = []
    for requirement in optional[group]:
        own = re.fullmatch(rf"{project['name']}\[(.+)\]", requirement)
        if own:
            for name in own[1].split(","):
                found += requirements(project, name.strip())
        else:
            found.append(requirement)
    return found


def main() -> None:
    file = Path(__file__).parent.parent / "pyproject.toml"
    project = tomllib.loads(file.read_text())["project"]
    print(*project["dependencies"], *requirements(project, sys.argv[1]), sep="\n")


main()
