"""Missing data in training: frames, whole modalities, or utterances with all modalities.

Valid and test are whole. Shapes: N utterances of train, B of a batch, T steps, D features,
M modalities.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from msa_core.config.fields import MODALITIES
from msa_core.modules.parts.dropout import draw_keep_mask
from msa_core.modules.parts.stochastic import StochasticModule


class FrameMask(StochasticModule):
    """Sets frames of one modality to zero in training; they still count as frames.

    Zero is the mean of train where features are standardised. Nothing is scaled: the mean over the
    frames shrinks with the share of missing ones.

    Formula: x~[t] = k[t] x[t], with k[t] = 1 with probability 1 - rate, else 0.

    Attributes:
        steps: Number of frames T of train; set once the data are known.
    """

    stream = "missing"

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.steps = 0

    def draw(self, rate: float, rows: int, generator: torch.Generator) -> Tensor:
        """Draw 1 where a frame stays, else 0; uint8 [rows, T].

        Raises:
            RuntimeError: `steps` was not set.
        """
        # For all frames of train, whatever the batch is trimmed to: a mask must not depend on
        # which utterances share a batch.
        if not self.steps:
            raise RuntimeError("how many frames there are must be known; set `FrameMask.steps`")
        return draw_keep_mask(rate, rows, self.steps, generator)

    def prepare_draws(self, drawn: Tensor, rate: Tensor) -> Tensor:
        """Return the mask as numbers."""
        return drawn.float()

    def forward(self, frames_BTD: Tensor) -> Tensor:
        """Multiply frames [B, T, D] by the mask; a batch trimmed to fewer steps uses the first.

        Raises:
            RuntimeError: in training mode without a mask.
        """
        if self.is_idle:
            return frames_BTD
        return frames_BTD * self.drawn[:, : frames_BTD.shape[1], None]


class ModalityDropout(StochasticModule):
    """Takes modalities out of the fusion in training, never all that an utterance has.

    Where every one would be taken out, one stays, each as likely as the others: of M modalities
    each is missing with probability p - p^M / M.

    Formula: mu~_m = mu_m [u_m >= min(p, max_j mu_j u_j)], u uniform in [0, 1).
    """

    stream = "missing"

    def draw(self, rate: float, rows: int, generator: torch.Generator) -> Tensor:
        """Draw uniform numbers [rows, 3], a column for each modality of the field."""
        # Not of the model: a modality has the same numbers whatever others the model reads.
        return torch.rand(rows, len(MODALITIES), generator=generator, device=generator.device)

    def prepare_draws(self, drawn: Tensor, rate: Tensor) -> Tensor:
        """Return how far a number exceeds the probability; below 0 a modality is dropped."""
        return drawn - rate

    def forward(self, present: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the modalities that are left.

        Args:
            present: Modality -> 1 where it is there, else 0, [B].

        Raises:
            RuntimeError: in training mode without random numbers.
        """
        if self.is_idle:
            return dict(present)
        names = list(present)
        columns = [MODALITIES.index(name) for name in names]
        excess_MB = torch.stack([self.drawn[:, column] for column in columns])
        there_MB = torch.stack([present[name] for name in names])
        # -2: below whatever a modality that is there can have.
        most_B = torch.where(there_MB > 0, excess_MB, -2.0).amax(dim=0)
        left_MB = there_MB * (excess_MB >= most_B.clamp(max=0.0))
        return dict(zip(names, left_MB.unbind(0), strict=True))


def present_where_modalities_never_meet(rows_N: Tensor, modalities: list[str]) -> dict[str, Tensor]:
    """Return the modalities that a training reads of each utterance: modality -> 1 or 0, [N].

    Text and audio of the utterances in even rows of train, vision of those in odd rows.

    Args:
        rows_N: Row numbers in train.
        modalities: Modalities of the model.
    """
    # By row number and not at random: the split is the same for every seed and arm.
    even_N = (rows_N % 2 == 0).float()
    return {name: 1.0 - even_N if name == "vision" else even_N for name in modalities}
