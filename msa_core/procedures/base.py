"""Training algorithms ("procedures"): which parameters each step reads, updates and logs.

A procedure knows neither the modules nor the stack. It lists the passes over train in an epoch,
the update steps ("moves") of each batch, the blocks of parameters that each move updates, and
changes to their gradients. Kinds are declared in `msa_core.config.procedure`.
Shapes: N utterances of train, B of a batch, R replayed ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from msa_core.config.fields import used_modalities
from msa_core.config.kinds import options_of
from msa_core.config.schema import Config
from msa_core.data.batching import Batch
from msa_core.data.dataset import FloatArray
from msa_core.model import ModelOutput
from msa_core.modules.parts.inputs import Numbers
from msa_core.objective import Term
from msa_core.tensors.parameters import WHOLE
from msa_core.tensors.random_streams import Streams

CPU = torch.device("cpu")
Tensors = dict[str, Tensor]
Curves = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Move:
    """One update step of the optimiser on a batch.

    Attributes:
        name: Name in curves and random streams; empty for the move that every training has.
        blocks: Blocks of parameters that it updates.
        only: Modalities that the model reads; None = all.
        counts: Whether its loss is part of `train.loss`.
        remembers: Whether stateful modules keep their new state after it.
        replays: Whether the rows of `Procedure.replayed_rows` are read beside the batch.
    """

    name: str = ""
    blocks: tuple[str, ...] = (WHOLE,)
    only: tuple[str, ...] | None = None
    counts: bool = True
    remembers: bool = True
    replays: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StepView:
    """Batch, output and state of one member in a step.

    Attributes:
        batch: Batch of train.
        output: Output of the model on it.
        numbers: Member's `msa_core.vectorised.pack_key.free_numbers`.
        kept: State of the procedure (`Procedure.initial_state`) and of the stateful modules.
        replayed: Replayed rows and the output on them; None of a move that does not replay.
    """

    batch: Batch
    output: ModelOutput
    numbers: Numbers
    kept: Mapping[str, Tensor]
    replayed: tuple[Batch, ModelOutput] | None = None


class Procedure:
    """Every step updates the whole model by all terms of the loss.

    Also the base of the other procedures.

    Formula: theta <- Adam(theta, d/dtheta sum_k w_k L_k).
    """

    def __init__(self, config: Config, labels_N: Tensor, bound: float) -> None:
        """Create the procedure of a training.

        Args:
            config: Configuration of the training. Its numbers are not read: members of a pack
                share this configuration, and each has numbers of its own.
            labels_N: Labels of train.
            bound: Largest absolute label: 3 for MOSI, 1 for SIMS.
        """
        self.config = config
        self.options = options_of(config, "procedure", config.procedure.kind)
        self.labels = labels_N
        self.bound = bound
        self.modalities = used_modalities(config)

    def block_of(self, parameter: str) -> str:
        """Return the block that a parameter belongs to, by its name in the network."""
        return WHOLE

    def passes(self, epoch: int) -> Sequence[Sequence[Move]]:
        """List the passes over train in an epoch (from 1); of each, the moves for every batch."""
        return ((Move(),),)

    def row_order(self, epoch: int, move: Move, streams: Streams) -> Tensor:
        """Return the rows of train in the order of a pass, the same for all of its moves.

        Args:
            epoch: Number of the epoch, from 1.
            move: First move of the pass.
            streams: Random streams of the member. The number of rows must not depend on them:
                members of a pack step together.
        """
        # The stream of the unnamed move has no name in it: `joint` must draw the batches that it
        # drew before there were procedures, or every ledger would be out of date.
        stream = ("batches", epoch, move.name) if move.name else ("batches", epoch)
        return torch.randperm(len(self.labels), generator=streams.generator(*stream, device=CPU))

    def replayed_rows(
        self, epoch: int, move: Move, sizes: Sequence[int], streams: Streams
    ) -> list[Tensor]:
        """Return the rows [R] of train to read again beside each batch of a move that replays.

        Args:
            epoch: Number of the epoch, from 1.
            move: Move that replays.
            sizes: Number of utterances in each batch.
            streams: Random streams of the member. The number of rows must not depend on them.
        """
        raise NotImplementedError

    def terms(self, move: Move, terms: Mapping[str, Term], view: StepView) -> dict[str, Term]:
        """Return the terms whose gradient a move follows, from those of the loss on the batch."""
        return dict(terms)

    def initial_state(self) -> Tensors:
        """Return the state before the first step: name -> tensor on the CPU.

        Names begin with the procedure's, so that they differ from those of modules' buffers.
        """
        return {}

    def save_activations(self, move: Move, view: StepView) -> Tensors:
        """Return the activations of a step that `modify_gradients` needs."""
        return {}

    def modify_gradients(
        self, move: Move, gradients: Tensors, saved: Tensors, kept: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Change a member's gradients before the update, and return them with the new state.

        Called only if `initial_state` holds anything.

        Args:
            move: Move that the gradients are of.
            gradients: Parameter -> gradient, for the blocks that the move updates.
            saved: Result of `save_activations`.
            kept: State of the procedure and of the modules; the latter is returned unchanged.
        """
        return gradients, kept

    def validation_metrics(
        self, epoch: int, predictions_N: FloatArray, labels_N: FloatArray, curve: Curves
    ) -> dict[str, float]:
        """Compute what is logged of valid after an epoch: name of a curve -> value.

        Args:
            epoch: Number of the epoch, from 1.
            predictions_N: Predictions of one member on valid.
            labels_N: Labels of valid.
            curve: Curves of the member up to the epoch before.
        """
        return {}
