"""Robustness: how a metric falls as more and more frames are missing.

Nothing is trained and nothing chosen: the caller gives a function that scores copies of a split
with a trained model (`msa_core.training.evaluation.robustness`).
Letters in shapes: N utterances, T frames, D features a frame.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import replace as dataclass_replace

import numpy as np
from numpy.typing import NDArray

from msa_core.data.dataset import FloatArray, Split

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
REPETITIONS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustnessScore:
    """One metric with one draw of missing frames.

    Attributes:
        share: Share of the frames that are missing, in expectation, in 0..1.
        repetition: Number of the draw, from 0.
        metric: Name of the metric.
        value: Value of the metric; None where it is undefined, such as a correlation with
            constant predictions.
    """

    share: float
    repetition: int
    metric: str
    value: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Area:
    """The area under a curve of metric against share, as a mean height.

    Attributes:
        value: Area, divided by the range of shares that it covers; None where fewer than two
            consecutive shares are defined from the first one on.
        up_to: Largest share that it covers: from the first share on, as far as the metric is
            defined in every repetition. Areas compare where these agree.
    """

    value: float | None
    up_to: float


def robustness_curve(
    score: Callable[[Split], Mapping[str, float]],
    split: Split,
    fill: Mapping[str, FloatArray],
    *,
    rng: np.random.Generator,
    modalities: Collection[str] | None = None,
    shares: Sequence[float] = SHARES,
    repetitions: int = REPETITIONS,
) -> tuple[RobustnessScore, ...]:
    """Measure every metric at every share of missing frames.

    A repetition draws one number per frame, and a frame is missing at every share above it. The
    shares 0 and 1 leave nothing to chance and get one repetition.

    Args:
        score: Function that returns a model's metrics on a split; undefined ones are absent.
        split: Split with all its frames.
        fill: Modality -> vector [D] that replaces a missing frame.
        rng: Generator of the masks.
        modalities: Modalities that lose frames; None = all of `fill`.
        shares: Shares of frames, ascending, each in 0..1.
        repetitions: Number of draws of the masks, at least 1.

    Returns:
        Share by share, repetition by repetition, metric by metric.

    Raises:
        ValueError: shares out of order or range, no repetition, or a modality without a fill.

    Source: the curves over missing rates of Yuan et al. 2021 (TFR-Net), there with their area.
    """
    losing = tuple(fill if modalities is None else modalities)
    _check_arguments(losing, fill, shares, repetitions)
    # One number per frame for all shares: what is missing at one share is missing at all larger
    # ones, so a curve has no noise of its own from share to share.
    drawn = [
        {name: rng.random(split.features[name].shape[:2]) for name in losing}
        for _ in range(repetitions)
    ]
    found: list[tuple[float, int, Mapping[str, float]]] = []
    for share in shares:
        for repetition, numbers in enumerate(drawn if 0.0 < share < 1.0 else drawn[:1]):
            missing = {name: number_NT < share for name, number_NT in numbers.items()}
            found.append((share, repetition, score(without_frames(split, missing, fill))))
    names = dict.fromkeys(name for _, _, metrics in found for name in metrics)
    return tuple(
        RobustnessScore(share=share, repetition=repetition, metric=name, value=metrics.get(name))
        for share, repetition, metrics in found
        for name in names
    )


def without_frames(
    split: Split, missing: Mapping[str, NDArray[np.bool_]], fill: Mapping[str, FloatArray]
) -> Split:
    """Copy a split with some frames replaced; they still count as frames.

    Args:
        split: Split to copy; left as it is.
        missing: Modality -> whether a frame is missing, bool [N, T]; padding does not matter.
        fill: Modality -> vector [D] that replaces a missing frame.
    """
    features = dict(split.features)
    for name, missing_NT in missing.items():
        features[name] = np.where(missing_NT[:, :, np.newaxis], fill[name], features[name])
    return dataclass_replace(split, features=features)


def area_under_curve(scores: Collection[RobustnessScore], metric: str) -> Area:
    """Compute the area under the mean over repetitions, by the trapezoidal rule.

    A constant curve has its own height; a straight line the mean of its ends.

    Args:
        scores: Scores from `robustness_curve`.
        metric: Name of the metric.

    Raises:
        ValueError: no score of that metric.
    """
    values: dict[float, list[float]] = {}
    for one in scores:
        if one.metric == metric:
            own = math.nan if one.value is None else one.value
            values.setdefault(one.share, []).append(own)
    if not values:
        raise ValueError(f"no score of '{metric}' in the table")
    shares, heights = [], []
    for share in sorted(values):
        mean = float(np.mean(values[share]))
        # Nothing is interpolated over a gap: beyond it the area would compare other ranges.
        if math.isnan(mean):
            break
        shares.append(share)
        heights.append(mean)
    if len(shares) < 2:
        return Area(value=None, up_to=shares[-1] if shares else min(values))
    middles = (np.array(heights[1:]) + np.array(heights[:-1])) / 2
    area = float(middles @ np.diff(shares))
    return Area(value=area / (shares[-1] - shares[0]), up_to=shares[-1])


def _check_arguments(
    losing: Collection[str],
    fill: Mapping[str, FloatArray],
    shares: Sequence[float],
    repetitions: int,
) -> None:
    if list(shares) != sorted(set(shares)) or not shares or shares[0] < 0 or shares[-1] > 1:
        raise ValueError(f"shares must rise within 0..1, but are {tuple(shares)}")
    if repetitions < 1:
        raise ValueError(f"at least one repetition is needed, not {repetitions}")
    if unknown := sorted(set(losing) - set(fill)):
        raise ValueError(f"the model reads no {', '.join(unknown)}; it reads {', '.join(fill)}")
    if not losing:
        raise ValueError("no modality that could lose frames")
