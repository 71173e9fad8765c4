"""Where numbers come from: code, data, versions, machine."""

import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from spaces.code_version import CodeTree, CodeVersion, with_packages
from spaces.core import CodeRoots, Core, Data, Searched
from spaces.find_core import DEFAULT, is_code_file
from spaces.plan.arm_keys import codes_of
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan

# Beside the training core, what computes a cell's numbers. In no key: another version moves last
# digits at most, and an upgrade must not cost anybody a study; `plan --why` names it.
NUMERIC = ("torch", "numpy")
DISTRIBUTIONS = ("triptych", "torch", "numpy", "ray", "optuna", "mlflow", "scipy", "statsmodels")


def code_version(core: Core) -> str:
    """Digest the core: all code that decides what a cell's numbers are."""
    return _version_from(core.code_roots(None, {})).digest


def arm_version(core: Core, config: Any, searched: Searched) -> CodeVersion:
    """Return the version of the code that a training of an arm can reach.

    Args:
        core: Core of the study.
        config: Configuration of the arm.
        searched: Searched field of the arm -> values that its candidates can have, where they can
            be listed.
    """
    return _version_from(core.code_roots(config, searched))


# Once: a process computes with what it imported, whatever becomes of the files while it runs.
@functools.cache
def _version_from(roots: CodeRoots) -> CodeVersion:
    version = _code_tree(roots.folders, roots.left_out).version(roots.modules)
    return version if not roots.packages else with_packages(version, roots.packages)


@functools.cache
def _code_tree(
    folders: tuple[tuple[str, Path], ...], left_out: tuple[tuple[str, tuple[str, ...]], ...]
) -> CodeTree:
    return CodeTree(dict(folders), dict(left_out))


def current_versions(core: Core, dataset: Data) -> Versions:
    """Return what besides the study decides the numbers."""
    return Versions(data=dataset.fingerprint, code=code_version(core))


def collect_provenance(plan: Plan, dataset: Data) -> dict[str, str]:
    """Collect name -> value of all that is needed to make the numbers again."""
    return {
        "data": dataset.source,
        "data sha256": plan.versions.data,
        "utterances" if plan.study.core.name == DEFAULT else "examples": _split_counts(dataset),
        "training core": plan.versions.code,
        **_newer_versions(plan, dataset),
        **_kept_arms(plan),
        **_own_files(plan.study.core),
        "git commit": _git_commit(),
        "sampler": f"{plan.study.sampler}, seed {plan.study.budget.seed}",
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: installed_version(name) for name in DISTRIBUTIONS},
    }


def _own_files(core: Core) -> dict[str, str]:
    kind = "file" if is_code_file(core.name) else "plugin"
    return {f"{kind} {file.name}": file.digest for file in core.plugins}


def _split_counts(dataset: Data) -> str:
    return ", ".join(f"{name} {count}" for name, count in dataset.counts.items())


def _newer_versions(plan: Plan, dataset: Data) -> dict[str, str]:
    """Return what is newer than the versions that the cells' keys hold."""
    # Only under `--keep` they differ: then old and new cells stand in one table.
    newer = {"data sha256": dataset.fingerprint, "training core": code_version(plan.study.core)}
    held = {"data sha256": plan.versions.data, "training core": plan.versions.code}
    return {f"{name}, now": newer[name] for name in newer if held[name] not in ("", newer[name])}


def _kept_arms(plan: Plan) -> dict[str, str]:
    """Return the code of each arm whose cells of an older version count (`--keep`)."""
    return {
        f"training core of '{arm.name}'": f"{', '.join(held)}, now {arm.code.digest}"
        for arm in plan.arms
        if arm.kept is not None and arm.code.digest not in (held := codes_of(arm.kept))
    }


def installed_version(name: str) -> str:
    """Return the version of an installed distribution, or that there is none."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _git_commit() -> str:
    """Describe the commit of the checkout that this code runs from, marked if it was edited."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return "not a git checkout"
    try:
        described = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty=-edited", "--abbrev=12"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()
