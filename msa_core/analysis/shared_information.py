"""The information of modality pairs about the label: alone, alike, and only together.

From the train split alone, so it shows nothing of a test. About 3 s on MOSI's features.
"""

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from msa_core.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from msa_core.analysis.pid import Quantity

BINS = 4  # so that a table of 4 x 4 x 3 cells has 25 utterances of MOSI per cell
CLASSES = 3  # negative, neutral, positive
MOST_UTTERANCES = 4000  # clusters of more take long and show the same
PERMUTATIONS = 199
DRAWS = 200
SEED = 0
METHOD = (
    f"features averaged over time and standardised, {BINS} k-means clusters per modality; labels: "
    f"negative, neutral, positive; {PERMUTATIONS} permutations, {DRAWS} bootstrap draws"
)


def estimate_shared_information(dataset: Dataset) -> list[dict[str, Any]]:
    """Estimate what each modality pair knows of the label: alone, alike, and only together.

    Returns:
        The plain form of a `reports.results.SharedInformation` per pair, in the order of the data
        set's modalities; the same for equal data.

    Raises:
        ValueError, msa_core.analysis.broja.NotConvergedError: The data give no estimate.
    """
    # They import scipy, half a second: not for who only asks for the method.
    from msa_core.analysis.binning import cluster_rows, label_classes

    train, scheme = dataset.splits.train, dataset.splits.scheme
    rows = _sample_rows(train)
    classes = label_classes(train.labels[rows], scheme, CLASSES)
    bins = {
        name: cluster_rows(
            _standardise(_mean_over_time(train, name, rows)), BINS, _random_generator(name)
        )
        for name in dataset.modalities
    }
    return [
        _pair_information(first, second, bins[first], bins[second], classes)
        for first, second in combinations(dataset.modalities, 2)
    ]


def _pair_information(
    first: str,
    second: str,
    first_bins: NDArray[np.int64],
    second_bins: NDArray[np.int64],
    classes: NDArray[np.int64],
) -> dict[str, Any]:
    from msa_core.analysis.pid import PARTS, measure_interactions

    found = measure_interactions(
        first_bins,
        second_bins,
        classes,
        bins=BINS,
        rng=_random_generator(first, second),
        permutations=PERMUTATIONS,
        draws=DRAWS,
    )
    return {
        "first": first,
        "second": second,
        **{part: _plain_amount(getattr(found, part)) for part in PARTS},
        "utterances": found.utterances,
        "split": "train",
        "method": METHOD,
    }


def _plain_amount(quantity: "Quantity") -> dict[str, float]:
    return {
        "value": quantity.corrected,
        "low": quantity.low,
        "high": quantity.high,
        # As the value itself, less what shuffled labels seem to share on average.
        "null_high": quantity.null_high - quantity.null_mean,
        "p": quantity.p,
    }


def _random_generator(*names: str) -> np.random.Generator:
    """Return a generator for each modality and each pair of its own."""
    # With a shared one, leaving out a modality would change the digits of the others.
    return np.random.default_rng([SEED, *"+".join(names).encode()])


def _sample_rows(split: Split) -> NDArray[np.int64]:
    """Choose the utterances to estimate from, in their order."""
    count = len(split)
    if count <= MOST_UTTERANCES:
        return np.arange(count)
    return np.sort(_random_generator("rows").choice(count, MOST_UTTERANCES, replace=False))


def _mean_over_time(split: Split, modality: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean over the valid frames [N, d]; 0 for an utterance without one."""
    features, lengths = split.features[modality], split.lengths[modality]
    return np.stack(
        [features[row, : max(int(lengths[row]), 1)].mean(axis=0, dtype=np.float64) for row in rows]
    )


def _standardise(values: NDArray[Any]) -> NDArray[np.float64]:
    """Bring features to one scale; those that never vary become 0."""
    # Relative to their size: a constant feature has a spread of rounding errors, not of 0.
    spread = values.std(axis=0)
    varies = spread > 1e-12 * np.maximum(np.abs(values).max(axis=0), 1.0)
    standard: NDArray[np.float64] = np.where(
        varies, (values - values.mean(axis=0)) / np.where(varies, spread, 1.0), 0.0
    )
    return standard
