"""Holistic slices: how good predictions are on which kind of utterances.

A dimension gives every utterance a tag; the utterances of one tag are a slice. Every metric is
that of `msa_core.metrics`, on the slice's utterances alone.

Letters in shapes: N utterances, R runs (seeds) of one model, B bootstrap draws, k terms.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from msa_core.analysis.binning import label_classes, quantile_bins
from msa_core.metrics import SCHEMES, Metric

Values = NDArray[np.float64]
Tags = NDArray[np.str_]
EVERYTHING = "all"
DRAWS = 2000
TAILS = (0.025, 0.975)
MAX_UNDEFINED = 0.05  # of the draws; with more, an interval of the rest would mislead
CHUNK = 200  # draws at once: a weight per utterance and draw, so memory is bounded
_STRENGTHS = {
    "mosi": (7, ("neutral", "weak", "medium", "strong")),
    "sims": (5, ("neutral", "weak", "strong")),
}


# --- Tags.


def strength_tags(labels: ArrayLike, scheme: str) -> Tags:
    """Tag each utterance by the strength of its sentiment, whichever its sign.

    The strength is the distance from the neutral class.

    Args:
        labels: Labels [N].
        scheme: Label scheme, a key of `SCHEMES`; `mosi` has four strengths, from its seven
            classes, and `sims` three, from its five.

    Raises:
        ValueError: an unknown scheme, or labels that are not finite.
    """
    classes, names = _STRENGTHS.get(scheme, (0, ()))
    distance = np.abs(label_classes(labels, scheme, classes) - classes // 2)
    return np.array(names)[distance]


def conflict_tags(labels: ArrayLike, unimodal_labels: ArrayLike) -> Tags:
    """Tag each utterance by whether one modality's label has another sign: conflict, agreement.

    Args:
        labels: Labels [N] of all modalities together.
        unimodal_labels: Labels [N] of one of them. A 0 is a sign of its own.

    Raises:
        ValueError: not both [N].
    """
    whole, part = np.asarray(labels), np.asarray(unimodal_labels)
    if whole.ndim != 1 or whole.shape != part.shape:
        raise ValueError(
            f"labels and unimodal_labels must both be [N], but are {whole.shape} and {part.shape}"
        )
    return np.where(np.sign(whole) == np.sign(part), "agreement", "conflict")


def length_tags(lengths: ArrayLike) -> Tags:
    """Tag each utterance by its third in length: short, medium, long. Equal lengths share one.

    Args:
        lengths: Number of valid frames of each utterance, [N].

    Raises:
        ValueError: lengths that are not finite.
    """
    return np.array(["short", "medium", "long"])[quantile_bins(lengths, 3)]


# --- Scores.


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceScore:
    """One metric on one slice.

    Attributes:
        dimension: Name of the dimension that the slice is of; `all` for the whole set.
        tag: Tag of the slice's utterances.
        metric: Name of the metric.
        utterances: Number of utterances in the slice, n.
        score: Mean over runs; None where the metric is undefined in a run.
        low, high: Ends of the 95 % percentile interval over resampled utterances of the slice,
            the runs being as they are; None with one utterance, or where more than 5 % of the
            draws are undefined.
    """

    dimension: str
    tag: str
    metric: str
    utterances: int
    score: float | None
    low: float | None
    high: float | None


def slice_table(
    scheme: str,
    predictions: ArrayLike,
    labels: ArrayLike,
    tags: Mapping[str, ArrayLike],
    *,
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> tuple[SliceScore, ...]:
    """Score every metric on the whole set and on every slice.

    Args:
        scheme: Label scheme, a key of `SCHEMES`.
        predictions: Predictions [R, N], one row per run of the same model, or [N].
        labels: Labels [N].
        tags: Dimension -> the tag of each utterance [N].
        rng: Generator; the same state gives the same digits. A slice's interval depends on its
            own utterances alone, whatever other dimensions there are.
        draws: Number of bootstrap draws.

    Returns:
        Whole set first, then the dimensions in their order, tags in alphabetical order, metrics
        in that of the scheme. The tags of a dimension partition the set, so the mean of a mean
        (MAE, an accuracy over all) weighted by `utterances` is that of the whole set.

    Raises:
        KeyError: an unknown scheme.
        ValueError: not the same N everywhere, a dimension named `all`, or no draws.
    """
    predicted = np.atleast_2d(np.asarray(predictions, dtype=np.float64))
    wanted = np.asarray(labels, dtype=np.float64)
    if predicted.ndim != 2 or wanted.ndim != 1 or predicted.shape[1] != len(wanted):
        raise ValueError(
            "predictions must be [R, N] and labels [N], but their shapes are "
            f"{predicted.shape} and {wanted.shape}"
        )
    if draws < 1:
        raise ValueError(f"at least 1 draw is needed, but {draws} were asked for")
    seed = int(rng.integers(2**63))
    scores: list[SliceScore] = []
    for dimension, tag, rows in _tagged_slices(tags, len(wanted)):
        # Each slice starts from the same seed: another dimension moves no other slice's digits.
        drawn = np.random.default_rng(seed)
        terms = [
            _run_terms(metric, predicted[:, rows], wanted[rows])
            for metric in SCHEMES[scheme].values()
        ]
        intervals = _bootstrap_intervals(list(SCHEMES[scheme].values()), terms, draws, drawn)
        scores += [
            SliceScore(
                dimension=dimension,
                tag=tag,
                metric=name,
                utterances=len(rows),
                score=_none_if_undefined(float(metric.combine(part.mean(axis=1)).mean())),
                low=low,
                high=high,
            )
            for (name, metric), part, (low, high) in zip(
                SCHEMES[scheme].items(), terms, intervals, strict=True
            )
        ]
    return tuple(scores)


def _tagged_slices(
    tags: Mapping[str, ArrayLike], utterances: int
) -> list[tuple[str, str, NDArray[np.int64]]]:
    slices = [(EVERYTHING, EVERYTHING, np.arange(utterances))]
    for dimension, values in tags.items():
        given = np.asarray(values).astype(str)
        if given.shape != (utterances,) or dimension == EVERYTHING:
            raise ValueError(
                f"dimension '{dimension}' has tags of shape {given.shape}, but ({utterances},) is "
                f"needed, one tag per utterance; '{EVERYTHING}' is taken by the whole set"
            )
        slices += [(dimension, str(tag), np.flatnonzero(given == tag)) for tag in np.unique(given)]
    return slices


def _run_terms(metric: Metric, predictions_RN: Values, labels_N: Values) -> Values:
    """Compute each utterance's terms in each run: [R, N, k]."""
    return np.stack([metric.terms(run, labels_N) for run in predictions_RN])


