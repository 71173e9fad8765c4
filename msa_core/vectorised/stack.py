"""A stack: members of one pack key that train in one step, their parameters side by side.

What a step computes is written for one member and put over all members of the stack by
`torch.func.vmap`. A lone member trains with a twin: the product of two matrices and the batched
product of several round differently, and no number may depend on the company (law 2).
Shapes: K members, N utterances of a split, B of a batch, W = width of a layer, P parameters.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from msa_core.config.schema import LABEL_SCHEMES, MODALITIES
from msa_core.data.batching import Batch, Scaler, batch_sizes
from msa_core.data.dataset import FloatArray
from msa_core.data.prepared import PreparedSplits
from msa_core.model import fresh_parameters
from msa_core.procedures.base import Move
from msa_core.procedures.registry import PROCEDURES
from msa_core.tensors.parameters import Layout, Parameters, RowAdam
from msa_core.tensors.pytrees import Tree, forms_of, map_tensors, stacked
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised.checkpoint import CheckpointError, State
from msa_core.vectorised.member_labels import MemberLabels
from msa_core.vectorised.network import Network
from msa_core.vectorised.pack_key import Member
from msa_core.vectorised.step import StepFunction, StepResult

# A batched product of MKL otherwise rounds by where in memory a member lies, and so by its
# company. Read by MKL at its first product.
os.environ.setdefault("MKL_CBWR", "AUTO")

# Rows of train [K, B], and module -> its random numbers for them [K, B, ...].
Visit = tuple[Tensor, Mapping[str, Tensor]]


class Stack:
    """Some members on their way, epoch by epoch.

    Attributes:
        size: how many members there are; results come in their order.
        features: modality -> features a frame.
        scaler: fitted on train.
        procedure: what a step moves.
    """

    def __init__(
        self,
        members: Sequence[Member],
        data: PreparedSplits,
        device: torch.device,
        *,
        vmapped: bool,
    ) -> None:
        """Fresh parameters for every member.

        Args:
            members: of one pack key; a single one unless `vmapped`.
            data: train and valid.
            device: where the tensors live.
            vmapped: train under `torch.func.vmap`.
        """
        self.size = len(members)
        self.vmapped = vmapped
        self.device = device
        self._members = [members[row] for row in self._with_twin(range(self.size))]
        self._config = members[0].config
        self.scaler: Scaler = data.scaler(self._config)
        self._train = data.train(self._config, device)
        self._valid = data.valid(self._config, device)
        self.features = {name: array.shape[-1] for name, array in self._train.features.items()}
        self._network = Network(
            self._config, self.features, LABEL_SCHEMES[data.scheme].bound, vmapped=vmapped
        )
        self._model = self._network.model
        self._model.expect(self._train)
        self.procedure = PROCEDURES[self._config.procedure.kind](
            self._config,
            self._train.labels.cpu(),
            LABEL_SCHEMES[data.scheme].bound,
        )
        streams = self._streams
        self._kept = self._copies({**self._model.memories(), **self.procedure.fresh()})
        self._labels = MemberLabels(
            self._config,
            self._train,
            list(self._model.unimodal_heads),
            LABEL_SCHEMES[data.scheme].bound,
            streams,
            vmapped=vmapped,
        )
        self.parameters = Parameters.stack(
            [fresh_parameters(self._model, own) for own in streams],
            device,
            transposed=vmapped,
            block_of=self.procedure.block_of,
        )
        self._adam = RowAdam(
            self.parameters,
            [member.config.train.learning_rate for member in self._members],
            [member.config.train.weight_decay for member in self._members],
        )
        self._settle()

    def train_epoch(self, epoch: int) -> list[dict[str, float]]:
        """The passes of an epoch over train, every member in its own order.

        Args:
            epoch: counts from 1; random streams are keyed by it.

        Returns:
            For every member the mean over the utterances of `train.loss` and, for every term,
            `train.<term>` (raw) and `train.<term>.weighted`; and, at the epoch's first step,
            `train.<term>.gradient_share` and what modules log beside their terms. Where labels are
            generated, also how they have come along (`LabelGenerator.summary`).
        """
        self._labels.start_epoch()
        # What is kept may be parts of larger tensors, and how a step rounds may depend on that:
        # each epoch starts as if members had just left, or come back from checkpoints (law 2).
        self._kept = map_tensors(Tensor.contiguous, self._kept)
        sums: dict[Move, Tensor] = {}
        seen: dict[Move, int] = {}
        measured: dict[Move, Tensor] = {}
        for move, result, size in self._steps(epoch):
            values_KL = result.values * size
            sums[move] = sums[move] + values_KL if move in sums else values_KL
            seen[move] = seen.get(move, 0) + size
            measured.setdefault(move, result.measured)
        losses: list[dict[str, float]] = [{} for _ in range(self.size)]
        for move, total_KL in sums.items():
            means = (total_KL / seen[move])[: self.size].tolist()
            _log(losses, move, self._step.names[move], means)
            _log(losses, move, self._step.measured_names[move], measured[move].tolist())
        for row, own in enumerate(losses):
            own.update(self._labels.summary(row))
        return losses

    def seconds_a_step(self, steps: int) -> float:
        """Wall time of the fastest of some steps, after one to warm up. It trains the members."""
        times: list[float] = []
        epoch = 0
        while len(times) <= steps:  # more than one epoch if those are short
            epoch += 1
            started = time.perf_counter()
            for _, result, _ in self._steps(epoch, steps + 1 - len(times)):
                result.values.sum().item()  # waits for the device
                now = time.perf_counter()
                times.append(now - started)
                started = now
        return min(times[1:])

    def predict_valid(self) -> FloatArray:
        """Every member's predictions on valid, [K, N]."""
        return self._network.predict(self.parameters, self._valid)[: self.size]

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some of the members; the others leave. Nobody's numbers change."""
        self.size = len(rows)
        rows = self._with_twin(rows)
        index = torch.tensor(rows, device=self.device)
        self._members = [self._members[row] for row in rows]
        self._kept = map_tensors(lambda tensor: tensor.index_select(0, index), self._kept)
        self._labels.keep(index)
        self.parameters = self.parameters.keep(index)
        self._adam.keep(rows, self.parameters)
        self._settle()

    def states(self) -> list[State]:
        """Every member between two epochs: all that the next one depends on."""
        tensors = {
            "parameters": self.parameters.flat,
            "mean": self._adam.mean,
            "square": self._adam.square,
            "kept": self._kept,
            "labels": self._labels.state,
        }
        there = map_tensors(lambda tensor: tensor.to("cpu"), tensors)
        steps, layout = dict(self._adam.steps), self.parameters.layout
        return [
            # Copies: a view would be written down with all that it is a part of.
            State(layout=layout, steps=steps, **_row(there, row))
            for row in range(self.size)
        ]

    def restore(self, states: Sequence[State]) -> None:
        """Go on from where members were between two epochs.

        Args:
            states: of its members, in their order, after the same epoch.

        Raises:
            CheckpointError: they are of other modules than the members have.
        """
        own = self.parameters.layout
        fresh = _row({"kept": self._kept, "labels": self._labels.state}, 0)
        for state in states:
            if not (
                _in_order(state.layout) == _in_order(own)
                and forms_of({"kept": state.kept, "labels": state.labels}) == forms_of(fresh)
                and state.steps.keys() == own.blocks.keys()
                and state.steps == states[0].steps
            ):
                raise CheckpointError("the checkpoint is of a model with other modules")
        states = [states[row] for row in self._with_twin(range(len(states)))]
        for name, whole_KP in (
            ("parameters", self.parameters.flat),
            ("mean", self._adam.mean),
            ("square", self._adam.square),
        ):
            rows = [own.row_of(getattr(state, name), state.layout) for state in states]
            whole_KP.copy_(torch.stack(rows))
        self._adam.steps = dict(states[0].steps)
        self._kept = self._on_device(stacked([state.kept for state in states]))
        self._labels.state = self._on_device(stacked([state.labels for state in states]))

    @property
    def _streams(self) -> list[Streams]:
        return [Streams(member.seed, member.config.control.placebo) for member in self._members]

    def _settle(self) -> None:
        """What holds as long as these are the members."""
        self._step = StepFunction(
            self._config,
            self._network,
            self.procedure,
            self._members,
            self.parameters,
            keeps_hidden=self._labels.generates,
        )

    def _with_twin(self, rows: Sequence[int]) -> list[int]:
        return [rows[0], rows[0]] if self.vmapped and len(rows) == 1 else list(rows)

    def _steps(self, epoch: int, most: int | None = None) -> Iterator[tuple[Move, StepResult, int]]:
        """The steps of an epoch, or the first few batches of each pass.

        Yields:
            The move, what came of it, and the utterances of the step.
        """
        self._model.train()
        for moves in self.procedure.passes(epoch):
            orders_KN = torch.stack(
                [self.procedure.order(epoch, moves[0], streams) for streams in self._streams]
            ).to(self.device)
            sizes = batch_sizes(orders_KN.shape[1], self._config.train.batch_size)[:most]
            drawn_KN = {move: self._drawn(epoch, move, sum(sizes)) for move in moves}
            again = {move: self._replayed(epoch, move, sizes) for move in moves if move.replays}
            start = 0
            for step, size in enumerate(sizes):
                end = start + size
                for move in moves:
                    drawn_KB = {name: of[:, start:end] for name, of in drawn_KN[move].items()}
                    rows_KB = orders_KN[:, start:end]
                    result = self._take_step(
                        epoch,
                        move,
                        rows_KB,
                        drawn_KB,
                        again[move][step] if move in again else None,
                        measures=step == 0,
                    )
                    yield move, result, size
                start = end

    def _take_step(
        self,
        epoch: int,
        move: Move,
        rows_KB: Tensor,
        drawn: Mapping[str, Tensor],
        again: Visit | None,
        *,
        measures: bool,
    ) -> StepResult:
        """One move of every member.

        Args:
            epoch: from 1.
            move: of the procedure.
            rows_KB: of the batch.
            drawn: module -> its random numbers.
            again: what is replayed beside it.
            measures: see `StepFunction`.
        """
        batch = self._batch(rows_KB)
        replayed = (self._batch(again[0]).parts(), again[1]) if again else ({}, {})
        result = self._step(move, batch, drawn, self._kept, replayed, measures=measures)
        self._adam.step(result.gradients)
        self._kept = dict(result.kept)
        if self._labels.generates and not move.name:
            self._labels.move(epoch, batch.rows, result.hidden)
        return result

    def _batch(self, rows_KB: Tensor) -> Batch:
        batch = self._train.take(rows_KB)
        return self._labels.given(batch if self.vmapped else batch.trimmed())

    def _replayed(self, epoch: int, move: Move, sizes: Sequence[int]) -> list[Visit]:
        """What is seen again beside each batch of a pass."""
        rows = [self.procedure.replayed(epoch, move, sizes, own) for own in self._streams]
        steps = [torch.stack(own).to(self.device) for own in zip(*rows, strict=True)]
        counts = [rows_KR.shape[1] for rows_KR in steps]
        drawn = self._drawn(epoch, move, sum(counts), "replay")
        parts = {name: torch.split(of, counts, dim=1) for name, of in drawn.items()}
        return [
            (rows_KR, {name: of[step] for name, of in parts.items()})
            for step, rows_KR in enumerate(steps)
        ]

    def _drawn(self, epoch: int, move: Move, count: int, *beside: str) -> dict[str, Tensor]:
        """Module -> its random numbers in this epoch, [K, N, ...]."""
        drawn = {}
        for name, module in self._model.draws().items():
            if not module.rate or _is_unread(name, move):
                continue
            own: tuple[str, ...] = (move.name, *beside) if move.name else beside
            stream: tuple[str | int, ...] = (module.stream, name, epoch, *own)
            drawn[name] = torch.stack(
                [
                    module.draw(rate, count, streams.generator(*stream, device=self.device))
                    for rate, streams in zip(self._step.rates(name), self._streams, strict=True)
                ]
            )
        return drawn

    def _copies(self, fresh: Tree) -> Tree:
        """What every member starts with, from what one starts with."""
        copies = len(self._members)
        return self._on_device(stacked([fresh] * copies))

    def _on_device(self, tree: Tree) -> Tree:
        return map_tensors(lambda tensor: tensor.to(self.device), tree)


def _is_unread(module: str, move: Move) -> bool:
    """Whether a module belongs to a modality that a move does not read."""
    modality = module.split(".")[1] if "." in module else ""
    return move.only is not None and modality in MODALITIES and modality not in move.only


def _row(tree: Tree, row: int) -> Tree:
    """One member's part of tensors that have an axis of members in front, copied."""
    return map_tensors(lambda tensor: tensor[row].clone(), tree)


def _in_order(layout: Layout) -> list[tuple[str, object]]:
    return [(block, list(shapes.items())) for block, shapes in layout.blocks.items()]


def _log(
    losses: Sequence[dict[str, float]], move: Move, names: Sequence[str], values: list[list[float]]
) -> None:
    """Take the values of a move into the members' curves."""
    for own, row in zip(losses, values, strict=False):
        for name, value in zip(names, row, strict=True):
            if name == "train.loss" and move.counts:
                own[name] = own.get(name, 0.0) + value
            else:
                own[f"{name}.{move.name}" if move.name else name] = value
