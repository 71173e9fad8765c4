"""Alternating modalities: one update step each, through one shared head (MLA).

Shapes: D = width of a projected modality, S = batches of an epoch.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from msa_core.config.schema import Config
from msa_core.data.batching import batch_sizes
from msa_core.modules.contrast.inference import BINS, binned_cross_entropy
from msa_core.objective import Term
from msa_core.procedures.base import Move, Procedure, StepView, Tensors
from msa_core.procedures.gradient_modification import projected_gradient, rls_alpha, rls_update
from msa_core.tensors.random_streams import Streams

HEAD = "head"
PROJECTION, UPDATES, ALPHAS = "mla.projection", "mla.updates", "mla.alphas"


class Mla(Procedure):
    """On each batch one move per modality, of its encoder, its projection and the shared head.

    There is no joint loss: a move's loss is that of the head on one modality's vector. With
    `gradient: rls` the gradient of the head's first weight, which reads that vector, is projected
    away from the mean vectors seen so far; those of its biases and of a layer after it are left
    as they are. As in the released code the modality's own mean is taken out too, alpha starts at
    0.1 in every epoch, and the very first move is left alone. Adam scales each entry of what is
    left, so a step is only nearly orthogonal to those means. With test-time weights from
    entropies there is one more term, `bins`: the cross-entropy of binned sentiment.

    Formula: W <- Adam(W, (dL_m/dW) P), P <- P - k k^T / (alpha + h^T k), k = P h, h = mean_b z_m.
    """

    def __init__(self, config: Config, labels_N: Tensor, bound: float) -> None:
        """See `Procedure`."""
        super().__init__(config, labels_N, bound)
        self.batches = len(batch_sizes(len(labels_N), config.train.batch_size))
        # The vector that a move's modality has at the head is the input of this weight.
        first = "output" if config.model.fusion.head == "linear" else "hidden"
        self.weight = f"head.{first}.weight"

    def block_of(self, parameter: str) -> str:
        """Return the modality of an encoder or projection, and one block for everything else."""
        section, _, rest = parameter.partition(".")
        return rest.partition(".")[0] if section in ("encoders", "projections") else HEAD

    def passes(self, epoch: int) -> Sequence[Sequence[Move]]:
        """List one pass, with one move per modality."""
        last = ["text"] if self.options.order == "text_last" else []
        turns = sorted(self.modalities, key=lambda name: name in last)
        return (tuple(Move(name, blocks=(name, HEAD), only=(name,)) for name in turns),)

    def row_order(self, epoch: int, move: Move, streams: Streams) -> Tensor:
        """Return the order of a joint training, whichever modality comes first."""
        # Without the move's name the stream does not depend on `procedure.mla.order`: arms that
        # differ in it have the same batches.
        return super().row_order(epoch, Move(), streams)

    def terms(self, move: Move, terms: Mapping[str, Term], view: StepView) -> dict[str, Term]:
        """Return the task loss of one modality, and that of its binned sentiment."""
        if BINS not in view.output.logits:
            return dict(terms)
        raw = binned_cross_entropy(view.output.logits[BINS], view.batch.labels, self.bound)
        return {**terms, "bins": Term(raw=raw, weight=view.numbers["procedure.mla.bins_weight"])}

    def initial_state(self) -> Tensors:
        """Return the projection [D, D], the number of moves so far, and alpha per batch [S]."""
        if self.options.gradient == "off":
            return {}
        # A table, since PyTorch rounds a power of few numbers otherwise than one of many: a
        # member's last digits would depend on the size of its pack.
        alphas = [float(rls_alpha(step, self.batches)) for step in range(self.batches)]
        return {
            PROJECTION: torch.eye(self.config.model.projection.width),
            UPDATES: torch.zeros((), dtype=torch.int64),
            ALPHAS: torch.tensor(alphas),
        }

    def save_activations(self, move: Move, view: StepView) -> Tensors:
        """Return the mean of the modality's vectors, [D]."""
        return {} if self.options.gradient == "off" else {"mean": view.output.fused.mean(dim=0)}

    def modify_gradients(
        self, move: Move, gradients: Tensors, saved: Tensors, kept: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Project the gradient of the head's first weight, and update the projection."""
        updates, before_DD = kept[UPDATES], kept[PROJECTION]
        # Alpha falls within an epoch and starts anew in the next, as in the released code; counted
        # over the whole training it would underflow.
        batch = torch.div(updates, len(self.modalities), rounding_mode="floor") % self.batches
        alpha = kept[ALPHAS].index_select(0, batch[None])[0]
        started = updates > 0
        projection_DD = torch.where(started, rls_update(before_DD, saved["mean"], alpha), before_DD)
        gradient = gradients[self.weight]
        # P = I at the very first move, so the product would do; but it rounds. No branch, since
        # the count is a tensor of the recorded step.
        projected = torch.where(started, projected_gradient(gradient, projection_DD), gradient)
        return (
            {**gradients, self.weight: projected},
            {**kept, PROJECTION: projection_DD, UPDATES: updates + 1},
        )
