"""The page `docs/modules.md`: every switch of the training core, from fields and docstrings.

`python -m msa_core.reference.page` prints it, with a file name it writes it.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msa_core.config.kinds import FAMILIES, entry_of, kinds
from msa_core.config.paths import fields_of, get
from msa_core.config.schema import Config, FieldInfo
from msa_core.modules.alignment.pairs import MEASURES
from msa_core.modules.contrast.terms import CONTRASTS
from msa_core.modules.encoders import ENCODERS
from msa_core.modules.fusion.simple import FUSIONS
from msa_core.modules.labels import LabelGenerator
from msa_core.modules.missing import (
    FrameMask,
    ModalityDropout,
    present_where_modalities_never_meet,
)
from msa_core.procedures.registry import PROCEDURES
from msa_core.reference.docstring_sources import paragraph

INTRODUCTION = """\
# Modules

Every switch of the training core. Written by `make docs` from the fields and the docstrings; a test
holds it to them.

*Changes* says what a module touches: the **loss** alone, **state** that is kept from step to step,
the **model**, or the **loop** of the training. *Options* are given with their defaults and, after
"in", with the range in which papers search them. At its *off* value a module is not there at all:
every number is, bit for bit, that of a program without it. M modalities, B utterances, D entries;
z_m = projected vector of modality m, p and q = those of a pair, X_m = its frames, f = fused vector,
mu_m = 1 where m is there, y = label. Defaults, bounds and meanings: `triptych explain <field>`.
"""


@dataclass(frozen=True, slots=True)
class FamilyPage:
    """How a family is shown.

    Attributes:
        title: of its section.
        registry: kind -> module.
        off: the value at which there is none.
        beside: fields that belong to every kind.
    """

    title: str
    registry: Mapping[str, Any]
    off: str
    beside: tuple[str, ...] = ()


PAIR_FIELDS = tuple(f"loss.alignment.text_audio.{name}" for name in ("mode", "weight", "margin"))
PAGES = {
    "encoder": FamilyPage("Encoders", ENCODERS, "model.<modality>.use: false"),
    "fusion": FamilyPage("Fusion", FUSIONS, "model.fusion.kind: concat"),
    "alignment": FamilyPage(
        "Pair alignment",
        MEASURES,
        "loss.alignment.<pair>.mode: off",
        (*PAIR_FIELDS, "loss.alignment.layer", "loss.alignment.standardise"),
    ),
    "contrast": FamilyPage("Contrasts", CONTRASTS, "loss.contrast.<kind>.use: false"),
    "procedure": FamilyPage("Procedures", PROCEDURES, "procedure.kind: joint"),
}


@dataclass(frozen=True, slots=True)
class Switch:
    """One that is no kind of a family.

    Attributes:
        path: of its field.
        on: a value that switches it on; empty for any number above 0.
        changes: as `Options.changes`, or other words.
        module: whose docstring has formula and source; None where they are given here.
        formula, source: in place of the docstring's.
        options: path below which its options are.
    """

    path: str
    on: str
    changes: str
    module: Callable[..., Any] | None = None
    formula: str = ""
    source: str = ""
    options: str = ""


OURS = "a control; ours"
SWITCHES = {
    "Unimodal heads": (
        Switch("loss.unimodal.kind", "fixed", "model", None,
               "sum_m c_m mean_b |yhat_m,b - y_b|", "common practice (multi-task learning)"),
        Switch("loss.unimodal.target", "annotated", "loss", None,
               "sum_m c_m mean_b |yhat_m,b - y_m,b|, y_m = the data's own label of modality m",
               "Yu et al. 2020 (CH-SIMS, MLMF)"),
        Switch("loss.unimodal.kind", "ulgm", "state", LabelGenerator,
               "y_m <- y_m + 2 / (n + 1) (proposal(y, distances to the classes' centres) - y_m)",
               options="loss.unimodal.ulgm"),
    ),
    "Missing data": (
        Switch("missing.frames", "", "model", FrameMask),
        Switch("missing.modalities", "", "model", ModalityDropout),
        Switch("missing.protocol", "unseen", "loop", present_where_modalities_never_meet,
               "mu_text = mu_audio = [row is even], mu_vision = [row is odd]; valid, test: all 1"),
    ),
    "Controls": (
        Switch("control.placebo", "<any name>", "random streams", None,
               "the same model, every random stream keyed by the name too", OURS),
        Switch("control.unused", "", "nothing", None,
               "parameters that no output reads; must be bit-identical to absent", OURS),
        Switch("control.shuffled_labels", "true", "labels of train", None,
               "y_b <- y_pi(b), pi a permutation drawn by the seed", OURS),
    ),
}  # fmt: skip


def page() -> str:
    """The page, in Markdown."""
    parts = [INTRODUCTION]
    for family, shown in PAGES.items():
        rows = [_row_of_kind(family, kind, shown) for kind in kinds(family)]
        beside = f"Every kind: {_options(shown.beside)}.\n\n" if shown.beside else ""
        heading = f"## {shown.title}\n\nOff: `{shown.off}`.\n\n"
        parts.append(heading + beside + _table(rows, ("kind", "formula", "changes", "options")))
    for title, switches in SWITCHES.items():
        rows = [_row_of_switch(switch) for switch in switches]
        parts.append(
            f"## {title}\n\n" + _table(rows, ("switch", "formula", "changes", "off and options"))
        )
    return "\n".join(parts)


def documented(module: Callable[..., Any], heading: str) -> str:
    """The paragraph of a docstring that starts with `Formula:` or `Source:`, in one line."""
    return paragraph(module.__doc__ or "", heading)


def summary(module: Callable[..., Any]) -> str:
    """The first paragraph of a docstring, in one line."""
    text = inspect.cleandoc(module.__doc__ or "").split("\n\n")[0]
    return " ".join(text.split())


def _row_of_kind(family: str, kind: str, shown: FamilyPage) -> tuple[str, ...]:
    module = shown.registry[kind]
    prefix = f"{FAMILIES[family].section}.{kind}."
    options = [path for path in fields_of(Config) if path.startswith(prefix)]
    own = [path for path in options if path != f"{prefix}use"]
    return (
        f"`{FAMILIES[family].switch.format(kind)}`<br>{_escaped(summary(module))}",
        f"{_code(documented(module, 'Formula'))}<br>{_escaped(documented(module, 'Source'))}",
        entry_of(family, kind).changes,
        _options(own, prefix),
    )


def _row_of_switch(switch: Switch) -> tuple[str, ...]:
    info, _ = fields_of(Config)[switch.path]
    formula, source = switch.formula, switch.source
    if switch.module is not None:
        formula = formula or documented(switch.module, "Formula")
        source = source or documented(switch.module, "Source")
    prefix = f"{switch.options}."
    own = [path for path in fields_of(Config) if switch.options and path.startswith(prefix)]
    off = f"`{_written(get(Config(), switch.path))}`{_searched(info)}"
    return (
        f"`{switch.path}: {switch.on or '<number>'}`<br>{_escaped(info.meaning)}",
        f"{_code(formula)}<br>{_escaped(source)}",
        switch.changes,
        "<br>".join(part for part in (off, _options(own, prefix)) if part != "-"),
    )


def _options(paths: Sequence[str], prefix: str = "") -> str:
    shown = []
    for path in paths:
        info, _ = fields_of(Config)[path]
        name = path.removeprefix(prefix).replace(".text_audio.", ".<pair>.")
        default = _written(get(Config(), path))
        others = [choice for choice in info.choices if choice != default]
        beside = f" (or {', '.join(others)})" if others else _searched(info)
        shown.append(f"`{name}` = {default}{beside}")
    return ("<br>" if prefix else "; ").join(shown) or "-"


def _searched(info: FieldInfo) -> str:
    if info.searched is None:
        return ""
    low, high, scale = info.searched
    return f" in [{low:g}, {high:g}]{', log' if scale == 'log' else ''}"


def _table(rows: Sequence[tuple[str, ...]], headings: Sequence[str]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _code(formula: str) -> str:
    return f"`{_escaped(formula)}`" if formula else "-"


def _escaped(text: str) -> str:
    """A bar would end the cell of the table."""
    return text.replace("|", r"\|")


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def main(arguments: Sequence[str]) -> None:
    """Print the page, or write it to a file."""
    if arguments:
        Path(arguments[0]).write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())


if __name__ == "__main__":
    main(sys.argv[1:])
