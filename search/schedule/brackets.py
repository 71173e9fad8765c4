"""Early stopping of candidates: the rungs of successive halving.

At each rung the best third of the candidates trains on. A candidate is ranked by the mean over its
tuning seeds of the best validation value so far.
Source: Li et al. 2018 (Hyperband), one bracket; Li et al. 2020 (ASHA) for `search.engine.asha`.
"""

from collections.abc import Mapping, Sequence

REDUCTION = 3  # one in three goes on
# Names of the values that a worker reports to Tune about a pack.
EPOCH = "epoch"
VALUE = "value"  # lower is better
RUNGS = 9  # ASHA's first rung is that of a bracket of this many candidates


def rung_epochs(epochs: int, candidates: int) -> tuple[int, ...]:
    """Return the epochs after which candidates are stopped, each three times the one before.

    For 9 candidates and 40 epochs after 5 and 15: 9, then 3, then 1 train.
    """
    steps, left = 0, candidates
    while left > 1:
        left = -(-left // REDUCTION)
        steps += 1
    first = -(-epochs // REDUCTION**steps)
    return tuple(epoch for step in range(steps) if (epoch := first * REDUCTION**step) < epochs)


class BestValues:
    """The best validation values so far of the candidates of a pack."""

    def __init__(self, candidates: Sequence[int], metric: str, higher_is_better: bool) -> None:
        """Start before the first epoch.

        Args:
            candidates: Candidate of each member, by its position in the pack.
            metric: Validation metric by which candidates are compared.
            higher_is_better: Direction of the metric.
        """
        self.candidates = list(candidates)
        self.metric = metric
        self._sign = -1.0 if higher_is_better else 1.0
        self._best: dict[int, float] = {}

    def add_epoch(self, metrics: Mapping[int, Mapping[str, float]]) -> None:
        """Add the validation metrics of one epoch, by the members' positions."""
        for place, values in metrics.items():
            if self.metric in values:
                value = self._sign * values[self.metric]
                self._best[place] = min(value, self._best.get(place, value))

    def mean_best(self, candidate: int) -> float | None:
        """Return the mean over a candidate's seeds of the best value (lower is better), if any."""
        places = [place for place, own in enumerate(self.candidates) if own == candidate]
        if not all(place in self._best for place in places):
            return None
        return sum(self._best[place] for place in places) / len(places)


class Bracket:
    """One bracket of successive halving over the candidates of a pack."""

    def __init__(self, values: BestValues, epochs: int) -> None:
        """Start with every candidate in.

        Args:
            values: Best values of the pack's members.
            epochs: Most epochs that any of them may train.
        """
        self.values = values
        self._in = sorted(set(values.candidates))
        self._rungs = rung_epochs(epochs, len(self._in))

    def __call__(self, epoch: int, metrics: Mapping[int, Mapping[str, float]]) -> list[int]:
        """Return the positions of the members to stop after this epoch."""
        self.values.add_epoch(metrics)
        if epoch not in self._rungs:
            return []
        values = {candidate: self.values.mean_best(candidate) for candidate in self._in}
        # A candidate without a value has failed on a seed and can't be chosen any more.
        ranked = sorted(
            (value, candidate) for candidate, value in values.items() if value is not None
        )
        going_on = {candidate for _, candidate in ranked[: -(-len(self._in) // REDUCTION)]}
        self._in = sorted(going_on)
        return [
            place
            for place, candidate in enumerate(self.values.candidates)
            if candidate not in going_on
        ]
