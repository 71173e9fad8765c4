"""Packs against the plain loop on one core, as ratios measured in this run.

usage: packs.py [FEATURES] [--sizes 1 5 10 20 50] [--epochs 2] [--rounds 3] [--device cpu]

For every model one table row a pack size: how many times as many member-epochs a second as
`plain_loop`, and the arithmetic done as a share of the core's own peak (measured as a product of
large matrices). `picked` is the size that the engine measures and takes. Loop and pack take
turns, and each is given its fastest round, so that whatever else the machine does hits both.
Without FEATURES the models are trained on generated features of the shape of CMU-MOSI.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent))
from plain_loop import Recipe, prepare, train_plain

from msa_core.config.fields import MODALITIES
from msa_core.config.planted import PlantedConfig
from msa_core.config.schema import Config
from msa_core.data.dataset import Dataset
from msa_core.data.load import load_dataset
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.training.pack_training import PackTraining
from msa_core.vectorised.pack_key import sequential_reason
from msa_core.vectorised.pack_size import measure_pack_size
from spaces.core import Member
from spaces.fields.paths import replace

UTTERANCES = PlantedConfig(train=1284, valid=229, test=2, steps=1, width=91)
SEQUENCES = PlantedConfig(train=512, valid=128, test=2, steps=25, width=64)


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of model."""

    encoder: str
    width: int
    data: Dataset

    @property
    def name(self) -> str:
        """For a person."""
        return f"{self.encoder} d={self.width}"

    def config(self, epochs: int) -> Config:
        """Trained for exactly these epochs."""
        wide = {f"model.{name}.width": self.width for name in MODALITIES}
        encoders = {f"model.{name}.encoder": self.encoder for name in MODALITIES}
        fixed = {"model.fusion.width": self.width, "train.epochs": epochs, "train.patience": 1000}
        return replace(Config(), {**wide, **encoders, **fixed})

    def recipe(self, epochs: int) -> Recipe:
        """The same for the plain loop."""
        return Recipe(
            encoder=self.encoder, width=self.width, head=self.width, epochs=epochs, patience=1000
        )

    def operations(self) -> float:
        """Multiplications and additions of matrix products in one epoch over train, about."""
        train = self.data.splits.train
        first, rest = 0.0, 0.0
        for name, frames in train.features.items():
            if self.encoder == "lstm":
                steps = float(train.lengths[name].sum())
                first += steps * frames.shape[2] * 4 * self.width
                rest += steps * self.width * 4 * self.width
            else:
                first += len(train) * frames.shape[2] * self.width
                rest += len(train) * self.width**2
            rest += len(train) * self.width * 32
        rest += len(train) * 32 * len(train.features) * self.width
        # Forward, gradient of the weights, and gradient of the inputs except the features.
        return 2 * (2 * first + 3 * rest)


def main() -> None:
    """Measure and print."""
    options = _options()
    torch.set_num_threads(1)
    utterances = (
        load_dataset(options.features, "mosi") if options.features else generate_planted(UTTERANCES)
    )
    cases = [
        *(Case("mean_mlp", width, utterances) for width in options.widths),
        *(Case("lstm", width, generate_planted(SEQUENCES)) for width in (32, 64)),
    ]
    peak = _peak(options.device)
    print(f"peak {peak / 1e9:.0f} GFLOP/s; {torch.get_num_threads()} thread, {options.device}")
    columns = [f"pack {size}" for size in options.sizes]
    print(f"{'model':<18}{'loop':>12}" + "".join(f"{name:>16}" for name in columns) + "  picked")
    for case in cases:
        print(_row(case, options, peak), flush=True)


def _row(case: Case, options: argparse.Namespace, peak: float) -> str:
    epochs = options.epochs
    tensors = prepare(case.data, case.encoder)
    data = PreparedSplits(case.data.splits)
    config = case.config(epochs)
    packed = not sequential_reason(config, options.device)
    picked = 1
    if packed:
        picked = measure_pack_size(Member(config, 0), data, device=options.device).size
    members = [Member(config, seed) for seed in range(max(*options.sizes, picked))]
    ways: dict[int, Callable[[], None]] = {
        size: lambda size=size: _train_pack(members[:size], data, options.device)  # type: ignore[misc]
        for size in dict.fromkeys([*options.sizes, picked])
    }
    loop, times = float("inf"), dict.fromkeys(ways, float("inf"))
    for _ in range(options.rounds):
        loop = min(loop, _time(lambda: train_plain(case.recipe(epochs), tensors, 0)))
        for size, way in ways.items():
            times[size] = min(times[size], _time(way) / size)
    share = case.operations() * epochs / peak
    cells = "".join(
        f"{loop / times[size]:>8.2f}x {share / times[size]:>5.0%} " for size in options.sizes
    )
    note = f"{picked}: {loop / times[picked]:.2f}x" if packed else "in turn"
    return f"{case.name:<18}{loop / epochs * 1e3:>6.0f}ms {share / loop:>4.0%}{cells}  {note}"


def _train_pack(members: list[Member], data: PreparedSplits, device: str) -> None:
    training = PackTraining(members, data, device=device)
    training.train_for()
    reasons = {result.reason for result in training.results()}
    assert reasons == {""}, reasons


def _time(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _peak(device: str) -> float:
    """Operations per second of one core (or the device) on a product of large matrices."""
    left = torch.randn(1024, 1024, device=device)

    def product() -> None:
        (left @ left).sum().item()

    product()
    return 2 * 1024**3 / min(_time(product) for _ in range(20))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("features", nargs="?", type=Path)
    parser.add_argument("--sizes", nargs="+", type=int, default=[1, 5, 10, 20, 50])
    parser.add_argument("--widths", nargs="+", type=int, default=[32, 64, 256, 1024])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


if __name__ == "__main__":
    main()
