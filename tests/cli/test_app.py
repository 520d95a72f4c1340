"""The command `nuncio`, and what it costs those who do not use it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import nuncio as package
from nuncio.cli import connect as module
from nuncio.cli import problems
from nuncio.cli.app import nuncio
from nuncio.cli.commands import COMMANDS
from nuncio.cli.connect import connect

ROOT = Path(__file__).parent.parent.parent


def call(*arguments: str) -> Result:
    return CliRunner().invoke(nuncio, arguments, prog_name="nuncio")


def test_importing_the_package_imports_neither_click_nor_prompt_toolkit() -> None:
    code = "import sys, nuncio, nuncio.cli\nprint(*{'click', 'prompt_toolkit'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_the_package_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nuncio", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"nuncio {package.__version__} (")


def test_help_has_examples() -> None:
    for arguments in (("--help",), ("connect", "-h")):
        done = call(*arguments)
        assert done.exit_code == 0
        assert "nuncio connect http://localhost:3000" in done.output


def test_help_lists_every_option_once_in_a_group() -> None:
    output = call("connect", "--help").output
    for param in connect.params:
        if isinstance(param, click.Option):
            longest = max(param.opts, key=len)
            rows = [line for line in output.splitlines() if line.startswith("  -")]
            assert sum(longest in row.split("  ")[1].replace(",", "").split() for row in rows) == 1
    grouped = [name for names in module._GROUPS.values() for name in names]
    assert sorted(grouped) == sorted(
        param.name or "" for param in connect.params if isinstance(param, click.Option)
    )


def test_an_unknown_command_gives_the_nearest_name() -> None:
    done = call("conect")
    assert done.exit_code == 2
    assert "connect" in done.output.splitlines()[-1]


def test_a_url_in_the_place_of_a_command_says_what_was_meant() -> None:
    done = call("http://localhost:3000")
    assert done.exit_code == 2
    assert "nuncio connect http://localhost:3000" in done.output


@pytest.mark.parametrize("arguments", [("connect",), ("connect", "ftp://x"), ("connect", "a", "b")])
def test_wrong_use(arguments: tuple[str, ...]) -> None:
    assert call(*arguments).exit_code == 2


def test_the_help_names_every_exit_status() -> None:
    output = call("connect", "--help").output
    table = output[output.index("Exit status:") :].splitlines()[1:]
    numbers = {int(line.split()[0]) for line in table if line.strip()}
    known = {value for value in vars(problems).values() if isinstance(value, int)}
    assert numbers == known


def test_the_script_is_installed_under_its_name() -> None:
    file = ROOT / "pyproject.toml"
    assert tomllib.loads(file.read_text())["project"]["scripts"] == {"nuncio": "nuncio.cli:main"}


def test_the_guide_has_every_option_and_every_command() -> None:
    page = (ROOT / "docs" / "guide" / "command-line.md").read_text()
    for param in connect.params:
        if isinstance(param, click.Option):
            for name in param.opts:
                assert f"`{name}`" in page, name
    for name in COMMANDS:
        assert re.search(rf"`{name}[ `]", page), name
