r"""Tables of a design: the modules of each arm, and the effect of each module.

They need \usepackage{booktabs,graphicx,amssymb}.
"""

from collections.abc import Mapping, Sequence

from reports.evidence.comparison import Comparison
from reports.evidence.values import Effect, Evidence
from reports.numerals import format_count, format_interval, format_p
from reports.paper.latex_text import escape_latex, float_lines, number_latex, tabular_lines
from reports.paper.render_latex import (
    GAP,
    ROWS,
    fitting_metrics,
    heading_latex,
    mean_latex,
    verdict_mark,
)
from reports.tables import Row, Table

VERDICT_WIDTH = 16  # characters of the column of verdicts
CHECKED = r"\checkmark"
UNCHECKED = "--"


def render_modules(table: Table, levels: Mapping[str, Mapping[str, str]]) -> str:
    r"""Return a checkmark table: a column per factor, then every metric's mean, then the verdict.

    Args:
        table: Table of arms.
        levels: Arm -> factor -> its level there, as `StudyFacts.levels`.

    Returns:
        LaTeX; empty where no two arms differ in a factor.
    """
    factors = varied_factors(levels)
    rows = [row for row in table.rows if levels.get(row.arm)]
    if not factors or len(rows) < 2:
        return ""
    others = [row for row in table.rows if not levels.get(row.arm)]
    checked = {factor: checked_level(levels, factor) for factor in factors}
    taken = sum(len(factor) + 3 for factor in factors) + VERDICT_WIDTH
    indices = fitting_metrics(table, "sd", taken)[0]
    more = len(indices) < len(table.header)
    head = [
        "Arm",
        *(escape_latex(factor) for factor in factors),
        *(heading_latex(table.header[index]) for index in indices),
        "Verdict",
    ]
    columns = "l" + "c" * (len(factors) + len(indices)) + "l"
    drawn = [_module_row(table, row, indices, levels[row.arm], checked) for row in rows]
    # Arms that do not come from the design have no marks, and stand below a gap.
    if others:
        drawn += [[], *(_module_row(table, row, indices, {}, checked) for row in others)]
    lines = [r"% Needs \usepackage{booktabs,graphicx,amssymb}. Written by `triptych report`."]
    parts = [drawn[first : first + ROWS] for first in range(0, len(drawn), ROWS)]
    for index, part in enumerate(parts):
        lines += float_lines(
            [GAP, *tabular_lines(columns, head, part)],
            _modules_caption(table, checked, index, len(parts), more=more),
            label="" if index else "tab:modules",
            place="p" if index else "t",
        )
    return "\n".join(lines) + "\n"


def render_effects(comparison: Comparison, evidence: Evidence, decimals: int) -> str:
    """Return a table of effects, interactions and Shapley values; empty where there are none."""
    effects, shapley = evidence.effects, evidence.shapley
    if effects is None and not shapley:
        return ""
    primary = comparison.primary
    label = escape_latex(primary.label)
    direction = "higher" if primary.higher_is_better else "lower"
    rows: list[list[str]] = []
    sentences = []
    if effects is not None:
        rows += [_effect_row(effect, decimals) for effect in effects.main]
        if effects.interactions:
            rows += [[], *(_effect_row(effect, decimals) for effect in effects.interactions)]
        sentences.append(
            f"Effects on {primary.label} ({direction} is better) by least squares with seed as a "
            f"block, over {format_count(effects.arms, 'arm')} and "
            f"{format_count(effects.seeds, 'seed')}; p is "
            "Holm-corrected over the effects of the same order."
        )
    if shapley:
        rows += [[]] if rows else []
        rows += [
            [
                f"Shapley value of {escape_latex(value.factor)}",
                number_latex(value.value, decimals, signed=True),
                f"{{{escape_latex(format_interval(value.low, value.high, decimals))}}}",
                "",
            ]
            for value in shapley
        ]
        sentences.append("Shapley values are exact; their intervals come from resampling seeds.")
    head = ["Effect", rf"$\Delta$ {label}", r"95\,\% interval", r"$p$ (Holm)"]
    lines = [
        r"% Needs \usepackage{booktabs,graphicx}. Written by `triptych report`.",
        *float_lines(
            [GAP, *tabular_lines("lrcr", head, rows)],
            escape_latex(" ".join(sentences)),
            label="tab:effects",
            environment="table",
        ),
    ]
    # Four narrow columns fit into one column of the paper: `table`, and not `table*`.
    return "\n".join(lines).replace(r"\textwidth", r"\columnwidth") + "\n"


def varied_factors(levels: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Return the factors in which some two arms differ, in the order of the arms."""
    seen: dict[str, set[str]] = {}
    for own in levels.values():
        for factor, level in own.items():
            seen.setdefault(factor, set()).add(level)
    return tuple(factor for factor, found in seen.items() if len(found) > 1)


def checked_level(levels: Mapping[str, Mapping[str, str]], factor: str) -> str:
    """Return the level that a checkmark stands for: the only one besides `off`, if there is one."""
    found = {own[factor] for own in levels.values() if factor in own} - {"off"}
    # With two levels besides `off`, or without `off`, a checkmark would not tell the level.
    has_off = any(own.get(factor) == "off" for own in levels.values())
    return found.pop() if has_off and len(found) == 1 else ""


def _module_row(
    table: Table,
    row: Row,
    indices: Sequence[int],
    own: Mapping[str, str],
    checked: Mapping[str, str],
) -> list[str]:
    marks = [_level_mark(own.get(factor), level) for factor, level in checked.items()]
    means = [mean_latex(table.header[index], row.cells[index], "sd") for index in indices]
    return [escape_latex(row.arm), *marks, *means, verdict_mark(row.primary.outcome)]


def _level_mark(level: str | None, checked: str) -> str:
    if level is None:  # the arm does not come from the design
        return ""
    if not checked:
        return escape_latex(level)
    return CHECKED if level == checked else UNCHECKED


def _modules_caption(
    table: Table, checked: Mapping[str, str], index: int, parts: int, *, more: bool
) -> str:
    if index:
        return rf"(Part {index + 1} of {parts}; see Table~\ref{{tab:modules}}.)"
    named = [f"{factor}: {level}" for factor, level in checked.items() if level not in ("", "on")]
    meaning = f" means {escape_latex('; '.join(named))}" if named else " means that the arm has it"
    caption = rf"{escape_latex(table.title)} A checkmark{meaning}. "
    further = " Further metrics are in the table of arms." if more else ""
    return rf"{caption}{escape_latex(table.caption)} Best in bold, second underlined.{further}"


def _effect_row(effect: Effect, decimals: int) -> list[str]:
    return [
        r" $\times$ ".join(escape_latex(factor) for factor in effect.factors),
        number_latex(effect.estimate, decimals, signed=True),
        f"{{{escape_latex(format_interval(effect.low, effect.high, decimals))}}}",
        escape_latex(format_p(effect.p_holm)),
    ]


def effects_decimals(table: Table) -> int:
    """Return the decimals of effects: one more than those of the table, at most 4."""
    # Effects are smaller than the means that they are effects on.
    return min(4, table.header[0].decimals + 1)
