"""Which candidates are stopped early: the rungs of successive halving.

At each rung the best third of the candidates goes on, a candidate counting by the mean over its
tuning seeds of the best validation value so far.
Source: Li et al. 2018 (Hyperband), one bracket; Li et al. 2020 (ASHA) for `search.engine.asha`.
"""

from collections.abc import Mapping, Sequence

REDUCTION = 3  # one in three goes on
# What a worker reports to Tune about a pack, by these names.
EPOCH = "epoch"
VALUE = "value"  # lower is better
RUNGS = 9  # ASHA's first rung is that of a bracket of this many candidates


def rungs(epochs: int, candidates: int) -> tuple[int, ...]:
    """The epochs after which candidates are stopped: each three times the one before.

    For 9 candidates and 40 epochs after 5 and 15: 9, then 3, then 1 train.
    """
    steps, left = 0, candidates
    while left > 1:
        left = -(-left // REDUCTION)
        steps += 1
    first = -(-epochs // REDUCTION**steps)
    return tuple(epoch for step in range(steps) if (epoch := first * REDUCTION**step) < epochs)


class Standing:
    """The candidates of a pack as they train."""

    def __init__(self, candidates: Sequence[int], metric: str, higher_is_better: bool) -> None:
        """Start before the first epoch.

        Args:
            candidates: of each member, by its place in the pack.
            metric: by which they are compared.
            higher_is_better: its direction.
        """
        self.candidates = list(candidates)
        self.metric = metric
        self._sign = -1.0 if higher_is_better else 1.0
        self._best: dict[int, float] = {}

    def take_in(self, metrics: Mapping[int, Mapping[str, float]]) -> None:
        """One epoch's validation metrics, by the members' places."""
        for place, values in metrics.items():
            if self.metric in values:
                value = self._sign * values[self.metric]
                self._best[place] = min(value, self._best.get(place, value))

    def value(self, candidate: int) -> float | None:
        """Mean over its seeds of the best value so far, lower is better; None if one has none."""
        places = [place for place, own in enumerate(self.candidates) if own == candidate]
        if not all(place in self._best for place in places):
            return None
        return sum(self._best[place] for place in places) / len(places)


class Bracket:
    """Stops the worse candidates of a pack at each rung; for `train_pack`'s `on_epoch`."""

    def __init__(self, standing: Standing, epochs: int) -> None:
        """Start with every candidate in.

        Args:
            standing: of the pack's members.
            epochs: the most that any of them may train.
        """
        self.standing = standing
        self._in = sorted(set(standing.candidates))
        self._rungs = rungs(epochs, len(self._in))

    def __call__(self, epoch: int, metrics: Mapping[int, Mapping[str, float]]) -> list[int]:
        """The places of the members to stop after this epoch."""
        self.standing.take_in(metrics)
        if epoch not in self._rungs:
            return []
        values = {candidate: self.standing.value(candidate) for candidate in self._in}
        # A candidate without a value has failed on a seed and can't be chosen any more.
        ranked = sorted(
            (value, candidate) for candidate, value in values.items() if value is not None
        )
        going_on = {candidate for _, candidate in ranked[: -(-len(self._in) // REDUCTION)]}
        self._in = sorted(going_on)
        return [
            place
            for place, candidate in enumerate(self.standing.candidates)
            if candidate not in going_on
        ]
