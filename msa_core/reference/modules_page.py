"""The page `docs/modules.md`: every switch of the training core, from fields and docstrings.

`python -m msa_core.reference.modules_page` prints it, with a file name it writes it.
"""

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msa_core.config.kinds import FAMILIES, kinds_of, module_of, options_class
from msa_core.config.schema import Config
from msa_core.modules.missing import (
    FrameMask,
    ModalityDropout,
    present_where_modalities_never_meet,
)
from msa_core.modules.unimodal_labels import LabelGenerator
from msa_core.reference.sources import documented_paragraph, source_of_kind
from spaces.fields.declaration import FieldInfo
from spaces.fields.paths import fields_of, value_at

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
    """Section of a family on the page.

    Attributes:
        title: Title of its section.
        off: Setting at which there is none.
        beside: Fields that belong to every kind.
    """

    title: str
    off: str
    beside: tuple[str, ...] = ()


# One pair stands for all three, which have the same fields.
PAIR_FIELDS = tuple(f"loss.alignment.text_audio.{name}" for name in ("mode", "weight", "margin"))
PAGES = {
    "encoder": FamilyPage("Encoders", "model.<modality>.use: false"),
    "fusion": FamilyPage("Fusion", "model.fusion.kind: concat"),
    "alignment": FamilyPage(
        "Pair alignment",
        "loss.alignment.<pair>.mode: off",
        (*PAIR_FIELDS, "loss.alignment.layer", "loss.alignment.standardise"),
    ),
    "contrast": FamilyPage("Contrasts", "loss.contrast.<kind>.use: false"),
    "procedure": FamilyPage("Procedures", "procedure.kind: joint"),
}


@dataclass(frozen=True, slots=True)
class Switch:
    """Switch that is no kind of a family.

    Attributes:
        path: Path of its field.
        on: Value that switches it on; empty for any number above 0.
        changes: Part that it changes, as in `Options.changes` or in other words.
        module: Module whose docstring has the formula; None where it is given here.
        formula: Formula in place of the docstring's.
        options: Path below which its options are.
    """

    path: str
    on: str
    changes: str
    module: Callable[..., Any] | None = None
    formula: str = ""
    options: str = ""


SWITCHES = {
    "Unimodal heads": (
        Switch("loss.unimodal.kind", "fixed", "model", None,
               "sum_m c_m mean_b |yhat_m,b - y_b|"),
        Switch("loss.unimodal.target", "annotated", "loss", None,
               "sum_m c_m mean_b |yhat_m,b - y_m,b|, y_m = the data's own label of modality m"),
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
               "the same model, every random stream keyed by the name too"),
        Switch("control.unused", "", "nothing", None,
               "parameters that no output reads; must be bit-identical to absent"),
        Switch("control.shuffled_labels", "true", "labels of train", None,
               "y_b <- y_pi(b), pi a permutation drawn by the seed"),
    ),
}  # fmt: skip


def render_page() -> str:
    """Return the page, in Markdown."""
    parts = [INTRODUCTION]
    for family, shown in PAGES.items():
        rows = [_row_of_kind(family, kind) for kind in kinds_of(Config, family)]
        beside = f"Every kind: {_format_options(shown.beside)}.\n\n" if shown.beside else ""
        heading = f"## {shown.title}\n\nOff: `{shown.off}`.\n\n"
        parts.append(
            heading + beside + _format_table(rows, ("kind", "formula", "changes", "options"))
        )
    for title, switches in SWITCHES.items():
        rows = [_row_of_switch(switch) for switch in switches]
        parts.append(
            f"## {title}\n\n"
            + _format_table(rows, ("switch", "formula", "changes", "off and options"))
        )
    return "\n".join(parts)


def summarise_docstring(module: Callable[..., Any]) -> str:
    """Return the first paragraph of a docstring, in one line."""
    text = inspect.cleandoc(module.__doc__ or "").split("\n\n")[0]
    return " ".join(text.split())


def _row_of_kind(family: str, kind: str) -> tuple[str, ...]:
    module = module_of(Config, family, kind)
    prefix = f"{FAMILIES[family].section}.{kind}."
    options = [path for path in fields_of(Config) if path.startswith(prefix)]
    # `use` is the switch itself, which the first column shows.
    own = [path for path in options if path != f"{prefix}use"]
    formula, source = documented_paragraph(module, "Formula"), source_of_kind(Config, family, kind)
    return (
        f"`{FAMILIES[family].switch.format(kind)}`<br>{_escape_bars(summarise_docstring(module))}",
        f"{_format_code(formula)}<br>{_escape_bars(source)}",
        options_class(Config, family, kind).changes,
        _format_options(own, prefix),
    )


def _row_of_switch(switch: Switch) -> tuple[str, ...]:
    info, _ = fields_of(Config)[switch.path]
    formula = switch.formula
    if switch.module is not None:
        formula = formula or documented_paragraph(switch.module, "Formula")
    source = info.origins[switch.on if switch.on in info.choices else ""].source
    prefix = f"{switch.options}."
    own = [path for path in fields_of(Config) if switch.options and path.startswith(prefix)]
    off = f"`{_format_value(value_at(Config(), switch.path))}`{_format_range(info)}"
    return (
        f"`{switch.path}: {switch.on or '<number>'}`<br>{_escape_bars(info.meaning)}",
        f"{_format_code(formula)}<br>{_escape_bars(source)}",
        switch.changes,
        "<br>".join(part for part in (off, _format_options(own, prefix)) if part != "-"),
    )


def _format_options(paths: Sequence[str], prefix: str = "") -> str:
    shown = []
    for path in paths:
        info, _ = fields_of(Config)[path]
        name = path.removeprefix(prefix).replace(".text_audio.", ".<pair>.")
        default = _format_value(value_at(Config(), path))
        others = [choice for choice in info.choices if choice != default]
        beside = f" (or {', '.join(others)})" if others else _format_range(info)
        shown.append(f"`{name}` = {default}{beside}")
    return ("<br>" if prefix else "; ").join(shown) or "-"


def _format_range(info: FieldInfo) -> str:
    if info.searched is None:
        return ""
    low, high, scale = info.searched
    return f" in [{low:g}, {high:g}]{', log' if scale == 'log' else ''}"


def _format_table(rows: Sequence[tuple[str, ...]], headings: Sequence[str]) -> str:
    """Return a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _format_code(formula: str) -> str:
    return f"`{_escape_bars(formula)}`" if formula else "-"


def _escape_bars(text: str) -> str:
    # A bar would end the cell of the table.
    return text.replace("|", r"\|")


def _format_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"


def main(arguments: Sequence[str]) -> None:
    """Print the page, or write it to a file."""
    if arguments:
        Path(arguments[0]).write_text(render_page(), encoding="utf-8")
    else:
        sys.stdout.write(render_page())


if __name__ == "__main__":
    main(sys.argv[1:])
