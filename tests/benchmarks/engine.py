"""The engine without the training: cells that do nothing go the whole way, and are counted.

usage: engine.py [--cells 1000 5000 10000] [--tracking off on] [--sampler random] [--pack-size N]
       engine.py --overhead [--cells 60] [--seconds 2] [--pack-size 1]

Schedule, searcher, Ray Tune, two workers, ledger and, where it is on, MLflow are those of
`triptych run`; only a cell's training is replaced by made-up results of the usual size (ten curves
of thirty epochs, predictions of 686 utterances for confirm cells). Every size is a process of its
own in a fresh folder. A row: cells per second from the first pack to the last cell, the driver's
processor time and largest memory with what each cell beyond the smallest study's adds to both, the
ledger's bytes per cell. With `--again`, the wall time of `triptych run` of the finished study,
which writes its report, and once more, when nothing is left to do. Ratios are of seconds per cell
against the smallest size. On a machine that does other things, only the processor time counts.

With `--overhead` a cell computes for some seconds of its core's own time, and the number is the
run's own: the workers' time from the first training to the last cell, by the cells'.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from search.engine.trainable import PackTrainable
from search.schedule.pack import Pack, PackCell
from search.worker.pack_work import CELLS, MEASURED, PROGRESS, cell_record

ARMS = 10
CONFIRM_SEEDS = 10
EPOCHS = 30
UTTERANCES = 686
NAMES = ("mae", "corr", "acc2_has0", "f1_has0", "acc2_non0", "f1_non0", "acc7", "acc5", "acc3")
STUDY = """\
study: engine
data:
  labels: mosi
  planted: {{train: 96, valid: 64, test: {utterances}, steps: 3, width: 6}}
base: {{train.epochs: {epochs}}}
search:
  train.learning_rate: {{log_uniform: [1e-4, 1e-1]}}
  train.weight_decay: {{log_uniform: [1e-6, 1e-2]}}
  model.fusion.dropout: {{uniform: [0, 0.5]}}
