"""A file or distribution that takes the place of one of Triptych's packages."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cases.paths import REPOSITORY
from tests.cases.shadows import shadow_packages
from triptych.own_packages import MARK, PACKAGES, find_shadow

SHADOWS = ("search", "spaces", "reports", "msa_core")


def python(
    *arguments: str, folder: Path, path: tuple[Path, ...] = (REPOSITORY,)
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def shadowed(tmp_path: Path) -> Path:
    """A folder with files of the packages' names, none of which may be executed."""
    return shadow_packages(tmp_path, SHADOWS)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The packages as `pip install` copies them."""
    place = tmp_path / "lib" / "site-packages"
    for name in ("triptych", *PACKAGES):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, place / name, ignore=ignored)
    return place


def test_here_everything_is_ours() -> None:
    assert find_shadow() == ""
    for name in PACKAGES:
        text = (REPOSITORY / name / "__init__.py").read_text(encoding="utf-8")
        assert text.startswith(MARK), name


def test_the_command_does_not_see_the_current_folder(shadowed: Path) -> None:
    done = python("-m", "triptych", "--version", folder=shadowed)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", SHADOWS)
def test_a_folder_that_is_named_on_the_path_is_named(name: str, shadowed: Path) -> None:
    """Here nothing can be done but to say so, at once."""
    for other in set(SHADOWS) - {name}:
        (shadowed / f"{other}.py").unlink()
    began = time.perf_counter()
    done = python("-P", "-m", "triptych", "status", folder=REPOSITORY, path=(shadowed, REPOSITORY))
    assert time.perf_counter() - began < 30  # 3 s on a quiet machine
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line == (
        f"error: {shadowed / name}.py takes the place of Triptych's package '{name}'; "
        "rename or move it, or start from another folder"
    )


def test_a_notebook_is_told_which_file_it_is(shadowed: Path) -> None:
    """With the current folder first on the path, as an interpreter has it."""
    code = "import triptych; print(triptych.__version__); triptych.load('runs/x')"
    done = python("-c", code, folder=shadowed)
    assert done.stdout.strip()
    assert f"{shadowed / 'spaces.py'} takes the place of Triptych's package" in done.stderr
    assert "shadow" not in done.stdout


def test_a_folder_of_a_packages_name_is_named_too(tmp_path: Path) -> None:
    """Before an editable install a bare folder counts as a package."""
    (tmp_path / "reports").mkdir()
    code = "from triptych.own_packages import _file_of; print(_file_of('reports'))"
    done = python("-P", "-c", code, folder=tmp_path, path=(tmp_path, REPOSITORY))
    assert done.stdout.strip() == str(REPOSITORY / "reports" / "__init__.py")  # a package wins
    (tmp_path / "alone").mkdir()
    done = python(
        "-P", "-c", code.replace("reports", "alone"), folder=tmp_path, path=(tmp_path, REPOSITORY),
    )  # fmt: skip
    assert done.stdout.strip() == str(tmp_path / "alone")


def test_a_distribution_that_overwrites_a_package_is_found(installed: Path) -> None:
    assert python("-P", "-m", "triptych", "--version", folder=installed.parent,
                  path=(installed,)).returncode == 0  # fmt: skip
    (installed / "spaces" / "__init__.py").write_text("__version__ = '0.30'\n", encoding="utf-8")
    fake_distribution(installed)
    done = python("-P", "-m", "triptych", "status", folder=installed.parent, path=(installed,))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "spaces/__init__.py is not Triptych's any more; the distribution 'spaces'" in line
    assert "--force-reinstall" in line


def test_a_distribution_before_a_checkout_is_found(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    (site / "spaces").mkdir(parents=True)
    (site / "spaces" / "__init__.py").write_text("raise SystemExit('shadow')\n", encoding="utf-8")
    fake_distribution(site)
    done = python("-P", "-m", "triptych", "status", folder=tmp_path, path=(site, REPOSITORY))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert f"{site / 'spaces' / '__init__.py'} takes the place of Triptych's package" in line
    assert "the distribution 'spaces' has a package of this name" in line


def test_packages_that_ray_has_unpacked_apart_are_ours(tmp_path: Path) -> None:
    """As those of a submitted job are: each in a folder of its own."""
    folders = []
    for name in ("triptych", *PACKAGES):
        folders.append(tmp_path / f"_ray_pkg_{name}")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / name, folders[-1] / name, ignore=ignored)
    done = python("-P", "-m", "triptych", "--version", folder=tmp_path, path=tuple(folders))
    assert (done.returncode, done.stderr) == (0, "")


def fake_distribution(site: Path) -> None:
    """What `pip install spaces` leaves beside its files."""
    folder = site / "spaces-0.30.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: spaces\nVersion: 0.30\n")
    (folder / "RECORD").write_text("spaces/__init__.py,,\n")
    (folder / "top_level.txt").write_text("spaces\n")
