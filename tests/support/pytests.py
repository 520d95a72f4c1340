"""pytest in a process of its own, which finds Nuncio's plugin by itself, as in users' projects."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

_LINE = re.compile(r"^([A-Z]+) [\w/.]+\.py::(\S+)", re.MULTILINE)


def run_pytest(folder: Path, scratch: Path, *arguments: str) -> tuple[dict[str, set[str]], str]:
    """Run the tests of a folder.

    Args:
        folder: where pytest is started.
        scratch: a folder to be written to.
        arguments: for pytest.

    Returns:
        the names of tests by outcome, such as `PASSED`; and everything that was said.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": _path(scratch)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = done.stdout + done.stderr
    outcomes: dict[str, set[str]] = {}
    for outcome, name in _LINE.findall(said):
        outcomes.setdefault(outcome, set()).add(name)
    return outcomes, said


def _path(scratch: Path) -> str:
    """PYTHONPATH, with what tells pytest of the plugin where the sources are not installed."""
    path = [
        os.path.abspath(one) for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one
    ]
    if not entry_points(group="pytest11", name="nuncio"):
        information = scratch / "as_if_installed-0.dist-info"
        information.mkdir(exist_ok=True)
        (information / "METADATA").write_text("Name: as-if-installed\nVersion: 0\n")
        (information / "entry_points.txt").write_text("[pytest11]\nnuncio = pytest_nuncio\n")
        path.insert(0, str(scratch))
    return os.pathsep.join(path)
