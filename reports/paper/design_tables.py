r"""Tables of a design: which modules an arm has, and what each of them does.

Need \usepackage{booktabs,graphicx,amssymb}.
"""

from collections.abc import Mapping, Sequence

from reports.evidence.comparison import Comparison
from reports.evidence.values import Effect, Evidence
from reports.numerals import count, show_interval, show_p
from reports.paper.latex_text import escape_latex, number, tabular
from reports.paper.render_latex import (
    GAP,
    ROWS,
    fitting_metrics,
    heading_latex,
    mean_latex,
    verdict_mark,
)
from reports.tables import Row, Table

VERDICT = 16  # characters of the column of verdicts
ON = r"\checkmark"
OFF = "--"


def render_modules(table: Table, levels: Mapping[str, Mapping[str, str]]) -> str:
    r"""A checkmark table: a column a factor, then every metric's mean, then the verdict.

    Args:
        table: arms and numbers.
        levels: arm -> factor -> its level there, as `StudyFacts.levels`.

    Returns:
        LaTeX; empty where no two arms differ in a factor.
    """
    factors = varied_factors(levels)
    rows = [row for row in table.rows if levels.get(row.arm)]
    if not factors or len(rows) < 2:
        return ""
    others = [row for row in table.rows if not levels.get(row.arm)]
    checked = {factor: checked_level(levels, factor) for factor in factors}
    taken = sum(len(factor) + 3 for factor in factors) + VERDICT
    places = fitting_metrics(table, "sd", taken)[0]
    more = len(places) < len(table.header)
    head = [
        "Arm",
        *(escape_latex(factor) for factor in factors),
        *(heading_latex(table.header[place]) for place in places),
        "Verdict",
    ]
    columns = "l" + "c" * (len(factors) + len(places)) + "l"
    drawn = [_module_row(table, row, places, levels[row.arm], checked) for row in rows]
    if others:
        drawn += [[], *(_module_row(table, row, places, {}, checked) for row in others)]
    lines = [r"% Needs \usepackage{booktabs,graphicx,amssymb}. Written by `triptych report`."]
    parts = [drawn[first : first + ROWS] for first in range(0, len(drawn), ROWS)]
    for place, part in enumerate(parts):
        lines += [
            rf"\begin{{table*}}[{'t' if place == 0 else 'p'}]",
            r"\centering",
            r"\small",
            rf"\caption{{{_caption(table, checked, place, len(parts), more=more)}}}",
            *([r"\label{tab:modules}"] if place == 0 else []),
            GAP,
            *tabular(columns, head, part),
            r"\end{table*}",
        ]
    return "\n".join(lines) + "\n"


def render_effects(comparison: Comparison, evidence: Evidence, decimals: int) -> str:
    """Main effects, interactions and Shapley values; empty where there are none."""
    effects, shapley = evidence.effects, evidence.shapley
    if effects is None and not shapley:
        return ""
    primary = comparison.primary
    label = escape_latex(primary.label)
    direction = "higher" if primary.higher_is_better else "lower"
    rows: list[list[str]] = []
    said = []
    if effects is not None:
        rows += [_effect_row(effect, decimals) for effect in effects.main]
        if effects.interactions:
            rows += [[], *(_effect_row(effect, decimals) for effect in effects.interactions)]
        said.append(
            f"Effects on {primary.label} ({direction} is better) by least squares with seed as a "
            f"block, over {count(effects.arms, 'arm')} and {count(effects.seeds, 'seed')}; p is "
            "Holm-corrected over the effects of the same order."
        )
    if shapley:
        rows += [[]] if rows else []
        rows += [
            [
                f"Shapley value of {escape_latex(value.factor)}",
                number(value.value, decimals, signed=True),
                f"{{{escape_latex(show_interval(value.low, value.high, decimals))}}}",
                "",
            ]
            for value in shapley
        ]
        said.append("Shapley values are exact; their intervals come from resampling seeds.")
    lines = [
        r"% Needs \usepackage{booktabs,graphicx}. Written by `triptych report`.",
        r"\begin{table}[t]",
        r"\centering",
        r"\small",
        rf"\caption{{{escape_latex(' '.join(said))}}}",
        r"\label{tab:effects}",
        GAP,
        *tabular("lrcr", ["Effect", rf"$\Delta$ {label}", r"95\,\% interval", r"$p$ (Holm)"], rows),
        r"\end{table}",
    ]
    return "\n".join(lines).replace(r"\textwidth", r"\columnwidth") + "\n"


def varied_factors(levels: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """Factors of which some two arms have different levels, in the order of the arms."""
    seen: dict[str, set[str]] = {}
    for own in levels.values():
        for factor, level in own.items():
            seen.setdefault(factor, set()).add(level)
    return tuple(factor for factor, found in seen.items() if len(found) > 1)


def checked_level(levels: Mapping[str, Mapping[str, str]], factor: str) -> str:
    """The level that a checkmark stands for: the only one besides `off`; empty if it has more."""
    found = {own[factor] for own in levels.values() if factor in own} - {"off"}
    has_off = any(own.get(factor) == "off" for own in levels.values())
    return found.pop() if has_off and len(found) == 1 else ""


def _module_row(
    table: Table,
    row: Row,
    places: Sequence[int],
    own: Mapping[str, str],
    checked: Mapping[str, str],
) -> list[str]:
    marks = [_mark(own.get(factor), level) for factor, level in checked.items()]
    means = [mean_latex(table.header[place], row.cells[place], "sd") for place in places]
    return [escape_latex(row.arm), *marks, *means, verdict_mark(row.primary.outcome)]


def _mark(level: str | None, checked: str) -> str:
    if level is None:  # the arm does not come from the design
        return ""
    if not checked:
        return escape_latex(level)
    return ON if level == checked else OFF


def _caption(
    table: Table, checked: Mapping[str, str], place: int, parts: int, *, more: bool
) -> str:
    if place:
        return rf"(Part {place + 1} of {parts}; see Table~\ref{{tab:modules}}.)"
    named = [f"{factor}: {level}" for factor, level in checked.items() if level not in ("", "on")]
    meaning = f" means {escape_latex('; '.join(named))}" if named else " means that the arm has it"
    caption = rf"{escape_latex(table.title)} A checkmark{meaning}. "
    further = " Further metrics are in the table of arms." if more else ""
    return rf"{caption}{escape_latex(table.caption)} Best in bold, second underlined.{further}"


def _effect_row(effect: Effect, decimals: int) -> list[str]:
    return [
        r" $\times$ ".join(escape_latex(factor) for factor in effect.factors),
        number(effect.estimate, decimals, signed=True),
        f"{{{escape_latex(show_interval(effect.low, effect.high, decimals))}}}",
        escape_latex(show_p(effect.p_holm)),
    ]


def effects_decimals(table: Table) -> int:
    """One digit more than the table's: effects are smaller than what they are effects on."""
    return min(4, table.header[0].decimals + 1)
