"""Where numbers come from: code, data, versions, machine."""

import functools
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path

import msa_core
from msa_core.config.paths import Value
from msa_core.config.schema import Config
from msa_core.data.dataset import Dataset
from msa_core.plugins import Plugin
from msa_core.version import FOLDERS, LEFT_OUT, core_modules, training_modules
from spaces.code_version import CodeTree, CodeVersion
from spaces.plan.arm_keys import codes_of
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan

# Beside the training core, what computes a cell's numbers. In no key: another version moves last
# digits at most, and an upgrade must not cost anybody a study; `plan --why` names it.
NUMERIC = ("torch", "numpy")
DISTRIBUTIONS = ("triptych", "torch", "numpy", "ray", "optuna", "mlflow", "scipy", "statsmodels")


def code_version() -> str:
    """Digest the training core: all code that decides what a cell's numbers are."""
    return _version_from(core_modules(), _core_folders()).digest


def arm_version(
    config: Config, choices: Mapping[str, Sequence[Value]], plugins: Sequence[Plugin]
) -> CodeVersion:
    """Return the version of the code that a training of an arm can reach.

    The one place where the platform asks a core for it.

    Args:
        config: Configuration of the arm.
        choices: Searched field of the arm -> values that its candidates can have, where they can
            be listed.
        plugins: Plugins of the study.
    """
    return _version_from(training_modules(config, choices, plugins), _core_folders())


def _core_folders() -> tuple[tuple[str, Path], ...]:
    return tuple(sorted(FOLDERS.items()))


# Once: a process computes with what it imported, whatever becomes of the files while it runs.
@functools.cache
def _version_from(modules: tuple[str, ...], folders: tuple[tuple[str, Path], ...]) -> CodeVersion:
    return _code_tree(folders).version(modules)


@functools.cache
def _code_tree(folders: tuple[tuple[str, Path], ...]) -> CodeTree:
    return CodeTree(dict(folders), LEFT_OUT)


def current_versions(dataset: Dataset) -> Versions:
    """Return what besides the study decides the numbers."""
    return Versions(data=dataset.fingerprint, code=code_version())


def collect_provenance(plan: Plan, dataset: Dataset) -> dict[str, str]:
    """Collect name -> value of all that is needed to make the numbers again."""
    return {
        "data": dataset.source,
        "data sha256": plan.versions.data,
        "utterances": _utterance_counts(dataset),
        "training core": plan.versions.code,
        **_newer_versions(plan, dataset),
        **_kept_arms(plan),
        **{f"plugin {plugin.name}": plugin.digest for plugin in plan.study.plugins},
        "git commit": _git_commit(),
        "sampler": f"{plan.study.sampler}, seed {plan.study.budget.seed}",
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: installed_version(name) for name in DISTRIBUTIONS},
    }


def _utterance_counts(dataset: Dataset) -> str:
    splits = (dataset.splits.train, dataset.splits.valid, dataset.test)
    return ", ".join(f"{split.name} {len(split)}" for split in splits)


def _newer_versions(plan: Plan, dataset: Dataset) -> dict[str, str]:
    """Return what is newer than the versions that the cells' keys hold."""
    # Only under `--keep` they differ: then old and new cells stand in one table.
    newer = {"data sha256": dataset.fingerprint, "training core": code_version()}
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
    root = Path(msa_core.__file__).parents[1]
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
