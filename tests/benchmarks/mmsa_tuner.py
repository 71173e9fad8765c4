"""The peer: the public MMSA framework's own tuner, on the CPU, on our feature file.

usage: mmsa_tuner.py FEATURES OUT [--candidates 20 --tune-seeds 3 --confirm-seeds 10 ...]

Run by the interpreter of an environment of its own (`pip install torch==2.13.0 MMSA==2.2.1`), so
nothing of ours but the options is imported. `MMSA_run(is_tune=True)` draws configurations of
LF-DNN from its own lists and trains each once; then `MMSA_run` trains the best of its table on
fresh seeds.

Set through its `config` argument: the feature file, which is aligned and has no BERT tokens; the
batch size; the patience, which it calls `early_stop`. What has to be patched:

- It calls `torch.cuda.set_device` whatever the device is, which no build for the CPU survives.
- Its training has no limit on the epochs. The trainer is subclassed to stop at ours, and to count.
- Its progress bars are off, and its log is written once instead of once more a call. Both only
  help it.

Left as it is, and worth knowing:

- The tuner knows one seed, so `--tune-seeds` multiplies the draws: candidates x tune seeds
  configurations, one training each. One drawn twice is skipped, and not counted.
- Its table is of the *test* split, and so is the choice of the best configuration.
- At every training it reads the feature file three times and sleeps for one second.
- Four loader workers and PyTorch's number of threads are its defaults. On small features
  `--workers 0` halves the time of an epoch, and `--threads 1` costs nothing and keeps two busy
  threads from stalling each other on a machine that does something else too.

Prints the test MAE, how long it slept, and last
`cells=<trainings> seconds=<since the first line> epochs=<trained>`.
"""

import time

STARTED = time.perf_counter()  # before the imports: whoever runs this waits for them too

# ruff: noqa: E402
import argparse
import ast
import csv
import logging
import os
import statistics
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here needs a pretrained model
os.environ["TQDM_DISABLE"] = "1"
warnings.filterwarnings("ignore", message="This DataLoader will create")

import torch
from budget import peer_parser

torch.cuda.set_device = lambda *_, **__: None

from MMSA import MMSA_run, run
from MMSA.trains.singleTask import LF_DNN

MODEL, LABELS = "lf_dnn", "mosi"
TUNE_SEED, FIRST_CONFIRM_SEED = 1111, 2000
SLEEP_SECONDS = 1.0  # of MMSA, after every training


class CountedTrainer(LF_DNN):
    """Its trainer with a limit on the epochs, and with what happened kept on the class."""

    limit: int
    trainings = 0
    epochs = 0
    test_maes: list[float] = []  # noqa: RUF012  # one a training, shared on purpose

    def do_train(self, *positional: Any, **named: Any) -> Any:
        """Train once; `do_test` may end it."""
        patience = self.args.early_stop
        self.epoch = 0
        try:
            return super().do_train(*positional, **named)
        finally:
            CountedTrainer.trainings += 1
            CountedTrainer.epochs += self.epoch
            self.args.early_stop = patience  # its next training has the same settings object

    def do_test(self, *positional: Any, mode: str = "VAL", **named: Any) -> dict[str, float]:
        """Evaluate: once an epoch on `VAL`, once a training on `TEST`."""
        results: dict[str, float] = super().do_test(*positional, mode=mode, **named)
        if mode == "TEST":
            CountedTrainer.test_maes.append(float(results["MAE"]))
        else:
            self.epoch += 1
            if self.epoch >= self.limit:
                self.args.early_stop = 0  # the loop compares with it right after this
        return results


def call(options: argparse.Namespace, config: dict[str, Any], **named: Any) -> None:
    """One call of its front door, with everything it writes kept in `options.out`."""
    logging.getLogger("MMSA").handlers.clear()  # every call adds another to the same file
    settings = {
        "featurePath": str(options.features),
        "use_bert": False,
        "need_data_aligned": True,
        "batch_size": options.batch_size,
        "early_stop": options.patience,
    }
    MMSA_run(
        MODEL,
        LABELS,
        config={**config, **settings},
        gpu_ids=[],
        num_workers=options.workers,
        verbose_level=0,
        model_save_dir=options.out / "models",
        res_save_dir=options.out / "results",
        log_dir=options.out / "logs",
        **named,
    )


def best_of(table: Path) -> dict[str, Any]:
    """The configuration with the smallest MAE in the tuner's table."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    best = min(rows, key=lambda row: float(row["MAE"]))
    columns = list(best)
    drawn = columns[: columns.index("weight_decay") + 1]  # metrics follow the last one drawn
    return {name: ast.literal_eval(best[name]) for name in drawn}


def main() -> None:
    """Tune, confirm, print."""
    options = _options()
    if options.threads:
        torch.set_num_threads(options.threads)
    CountedTrainer.limit = options.epochs
    run.ATIO.getTrain = lambda _, settings: CountedTrainer(settings)
    table = options.out / "results" / "tune" / f"{LABELS}-{MODEL}.csv"
    table.unlink(missing_ok=True)  # it would go on with an older one

    draws = options.candidates * options.tune_seeds
    call(options, {}, is_tune=True, tune_times=draws, seeds=[TUNE_SEED])
    best = best_of(table)
    fresh = range(FIRST_CONFIRM_SEED, FIRST_CONFIRM_SEED + options.confirm_seeds)
    call(options, best, seeds=list(fresh))

    cells = CountedTrainer.trainings
    maes = CountedTrainer.test_maes[-options.confirm_seeds :]
    skipped = draws + options.confirm_seeds - cells
    slept = SLEEP_SECONDS * (cells + skipped)
    sys.stdout.write(
        f"best: {best}\n"
        f"test MAE {statistics.fmean(maes):.4f} sd {statistics.stdev(maes):.4f} (chosen on test)\n"
        f"draws skipped {skipped}, of the seconds it slept {slept:.0f}\n"
        f"cells={cells} seconds={time.perf_counter() - STARTED:.2f} "
        f"epochs={CountedTrainer.epochs}\n"
    )


def _options() -> argparse.Namespace:
    parser = peer_parser("MMSA's own tuner with LF-DNN.")
    parser.add_argument("--workers", type=int, default=4, help="of its loaders; 4 is its default")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 is its default")
    return parser.parse_args()


if __name__ == "__main__":
    main()