def _bootstrap_intervals(
    metrics: list[Metric], terms: list[Values], draws: int, rng: np.random.Generator
) -> list[tuple[float | None, float | None]]:
    """Compute one interval per metric; all runs and metrics share the resampled utterances."""
    utterances = terms[0].shape[1]
    if utterances < 2:
        return [(None, None)] * len(metrics)
    values = np.empty((draws, len(metrics)))
    for start in range(0, draws, CHUNK):
        rows = slice(start, min(start + CHUNK, draws))
        counts = rng.multinomial(
            utterances, np.full(utterances, 1.0 / utterances), rows.stop - start
        )
        weights_BN = counts / utterances
        for column, (metric, part) in enumerate(zip(metrics, terms, strict=True)):
            values[rows, column] = metric.combine(weights_BN @ part).mean(axis=0)
    return [_percentile_interval(column) for column in values.T]


def _percentile_interval(drawn: Values) -> tuple[float | None, float | None]:
    defined = drawn[np.isfinite(drawn)]
    if len(defined) < (1.0 - MAX_UNDEFINED) * len(drawn):
        return None, None
    low, high = np.quantile(defined, TAILS)
    return float(low), float(high)


def _none_if_undefined(value: float) -> float | None:
    return value if np.isfinite(value) else None


# --- Models against each other.


@dataclass(frozen=True, kw_only=True, slots=True)
class SliceStanding:
    """A model's rank on one slice, by one metric.

    Attributes:
        model: Name of the model.
        score: Score of the slice, as measured, with its interval and n.
        rescaled: Score scaled to 0 for the worst model compared and 1 for a perfect one; None
            where it is undefined or every model is perfect.
    """

    model: str
    score: SliceScore
    rescaled: float | None


def leaderboard(
    tables: Mapping[str, tuple[SliceScore, ...]], scheme: str, metric: str
) -> tuple[SliceStanding, ...]:
    """Rank the models on every slice by one metric, best first.

    Args:
        tables: Model -> its `slice_table`; all of the same utterances and tags.
        scheme: Label scheme, a key of `SCHEMES`.
        metric: Name of a metric of the scheme. Its perfect score is 0 where lower is better,
            else 1.

    Raises:
        KeyError: an unknown scheme or metric.
        ValueError: the tables don't have the same slices with the same n.
    Source: the rescaling is that of HEMM (Liang et al. 2024).
    """
    higher = SCHEMES[scheme][metric].higher_is_better
    rows = {
        model: [score for score in table if score.metric == metric]
        for model, table in tables.items()
    }
    slices = {
        model: [(score.dimension, score.tag, score.utterances) for score in scores]
        for model, scores in rows.items()
    }
    for model, found in slices.items():
        if found != next(iter(slices.values())):
            raise ValueError(
                f"model '{model}' has other slices than '{next(iter(slices))}'; score all models "
                "on the same utterances with the same tags"
            )
    standings: list[SliceStanding] = []
    for scores in zip(*rows.values(), strict=True):
        raw = np.array([np.nan if score.score is None else score.score for score in scores])
        rescaled = _rescale_scores(raw, higher_is_better=higher)
        # The raw score stands beside the rescaled one, which depends on the other models. Undefined
        # ones come last, equal ones in the order of the models given.
        order = np.argsort(np.where(np.isnan(raw), np.inf, -raw if higher else raw), kind="stable")
        names = list(rows)
        standings += [
            SliceStanding(
                model=names[index],
                score=scores[index],
                rescaled=_none_if_undefined(float(rescaled[index])),
            )
            for index in order
        ]
    return tuple(standings)


def _rescale_scores(raw: Values, *, higher_is_better: bool) -> Values:
    """Return (s - worst) / (perfect - worst) of several models' scores [M].

    NaN where the score is undefined, or where even the worst is perfect.
    """
    # In a slice where nothing is defined, fmax and fmin are NaN, and so is all that follows.
    worst = np.fmin.reduce(raw) if higher_is_better else np.fmax.reduce(raw)
    perfect = float(higher_is_better)
    if worst == perfect:
        return np.full(raw.shape, np.nan)
    rescaled: Values = (raw - worst) / (perfect - worst)
    return rescaled
