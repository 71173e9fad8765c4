"""Predictions of a model whose modalities were trained one at a time.

Shapes: B utterances, D = width of a projected modality, H = hidden layer of the head, M
modalities, C = 7 bins of sentiment.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.contrast.contrasts import SENTIMENTS, sentiment_bins
from msa_core.modules.contrast.estimators import entropy_weights, softmax_entropy
from msa_core.modules.parts.inputs import EncodedBatch
from msa_core.modules.parts.linear import Linear

BINS = "bins"
FIXED = {"text": 0.40, "audio": 0.35, "vision": 0.25}

Head = Callable[[Tensor], tuple[Tensor, Tensor]]


class WeightedVote(nn.Module):
    """Outside training, the weighted sum of a shared head's predictions from each modality.

    Fixed weights are text .40, audio .35, vision .25, renormalised over the modalities that are
    there. A regression has no entropy: weights from entropies are of the logits of 7 bins of
    sentiment, a layer beside the head's output that only then exists.

    Formula: yhat = sum_m w_m g(z_m), w fixed or w_m ~ exp(-H_m), H_m = entropy of bins(g's hidden).
    Source: Zhang et al. 2024 (MLA), its public code, whose entropies are of one utterance's
        logits as here; the bins are ours.
    """

    def __init__(self, options: Any, modalities: Sequence[str], hidden: int) -> None:
        """Create the vote of a model's modalities.

        Args:
            options: Options of the procedure, `msa_core.config.procedure.MlaOptions`.
            modalities: Modalities of the model.
            hidden: Width of the head's hidden layer, H.
        """
        super().__init__()
        self.fixed = {name: FIXED[name] for name in modalities}
        self.bins = Linear(hidden, 2 * SENTIMENTS + 1) if options.weights == "entropy" else None

    def training_logits(self, hidden_BH: Tensor) -> dict[str, Tensor]:
        """Return the logits that a loss has to train: `bins` -> [B, C], or nothing."""
        return {} if self.bins is None else {BINS: self.bins(hidden_BH)}

    def forward(self, head: Head, seen: EncodedBatch) -> Tensor:
        """Compute the prediction [B]; 0 for an utterance without any modality.

        Args:
            head: Function of vectors [B, D] that returns predictions [B] and its hidden layer
                [B, H].
            seen: Batch with the projected modalities, and which of them are there.
        """
        of_head = {name: head(vectors_BD) for name, vectors_BD in seen.projected.items()}
        predictions_MB = torch.stack([prediction_B for prediction_B, _ in of_head.values()])
        if self.bins is None:
            fixed_M = [self.fixed[name] for name in of_head]
            weights_MB = torch.stack([torch.full_like(predictions_MB[0], one) for one in fixed_M])
        else:
            weights_MB = entropy_weights(
                torch.stack(
                    [softmax_entropy(self.bins(hidden_BH)) for _, hidden_BH in of_head.values()]
                )
            )
        if seen.present:
            weights_MB = weights_MB * torch.stack([seen.present[name] for name in of_head])
        total_B = weights_MB.sum(dim=0)
        votes_B = (weights_MB * predictions_MB).sum(dim=0)
        # The votes are then 0 too, so the prediction is 0 and not NaN.
        return votes_B / torch.where(total_B > 0, total_B, 1.0)


def binned_cross_entropy(logits_BC: Tensor, labels_B: Tensor, bound: float) -> Tensor:
    """Compute the cross-entropy of the bin that an utterance's sentiment is in.

    Formula: -mean_b log softmax(logits_b)[bin of y_b].

    Args:
        logits_BC: Logits of the 7 bins, the most negative first.
        labels_B: Labels in [-bound, bound].
        bound: Largest absolute label, 3 for MOSI, 1 for SIMS.

    Returns:
        Scalar >= 0; ln 7 where nothing is known.
    Source: own, in place of the classes that MLA's code has.
    """
    bins_B1 = (sentiment_bins(labels_B, bound) + SENTIMENTS).long()[:, None]
    return -logits_BC.log_softmax(dim=1).gather(1, bins_B1).mean()


# Procedures whose models predict otherwise than they train.
