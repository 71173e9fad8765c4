"""Two studies against each other, for a terminal, a paper, a page and a program; pure functions."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.table import Table as RichTable
from rich.text import Text

from reports.evidence.estimates import NO_RESULT
from reports.evidence.versions import ArmVersus, Side, Versus
from reports.numerals import (
    MISSING,
    choose_decimals,
    count,
    count_range,
    show,
    show_interval,
    show_p,
)
from reports.paper.latex_text import escape_latex, tabular
from reports.paper.render_markdown import escape_markdown
from reports.render_csv import csv_text
from reports.render_terminal import STYLES
from search.compare.settings import Setting, shortened

NARROW = 100  # columns of a terminal; below, an arm has lines and not a row
ARROW = "→"
CSV_COLUMNS = (
    "arm", "method", "metric", "first_n", "first_mean", "first_sd", "second_n", "second_mean",
    "second_sd", "pairs", "delta", "ci_low", "ci_high", "p", "p_holm", "first_verdict",
    "second_verdict", "flips",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Sheet:
    """What every form of the comparison is drawn from.

    Attributes:
        first, second: names of the two, told apart.
        versus: what was found.
        settings: what differs between them.
    """

    first: str
    second: str
    versus: Versus
    settings: Sequence[Setting]

    @property
    def decimals(self) -> int:
        """Of every value of the metric."""
        return choose_decimals(side.sd for arm in self.versus.arms
                               for side in (arm.first, arm.second))  # fmt: skip

    @property
    def measure(self) -> str:
        """The metric with the arrow of its direction."""
        metric = self.versus.metric
        return f"{metric.label} {'↑' if metric.higher_is_better else '↓'}"


def caption(sheet: Sheet) -> str:
    """What the numbers are."""
    methods = {arm.method for arm in sheet.versus.arms}
    parts = [f"Test {sheet.versus.metric.label}, mean ± sd over confirm seeds."]
    if "paired" in methods:
        pairs = count_range((a.pairs for a in sheet.versus.arms if a.method == "paired"), "seed")
        parts.append(
            f"Δ: {sheet.second} minus {sheet.first}, paired over the {pairs} that both have, with "
            "a 95 % two-level bootstrap interval (seeds and utterances); p: two-sided sign-flip "
            "test over seeds."
        )
    if "unpaired" in methods:
        parts.append(
            f"{'Where seeds or test utterances are not shared, ' if 'paired' in methods else ''}"
            f"Δ: {sheet.second} minus {sheet.first}, not paired, with Welch's 95 % interval and p "
            "over seeds alone."
        )
    compared = sum(arm.method != "same cells" for arm in sheet.versus.arms)
    if methods & {"paired", "unpaired"}:
        parts.append(f"p is Holm-corrected over {compared} arms.")
    parts.append("Verdicts are of each study, against its own baseline.")
    return " ".join(parts)


def summary(sheet: Sheet) -> list[str]:
    """The answer, sentence by sentence."""
    arms = sheet.versus.arms
    if not arms:
        return [f"{sheet.first} and {sheet.second} have no arm in common."]
    same = [arm for arm in arms if arm.method == "same cells"]
    compared = [arm for arm in arms if arm.method in ("paired", "unpaired")]
    moved = [arm.arm for arm in arms if arm.moved]
    flips = [
        f"{arm.arm} ({verdict(arm.first)} {ARROW} {verdict(arm.second)})"
        for arm in arms
        if arm.flips
    ]
    said = []
    if same:
        are = "is" if len(same) == 1 else "are"
        said.append(f"{len(same)} of {count(len(arms), 'arm')} {are} made of the very same cells.")
    if compared:
        said.append(
            f"Of {len(compared)} compared, {_names(moved)}."
            if moved
            else f"Of {len(compared)} compared, none is known to have changed on "
            f"{sheet.versus.metric.label}."
        )
    said.append(f"Verdicts that flip: {'; '.join(flips)}." if flips else "No verdict flips.")
    return said


def _names(names: Sequence[str]) -> str:
    return f"{len(names)} changed: {', '.join(names)}"


def verdict(side: Side) -> str:
    """A study's answer on an arm."""
    return side.verdict or NO_RESULT


