"""The build: that the one asked for is the one that runs, and that it falls back as promised."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import types
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

import nuncio
from nuncio import _build

ROOT = Path(__file__).parent.parent
EXPECT = os.environ.get("NUNCIO_EXPECT")
BUILT_FROM = ("src", "LICENSE", "README.md", "pyproject.toml", "setup.py")


def compiled_list() -> list[str]:
    """The modules that setup.py names, as module names."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "COMPILED":
            paths: list[str] = ast.literal_eval(node.value)
            return [".".join(Path(path).with_suffix("").parts[1:]) for path in paths]
    raise AssertionError("setup.py has no list COMPILED")


@pytest.mark.skipif(EXPECT is None, reason="NUNCIO_EXPECT does not say which build this is")
def test_the_build_that_runs_is_the_one_expected() -> None:
    modules = nuncio.build_info().modules
    assert EXPECT in ("compiled", "pure")
    assert list(modules) == (sorted(compiled_list()) if EXPECT == "compiled" else [])


def test_compiled_modules_are_those_that_say_so() -> None:
    """Each carries the word in the first line of its docstring, so that its editor is warned."""
    source = ROOT / "src"
    marked = [
        ".".join(path.relative_to(source).with_suffix("").parts)
        for path in source.rglob("*.py")
        if path.read_text().partition("\n")[0].rstrip('"').endswith("[compiled]")
    ]
    assert sorted(marked) == sorted(compiled_list())


def test_nothing_compiled_waits_while_something_is_raised() -> None:
    """mypyc has lost a cancellation there; what connects and closes is plain Python."""
    for name in compiled_list():
        path = ROOT / "src" / Path(*name.split(".")).with_suffix(".py")
        for found in ast.walk(ast.parse(path.read_text())):
            if isinstance(found, ast.Try):
                for line in found.finalbody:
                    waits = [one for one in ast.walk(line) if isinstance(one, ast.Await)]
                    assert not waits, f"{path}:{line.lineno}"


def test_build_info_is_one_line_with_the_versions() -> None:
    info = nuncio.build_info()
    assert info.compiled == bool(info.modules)
    text = str(info)
    assert "\n" not in text
    for part in (info.version, info.python, f"msgspec {info.msgspec}", f"uvicorn {info.uvicorn}"):
        assert part in text
    assert ("plain Python" in text) != info.compiled
    assert info.version == nuncio.__version__


def test_a_module_not_yet_imported_is_judged_by_the_files(tmp_path: Path) -> None:
    source = tmp_path / "frames.py"
    source.touch()
    assert not _build._runs_as_c("not.imported.frames", source)
    source.with_suffix(EXTENSION_SUFFIXES[0]).touch()
    assert _build._runs_as_c("not.imported.frames", source)


def test_an_imported_module_is_judged_by_what_was_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A compiled file put beside the source later does not change what this process runs.
    source = tmp_path / "frames.py"
    source.with_suffix(EXTENSION_SUFFIXES[0]).touch()
    module = types.ModuleType("made.up.frames")
    module.__file__ = str(source)
    monkeypatch.setitem(sys.modules, "made.up.frames", module)
    assert not _build._runs_as_c("made.up.frames", source)


def test_a_missing_distribution_has_no_version() -> None:
    assert _build._version("nuncio-does-not-know-this") is None
    info = _build.BuildInfo("1", False, (), "CPython 3.11", "1", "1", None)
    assert "no uvloop" in str(info)


def test_nothing_undeclared_is_needed_to_run() -> None:
    """mypyc's output may lean on its own run-time library, which is not a dependency."""
    program = (
        f"import importlib, sys\nfor name in {compiled_list()}: importlib.import_module(name)\n"
        "print(sorted(sys.modules.keys() & {'librt', 'mypy', 'mypyc', 'setuptools'}))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def build_wheel(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    sources = folder / "sources"
    sources.mkdir()
    for name in BUILT_FROM:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, sources / name, ignore=shutil.ignore_patterns("*.egg-info"))
        else:
            shutil.copy(path, sources)
    return subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-v", "--no-deps", "-w", str(folder), "."],
        cwd=sources,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_without_a_compiler_the_build_is_plain_and_says_so_once(tmp_path: Path) -> None:
    result = build_wheel(tmp_path, CC="/nonexistent/cc", NUNCIO_PURE="")
    assert result.returncode == 0, result.stdout
    lines = [line.strip() for line in result.stdout.splitlines()]
    said = [line for line in lines if line.startswith("nuncio: ")]
    assert len(said) == 1
    assert "plain Python" in said[0]
    assert "no C compiler" in said[0]
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"nuncio-{nuncio.__version__}-py3-none-any.whl"
    # What servers serve is in it.
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    for folder in ("browser", "console"):
        files = {path.name for path in (ROOT / "src/nuncio" / folder).iterdir() if path.is_file()}
        assert files
        assert {f"nuncio/{folder}/{name}" for name in files} <= packed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_compiled_build_that_is_demanded_fails_without_a_compiler(tmp_path: Path) -> None:
    result = build_wheel(tmp_path, CC="/nonexistent/cc", NUNCIO_PURE="0")
    assert result.returncode != 0
    assert "NUNCIO_PURE=0 asks for the compiled build" in result.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_misspelt_choice_is_refused(tmp_path: Path) -> None:
    result = build_wheel(tmp_path, NUNCIO_PURE="yes")
    assert result.returncode != 0
    assert "NUNCIO_PURE is 'yes'" in result.stdout
