"""Procedures: what each step of a training reads, moves and logs.

A procedure knows neither the modules nor the stack: it names moves, the blocks of parameters that
each of them moves, and what is done to their gradients on the way.
Shapes: N utterances of train.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from msa_core.config import MODALITIES, Config
from msa_core.model import Output
from msa_core.objective import Term
from msa_core.parameters import WHOLE
from msa_core.streams import Streams
from msa_core.trees import Tree

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Move:
    """One step of the optimiser on a batch.

    Attributes:
        name: in curves and random streams; empty for the move that every training has.
        blocks: of parameters that it moves.
        only: the modalities that the model reads; None = all.
    """

    name: str = ""
    blocks: tuple[str, ...] = (WHOLE,)
    only: tuple[str, ...] | None = None


class Procedure:
    """Every step moves the whole model by all terms of the loss.

    Also the base of the other procedures.

    Attributes:
        keeps_last: the model of the last epoch is the result, and nothing stops it early.
    Source: common practice.
    """

    keeps_last = False

    def __init__(self, config: Config, labels_N: Tensor) -> None:
        """Lay it out.

        Args:
            config: of the training.
            labels_N: of train.
        """
        self.config = config
        self.options = getattr(config.procedure, config.procedure.kind, None)
        self.labels = labels_N
        self.modalities = [name for name in MODALITIES if getattr(config.model, name).use]

    def block_of(self, parameter: str) -> str:
        """The block of a parameter, by its name in the network."""
        return WHOLE

    def passes(self) -> Sequence[Sequence[Move]]:
        """The passes over train of each epoch, and the moves of each of their batches."""
        return ((Move(),),)

    def order(self, epoch: int, move: Move, streams: Streams) -> Tensor:
        """The rows of train in the order of a pass, all of its moves alike.

        Args:
            epoch: counts from 1.
            move: the first of the pass.
            streams: of the member.
        """
        stream = ("batches", epoch, move.name) if move.name else ("batches", epoch)
        return torch.randperm(len(self.labels), generator=streams.generator(*stream, device=CPU))

    def terms(self, move: Move, terms: Mapping[str, Term]) -> dict[str, Term]:
        """Those terms of the loss whose gradient moves it."""
        return dict(terms)

    def fresh(self) -> dict[str, Tensor]:
        """What it keeps from step to step, as it is at the start; name -> tensor on the CPU."""
        return {}

    def witness(self, output: Output) -> dict[str, Tensor]:
        """What of a member's output `modified` needs."""
        return {}

    def modified(
        self, move: Move, gradients: dict[str, Tensor], witness: Tree, kept: dict[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """A member's gradients as they move it, and what is kept for the next step.

        Args:
            move: whose gradients.
            gradients: parameter -> gradient, of the blocks that move.
            witness: see `witness`.
            kept: see `fresh`.
        """
        return gradients, kept


PROCEDURES: dict[str, type[Procedure]] = {"joint": Procedure}
