"""Pair alignment as a switch: which measure, of which vectors, pulled together or pushed apart.

Shapes: B utterances, D = width of what is aligned, Q = utterances of a queue.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from msa_core.config.alignment import aligned_width
from msa_core.config.fields import PAIRS
from msa_core.config.kinds import module_of, options_of
from msa_core.config.schema import Config
from msa_core.modules.alignment import measures
from msa_core.modules.parts.inputs import Numbers, numbers_below
from msa_core.modules.parts.similarity import Number
from msa_core.modules.parts.stateful import StatefulModule

# (first_BD, second_BD, the measure's numbers, its options) -> scalar >= 0
Measure = Callable[[Tensor, Tensor, Numbers, Any], Tensor]


class PairAlignment(StatefulModule):
    """One pair's term of the loss.

    Shared: the measure itself. Private: `private_term` of it, bounded.
    Beside `cov` it logs the mean length of the vectors, which tells an alignment from a collapse,
    and the floor below which the distance is sampling noise (`covariance_floor`).
    """

    averages: Tensor
    step: Tensor
    rows: Tensor
    filled: Tensor

    def __init__(self, config: Config, pair: str) -> None:
        """Create the alignment of one pair.

        Args:
            config: Configuration of the model.
            pair: Name of the pair, a key of `PAIRS`.
        """
        self.pair = getattr(config.loss.alignment, pair)
        self.kind: str = self.pair.measure
        self.options = options_of(config, "alignment", self.kind)
        self.measure: Measure = module_of(type(config), "alignment", self.kind)
        self.estimate = self.options.estimate if self.kind == "cov" else "batch"
        self.unit_variance = config.loss.alignment.standardise == "unit_variance"
        self.path = f"loss.alignment.{pair}"
        width = aligned_width(config, PAIRS[pair][0])
        super().__init__(
            **_initial_buffers(self.estimate, width, getattr(self.options, "queue", 0))
        )

    def forward(
        self, first_BD: Tensor, second_BD: Tensor, numbers: Numbers
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the raw term, and the values that are logged beside it.

        Args:
            first_BD: Vectors of one modality.
            second_BD: Vectors of the other modality, of the same utterances.
            numbers: Member's own numbers, by dotted path.
        """
        # Before the standardisation, after which a collapse could not be seen.
        norm = (measures.mean_norm(first_BD) + measures.mean_norm(second_BD)) / 2
        if self.unit_variance:
            first_BD, second_BD = (
                measures.unit_variance(first_BD),
                measures.unit_variance(second_BD),
            )
        own = numbers_below(numbers, f"loss.alignment.{self.kind}")
        logged = {}
        if self.kind == "cov":
            # A little too high with `unit_variance`, since variances then have no noise.
            floor = measures.covariance_floor(first_BD, second_BD)
            logged = {"norm": norm, "floor": floor * self._share_of_floor(len(first_BD), own)}
        distance = self._pair_distance(first_BD, second_BD, own)
        if self.pair.mode == "private":
            return measures.private_term(distance, numbers[f"{self.path}.margin"]), logged
        return distance, logged

    def _share_of_floor(self, utterances: int, own: Numbers) -> Number:
        """Return the share of one batch's sampling noise in covariances of several batches.

        It holds for batches drawn alike. Call it before `_pair_distance`, which moves the state.
        """
        if self.estimate == "ema":
            # The sum of the squared weights of `running_average`, which add up to 1.
            momentum, batches = own["momentum"], self.step + 1
            whole = (1 + momentum**batches) / (1 - momentum**batches)
            return (1 - momentum) / (1 + momentum) * whole
        if self.estimate == "queue":
            return (utterances - 1) / (self.filled.sum() + utterances - 1)
        return 1.0

    def _pair_distance(self, first_BD: Tensor, second_BD: Tensor, own: Numbers) -> Tensor:
        if self.estimate == "ema":
            return self._averaged_distance(first_BD, second_BD, own)
        if self.estimate == "queue":
            return self._queued_distance(first_BD, second_BD)
        return self.measure(first_BD, second_BD, own, self.options)

    def _averaged_distance(self, first_BD: Tensor, second_BD: Tensor, own: Numbers) -> Tensor:
        """Compute the distance of two covariances averaged over steps."""
        averages_2DD = torch.stack(
            [
                measures.running_average(
                    old_DD, measures.covariance_matrix(rows_BD), own["momentum"], self.step
                )
                for old_DD, rows_BD in zip(self.averages, (first_BD, second_BD), strict=True)
            ]
        )
        self.update_state(averages=averages_2DD, step=self.step + 1)
        return measures.covariance_distance(averages_2DD[0], averages_2DD[1])

    def _queued_distance(self, first_BD: Tensor, second_BD: Tensor) -> Tensor:
        """Compute the distance of two covariances of this step's rows and those before them."""
        rows_2SD = torch.cat([self.rows, torch.stack([first_BD, second_BD])], dim=1)
        seen_S = torch.cat([self.filled, torch.ones_like(first_BD[:, 0])])
        size = self.rows.shape[1]
        self.update_state(rows=rows_2SD[:, -size:], filled=seen_S[-size:])
        return measures.covariance_distance(
            *(_weighted_covariance(rows_SD, seen_S) for rows_SD in rows_2SD)
        )


def _weighted_covariance(rows_SD: Tensor, weight_S: Tensor) -> Tensor:
    """Compute the covariance of the rows whose weight is 1, not 0."""
    # Weights and not a selection: the queue has one size for all members, full or not.
    count = weight_S.sum()
    mean_D = (weight_S[:, None] * rows_SD).sum(dim=0) / count
    centred_SD = weight_S[:, None] * (rows_SD - mean_D)
    return centred_SD.T @ centred_SD / (count - 1)


def _initial_buffers(estimate: str, width: int, queue: int) -> dict[str, Tensor]:
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
