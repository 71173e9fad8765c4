"""`triptych reproduce`: rows or cells trained again, and compared with what they were."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console

from reports.evidence.comparison import compare_arms
from reports.evidence.statistics.paired import bca_interval
from reports.numerals import format_count
from reports.results import METRIC, Results
from search.console import print_line
from search.ledger.ledger import read_full_records, read_ledger, read_pack_sizes
from search.ledger.record import CellRecord
from search.reproduce.origin import OriginChange, find_changes, find_data, load_kept_study
from search.reproduce.outcomes import (
    INSIDE,
    NOT,
    SAME,
    TEST,
    CellOutcome,
    RowOutcome,
    judge_cell,
    judge_row,
)
from search.reproduce.retrain import choose_device, retrain_cells
from search.reproduce.targets import Targets, find_targets
from search.results.events import EVENTS
from search.results.folder import ledger_results, read_manifest, results_folder
from search.results.origins import read_origins
from search.results.tasks import task_of
from spaces.core import Data, Status
from spaces.plan.plan import Phase
from spaces.study_file.load import Study

SEED = 0  # of the resampling, as in the report
WORDS = {SAME: "the same to the bit", INSIDE: "inside the interval", NOT: "not the same"}
SEALED = (
    "the study is unfinished and its test metrics are sealed: cells are compared on validation only"
)


def reproduce_targets(
    name: str,
    targets: Sequence[str],
    workdir: Path,
    *,
    data: Path | None = None,
    device: str | None = None,
    as_json: bool = False,
) -> bool:
    """Train rows or cells of a study again and print how they compare; writes nothing.

    Args:
        name: Name of the study, its file or its results folder.
        targets: Names of arms, or keys of cells or how those begin.
        workdir: Folder that results are below.
        data: Feature file; None = the study's own.
        device: `cpu` or `cuda`; None = where the cells were trained, if that is here.
        as_json: Whether to print JSON.

    Returns:
        Whether every row and every single cell is the same, or inside its interval.

    Raises:
        StudyError, DataError, ResultsError, LedgerError: nothing to train again, or nothing to
            train it on.
    """
    folder = results_folder(name, workdir)
    manifest = read_manifest(folder)
    records = read_ledger(folder)
    wanted = find_targets(manifest, records, targets)
    study = load_kept_study(folder)
    dataset = find_data(study, manifest.facts, folder, data)
    results = ledger_results(folder)
    devices = _known_devices(folder)
    device = choose_device(device, devices)
    whole = {record.key: record for record in read_full_records(folder, wanted.keys)}
    changed = find_changes(
        manifest, whole.values(), dataset, study, read_origins(folder), devices, device
    )

    console = Console(stderr=as_json)
    print_line(
        console, f"training {format_count(len(whole), 'cell')} again on the {_device_name(device)}"
    )
    for line in _changed_lines(changed, results.embargoed):
        print_line(console, line)
    outcomes: dict[str, CellOutcome] = {}
    for outcome in _judge_cells(
        study, records, list(whole.values()), dataset, results.embargoed, device
    ):
        outcomes[outcome.key] = outcome
        for line in _cell_lines(outcome):
            print_line(console, line)
    rows = [_judge_arm(arm, keys, outcomes, results) for arm, keys in wanted.rows.items()]
    for row in rows:
        print_line(console, _row_line(row, manifest.facts.baseline))
    if as_json:
        click.echo(
            json.dumps(_outcomes_json(folder, wanted, outcomes, rows, changed, results.embargoed))
        )
    return _is_reproduced(wanted, outcomes, rows)


def _judge_cells(
    study: Study,
    records: Mapping[str, CellRecord],
    whole: Sequence[CellRecord],
    dataset: Data,
    embargoed: bool,
    device: str,
) -> Iterator[CellOutcome]:
    then = {record.key: record for record in whole}
    for pack in retrain_cells(study, whole, dataset, device=device, test=not embargoed):
        for now in sorted(pack, key=lambda record: record.seed):
            others = _other_seeds(then[now.key], records.values())
            yield judge_cell(then[now.key], now, others, primary=study.metric, embargoed=embargoed)


def _other_seeds(cell: CellRecord, records: Iterable[CellRecord]) -> list[CellRecord]:
    """List the finished cells that differ from one in nothing but the seed."""
    return [
        record
        for record in records
        if (record.arm_key, record.phase, record.candidate)
        == (cell.arm_key, cell.phase, cell.candidate)
        and record.config == cell.config
        and record.seed != cell.seed
    ]


def _judge_arm(
    arm: str, keys: Sequence[str], outcomes: Mapping[str, CellOutcome], results: Results
) -> RowOutcome:
    facts = results.facts
    split = "valid." if results.embargoed else TEST
    is_baseline = arm == facts.baseline
    own = _by_seed(results, arm, split)
    baseline = _by_seed(results, facts.baseline, split)
    interval: tuple[float, float] | None = None
    kind = ""
    if is_baseline:
        pass
    elif results.embargoed:  # no predictions, so no utterances to draw from
        shared = [seed for seed in own if seed in baseline]
        gaps = np.array([own[seed] - baseline[seed] for seed in shared], dtype=np.float64)
        interval, kind = bca_interval(gaps, SEED), "over seeds, on validation"
    else:
        interval, kind = _two_level(results, arm), "two-level, as in the report"
    return judge_row(
        arm,
        [outcomes[key] for key in keys],
        metric=f"{split}{facts.primary}",
        is_baseline=is_baseline,
        baseline=baseline,
        interval=interval,
        kind=kind,
    )


def _two_level(results: Results, arm: str) -> tuple[float, float] | None:
    """Compute the report's interval of an arm's difference."""
    # From the two arms alone, which is all that it depends on: all of a large study take minutes.
    facts = results.facts
    metric = task_of(facts)[facts.primary]
    arms = (facts.baseline, arm)
    few = replace(
        results,
        facts=replace(facts, arms=arms, claims=(), frozen={}, second_metric=""),
        cells=results.cells[results.cells["arm"].isin(arms)],
    )
    found = compare_arms(few, {facts.primary: metric}, seed=SEED).estimate_of(arm, facts.primary)
    if found.ci_low is None or found.ci_high is None:
        return None
    return found.ci_low, found.ci_high


def _by_seed(results: Results, arm: str, split: str) -> dict[int, float]:
    """Return seed -> value of an arm's complete confirm cells, where it is defined."""
    cells, column = results.cells, f"{METRIC}{split}{results.facts.primary}"
    if column not in cells.columns:
        return {}
    own = cells[
        (cells["arm"] == arm)
        & (cells["phase"] == Phase.CONFIRM)
        & (cells["status"] == Status.COMPLETE)
    ]
    own = own[own[column].notna()].sort_values("seed")
    return dict(zip(own["seed"].astype(int), own[column].astype(float), strict=True))