arms:
  - explicit:
{arms}
baseline: arm 0
sampler: {sampler}
margin: {{mae: 0.01}}
budget: {{candidates: {candidates}, tune_seeds: 1, confirm_seeds: {confirm_seeds}}}
"""


class NoTraining(PackTrainable):
    """A worker of a run that takes in packs and gives back results, and trains nothing."""

    def start_work(self, pack: Pack, worker: Any, resume: Any) -> Any:
        """The work on a pack."""
        return NoWork(pack, float(os.environ.get("ENGINE_SECONDS", "0")))


class NoWork:
    """A pack's cells, each done after some seconds of this core's own time."""

    def __init__(self, pack: Pack, seconds: float) -> None:
        self._pack = pack
        self._left = list(pack.cells)
        self._seconds = seconds
        self._spent = 0.0

    def step(self, seconds: float) -> dict[str, Any]:
        """As `PackWork.step`: some cells."""
        until = time.monotonic() + seconds
        ended = []
        while self._left and (not ended or not self._seconds or time.monotonic() < until):
            ended.append(self._train(self._left.pop(0)))
        epochs = {cell.key: EPOCHS for cell in self._pack.cells if cell not in self._left}
        return {
            "done": not self._left,
            "epoch": EPOCHS,
            CELLS: ended,
            MEASURED: [],
            PROGRESS: [{"epochs": epochs, "most_epochs": EPOCHS, "seconds": self._spent}],
        }

    def stop_early(self) -> dict[str, Any]:
        """As `PackWork.stop_early`: nothing more of it."""
        return {"done": True, CELLS: [], MEASURED: [], PROGRESS: [], "left": True}

    def _train(self, cell: PackCell) -> dict[str, Any]:
        started, core = time.monotonic(), time.process_time()
        while time.process_time() - core < self._seconds:
            pass
        took = time.monotonic() - started
        self._spent += took
        return asdict(made_up(self._pack, cell, max(took, 1e-3)))


def made_up(pack: Pack, cell: PackCell, seconds: float) -> Any:
    """A result of the usual size."""
    import numpy as np

    from reports.encoding import encode_floats

    draw = random.Random(cell.key)
    metrics = {f"valid.{name}": draw.random() for name in NAMES}
    predictions = ""
    if pack.phase == "confirm":
        metrics |= {f"test.{name}": draw.random() for name in NAMES}
        values = [draw.uniform(-3, 3) for _ in range(UTTERANCES)]
        predictions = encode_floats(np.array(values, dtype=np.float32))
    curves = ("train.loss", *(f"valid.{name}" for name in NAMES))
    return cell_record(
        pack,
        cell,
        status="complete",
        epochs=EPOCHS,
        best_epoch=EPOCHS // 2,
        metrics={**metrics, "seconds": seconds, "parameters": 1e4},
        curve={name: [draw.random() for _ in range(EPOCHS)] for name in curves},
        predictions=predictions,
    )


class NoTracking:
    """Stands for MLflow where it is off."""

    failure = None

    def __init__(self, *given: Any) -> None:
        pass

    def notify(self) -> None:
        """Nothing."""

    def close(self, *given: object) -> None:
        """Nothing."""


def run_one(folder: Path, tracking: str, pack_size: int | None) -> dict[str, float]:
    """Run the study of a folder in this process."""
    from rich.console import Console

    import search.engine.run_study
    from search.engine.options import RunOptions
    from search.ledger.lines import LEDGER
    from search.results.history import append_run
    from search.screen.progress import Progress
    from search.screen.run_log import RunLog
    from search.study.open import open_study

    search.engine.trainable.PackTrainable = NoTraining  # type: ignore[misc]
    if tracking == "off":
        search.engine.run_study.BackgroundTracking = NoTracking  # type: ignore[assignment,misc]
    (opened,) = open_study(str(folder / "study.yaml"), (), (), folder, need_data=True)
    assert opened.dataset is not None
    log = RunLog()
    summary = search.engine.run_study.run_study(
        opened.plan,
        opened.dataset,
        opened.folder,
        RunOptions(workers=2, pack_size=pack_size),
        Progress(Console(stderr=True)),
        log,
    )
    record = log.make_record("complete")
    append_run(opened.folder, record)
    assert summary.cells == opened.plan.cell_count() == record.cells
    assert summary.tracking_failure is None, summary.tracking_failure
    return {
        "cells": record.cells,
        "startup": record.startup_seconds,
        "wall": record.wall_seconds - record.startup_seconds,
        "training": record.training_seconds,
        "overhead": record.overhead or 0.0,
        "processor": time.process_time(),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "ledger": (opened.folder / LEDGER).stat().st_size,
    }


def measured(options: argparse.Namespace, cells: int, tracking: str) -> dict[str, float]:
    """Run a study of so many cells in a fresh process and folder, and run it again."""
    with tempfile.TemporaryDirectory(prefix="engine-") as name:
        folder = Path(name)
        candidates = (cells // options.arms) - CONFIRM_SEEDS
        confirm_seeds = CONFIRM_SEEDS
        if candidates < 1:
            candidates, confirm_seeds = cells // options.arms // 2, cells // options.arms // 2
        arms = "\n".join(
            f"      arm {number}: {{train.patience: {number + 1}}}"
            for number in range(options.arms)
        )
        text = STUDY.format(
            arms=arms,
            candidates=candidates,
            confirm_seeds=confirm_seeds,
            epochs=EPOCHS,
            sampler=options.sampler,
            utterances=UTTERANCES,
        )
        (folder / "study.yaml").write_text(text, encoding="utf-8")
        job = [sys.executable, __file__, "--one", name, "--tracking", tracking]
        if options.pack_size:
            job += ["--pack-size", str(options.pack_size)]
        seconds = str(options.seconds if options.overhead else 0.0)
        done = subprocess.run(
            job,
            env={**os.environ, "ENGINE_SECONDS": seconds},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        if not options.overhead and options.again:
            found["report"] = _run_again(folder)
            found["again"] = _run_again(folder)
        return found


def _run_again(folder: Path) -> float:
    """Wall seconds of `triptych run` of a study that is finished."""
    triptych = Path(sys.executable).with_name("triptych")
    started = time.perf_counter()
    subprocess.run(
        [triptych, "run", folder / "study.yaml", "--workdir", folder],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - started


def show(options: argparse.Namespace) -> None:
    """Print a table a way of tracking."""
    packs = f"packs of {options.pack_size}" if options.pack_size else "packs as they come"
    print(f"{options.sampler}, {options.arms} arms, {packs}, 2 workers")
    for tracking in options.tracking:
        rows = []
        for cells in options.cells:
            rows.append(found := measured(options, cells, tracking))
            first = rows[0]
            rate = found["cells"] / found["training"]
            slower = (found["training"] / found["cells"]) / (first["training"] / first["cells"])
            growth = ""
            if more := found["cells"] - first["cells"]:
                seconds = (found["processor"] - first["processor"]) / more
                memory = (found["memory"] - first["memory"]) / more
                growth = f" ({1e3 * seconds:.1f} ms and {1e3 * memory:.0f} kB per cell more)"
            again = (
                f"again {found['report']:.1f} s with its report, then {found['again']:.1f} s"
                if "again" in found
                else ""
            )
            print(
                f"MLflow {tracking:3} {found['cells']:6.0f} cells {rate:7.1f} cells/s "
                f"({slower:.2f} x the time per cell), whole run {found['wall']:.0f} s; driver "
                f"{found['processor']:.0f} s of a core, {found['memory']:.0f} MB{growth}, "
                f"ledger {found['ledger'] / found['cells']:.0f} bytes per cell; {again}",
                flush=True,
            )


def show_overhead(options: argparse.Namespace) -> None:
    """Print what a run says of its own overhead."""
    for cells in options.cells:
        for tracking in options.tracking:
            found = measured(options, cells, tracking)
            print(
                f"MLflow {tracking:3} {found['cells']:.0f} cells of {options.seconds:g} s on two "
                f"workers: {found['training']:.1f} s, {found['overhead']:.3f} x of what their "
                "training takes",
                flush=True,
            )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--cells", type=int, nargs="+")
    parser.add_argument("--tracking", choices=("off", "on"), nargs="+", default=["off"])
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--pack-size", type=int)
    parser.add_argument("--arms", type=int)
    parser.add_argument("--again", action="store_true", help="time `triptych run` once finished")
    parser.add_argument("--overhead", action="store_true")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(run_one(options.one, options.tracking[0], options.pack_size)))
        return
    options.arms = options.arms or (3 if options.overhead else ARMS)
    options.cells = options.cells or ([60] if options.overhead else [1000, 5000, 10000])
    show_overhead(options) if options.overhead else show(options)


if __name__ == "__main__":
    main()
