"""Procedures: what each step of a training reads, moves and logs.

A procedure knows neither the modules nor the stack: it names moves, the blocks of parameters that
each of them moves, and what is done to their gradients on the way. Kinds are in
`msa_core.procedures.registry`.
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
from msa_core.model import Output
from msa_core.modules.parts.inputs import Numbers
from msa_core.objective import Term
from msa_core.tensors.parameters import WHOLE
from msa_core.tensors.random_streams import Streams

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Move:
    """One step of the optimiser on a batch.

    Attributes:
        name: in curves and random streams; empty for the move that every training has.
        blocks: of parameters that it moves.
        only: the modalities that the model reads; None = all.
        counts: whether its loss is part of `train.loss`.
        remembers: whether modules keep for later steps what they see in it.
        replays: whether utterances of `Procedure.replayed` are seen beside the batch.
    """

    name: str = ""
    blocks: tuple[str, ...] = (WHOLE,)
    only: tuple[str, ...] | None = None
    counts: bool = True
    remembers: bool = True
    replays: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class StepView:
    """What one member sees in a step.

    Attributes:
        batch: of train.
        output: of the model on it.
        numbers: the member's `msa_core.vectorised.pack_key.free_numbers`.
        kept: see `Procedure.fresh`; and what modules keep.
        replayed: the rows seen again and the output on them; only of a move that replays.
    """

    batch: Batch
    output: Output
    numbers: Numbers
    kept: Mapping[str, Tensor]
    replayed: tuple[Batch, Output] | None = None


class Procedure:
    """Every step moves the whole model by all terms of the loss.

    Also the base of the other procedures.

    Formula: theta <- Adam(theta, d/dtheta sum_k w_k L_k).
    Source: common practice.
    """

    def __init__(self, config: Config, labels_N: Tensor, bound: float) -> None:
        """Lay it out.

        Args:
            config: of the training. Its numbers are not read: members of a pack share this
                configuration, and each has numbers of its own.
            labels_N: of train.
            bound: labels lie in [-bound, bound].
        """
        self.config = config
        self.options = options_of(config, "procedure", config.procedure.kind)
        self.labels = labels_N
        self.bound = bound
        self.modalities = used_modalities(config)

    def block_of(self, parameter: str) -> str:
        """The block of a parameter, by its name in the network."""
        return WHOLE

    def passes(self, epoch: int) -> Sequence[Sequence[Move]]:
        """The passes over train of an epoch (from 1), and the moves of each of their batches."""
        return ((Move(),),)

    def order(self, epoch: int, move: Move, streams: Streams) -> Tensor:
        """The rows of train in the order of a pass, all of its moves alike.

        Args:
            epoch: counts from 1.
            move: the first of the pass.
            streams: of the member; how many rows there are must not depend on them.
        """
        stream = ("batches", epoch, move.name) if move.name else ("batches", epoch)
        return torch.randperm(len(self.labels), generator=streams.generator(*stream, device=CPU))

    def replayed(
        self, epoch: int, move: Move, sizes: Sequence[int], streams: Streams
    ) -> list[Tensor]:
        """The rows [R] of train that are seen again beside each batch of a move that replays.

        Args:
            epoch: counts from 1.
            move: that replays.
            sizes: utterances of each batch.
            streams: of the member; how many rows there are must not depend on them.
        """
        raise NotImplementedError

    def terms(self, move: Move, terms: Mapping[str, Term], view: StepView) -> dict[str, Term]:
        """The terms whose gradient moves the blocks, from those of the loss on the batch."""
        return dict(terms)

    def fresh(self) -> dict[str, Tensor]:
        """What it keeps from step to step, as it is at the start; name -> tensor on the CPU.

        Names begin with the procedure's, so that they are not those of a module.
        """
        return {}

    def witness(self, move: Move, view: StepView) -> dict[str, Tensor]:
        """What of a step `modified` needs."""
        return {}

    def modified(
        self,
        move: Move,
        gradients: dict[str, Tensor],
        witness: Mapping[str, Tensor],
        kept: dict[str, Tensor],
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """A member's gradients as they move it, and what is kept for the next step.

        Called only if there is anything in `fresh`.

        Args:
            move: whose gradients.
            gradients: parameter -> gradient, of the blocks that move.
            witness: see `witness`.
            kept: see `fresh`; and what modules keep, which is to be given back as it is.
        """
        return gradients, kept

    def watched(
        self,
        epoch: int,
        predictions_N: FloatArray,
        labels_N: FloatArray,
        curve: Mapping[str, Sequence[float]],
    ) -> dict[str, float]:
        """What it logs of valid after an epoch: name of a curve -> value.

        Args:
            epoch: counts from 1.
            predictions_N: of one member on valid.
            labels_N: of valid.
            curve: the member's, of the epochs before.
        """
        return {}
