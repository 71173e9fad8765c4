"""The study that `triptych init --core train.py` writes: the fields of a user's own function."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.core import Core, DataError
from spaces.errors import StudyError
from spaces.fields.declaration import ConfigError, FieldInfo, Value
from spaces.fields.help import value_text
from spaces.fields.paths import default_of, fields_of, value_at
from spaces.find_core import find_core, is_code_file
from spaces.study_file.core_files import read_core

MOST_CLASSES = 100  # whole labels with more values are numbers to predict, and no classes
MOST_SEARCHED, MOST_ROWS = 4, 8
TASKS = {
    "regression": "numbers",
    "binary": "0 or 1",
    "multiclass": "classes 0, 1, 2, ...",
    "multilabel": "several 0 or 1",
    "scores": "whatever evaluate returns",
}
# Parts of a name whose field is better left as it is: searched, it would change the budget.
FIXED = ("epoch", "step", "seed", "worker", "pause")
RATES = ("rate", "lr", "decay", "alpha", "lambda", "weight", "strength", "penalty")


def function_study(name: str, core: str, study: Path, data: Path | None) -> tuple[str, Core]:
    """Write a study of a user's function.

    Args:
        name: Name of the study.
        core: Python file, or dotted name of an installed module.
        study: File that the study is written to; the paths in it start at its folder.
        data: File or folder for the function's `load`; None = it needs none.

    Returns:
        The text of the study, and its core.

    Raises:
        StudyError: The function can't be used.
    """
    found = _read(core)
    task = _guess_task(found, data)
    fields = [_Field(found, path) for path in fields_of(found.config_class)]
    rows = list(_rows(fields))
    searched = [one for one in fields if one.path not in {row.path for row in rows} and one.domain]
    lines = [
        f"study: {name}",
        f"question: Which parts of {Path(core).name} matter?",
        f"core: {_path_from(study, Path(core)) if is_code_file(core) else core}",
        *([f"data: {_path_from(study, data)}"] if data else []),
        "",
        *_task_lines(task, tuple(found.tasks)),
        "",
        "# The rows of the table: the reference, with every field at its default, and rows in",
        "# which one field differs.",
        *_row_lines(rows, fields),
        "",
        "# What is tuned, in every row, with the same budget.",
        *_search_lines(searched),
        "",
        *_metric_lines(found, task),
        "",
        *_budget_lines(),
        "",
        "# Every field: its default, and what it means.",
        *(f"#   {one.path}: {value_text(one.default)}{one.meaning}" for one in fields),
        "# docs/studies.md has the rest: designs, conditions, claims, ceilings.",
    ]
    return "\n".join(lines) + "\n", found


class _Field:
    """A field of the user's, with what a study could do with it."""

    def __init__(self, core: Core, path: str) -> None:
        info, self.kind = fields_of(core.config_class)[path]
        self.path = path
        self.default: Value = value_at(default_of(core.config_class), path)
        self.meaning = f"   {info.meaning}" if info.meaning != info.label else ""
        self.others = _other_values(info, self.kind, self.default)
        self.domain = "" if self.others else _domain_of(path, info, self.kind, self.default)


def _other_values(info: FieldInfo, kind: type, default: Value) -> list[Value]:
    """Return the values that rows of a table could have in place of the default."""
    if kind is bool:
        return [not default]
    return [value for value in info.choices if value != default]


