"""The peer: epochs of the public MMSA framework's own trainer, timed inside it.

usage: mmsa_epochs.py FEATURES OUT [--epochs 10 --workers 4 --threads 0]

Run by the interpreter of an environment of its own (`pip install torch==2.13.0 MMSA==2.2.1`). One
training of LF-DNN with its defaults for MOSI; an epoch is from one validation's end to the next.
What is patched, and why, says `mmsa_tuner.py`. Prints the seconds of each epoch as JSON.
"""

import argparse
import itertools
import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TQDM_DISABLE"] = "1"
warnings.filterwarnings("ignore", message="This DataLoader will create")

import torch  # noqa: E402

torch.cuda.set_device = lambda *_, **__: None

from MMSA import MMSA_run, get_config_regression, run  # noqa: E402
from MMSA.trains.singleTask import LF_DNN  # noqa: E402


class TimedTrainer(LF_DNN):
    """Its trainer, stopped after some epochs, with the time at the end of each."""

    limit: int
    ends: list[float] = []  # noqa: RUF012  # of the one training, shared on purpose

    def do_test(self, *positional: Any, mode: str = "VAL", **named: Any) -> dict[str, float]:
        """Evaluate; its loop compares the patience right after this."""
        results: dict[str, float] = super().do_test(*positional, mode=mode, **named)
        if mode == "VAL":
            self.ends.append(time.perf_counter())
            self.args.early_stop = 0 if len(self.ends) > self.limit else 10**9
        return results


def main() -> None:
    """Train once and print."""
    parser = argparse.ArgumentParser(description="Epochs of MMSA's own trainer.")
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--workers", type=int, default=4, help="of its loaders; 4 is its default")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 is its default")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    TimedTrainer.limit = options.epochs
    run.ATIO.getTrain = lambda _, settings: TimedTrainer(settings)
    config = get_config_regression("lf_dnn", "mosi")
    config.update(featurePath=str(options.features), use_bert=False, need_data_aligned=True)
    MMSA_run(
        "lf_dnn",
        "mosi",
        config=config,
        seeds=[1111],
        gpu_ids=[],
        num_workers=options.workers,
        verbose_level=0,
        model_save_dir=options.out / "models",
        res_save_dir=options.out / "results",
        log_dir=options.out / "logs",
    )
    ends = TimedTrainer.ends
    seconds = [end - start for start, end in itertools.pairwise(ends)]
    sys.stdout.write(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main()
