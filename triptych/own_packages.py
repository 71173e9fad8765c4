"""Whether Python finds Triptych's packages, and not something else of the same name.

`search`, `spaces` and `reports` are ordinary names: a file of the user's in the current folder, or
another distribution, may take their place. Found out without importing anything.
Standard library only.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("spaces", "msa_core", "reports", "search")
ROOT = Path(__file__).resolve().parents[1]  # they are beside this package
# In the docstring of each package: a distribution that overwrites it takes this away, too.
MARK = '"""Triptych: '
# Ray unpacks each package of a submitted job into a folder of its own, with this in its name.
UNPACKED = "_ray_pkg_"


def check_packages() -> None:
    """Refuse to go on where something takes the place of a package.

    Raises:
        ImportError: Something does; the message names file and package.
    """
    if message := find_shadow():
        raise ImportError(message)


def find_shadow() -> str:
    """Return which file takes the place of which package, and what to do; empty if none does."""
    for name in PACKAGES:
        found = _file_of(name)
        if found is None:
            return f"Triptych's package '{name}' is not installed beside {ROOT / 'triptych'}"
        if found != ROOT / name / "__init__.py" and UNPACKED not in str(found):
            return f"{found} takes the place of Triptych's package '{name}'; {_remedy(name, found)}"
        if not found.read_text(encoding="utf-8").startswith(MARK):
            return f"{found} is not Triptych's any more; {_remedy(name, found)}"
    return ""


def drop_current_folder() -> None:
    """Take the current folder from the path of modules, where `python -m` has put it.

    Not if Triptych itself is imported from there.
    """
    if sys.flags.safe_path or not sys.path:
        return
    first = Path(sys.path[0] or ".").resolve()
    if first == Path.cwd() and first != ROOT:
        del sys.path[0]


def _file_of(name: str) -> Path | None:
    try:
        spec = find_spec(name)
    except ValueError:  # a module without a spec, put there by hand
        spec = None
    if spec is None:
        return None
    # A folder without `__init__.py` has no file.
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    return Path(places[0]).resolve() if places else None


def _remedy(name: str, file: Path) -> str:
    if "site-packages" not in file.parts and "dist-packages" not in file.parts:
        return "rename or move it, or start from another folder"
    from importlib import metadata  # takes a moment, and is needed for this message alone

    owners = [
        owner
        for owner in metadata.packages_distributions().get(name, ())
        if owner.lower() != "triptych"
    ]
    whose = f" '{owners[0]}'" if owners else ""
    return (
        f"the distribution{whose} has a package of this name: pip uninstall it, then "
        "pip install --force-reinstall --no-deps triptych, or give Triptych an environment of "
        "its own"
    )
