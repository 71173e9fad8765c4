"""`modalities.json`: the information of modality pairs about the label, once per data set.

From the train split alone, so it shows nothing of a test. What takes a second or so (3 s on MOSI's
features beside other work) is done in a thread, while Ray starts.
"""

import json
import threading
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from msa_core.data.dataset import Dataset, Split
from reports.encoding import information_from_plain, information_to_plain
from reports.results import Amount, ResultsError, SharedInformation
from search.atomic_files import write_text_atomically

if TYPE_CHECKING:
    from msa_core.analysis.pid import Quantity

MODALITIES = "modalities.json"
BINS = 4  # so that a table of 4 x 4 x 3 cells has 25 utterances of MOSI per cell
CLASSES = 3  # negative, neutral, positive
MOST_UTTERANCES = 4000  # clusters of more take long and show the same
PERMUTATIONS = 199
DRAWS = 200
SEED = 0
METHOD = (
    "features averaged over time and standardised, {bins} k-means clusters per modality; labels: "
    "negative, neutral, positive; {permutations} permutations, {draws} bootstrap draws"
)


def estimate_shared_information(dataset: Dataset) -> tuple[SharedInformation, ...]:
    """Estimate what each modality pair knows of the label: alone, alike, and only together.

    Returns:
        One entry per pair, in the order of the data set's modalities; the same for equal data.

    Raises:
        ValueError, msa_core.analysis.broja.NotConvergedError: The data give no estimate.
    """
    # They import scipy, half a second: not for a command that only reads an estimate.
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
    return tuple(
        _pair_information(first, second, bins[first], bins[second], classes)
        for first, second in combinations(dataset.modalities, 2)
    )


def keep_information(folder: Path, dataset: Dataset) -> None:
    """Estimate it and keep it in a results folder, unless it is there for these data.

    Raises:
        OSError: It cannot be written.
        ValueError, msa_core.analysis.broja.NotConvergedError: As `estimate_shared_information`.
    """
    method = _method_text()
    kept = _read_kept(folder)
    if (kept.get("data"), kept.get("method")) == (dataset.fingerprint, method):
        return
    pairs = information_to_plain(estimate_shared_information(dataset))
    content = {"data": dataset.fingerprint, "method": method, "pairs": pairs}
    write_text_atomically(folder / MODALITIES, json.dumps(content, indent=1))


def read_information(folder: Path, data: str) -> tuple[SharedInformation, ...]:
    """Read the estimate of a results folder; nothing if it has none, or one of other data.

    Args:
        folder: Results folder.
        data: Fingerprint of the data of the results.
    """
    kept = _read_kept(folder)
    if kept.get("data") != data:
        return ()
    try:
        return information_from_plain(kept["pairs"])
    except (KeyError, TypeError, ResultsError):
        return ()


class InformationEstimation:
    """An estimate that is made while the study trains. A failure here fails no run."""

    def __init__(self, folder: Path, dataset: Dataset, print_line: Callable[[str], None]) -> None:
        """Start to estimate.

        Args:
            folder: Results folder.
            dataset: Data of the study.
            print_line: Called with one line: why there is no estimate.
        """
        self._folder, self._dataset, self._print_line = folder, dataset, print_line
        self._failure = ""
        self._thread = threading.Thread(
            target=self._estimate_in_thread, name="modalities", daemon=True
        )
        self._thread.start()

    def wait(self, most_seconds: float | None = None) -> None:
        """Wait until it is done, or so long; what is not there then is made by the next run.

        Args:
            most_seconds: Longest time to wait; None = without a limit.
        """
        self._thread.join(most_seconds)
        if self._failure:
            self._print_line(f"note: what the modalities share is not estimated: {self._failure}")

    def _estimate_in_thread(self) -> None:
        try:
            keep_information(self._folder, self._dataset)
        except Exception as error:  # whatever the data or the disk are like
            self._failure = str(error).partition("\n")[0] or type(error).__name__


def _pair_information(
    first: str,
    second: str,
    first_bins: NDArray[np.int64],
    second_bins: NDArray[np.int64],
    classes: NDArray[np.int64],
) -> SharedInformation:
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
    return SharedInformation(
        first=first,
        second=second,
        **{part: _to_amount(getattr(found, part)) for part in PARTS},
        utterances=found.utterances,
        split="train",
        method=_method_text(),
    )


def _to_amount(quantity: "Quantity") -> Amount:
    return Amount(
        value=quantity.corrected,
        low=quantity.low,
        high=quantity.high,
        # As the value itself, less what shuffled labels seem to share on average.
        null_high=quantity.null_high - quantity.null_mean,
        p=quantity.p,
    )


def _method_text() -> str:
    return METHOD.format(bins=BINS, permutations=PERMUTATIONS, draws=DRAWS)


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


def _read_kept(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / MODALITIES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
