"""The peer: epochs of the public MMSA framework's own trainer, timed inside it.

usage: mmsa_epochs.py FEATURES OUT [--epochs 10 --workers 4 --threads 0]

Run by the interpreter of an environment of its own (`pip install torch==2.13.0 MMSA==2.2.1`). One
training of LF-DNN with its defaults for MOSI; an epoch is from one validation's end to the next.
What is patched, and why, says `mmsa_tuner.py`. Prints the seconds of each epoch as JSON.
"""

import argparse
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

from mmsa_tuner import LF_DNN, call, run, torch


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
    parser.set_defaults(batch_size=128, patience=8)  # its own for LF-DNN on MOSI
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    TimedTrainer.limit = options.epochs
    run.ATIO.getTrain = lambda _, settings: TimedTrainer(settings)
    call(options, {}, seeds=[1111])
    ends = TimedTrainer.ends
    seconds = [end - start for start, end in itertools.pairwise(ends)]
    sys.stdout.write(json.dumps(seconds) + "\n")


if __name__ == "__main__":
    main()
