"""Rendering of two compared studies as terminal table, LaTeX, Markdown, CSV and JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from reports.evidence.arm_estimates import Estimate
from reports.evidence.versions import ArmAcrossVersions, VersionComparison
from reports.numerals import (
    MISSING,
    choose_decimals,
    format_count,
    format_count_range,
    format_interval,
    format_mean,
    format_number,
    format_p,
)
from reports.paper.latex_text import escape_latex, tabular_lines
from reports.paper.render_markdown import escape_markdown, markdown_table
from reports.render_csv import csv_text
from reports.render_terminal import STYLES
from search.compare.settings import Setting, shorten_text

NARROW = 100  # columns of a terminal below which an arm has lines and not a row
ARROW = "→"
CSV_COLUMNS = (
    "arm", "method", "metric", "first_n", "first_mean", "first_sd", "second_n", "second_mean",
    "second_sd", "pairs", "delta", "ci_low", "ci_high", "p", "p_holm", "first_verdict",
    "second_verdict", "flips",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """The frozen value that every form of the comparison is drawn from.

    Attributes:
        first, second: Names of the two studies, which differ.
        versus: Comparison of their arms.
        settings: Settings that differ between them.
    """

    # Not `reports.tables.Table`: its rows hold one study's metrics, and here two studies' means of
    # one metric with their difference and both verdicts.

    first: str
    second: str
    versus: VersionComparison
    settings: Sequence[Setting]

    @property
    def decimals(self) -> int:
        """Decimals of every value of the metric."""
        return choose_decimals(side.sd for arm in self.versus.arms
                               for side in (arm.first, arm.second))  # fmt: skip

    @property
    def measure(self) -> str:
        """The metric with the arrow of its direction."""
        metric = self.versus.metric
        return f"{metric.label} {'↑' if metric.higher_is_better else '↓'}"


def table_caption(sheet: Sheet) -> str:
    """Describe what the numbers are."""
    methods = {arm.method for arm in sheet.versus.arms}
    parts = [f"Test {sheet.versus.metric.label}, mean ± sd over confirm seeds."]
    if "paired" in methods:
        pairs = format_count_range(
            (a.pairs for a in sheet.versus.arms if a.method == "paired"), "seed"
        )
        parts.append(
            f"Δ: {sheet.second} minus {sheet.first}, paired over the {pairs} that both have, with "
            "a 95 % two-level bootstrap interval (seeds and test examples); p: two-sided sign-flip "
            "test over seeds."
        )
    if "unpaired" in methods:
        parts.append(
            f"{'Where seeds or test examples are not shared, ' if 'paired' in methods else ''}"
            f"Δ: {sheet.second} minus {sheet.first}, not paired, with Welch's 95 % interval and p "
            "over seeds alone."
        )
    compared = sum(arm.method != "same cells" for arm in sheet.versus.arms)
    if methods & {"paired", "unpaired"}:
        parts.append(f"p is Holm-corrected over {compared} arms.")
    parts.append("Verdicts are of each study, against its own baseline.")
    return " ".join(parts)


def summary_sentences(sheet: Sheet) -> list[str]:
    """Write the answer, sentence by sentence."""
    arms = sheet.versus.arms
    if not arms:
        return [f"{sheet.first} and {sheet.second} have no arm in common."]
    same = [arm for arm in arms if arm.method == "same cells"]
    compared = [arm for arm in arms if arm.method in ("paired", "unpaired")]
    moved = [arm.arm for arm in arms if arm.has_moved]
    flips = [
        f"{arm.arm} ({arm.first.outcome} {ARROW} {arm.second.outcome})"
        for arm in arms
        if arm.verdict_flips
    ]
    sentences = []
    if same:
        are = "is" if len(same) == 1 else "are"
        sentences.append(
            f"{len(same)} of {format_count(len(arms), 'arm')} {are} made of the very same cells."
        )
    if compared:
        sentences.append(
            f"Of {len(compared)} compared, {len(moved)} changed: {', '.join(moved)}."
            if moved
            else f"Of {len(compared)} compared, none is known to have changed on "
            f"{sheet.versus.metric.label}."
        )
    sentences.append(f"Verdicts that flip: {'; '.join(flips)}." if flips else "No verdict flips.")
    return sentences


def render_terminal(sheet: Sheet, width: int) -> RichTable | list[str]:
    """Draw the arms as a table, or as lines where the terminal is narrow.

    Args:
        sheet: Comparison to draw.
        width: Width of the terminal, in columns.
    """
    if width < NARROW:
        return [line for arm in sheet.versus.arms for line in _arm_lines(arm, sheet)]
    table = RichTable(box=None, pad_edge=False)
    table.add_column("arm", overflow="fold", min_width=12)
    for title in (sheet.first, sheet.second):
        table.add_column(Text(f"{title}\n{sheet.measure}"), justify="right", overflow="fold")
    for title in ("delta", "95 % interval", "p Holm"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("verdicts", overflow="fold")
    for arm in sheet.versus.arms:
        style = STYLES.get(arm.second.verdict or "", "") if arm.verdict_flips else ""
        name, *numbers, verdicts = _row_texts(arm, sheet)
        # As `Text`: a name may hold what rich would take for markup.
        table.add_row(Text(name), *numbers, Text(verdicts, style=style))
    return table


def _arm_lines(arm: ArmAcrossVersions, sheet: Sheet) -> list[str]:
    name, first, second, delta, interval, p, verdicts = _row_texts(arm, sheet)
    same = arm.method == "same cells"
    return [
        name,
        f"  {sheet.measure}: {first} {ARROW} {second}",
        "  the same cells" if same else f"  delta {delta} {interval}, p Holm {p}",
        f"  {verdicts}",
    ]


def _row_texts(arm: ArmAcrossVersions, sheet: Sheet) -> tuple[str, ...]:
    """Write the seven cells of an arm's row, unescaped."""
    means = (format_mean(one.mean, one.sd, sheet.decimals) for one in (arm.first, arm.second))
    return arm.arm, *means, *_difference_texts(arm, sheet.decimals), _verdicts_text(arm)


