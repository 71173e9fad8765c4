"""One epoch of a late-fusion MLP: Triptych beside the MMSA framework's own trainer.

usage: epoch.py FEATURES --mmsa-python PATH [--rounds 3 --epochs 10]

Both train LF-DNN at MMSA's sizes for MOSI (text 256, audio 16, vision 128, head 128), batch 128, on
the same file; an epoch is a pass over train and a validation. Rounds alternate, so that what else
the machine does meets both; the ratio is that of the medians over all rounds' epochs. MMSA runs
with its default of four loader workers and with none and one thread, which is its fastest here. Its
text branch is an LSTM over the one frame of an utterance; ours is an MLP of the same width.
Triptych runs on one thread: a lone member, which trains with a twin, and members of a pack of ten.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch

from msa_core.config.schema import Config
from msa_core.data.load import load_dataset
from msa_core.data.prepared import PreparedSplits
from msa_core.training.pack_training import PackTraining
from spaces.core import Member
from spaces.fields.paths import replace

LF_DNN = {
    "model.text.width": 256,
    "model.audio.width": 16,
    "model.vision.width": 128,
    "model.projection.width": 133,  # 3 x 133 = 399; its fused vector has 400 entries
    "model.fusion.width": 128,
    "train.batch_size": 128,
    "train.epochs": 1000,
    "train.patience": 1000,
}
MMSA_WAYS = {
    "mmsa, 4 loader workers": ("--workers", "4"),
    "mmsa, no workers, 1 thread": ("--workers", "0", "--threads", "1"),
}


def ours(data: PreparedSplits, members: int, epochs: int) -> list[float]:
    """Seconds of an epoch for each member, after one to warm up."""
    config = replace(Config(), LF_DNN)
    training = PackTraining([Member(config, seed) for seed in range(members)], data)
    seconds = []
    for _ in range(epochs + 1):
        started = time.perf_counter()
        training.advance_epoch()
        seconds.append((time.perf_counter() - started) / members)
    return seconds[1:]


def theirs(options: argparse.Namespace, flags: tuple[str, ...]) -> list[float]:
    """Seconds of an epoch, by its own process."""
    script = Path(__file__).with_name("mmsa_epochs.py")
    with tempfile.TemporaryDirectory() as out:
        command = [str(options.mmsa_python), str(script), str(options.features.resolve()), out]
        command += ["--epochs", str(options.epochs), *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=out)
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="One epoch, beside MMSA's own trainer.")
    parser.add_argument("features", type=Path, help="feature file with `mosi` labels")
    parser.add_argument("--mmsa-python", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10, help="a round")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = PreparedSplits(load_dataset(options.features, "mosi").splits)
    seconds: dict[str, list[float]] = {}
    for _ in range(options.rounds):
        for name, members in (("triptych, alone", 1), ("triptych, in a pack of 10", 10)):
            seconds.setdefault(name, []).extend(ours(data, members, options.epochs))
        for name, flags in MMSA_WAYS.items():
            seconds.setdefault(name, []).extend(theirs(options, flags))
    best = statistics.median(seconds["triptych, alone"])
    print("| way | median ms per epoch | fastest | triptych alone is |\n|---|---:|---:|---:|")
    for name, own in seconds.items():
        median = statistics.median(own)
        print(f"| {name} | {median * 1e3:.0f} | {min(own) * 1e3:.0f} | {median / best:.1f} x |")


if __name__ == "__main__":
    main()