def _domain_of(path: str, info: FieldInfo, kind: type, default: Any) -> str:
    """Return a domain around a number's default; empty where none is likely."""
    name = path.rpartition(".")[2].lower()
    if kind not in (int, float) or any(part in name for part in FIXED) or default <= 0:
        return ""
    if kind is int:
        values = [max(1, default // 2), default, default * 2]
        inside = [value for value in dict.fromkeys(values) if _is_inside(value, info)]
        return f"{{choice: [{', '.join(map(str, inside))}]}}" if len(inside) > 1 else ""
    if default < 0.1 or any(part in name for part in RATES):
        low, high = _inside(default / 10, info, default), _inside(default * 10, info, default)
        return f"{{log_uniform: [{low:.3g}, {high:.3g}]}}" if low < high else ""
    low, high = _inside(default / 2, info, default), _inside(default * 2, info, default)
    return f"{{uniform: [{low:.3g}, {high:.3g}]}}" if low < high else ""


def _is_inside(value: float, info: FieldInfo) -> bool:
    return (
        (info.minimum is None or value >= info.minimum)
        and (info.above is None or value > info.above)
        and (info.maximum is None or value <= info.maximum)
        and (info.below is None or value < info.below)
    )


def _inside(value: float, info: FieldInfo, default: float) -> float:
    """Return the value, or the bound that it lies beyond; the default where that is excluded."""
    if _is_inside(value, info):
        return value
    bound = info.minimum if value < default else info.maximum
    return default if bound is None else bound


def _rows(fields: Sequence[_Field]) -> Iterator[_Field]:
    left = MOST_ROWS
    for one in fields:
        if one.others and len(one.others) <= left:
            left -= len(one.others)
            yield one


def _row_lines(rows: Sequence[_Field], fields: Sequence[_Field]) -> Iterator[str]:
    yield "arms:"
    yield "  - one_at_a_time:"
    for one in rows:
        values = ", ".join(value_text(value) for value in one.others)
        yield f"      {one.path}: [{values}]{one.meaning.replace('   ', '   # ', 1)}"
    if not rows:
        # Nothing is on or off: a number stands for a part, so that there is a table at all.
        numbers = [one for one in fields if one.kind in (int, float)]
        first = (numbers or list(fields))[0]
        value: Any = first.default
        other = (value * 2 or 1) if first in numbers else value
        yield f"      {first.path}: [{value_text(other)}]   # no field is a switch or a choice"
    left_out = [one for one in fields if one.others and one not in rows]
    for one in left_out:
        values = ", ".join(value_text(value) for value in one.others)
        yield f"      # {one.path}: [{values}]"


def _search_lines(searched: Sequence[_Field]) -> Iterator[str]:
    if not searched:
        yield "# search:"
        yield "#   learning_rate: {log_uniform: [1e-4, 1e-1]}"
        return
    yield "search:"
    for place, one in enumerate(searched):
        yield f"  {'' if place < MOST_SEARCHED else '# '}{one.path}: {one.domain}"


def _task_lines(task: str, known: Sequence[str]) -> Iterator[str]:
    yield "# What predictions and labels are; decides the metrics."
    for name in known:
        line = f"task: {name}" if name == task else f"# task: {name}"
        yield f"{line:24}# {TASKS[name]}"


def _metric_lines(core: Core, task: str) -> Iterator[str]:
    if not task:
        yield "# metric: the first one of the task, if none is named"
        return
    names = list(core.tasks[task])
    others = f"   # or {', '.join(names[1:])}" if names[1:] else ""
    yield f"metric: {names[0]}{others}"
    yield f"# margin: {{{names[0]}: 0.01}}   # smaller differences do not matter to us"


def _budget_lines() -> Iterator[str]:
    yield "budget:"
    yield "  candidates: 10       # configurations tried in each row ..."
    yield "  tune_seeds: 2        # ... on this many seeds, validation only"
    yield "  confirm_seeds: 10    # fresh seeds on which the best candidate of each row is tested"


def _guess_task(core: Core, data: Path | None) -> str:
    """Guess the task from the labels; empty where they are not at hand."""
    known = core.tasks
    if len(known) == 1:
        return next(iter(known))
    source = core.parse_source(str(data.absolute()) if data else None, Path(), "regression")
    if not source.is_named:
        return ""
    try:
        return task_of_labels(core.open(source).test_labels)
    except DataError as error:
        raise StudyError(str(error)) from None


def task_of_labels(labels: NDArray[Any]) -> str:
    """Return the task that labels [N] or [N, K] are most likely of."""
    is_switch = bool(np.isin(labels, (0, 1)).all())
    if labels.ndim == 2:
        return "multilabel" if is_switch else "regression"
    if is_switch:
        return "binary"
    is_whole = bool((labels == np.floor(labels)).all())
    return "multiclass" if is_whole and labels.min() >= 0 and labels.max() < MOST_CLASSES else (
        "regression"
    )  # fmt: skip


def _read(core: str) -> Core:
    try:
        return read_core(Path(core)) if is_code_file(core) else find_core(core).with_plugins(())
    except ConfigError as error:
        raise StudyError(f"--core: {error}") from None


def _path_from(study: Path, file: Path) -> str:
    return Path(os.path.relpath(file, study.parent)).as_posix()