def _difference_texts(arm: ArmAcrossVersions, decimals: int) -> tuple[str, str, str]:
    if arm.method == "same cells":
        return format_number(0.0, decimals), "same cells", MISSING
    return (
        format_number(arm.delta, decimals, signed=True),
        format_interval(arm.low, arm.high, decimals),
        format_p(arm.p_holm),
    )


def _verdicts_text(arm: ArmAcrossVersions) -> str:
    if not arm.verdict_flips and arm.first.verdict is not None:
        return arm.first.outcome
    return f"{arm.first.outcome} {ARROW} {arm.second.outcome}"


def setting_lines(sheet: Sheet) -> list[str]:
    """Write what differs between the two, for a terminal."""
    if not sheet.settings:
        return ["the two were asked and given the same"]
    return ["what differs:", *(
        f"  {one.what}: {shorten_text(one.first)} {ARROW} {shorten_text(one.second)}"
        for one in sheet.settings
    )]  # fmt: skip


def only_lines(sheet: Sheet) -> list[str]:
    """Write which arms only one of the two has."""
    pairs = ((sheet.first, sheet.versus.only_first), (sheet.second, sheet.versus.only_second))
    return [f"only in {name}: {', '.join(arms)}" for name, arms in pairs if arms]


def sheet_as_json(sheet: Sheet) -> dict[str, Any]:
    """Return the comparison as plain values."""
    versus = sheet.versus
    return {
        "first": sheet.first,
        "second": sheet.second,
        "metric": versus.metric.name,
        "higher_is_better": versus.metric.higher_is_better,
        "same_labels": versus.same_labels,
        "arms": [
            {
                **asdict(arm),
                "first": _side_as_json(arm.first),
                "second": _side_as_json(arm.second),
                "flips": arm.verdict_flips,
                "moved": arm.has_moved,
            }
            for arm in versus.arms
        ],
        "only_first": list(versus.only_first),
        "only_second": list(versus.only_second),
        "differs": [asdict(one) for one in sheet.settings],
        "notes": list(versus.notes),
    }


def _side_as_json(side: Estimate) -> dict[str, Any]:
    return {name: getattr(side, name) for name in ("n", "mean", "sd", "verdict")}


def render_csv(sheet: Sheet) -> str:
    """Render the arms, one row each, with all digits; a missing value is empty."""
    rows = []
    for arm in sheet.versus.arms:
        sides = [(side.n, side.mean, side.sd) for side in (arm.first, arm.second)]
        rows.append(
            [arm.arm, arm.method, sheet.versus.metric.name, *sides[0], *sides[1], arm.pairs,
             arm.delta, arm.low, arm.high, arm.p, arm.p_holm, arm.first.verdict,
             arm.second.verdict, str(arm.verdict_flips).lower()]
        )  # fmt: skip
    return csv_text(CSV_COLUMNS, rows)


def render_markdown(sheet: Sheet) -> str:
    """Render a page: the table, the answer, and what differs."""
    names = [escape_markdown(name) for name in (sheet.first, sheet.second)]
    measure = escape_markdown(sheet.measure)
    head = ["Arm", f"{names[0]}, {measure}", f"{names[1]}, {measure}", "Δ", "95 % interval",
            "p Holm", "Verdicts"]  # fmt: skip
    lines = [
        f"# {names[0]} against {names[1]}",
        "",
        *(escape_markdown(sentence) for sentence in summary_sentences(sheet)),
        "",
        *markdown_table(
            head,
            ["---", *["---:"] * 5, "---"],
            [map(escape_markdown, _row_texts(arm, sheet)) for arm in sheet.versus.arms],
        ),
        "",
        escape_markdown(table_caption(sheet)),
        "",
        *(f"- {escape_markdown(note)}" for note in (*sheet.versus.notes, *only_lines(sheet))),
    ]
    if sheet.settings:
        lines += [
            "",
            "## What differs",
            "",
            *markdown_table(
                ["", *names],
                ["---"] * 3,
                [map(escape_markdown, (one.what, one.first, one.second)) for one in sheet.settings],
            ),
        ]
    return "\n".join(lines).rstrip() + "\n"


def render_latex(sheet: Sheet) -> str:
    """Render a float that compiles with booktabs and graphicx."""
    head = ["Arm", sheet.first, sheet.second, "Δ", "95 % interval", "p Holm", "Verdicts"]
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs,graphicx}. Written by `triptych compare`.",
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{escape_latex(table_caption(sheet))}}}",
            # Braces: a cell that begins with [ would be an argument of the \\ before it.
            *tabular_lines(
                "lrrrrrl",
                [escape_latex(text) for text in head],
                [
                    [f"{{{escape_latex(text)}}}" for text in _row_texts(arm, sheet)]
                    for arm in sheet.versus.arms
                ],
            ),
            r"\end{table*}",
            "",
        ]
    )
