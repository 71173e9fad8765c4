"""The best results that are possible in planted data, from theory.

`msa_core/data/planted_worlds.csv` has them for each world, set of modalities and kind of fusion;
`python -m tests.cases.planted_theory` writes it anew.
"""

import csv
import itertools
import math
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import msa_core.data
from msa_core.config.fields import MODALITIES
from msa_core.config.planted import WORLDS, PlantedConfig

TABLE = Path(msa_core.data.__file__).with_name("planted_worlds.csv")
FUSIONS = ("additive", "multiplicative")


def expected_r2(
    config: PlantedConfig, subset: Collection[str], multiplicative: bool, *, pooled: bool = False
) -> float:
    """Return the share of the variance of y that the best readout from some modalities explains.

    Its square root is the Pearson correlation of that readout. Clipping the label at two standard
    deviations costs about .01.

    Args:
        config: Recipe of the data.
        subset: Modalities that the readout sees.
        multiplicative: Whether its fusion can read a product of two modalities.
        pooled: Whether it sees the means of the frames, with what frame noise is left in them, and
            not the latents themselves. It is then linear in those means and, if multiplicative, in
            their products.

    Source: the views of s have the precision sum_m 1 / v_m against the prior's 1, with v_m the
        variance of the error of modality m; for k equal ones that is w_s k / (k + v). The other
        parts are seen whole or not at all. The mean of the frames adds an independent error of
        variance frame_noise^2 E[1 / length] / width to every latent.
    Formula: w_s P / (1 + P) + w_p / (1 + f) [T in] + w_x / (1 + f)^2 [A, V in and multiplicative],
        P = sum_m 1 / (v_m + f), f = the frames' error or 0.
    """
    seen = set(subset)
    frame_error = _frame_error(config) if pooled else 0.0
    errors = [
        config.shared_noise * getattr(config, f"{modality}_error") + frame_error
        for modality in sorted(seen)
    ]
    explained = 0.0
    if errors:
        # A view without error shows the shared part whole; its precision would be 1 / 0.
        is_exact = min(errors) == 0.0
        precision = 0.0 if is_exact else math.fsum(1.0 / error for error in errors)
        explained = config.shared * (1.0 if is_exact else precision / (1.0 + precision))
    if "text" in seen:
        explained += config.text_private / (1.0 + frame_error)
    if multiplicative and {"audio", "vision"} <= seen:
        explained += config.synergy / (1.0 + frame_error) ** 2
    return explained


def _frame_error(config: PlantedConfig) -> float:
    """Return the variance of the error that frame noise leaves in the mean of the frames."""
    lengths = range((config.steps + 1) // 2, config.steps + 1)
    mean_inverse = math.fsum(1.0 / length for length in lengths) / len(lengths)
    return config.frame_noise**2 * mean_inverse / config.width


class Expected(NamedTuple):
    """Result of the best readout of the frames' means; see `expected_r2`.

    Attributes:
        world: Key of `WORLDS`.
        modalities: Modalities that the readout sees, joined by `+`.
        fusion: `additive` or `multiplicative`.
        r2: Share of the label's variance before clipping, six digits.
        pearson: Correlation with it, six digits.
    """

    world: str
    modalities: str
    fusion: str
    r2: float
    pearson: float


def expected_table() -> tuple[Expected, ...]:
    """Return the table, from theory."""
    # Of pooled frames, since the mean over the frames is what the default encoder reads.
    subsets = [subset for size in (1, 2, 3) for subset in itertools.combinations(MODALITIES, size)]
    rows = []
    for world, subset, fusion in itertools.product(WORLDS, subsets, FUSIONS):
        r2 = expected_r2(WORLDS[world], subset, fusion == "multiplicative", pooled=True)
        rows.append(
            Expected(world, "+".join(subset), fusion, round(r2, 6), round(math.sqrt(r2), 6))
        )
    return tuple(rows)


def write_table(path: Path = TABLE) -> None:
    """Write the table's file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Expected._fields)
        for row in expected_table():
            numbers = f"{row.r2:.6f}", f"{row.pearson:.6f}"
            writer.writerow((row.world, row.modalities, row.fusion, *numbers))


if __name__ == "__main__":
    write_table()
