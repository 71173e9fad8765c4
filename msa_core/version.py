"""What the version of this core is of: the code that a training of an arm can reach.

Code that no training executes is not in it: references, analyses, and how feature files are read,
since the fingerprint of the data is of the arrays that the reading ends in. No file but Python's
own is either: `data/planted_worlds.csv` holds expectations for tests and pages, and
`reference/references.bib` is cited. Nothing is imported to find this out, PyTorch included.
The platform makes the digest (`spaces.code_version`).
"""

import ast
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from msa_core.config.fields import MODALITIES, PAIRS
from msa_core.config.kinds import FAMILIES, is_added, kinds_of
from msa_core.config.paths import Value, fields_of, value_at
from msa_core.config.schema import Config
from msa_core.plugins import Plugin, kinds_added_by, parse_plugin

Kind = tuple[str, str]  # family and name

# Package -> its folder. Those that a training's imports are followed into.
FOLDERS: dict[str, Path] = {"msa_core": Path(__file__).parent}
# What a worker calls to train cells and to score them.
ROOTS = ("msa_core.training.pack_training", "msa_core.training.evaluation")
# Importer -> what its imports lead to only in arms that use it, and then as one of the roots:
# registries import every kind there is.
LEFT_OUT: dict[str, tuple[str, ...]] = {
    "msa_core.model": (
        "msa_core.modules.alignment.pairs",
        "msa_core.modules.contrast.contrasts",
        "msa_core.modules.contrast.inference",
        "msa_core.modules.encoders",
        "msa_core.modules.fusion.vector_fusions",
    ),
    "msa_core.modules.contrast.contrasts": (
        "msa_core.modules.contrast.mmim",
        "msa_core.modules.contrast.rbc",
    ),
    "msa_core.modules.fusion.vector_fusions": (
        "msa_core.modules.fusion.misa",
        "msa_core.modules.fusion.mult",
        "msa_core.modules.fusion.reorg",
    ),
    "msa_core.procedures.registry": (
        "msa_core.procedures.mla",
        "msa_core.procedures.stream",
        "msa_core.procedures.two_stage",
    ),
    # Scores under missing modalities, on request: no cell holds them.
    "msa_core.training.evaluation": ("msa_core.analysis.robustness",),
}
# Family -> kind -> its module; `""`: every other kind of the family.
_MODULES = {
    "encoder": {"": "msa_core.modules.encoders"},
    "fusion": {
        "": "msa_core.modules.fusion.vector_fusions",
        "misa": "msa_core.modules.fusion.misa",
        "mult": "msa_core.modules.fusion.mult",
        "reorg_sum": "msa_core.modules.fusion.reorg",
    },
    "alignment": {"": "msa_core.modules.alignment.pairs"},
    "contrast": {
        "": "msa_core.modules.contrast.contrasts",
        "bound": "msa_core.modules.contrast.mmim",
        "cpc": "msa_core.modules.contrast.mmim",
        "rbc": "msa_core.modules.contrast.rbc",
    },
    "procedure": {
        "": "msa_core.procedures.base",
        "mla": "msa_core.procedures.mla",
        "stream": "msa_core.procedures.stream",
        "two_stage": "msa_core.procedures.two_stage",
    },
}


def module_of_kind(family: str, kind: str) -> str:
    """Return the name of the module that a kind of Triptych's own is in.

    The only place that knows it: where a kind's options name their module, this reads it there.
    """
    known = _MODULES[family]
    return known.get(kind, known[""])


def training_modules(
    config: Config, choices: Mapping[str, Sequence[Value]], plugins: Sequence[Plugin] = ()
) -> tuple[str, ...]:
    """Return the modules from which a training of an arm reaches all the code that it executes.

    Args:
        config: Configuration of the arm.
        choices: Searched field of the arm -> values that its candidates can have, where they can
            be listed.
        plugins: Plugins in use. A plugin's text has a digest of its own; here is what it imports
            of the core.
    """
    kinds = usable_kinds(config, choices)
    # Of a plugin's measure too the pairs' module makes the term.
    own = {kind for kind in kinds if kind[0] == "alignment" or not is_added(*kind)}
    found = {module_of_kind(*kind) for kind in own}
    for plugin in plugins:
        if kinds & set(kinds_added_by(plugin)):
            found |= _imports_of(plugin)
    return (*ROOTS, *sorted(found))


def core_modules() -> tuple[str, ...]:
    """Return the modules from which an arm would reach all code that used every kind."""
    kinds = ((family, kind) for family in FAMILIES for kind in kinds_of(family))
    return (*ROOTS, *sorted({module_of_kind(*kind) for kind in kinds if not is_added(*kind)}))


def usable_kinds(config: Config, choices: Mapping[str, Sequence[Value]]) -> frozenset[Kind]:
    """Return the kinds that an arm uses, or that one of its candidates can.

    Each field by itself: constraints between fields are not counted in, so there may be a few more.

    Args:
        config: Configuration of the arm.
        choices: Searched field -> values of it, as for `training_modules`.
    """

    def values_of(path: str) -> Collection[Value]:
        return choices.get(path) or (value_at(config, path),)

    used = {name for name in MODALITIES if True in values_of(f"model.{name}.use")}
    paired = {
        pair
        for pair, both in PAIRS.items()
        if used.issuperset(both) and set(values_of(f"loss.alignment.{pair}.mode")) != {"off"}
    }
    found: set[Kind] = set()
    for path, (info, _) in fields_of(Config).items():
        if not info.family:
            continue
        owner = path.split(".")[-2]
        if (owner in MODALITIES and owner not in used) or (owner in PAIRS and owner not in paired):
            continue
        found.update((info.family, str(value)) for value in values_of(path))
    # Several contrast terms can be on together: each has a switch of its own.
    section = FAMILIES["contrast"].section
    return frozenset(found) | {
        ("contrast", kind)
        for kind in kinds_of("contrast")
        if True in values_of(f"{section}.{kind}.use")
    }


def _imports_of(plugin: Plugin) -> set[str]:
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
