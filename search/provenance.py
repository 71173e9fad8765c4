"""Where numbers come from: code, data, versions, machine."""

import hashlib
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from spaces.core import Core, Data
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan

DISTRIBUTIONS = ("triptych", "torch", "numpy", "ray", "optuna", "mlflow", "scipy", "statsmodels")


def code_version(core: Core) -> str:
    """Digest the core's source: all code that decides what a cell's numbers are."""
    root = _package_folder(core)
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root).as_posix()).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _package_folder(core: Core) -> Path:
    """Return the folder of the package that a core is in."""
    package = type(core).__module__.partition(".")[0]
    return Path(str(sys.modules[package].__file__)).parent


def current_versions(core: Core, dataset: Data) -> Versions:
    """Return what besides the study decides the numbers."""
    return Versions(data=dataset.fingerprint, code=code_version(core))


def collect_provenance(plan: Plan, dataset: Data) -> dict[str, str]:
    """Collect name -> value of all that is needed to make the numbers again."""
    return {
        "data": dataset.source,
        "data sha256": plan.versions.data,
        "utterances": _split_counts(dataset),
        "training core": plan.versions.code,
        **_newer_versions(plan, dataset),
        **{f"plugin {plugin.name}": plugin.digest for plugin in plan.study.plugins},
        "git commit": _git_commit(),
        "sampler": f"{plan.study.sampler}, seed {plan.study.budget.seed}",
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: installed_version(name) for name in DISTRIBUTIONS},
    }


def _split_counts(dataset: Data) -> str:
    return ", ".join(f"{name} {count}" for name, count in dataset.counts.items())


def _newer_versions(plan: Plan, dataset: Data) -> dict[str, str]:
    """Return what is newer than the versions that the cells' keys hold."""
    # Only under `--keep` they differ: then old and new cells stand in one table.
    newer = {"data sha256": dataset.fingerprint, "training core": code_version(plan.study.core)}
    held = {"data sha256": plan.versions.data, "training core": plan.versions.code}
    return {f"{name}, now": newer[name] for name in newer if held[name] not in ("", newer[name])}


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
