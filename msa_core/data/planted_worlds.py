"""Best results that are possible in every named world, computed from theory and kept as a file.

`planted_worlds.csv` has a row for each world, set of modalities and kind of fusion;
`python -m msa_core.data.planted_worlds` writes it anew.
"""

import csv
import itertools
import math
from dataclasses import dataclass
from pathlib import Path

from msa_core.config.planted import WORLDS
from msa_core.config.schema import MODALITIES
from msa_core.data.planted import expected_r2

TABLE = Path(__file__).with_name("planted_worlds.csv")
FUSIONS = ("additive", "multiplicative")
_COLUMNS = ("world", "modalities", "fusion", "r2", "pearson")


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """Result of the best readout of the frames' means; see `planted.expected_r2`.

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
            Expected(
                world=world, modalities="+".join(subset), fusion=fusion,
                r2=round(r2, 6), pearson=round(math.sqrt(r2), 6),
            )
        )  # fmt: skip
    return tuple(rows)


def write_table(path: Path = TABLE) -> None:
    """Write the table's file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for row in expected_table():
            numbers = f"{row.r2:.6f}", f"{row.pearson:.6f}"
            writer.writerow((row.world, row.modalities, row.fusion, *numbers))


if __name__ == "__main__":
    write_table()
