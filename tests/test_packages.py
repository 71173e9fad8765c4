"""The four package names are ours, and reading a study stays light."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cases.paths import REPOSITORY

PACKAGES = ("triptych", "msa_core", "spaces", "reports", "search")
HEAVY = ("torch", "ray", "optuna", "mlflow", "pandas", "plotly", "scipy")


@pytest.mark.parametrize("name", PACKAGES)
def test_package_names_resolve_into_this_repository(name: str) -> None:
    assert Path(str(importlib.import_module(name).__file__)).parent == REPOSITORY / name


@pytest.mark.parametrize("module", ["spaces.study_file.load", "spaces.plan.plan", "search.cli"])
def test_light_modules_import_nothing_heavy(module: str) -> None:
    assert heavy_imports_of(module) == []


def test_the_commands_leave_to_each_what_only_it_needs() -> None:
    """So that `triptych plan` takes a second."""
    assert heavy_imports_of("search.estimates.show_plans") == ["optuna", "pandas"]


def heavy_imports_of(module: str) -> list[str]:
    code = f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_no_module_is_named_after_the_standard_library_or_a_dependency() -> None:
    taken = set(sys.stdlib_module_names) | set(HEAVY) | {"rich", "click", "jinja2", "pydantic"}
    ours = [path for name in PACKAGES
            for path in (REPOSITORY / name).rglob("*.py")]  # fmt: skip
    assert [path for path in ours if path.stem in taken] == []


def test_no_source_file_is_longer_than_400_lines() -> None:
    sources = [path for folder in (*PACKAGES, "tests")
               for path in (REPOSITORY / folder).rglob("*.py")]  # fmt: skip
    long = {path.name: len(path.read_text().splitlines()) for path in sources}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}


def test_every_file_that_is_no_module_is_installed_too() -> None:
    """Templates, styles, studies, references: each matches a pattern of `package-data`."""
    config = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = config["tool"]["setuptools"]["package-data"]
    installed = {
        path
        for package, globs in patterns.items()
        for pattern in globs
        for path in REPOSITORY.joinpath(*package.split(".")).glob(pattern)
    }
    listed = subprocess.run(
        ["git", "-C", REPOSITORY, "ls-files", *PACKAGES],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    there = {REPOSITORY / path for path in listed if (REPOSITORY / path).exists()}
    assert {path for path in there if path.suffix != ".py"} - installed == set()
