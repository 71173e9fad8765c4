"""What the version of this core is of: the code that a training of an arm can reach.

Code that no training executes is not in it: references, analyses, and how feature files are read,
since the fingerprint of the data is of the arrays that the reading ends in. No file but Python's
own is either: `data/planted_worlds.csv` holds expectations for tests and pages, and
`reference/references.bib` is cited. Nothing is imported to find this out, PyTorch included.
The platform makes the digest (`spaces.code_version`).
"""

import ast
from collections.abc import Collection, Sequence
from pathlib import Path

from msa_core.config.fields import MODALITIES, PAIRS
from msa_core.config.kinds import (
    FAMILIES,
    family_of,
    is_added,
    kinds_of,
    options_class,
)
from msa_core.config.schema import Config
from msa_core.plugins import parse_plugin
from spaces.core import CodeRoots, Searched, SourceFile
from spaces.fields import paths
from spaces.fields.declaration import Value
from spaces.fields.paths import fields_of, value_at

Kind = tuple[str, str]  # family and name

# Package -> its folder. Those that a training's imports are followed into.
FOLDERS: dict[str, Path] = {
    "msa_core": Path(__file__).parent,
    "spaces": Path(str(paths.__file__)).parents[1],  # reading and changing configurations
}
# What a worker calls to train cells and to score them.
ROOTS = ("msa_core.training.pack_training", "msa_core.training.evaluation")
PAIRS_MODULE = "msa_core.modules.alignment.pairs"
# Importer -> what its imports lead to only in arms that use it, and then as one of the roots.
LEFT_OUT: dict[str, tuple[str, ...]] = {
    # The shapes of the contract, which compute nothing.
    "": ("spaces.abilities", "spaces.core", "spaces.failures"),
    "msa_core.model": (PAIRS_MODULE,),
    # Scores under missing modalities, on request: no cell holds them.
    "msa_core.training.evaluation": ("msa_core.analysis.robustness",),
}


def roots_from(modules: Sequence[str]) -> CodeRoots:
    """Return the roots in the form of the contract."""
    return CodeRoots(
        modules=tuple(modules),
        folders=tuple(sorted(FOLDERS.items())),
        left_out=tuple(sorted(LEFT_OUT.items())),
    )


def training_modules(
    config: Config, searched: Searched, plugins: Sequence[SourceFile] = ()
) -> tuple[str, ...]:
    """Return the modules from which a training of an arm reaches all the code that it executes.

    Args:
        config: Configuration of the arm.
        searched: Searched field of the arm -> values that its candidates can have, where they can
            be listed.
        plugins: Plugins that the arm can use. A plugin's text has a digest of its own; here is
            what it imports of the core.
    """
    kinds = usable_kinds(config, searched)
    found = {
        module
        for kind in kinds
        if not is_added(*kind)
        for module in modules_of_kind(type(config), *kind)
    }
    # Of a plugin's measure too the pairs' module makes the term.
    if any(family == "alignment" for family, _ in kinds):
        found.add(PAIRS_MODULE)
    for plugin in plugins:
        found |= _imports_of(plugin)
    return (*ROOTS, *sorted(found))


def core_modules() -> tuple[str, ...]:
    """Return the modules from which an arm would reach all code that used every kind."""
    found = {
        module
        for family in FAMILIES
        for kind in kinds_of(Config, family)
        for module in modules_of_kind(Config, family, kind)
    }
    return (*ROOTS, *sorted({*found, PAIRS_MODULE}))


def modules_of_kind(config_class: type[Config], family: str, kind: str) -> set[str]:
    """Return the names of the modules that a kind of Triptych's own is made in, as declared."""
    options = options_class(config_class, family, kind)
    named = {str(options.implementation), str(getattr(options, "inference", ""))}
    return {name.partition(":")[0] for name in named if name}


def usable_kinds(config: Config, searched: Searched) -> frozenset[Kind]:
    """Return the kinds that an arm uses, or that one of its candidates can.

    Each field by itself: constraints between fields are not counted in, so there may be a few more.

    Args:
        config: Configuration of the arm.
        searched: Searched field -> values of it, as for `training_modules`.
    """

    def values_of(path: str) -> Collection[Value]:
        return searched.get(path) or (value_at(config, path),)

    used = {name for name in MODALITIES if True in values_of(f"model.{name}.use")}
    paired = {
        pair
        for pair, both in PAIRS.items()
        if used.issuperset(both) and set(values_of(f"loss.alignment.{pair}.mode")) != {"off"}
    }
    found: set[Kind] = set()
    for path, (info, _) in fields_of(type(config)).items():
        family = family_of(info)
        if not family:
            continue
        owner = path.split(".")[-2]
        if (owner in MODALITIES and owner not in used) or (owner in PAIRS and owner not in paired):
            continue
        found.update((family, str(value)) for value in values_of(path))
    # Several contrast terms can be on together: each has a switch of its own.
    section = FAMILIES["contrast"].section
    return frozenset(found) | {
        ("contrast", kind)
        for kind in kinds_of(type(config), "contrast")
        if True in values_of(f"{section}.{kind}.use")
    }


def _imports_of(plugin: SourceFile) -> set[str]:
    """Return the modules of the core that a plugin imports, without the one that declares kinds."""
    found: set[str] = set()
    for node in ast.walk(parse_plugin(plugin)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
            found.add(node.module)
    return {name for name in found if name != "msa_core.plugins" and _is_module(name)}


def _is_module(name: str) -> bool:
    top, *below = name.split(".")
    if top not in FOLDERS:
        return False
    place = FOLDERS[top].joinpath(*below)
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()
