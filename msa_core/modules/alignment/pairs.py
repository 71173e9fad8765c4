"""Pair alignment as a switch: which measure, of which vectors, pulled together or pushed apart.

Shapes: B utterances, D = width of what is aligned, Q = utterances of a queue.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from msa_core.config.alignment import aligned_width
from msa_core.config.kinds import options_of
from msa_core.config.schema import PAIRS, Config
from msa_core.modules.alignment import measures
from msa_core.modules.parts.inputs import Numbers, below
from msa_core.modules.parts.similarity import Number
from msa_core.modules.parts.stateful import Remembers

# (first_BD, second_BD, the measure's numbers, its options) -> scalar >= 0
Measure = Callable[[Tensor, Tensor, Numbers, Any], Tensor]


def _canonical(first_BD: Tensor, second_BD: Tensor, numbers: Numbers, options: Any) -> Tensor:
    components = options.components or None
    return measures.canonical_distance(first_BD, second_BD, numbers, components=components)


def _of(function: Callable[..., Tensor]) -> Measure:
    def measure(first_BD: Tensor, second_BD: Tensor, numbers: Numbers, options: Any) -> Tensor:
        return function(first_BD, second_BD, numbers)

    measure.__doc__ = function.__doc__
    return measure


_canonical.__doc__ = measures.canonical_distance.__doc__
MEASURES: dict[str, Measure] = {
    "cov": _of(measures.covariance_alignment),
    "paircov": _of(measures.paired_covariance),
    "cmd": _of(measures.central_moment_discrepancy),
    "mmd": _of(measures.mean_discrepancy),
    "rkd": _of(measures.relational_distance),
    "infonce": _of(measures.contrastive_alignment),
    "cca": _canonical,
}


class PairAlignment(Remembers):
    """One pair's term of the loss.

    Shared: the measure itself. Private: `private_term` of it, bounded.
    Beside `cov` it logs the mean length of the vectors, which tells an alignment from a collapse,
    and the floor below which the distance is sampling noise (`covariance_floor`; with
    `unit_variance` it is a little too high, since variances then have no noise).
    """

    averages: Tensor
    step: Tensor
    rows: Tensor
    filled: Tensor

    def __init__(self, config: Config, pair: str) -> None:
        """Build it.

        Args:
            config: of the model.
            pair: a key of `PAIRS`.
        """
        self.pair = getattr(config.loss.alignment, pair)
        self.kind: str = self.pair.measure
        self.options = options_of(config, "alignment", self.kind)
        self.estimate = self.options.estimate if self.kind == "cov" else "batch"
        self.unit_variance = config.loss.alignment.standardise == "unit_variance"
        self.path = f"loss.alignment.{pair}"
        width = aligned_width(config, PAIRS[pair][0])
        super().__init__(**_fresh(self.estimate, width, getattr(self.options, "queue", 0)))

    def forward(
        self, first_BD: Tensor, second_BD: Tensor, numbers: Numbers
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The raw term, and what is logged beside it.

        Args:
            first_BD: one modality's vectors.
            second_BD: the other's, of the same utterances.
            numbers: the member's own, by dotted path.
        """
        norm = (measures.mean_norm(first_BD) + measures.mean_norm(second_BD)) / 2
        if self.unit_variance:
            first_BD, second_BD = (
                measures.unit_variance(first_BD),
                measures.unit_variance(second_BD),
            )
        own = below(numbers, f"loss.alignment.{self.kind}")
        logged = {}
        if self.kind == "cov":
            floor = measures.covariance_floor(first_BD, second_BD)
            logged = {"norm": norm, "floor": floor * self._share_of_floor(len(first_BD), own)}
        distance = self._distance(first_BD, second_BD, own)
        if self.pair.mode == "private":
            return measures.private_term(distance, numbers[f"{self.path}.margin"]), logged
        return distance, logged

    def _share_of_floor(self, utterances: int, own: Numbers) -> Number:
        """What is left of one batch's sampling noise in covariances of several batches.

        As if all batches were drawn alike. Before `_distance`, which moves what is kept.
        """
        if self.estimate == "ema":
            # The sum of the squared weights of `blend`, which add up to 1.
            momentum, batches = own["momentum"], self.step + 1
            whole = (1 + momentum**batches) / (1 - momentum**batches)
            return (1 - momentum) / (1 + momentum) * whole
        if self.estimate == "queue":
            return (utterances - 1) / (self.filled.sum() + utterances - 1)
        return 1.0

    def _distance(self, first_BD: Tensor, second_BD: Tensor, own: Numbers) -> Tensor:
        if self.estimate == "ema":
            return self._of_averages(first_BD, second_BD, own)
        if self.estimate == "queue":
            return self._of_queue(first_BD, second_BD)
        return MEASURES[self.kind](first_BD, second_BD, own, self.options)

    def _of_averages(self, first_BD: Tensor, second_BD: Tensor, own: Numbers) -> Tensor:
        """The distance of two covariances averaged over steps."""
        averages_2DD = torch.stack(
            [
                measures.blend(old_DD, measures.covariance(rows_BD), own["momentum"], self.step)
                for old_DD, rows_BD in zip(self.averages, (first_BD, second_BD), strict=True)
            ]
        )
        self.remember(averages=averages_2DD, step=self.step + 1)
        return measures.covariance_distance(averages_2DD[0], averages_2DD[1])

    def _of_queue(self, first_BD: Tensor, second_BD: Tensor) -> Tensor:
        """The distance of two covariances of this step's rows and those before them."""
        rows_2SD = torch.cat([self.rows, torch.stack([first_BD, second_BD])], dim=1)
        seen_S = torch.cat([self.filled, torch.ones_like(first_BD[:, 0])])
        size = self.rows.shape[1]
        self.remember(rows=rows_2SD[:, -size:], filled=seen_S[-size:])
        return measures.covariance_distance(
            *(_weighted_covariance(rows_SD, seen_S) for rows_SD in rows_2SD)
        )


def _weighted_covariance(rows_SD: Tensor, weight_S: Tensor) -> Tensor:
    """Covariance of the rows whose weight is 1, not 0."""
    count = weight_S.sum()
    mean_D = (weight_S[:, None] * rows_SD).sum(dim=0) / count
    centred_SD = weight_S[:, None] * (rows_SD - mean_D)
    return centred_SD.T @ centred_SD / (count - 1)


def _fresh(estimate: str, width: int, queue: int) -> dict[str, Tensor]:
    if estimate == "ema":
        return {
            "averages": torch.zeros(2, width, width, device="cpu"),
            "step": torch.zeros((), device="cpu"),
        }
    if estimate == "queue":
        return {
            "rows": torch.zeros(2, queue, width, device="cpu"),
            "filled": torch.zeros(queue, device="cpu"),
        }
    return {}
