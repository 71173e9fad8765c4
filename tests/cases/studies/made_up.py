"""A study trained without Ray, with made-up results that depend on each cell alone."""

import random
from collections.abc import Iterable
from pathlib import Path

from search.ledger.record import CellRecord
from search.schedule.pack import Pack, PackCell
from search.schedule.schedule import Schedule
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import Plan, plan_study
from spaces.study_file.load import load_study

STUDY = """\
study: small
search:
  train.learning_rate: {log_uniform: [1e-4, 1e-1]}
  model.fusion.kind: {choice: [concat, sum]}
arms:
  - leave_one_out:
      text: {model.text.use: false}
  - explicit:
      nothing to tune: {train.learning_rate: 0.01, model.fusion.kind: sum}
budget: {candidates: 14, tune_seeds: 2, confirm_seeds: 7, generation: 3}
"""


def make_plan(path: Path, *overrides: str) -> Plan:
    """The plan of a study file."""
    return plan_study(load_study(path, overrides), Versions(data="", code=""))


def train(pack: Pack, status: str = "complete") -> list[CellRecord]:
    """Made-up results that depend on the cell alone, and on the pack's limit where it has one."""
    epochs, spent = stopped_at(pack)
    return [
        CellRecord(
            key=cell.key,
            arm=pack.arm,
            arm_key=pack.arm_key,
            phase=pack.phase,
            candidate=cell.candidate,
            seed=cell.seed,
            params=cell.params,
            config=cell.resolved,
            status="pruned" if epochs[cell.key] < epochs_of(cell) else status,
            epochs=epochs[cell.key],
            best_epoch=epochs[cell.key],
            metrics={**(value_of(cell) if status != "failed" else {}), "seconds": spent[cell.key]},
            curve={"valid.mae": [3.0, 2.0 + cell.seed % 2]},
        )
        for cell in pack.cells
    ]


def epochs_of(cell: PackCell) -> int:
    """How many epochs a cell trains if nobody stops it."""
    return 3 + int(cell.key[:2], 16) % 7


def stopped_at(pack: Pack) -> tuple[dict[str, int], dict[str, float]]:
    """Epochs and seconds of each cell: all train side by side until the pack's limit is used up."""
    epochs = {cell.key: 0 for cell in pack.cells}
    # Half as long again without text: arms cost different times.
    cost = 0.15 if "without" in pack.arm else 0.1
    total = 0.0
    while running := [cell for cell in pack.cells if epochs[cell.key] < epochs_of(cell)]:
        if pack.seconds is not None and total >= pack.seconds:
            break
        for cell in running:
            epochs[cell.key] += 1
            total += cost
    return epochs, {key: cost * count for key, count in epochs.items()}


def value_of(cell: PackCell) -> dict[str, float]:
    """Best where the learning rate is .01, and nearly alike on every seed."""
    rate = float(cell.config["train.learning_rate"])
    size = 1e4 if cell.config.get("model.fusion.kind") == "concat" else 1e3
    return {"valid.mae": abs(rate - 0.01) + cell.seed % 7 / 1e6, "parameters": size}


def work(
    schedule: Schedule, workers: int = 1, shuffle: int | None = None, stop_after: int | None = None
) -> list[CellRecord]:
    """Train until nothing is left, with results in any order; returns the cells trained."""
    draw = random.Random(shuffle)
    flying: list[Pack] = []
    trained: list[CellRecord] = []
    while True:
        while len(flying) < workers and (pack := schedule.next_pack()):
            flying.append(pack)
        if not flying or (stop_after is not None and len(trained) >= stop_after):
            return trained
        place = draw.randrange(len(flying)) if shuffle is not None else 0
        records = train(flying.pop(place))
        trained += records
        schedule.add_results(records)


def table(records: Iterable[CellRecord]) -> list[tuple[object, ...]]:
    """What two ways of the same study must have in common."""
    return sorted(
        (cell.key, cell.arm, cell.phase, cell.candidate, cell.seed, str(dict(cell.params)))
        for cell in records
    )