def _known_devices(folder: Path) -> set[str]:
    """List the devices that the folder's runs have trained on, as far as is recorded."""
    # Of a study whose packs were never measured only the events have them.
    found = {size.device for size in read_pack_sizes(folder)}
    try:
        lines = (folder / EVENTS).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        if '"device"' in line:
            try:
                found.add(str(json.loads(line)["device"]))
            except (ValueError, KeyError, TypeError):
                continue  # the last line may not be written to its end
    return found


def _is_reproduced(
    wanted: Targets, outcomes: Mapping[str, CellOutcome], rows: Collection[RowOutcome]
) -> bool:
    """Check every row, and every cell that was named by its key; a row answers for its cells."""
    verdicts = [row.verdict for row in rows] + [outcomes[key].verdict for key in wanted.cells]
    return NOT not in verdicts


def _device_name(device: str) -> str:
    return {"cpu": "CPU", "cuda": "GPU"}.get(device, device)


def _changed_lines(changed: Sequence[OriginChange], embargoed: bool) -> list[str]:
    lines = [f"note: {SEALED}"] if embargoed else []
    if not changed:
        return [*lines, "code, data, versions and device are as they were"]
    for one in changed:
        then, now = _shorten_digest(one.then), _shorten_digest(one.now)
        lines.append(f"differs: {one.what}: {then} then, {now} now")
    return lines


def _shorten_digest(text: str) -> str:
    """Shorten a digest of 64 characters."""
    return text[:16] if len(text) == 64 and text.isalnum() else text


def _cell_lines(outcome: CellOutcome) -> list[str]:
    head = (
        f"{outcome.key[:12]}  {outcome.arm}, {outcome.phase}, candidate {outcome.candidate}, "
        f"seed {outcome.seed}: {WORDS[outcome.verdict]}"
    )
    if outcome.verdict == SAME:
        alike = f"; it fails alike ({outcome.fails})" if outcome.fails else ""
        return [f"{head}{_value_text(outcome)}{alike}"]
    lines = [head, *(f"    {difference}" for difference in outcome.differences)]
    if outcome.low is None or outcome.high is None:
        why = f"only {format_count(outcome.others, 'other seed')}"
        lines.append(f"    no interval of a new seed: {why} of it has {outcome.metric}")
    else:
        lines.append(
            f"    a new seed is expected in [{outcome.low:.6g}, {outcome.high:.6g}], from "
            f"{format_count(outcome.others, 'other seed')}"
        )
    return lines


def _value_text(outcome: CellOutcome) -> str:
    return "" if outcome.now is None else f" ({outcome.metric} {outcome.now!r})"


def _row_line(row: RowOutcome, baseline: str) -> str:
    cells = format_count(row.cells, "cell")
    head = f"row '{row.arm}': {WORDS[row.verdict]}; {row.same} of {cells} the same"
    if row.then is None or row.now is None:
        return head
    said = f"{head}; {row.metric} against '{baseline}' {row.then:+.6g}, now {row.now:+.6g}"
    if row.low is None or row.high is None:
        return f"{said}, no interval"
    return f"{said}, 95 % interval [{row.low:+.6g}, {row.high:+.6g}] ({row.interval})"


def _outcomes_json(
    folder: Path,
    wanted: Targets,
    outcomes: Mapping[str, CellOutcome],
    rows: Sequence[RowOutcome],
    changed: Sequence[OriginChange],
    embargoed: bool,
) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "sealed": embargoed,
        "differs": [asdict(change) for change in changed],
        "cells": [asdict(outcomes[key]) for key in wanted.keys],
        "rows": [asdict(row) for row in rows],
        "reproduced": _is_reproduced(wanted, outcomes, rows),
    }