def terminal(sheet: Sheet, width: int) -> RichTable | list[str]:
    """The arms as a table, or as lines where the terminal is narrow.

    Args:
        sheet: what to draw.
        width: of the terminal, in columns.
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
        style = STYLES.get(arm.second.verdict or "", "") if arm.flips else ""
        table.add_row(
            Text(arm.arm),
            *(_mean(side, sheet.decimals) for side in (arm.first, arm.second)),
            *_difference(arm, sheet.decimals),
            Text(_verdicts(arm), style=style),
        )
    return table


def _arm_lines(arm: ArmVersus, sheet: Sheet) -> list[str]:
    means = [_mean(side, sheet.decimals) for side in (arm.first, arm.second)]
    delta, interval, p = _difference(arm, sheet.decimals)
    return [
        arm.arm,
        f"  {sheet.measure}: {means[0]} {ARROW} {means[1]}",
        f"  delta {delta} {interval}, p Holm {p}" if arm.method != "same cells" else
        "  the same cells",
        f"  {_verdicts(arm)}",
    ]  # fmt: skip


def _mean(side: Side, decimals: int) -> str:
    text = show(side.mean, decimals)
    return text if side.sd is None else f"{text} ± {show(side.sd, decimals)}"


def _difference(arm: ArmVersus, decimals: int) -> tuple[str, str, str]:
    if arm.method == "same cells":
        return show(0.0, decimals), "same cells", MISSING
    return (
        show(arm.delta, decimals, signed=True),
        show_interval(arm.low, arm.high, decimals),
        show_p(arm.p_holm),
    )


def _verdicts(arm: ArmVersus) -> str:
    if not arm.flips and arm.first.verdict is not None:
        return verdict(arm.first)
    return f"{verdict(arm.first)} {ARROW} {verdict(arm.second)}"


def setting_lines(sheet: Sheet) -> list[str]:
    """What differs between the two, for a terminal."""
    if not sheet.settings:
        return ["the two were asked and given the same"]
    return ["what differs:", *(
        f"  {one.what}: {shortened(one.first)} {ARROW} {shortened(one.second)}"
        for one in sheet.settings
    )]  # fmt: skip


def only_lines(sheet: Sheet) -> list[str]:
    """Arms that one of the two has."""
    pairs = ((sheet.first, sheet.versus.only_first), (sheet.second, sheet.versus.only_second))
    return [f"only in {name}: {', '.join(arms)}" for name, arms in pairs if arms]


def as_json(sheet: Sheet) -> dict[str, Any]:
    """For a program."""
    versus = sheet.versus
    return {
        "first": sheet.first,
        "second": sheet.second,
        "metric": versus.metric.name,
        "higher_is_better": versus.metric.higher_is_better,
        "same_labels": versus.same_labels,
        "arms": [{**asdict(arm), "flips": arm.flips, "moved": arm.moved} for arm in versus.arms],
        "only_first": list(versus.only_first),
        "only_second": list(versus.only_second),
        "differs": [asdict(one) for one in sheet.settings],
        "notes": list(versus.notes),
    }


def as_csv(sheet: Sheet) -> str:
    """The arms, one row each, every number to its last digit; a missing value is empty."""
    rows = []
    for arm in sheet.versus.arms:
        sides = [(side.n, side.mean, side.sd) for side in (arm.first, arm.second)]
        rows.append(
            [arm.arm, arm.method, sheet.versus.metric.name, *sides[0], *sides[1], arm.pairs,
             arm.delta, arm.low, arm.high, arm.p, arm.p_holm, arm.first.verdict,
             arm.second.verdict, str(arm.flips).lower()]
        )  # fmt: skip
    return csv_text(CSV_COLUMNS, rows)


def as_markdown(sheet: Sheet) -> str:
    """A page: the table, the answer, and what differs."""
    names = [escape_markdown(name) for name in (sheet.first, sheet.second)]
    measure = escape_markdown(sheet.measure)
    head = ["Arm", f"{names[0]}, {measure}", f"{names[1]}, {measure}", "Δ", "95 % interval",
            "p Holm", "Verdicts"]  # fmt: skip
    lines = [
        f"# {names[0]} against {names[1]}",
        "",
        *(escape_markdown(sentence) for sentence in summary(sheet)),
        "",
        _row(head),
        _row(["---", *["---:"] * 5, "---"]),
    ]
    for arm in sheet.versus.arms:
        texts = [arm.arm, *(_mean(side, sheet.decimals) for side in (arm.first, arm.second)),
                 *_difference(arm, sheet.decimals), _verdicts(arm)]  # fmt: skip
        lines.append(_row([escape_markdown(text) for text in texts]))
    lines += ["", escape_markdown(caption(sheet)), ""]
    lines += [f"- {escape_markdown(note)}" for note in (*sheet.versus.notes, *only_lines(sheet))]
    if sheet.settings:
        lines += ["", "## What differs", "", _row(["", *names]), _row(["---"] * 3)]
        lines += [
            _row([escape_markdown(text) for text in (one.what, one.first, one.second)])
            for one in sheet.settings
        ]
    return "\n".join(lines).rstrip() + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def as_latex(sheet: Sheet) -> str:
    """A float that compiles with booktabs and graphicx."""
    head = ["Arm", sheet.first, sheet.second, "Δ", "95 % interval", "p Holm", "Verdicts"]
    rows = [
        [arm.arm, *(_mean(side, sheet.decimals) for side in (arm.first, arm.second)),
         *_difference(arm, sheet.decimals), _verdicts(arm)]
        for arm in sheet.versus.arms
    ]  # fmt: skip
    return "\n".join(
        [
            r"% Needs \usepackage{booktabs,graphicx}. Written by `triptych compare`.",
            r"\begin{table*}",
            r"\centering",
            rf"\caption{{{escape_latex(caption(sheet))}}}",
            # Braces: a cell that begins with [ would be an argument of the \\ before it.
            *tabular(
                "lrrrrrl",
                [escape_latex(text) for text in head],
                [[f"{{{escape_latex(text)}}}" for text in row] for row in rows],
            ),
            r"\end{table*}",
            "",
        ]
    )
