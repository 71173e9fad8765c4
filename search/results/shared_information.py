"""`modalities.json`: what each pair of modalities says of the label, estimated once a data set.

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
from search.atomic_files import write_whole

if TYPE_CHECKING:
    from msa_core.analysis.pid import Quantity

MODALITIES = "modalities.json"
BINS = 4  # so that a table of 4 x 4 x 3 cells has 25 utterances of MOSI's a cell
CLASSES = 3  # negative, neutral, positive
MOST_UTTERANCES = 4000  # clusters of more take long and say the same
PERMUTATIONS = 199
DRAWS = 200
SEED = 0
METHOD = (
    "features averaged over time and standardised, {bins} k-means clusters a modality; labels: "
    "negative, neutral, positive; {permutations} permutations, {draws} bootstrap draws"
)


def shared_information(dataset: Dataset) -> tuple[SharedInformation, ...]:
    """What each pair of modalities says of the label: alone, alike, and only together.

    Returns:
        One a pair, in the order of the data set's modalities; the same for equal data.

    Raises:
        ValueError, msa_core.analysis.broja.NotConvergedError: the data give no estimate.
    """
    # scipy's: half a second, which only those wait for who want it.
    from msa_core.analysis.binning import clusters, label_classes

    train, scheme = dataset.splits.train, dataset.splits.scheme
    rows = _rows(train)
    classes = label_classes(train.labels[rows], scheme, CLASSES)
    bins = {
        name: clusters(_standard(_pooled(train, name, rows)), BINS, _generator(name))
        for name in dataset.modalities
    }
    return tuple(
        _pair(first, second, bins[first], bins[second], classes)
        for first, second in combinations(dataset.modalities, 2)
    )


def keep_information(folder: Path, dataset: Dataset) -> None:
    """Estimate it and keep it in a results folder, unless it is there for these data.

    Raises:
        OSError: it cannot be written.
        ValueError, msa_core.analysis.broja.NotConvergedError: as `shared_information`.
    """
    method = _method()
    kept = _read(folder)
    if (kept.get("data"), kept.get("method")) == (dataset.fingerprint, method):
        return
    pairs = information_to_plain(shared_information(dataset))
    content = {"data": dataset.fingerprint, "method": method, "pairs": pairs}
    write_whole(folder / MODALITIES, json.dumps(content, indent=1))


def read_information(folder: Path, data: str) -> tuple[SharedInformation, ...]:
    """What a results folder knows of its data; nothing if it has none, or of other data.

    Args:
        folder: of the results.
        data: fingerprint of the data that the results are of.
    """
    kept = _read(folder)
    if kept.get("data") != data:
        return ()
    try:
        return information_from_plain(kept["pairs"])
    except (KeyError, TypeError, ResultsError):
        return ()


class Estimation:
    """It is done while the study trains. A failure here fails no run."""

    def __init__(self, folder: Path, dataset: Dataset, say: Callable[[str], None]) -> None:
        """Begin.

        Args:
            folder: of the results.
            dataset: of the study.
            say: tells a person, in a line, why there is no estimate.
        """
        self._folder, self._dataset, self._say = folder, dataset, say
        self._failure = ""
        self._thread = threading.Thread(target=self._work, name="modalities", daemon=True)
        self._thread.start()

    def wait(self, most_seconds: float | None = None) -> None:
        """Until it is done, or for as long; what is not there then is made by the next run."""
        self._thread.join(most_seconds)
        if self._failure:
            self._say(f"note: what the modalities share is not estimated: {self._failure}")

    def _work(self) -> None:
        try:
            keep_information(self._folder, self._dataset)
        except Exception as error:  # whatever the data or the disk are like
            self._failure = str(error).partition("\n")[0] or type(error).__name__


def _pair(
    first: str,
    second: str,
    first_bins: NDArray[np.int64],
    second_bins: NDArray[np.int64],
    classes: NDArray[np.int64],
) -> SharedInformation:
    from msa_core.analysis.pid import PARTS, interactions

    found = interactions(
        first_bins,
        second_bins,
        classes,
        bins=BINS,
        rng=_generator(first, second),
        permutations=PERMUTATIONS,
        draws=DRAWS,
    )
    return SharedInformation(
        first=first,
        second=second,
        **{part: _amount(getattr(found, part)) for part in PARTS},
        utterances=found.utterances,
        split="train",
        method=_method(),
    )


def _amount(quantity: "Quantity") -> Amount:
    return Amount(
        value=quantity.corrected,
        low=quantity.low,
        high=quantity.high,
        # As the value itself, less what shuffled labels seem to say on average.
        null_high=quantity.null_high - quantity.null_mean,
        p=quantity.p,
    )


def _method() -> str:
    return METHOD.format(bins=BINS, permutations=PERMUTATIONS, draws=DRAWS)


def _generator(*names: str) -> np.random.Generator:
    """One for each modality and each pair, so that no other one changes its digits."""
    return np.random.default_rng([SEED, *"+".join(names).encode()])


def _rows(split: Split) -> NDArray[np.int64]:
    """The utterances to look at, in their order."""
    count = len(split)
    if count <= MOST_UTTERANCES:
        return np.arange(count)
    return np.sort(_generator("rows").choice(count, MOST_UTTERANCES, replace=False))


def _pooled(split: Split, modality: str, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean over the valid frames [N, d]; 0 for an utterance without one."""
    features, lengths = split.features[modality], split.lengths[modality]
    return np.stack(
        [features[row, : max(int(lengths[row]), 1)].mean(axis=0, dtype=np.float64) for row in rows]
    )


def _standard(values: NDArray[Any]) -> NDArray[np.float64]:
    """Features on one scale; those that never vary say nothing and are 0."""
    spread = values.std(axis=0)
    varies = spread > 1e-12 * np.maximum(np.abs(values).max(axis=0), 1.0)
    standard: NDArray[np.float64] = np.where(
        varies, (values - values.mean(axis=0)) / np.where(varies, spread, 1.0), 0.0
    )
    return standard


def _read(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / MODALITIES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
