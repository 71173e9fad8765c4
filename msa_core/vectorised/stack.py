"""A stack: members of one pack key that train in one step, their parameters side by side.

What a step computes is written for one member and mapped over all members of the stack by
`torch.func.vmap`.
Shapes: K members, N utterances of a split, B of a batch, W = width of a layer, P parameters.
"""

import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from msa_core.config.fields import LABEL_SCHEMES, MODALITIES
from msa_core.config.kinds import module_of
from msa_core.data.batching import Batch, batch_sizes
from msa_core.data.dataset import FloatArray
from msa_core.data.prepared import PreparedSplits
from msa_core.model import fresh_parameters
from msa_core.procedures.base import Move
from msa_core.tensors.parameters import Layout, Parameters, RowAdam
from msa_core.tensors.pytrees import Tree, map_tensors, stack_trees, structure_of
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised.checkpoint import CheckpointError, MemberState
from msa_core.vectorised.member_labels import MemberLabels
from msa_core.vectorised.network import Network
from msa_core.vectorised.step import StepFunction, StepResult
from spaces.core import Member
from spaces.environment import SAME_DIGITS, set_defaults

set_defaults(SAME_DIGITS)  # when this module is imported, before the first product

# Rows of train [K, B], and each module's random numbers for them [K, B, ...].
ReplayedBatch = tuple[Tensor, Mapping[str, Tensor]]


class Stack:
    """Members of one pack key in training, epoch by epoch.

    Attributes:
        size: Number of members; results come in their order.
        vmapped: Whether they train under `torch.func.vmap`.
        device: Device of the tensors.
        procedure: Training algorithm.
        parameters: Parameters of all members.
    """

    def __init__(
        self,
        members: Sequence[Member],
        data: PreparedSplits,
        device: torch.device,
        *,
        vmapped: bool,
    ) -> None:
        """Initialise the parameters of every member.

        Args:
            members: Members of one pack key; a single one unless `vmapped`.
            data: Splits train and valid.
            device: Device of the tensors.
            vmapped: Whether they train under `torch.func.vmap`.
        """
        self.size = len(members)
        self.vmapped = vmapped
        self.device = device
        self._members = [members[row] for row in self._with_twin(range(self.size))]
        self._config = members[0].config
        self._train = data.train_batch(self._config, device)
        self._valid = data.valid_batch(self._config, device)
        features = {name: array.shape[-1] for name, array in self._train.features.items()}
        bound = LABEL_SCHEMES[data.scheme].bound
        self._network = Network(self._config, features, bound, vmapped=vmapped)
        self._model = self._network.model
        self._model.set_mask_steps(self._train)
        self.procedure = module_of(type(self._config), "procedure", self._config.procedure.kind)(
            self._config, self._train.labels.cpu(), bound
        )
        streams = self._member_streams
        fresh = {**self._model.initial_states(), **self.procedure.initial_state()}
        self._kept = self._on_device(stack_trees([fresh] * len(self._members)))
        self._labels = MemberLabels(
            self._config,
            self._train,
            list(self._model.unimodal_heads),
            bound,
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
        self._build_step()

    def train_epoch(self, epoch: int) -> list[dict[str, float]]:
        """Train one epoch, every member in its own order of batches.

        Args:
            epoch: Number of the epoch, from 1; random streams are keyed by it.

        Returns:
            For every member the mean over the utterances of `train.loss` and, for every term,
            `train.<term>` (raw) and `train.<term>.weighted`; from the epoch's first step
            `train.<term>.gradient_share` and values that modules log beside their terms. Where
            labels are generated, also their summary.
        """
        self._labels.start_epoch()
        # Kept buffers may be parts of larger tensors, and rounding may depend on that. Each epoch
        # starts as if members had just left or been restored, so that neither changes a bit.
        self._kept = map_tensors(Tensor.contiguous, self._kept)
        sums: dict[Move, Tensor] = {}
        seen: dict[Move, int] = {}
        measured: dict[Move, Tensor] = {}
        for move, result, size in self._epoch_steps(epoch):
            values_KL = result.values * size
            sums[move] = sums[move] + values_KL if move in sums else values_KL
            seen[move] = seen.get(move, 0) + size
            measured.setdefault(move, result.measured)
        losses: list[dict[str, float]] = [{} for _ in range(self.size)]
        for move, total_KL in sums.items():
            means = (total_KL / seen[move])[: self.size].tolist()
            _log_values(losses, move, self._step.names[move], means)
            _log_values(losses, move, self._step.measured_names[move], measured[move].tolist())
        for row, own in enumerate(losses):
            own.update(self._labels.summarise_member(row))
        return losses

    def seconds_per_step(self, steps: int) -> float:
        """Time the fastest of some steps, in seconds, after one to warm up; trains the members."""
        times: list[float] = []
        epoch = 0
        while len(times) <= steps:  # more than one epoch if those are short
            epoch += 1
            started = time.perf_counter()
            for _, result, _ in self._epoch_steps(epoch, steps + 1 - len(times)):
                result.values.sum().item()  # waits for the device
                now = time.perf_counter()
                times.append(now - started)
                started = now
        return min(times[1:])

    def predict_valid(self) -> FloatArray:
        """Predict the validation split for every member, [K, N]."""
        return self._network.predict(self.parameters, self._valid)[: self.size]

    def keep_members(self, rows: Sequence[int]) -> None:
        """Keep the members of these rows; the others leave, and no number changes."""
        self.size = len(rows)
        rows = self._with_twin(rows)
        index = torch.tensor(rows, device=self.device)
        self._members = [self._members[row] for row in rows]
        self._kept = map_tensors(lambda tensor: tensor.index_select(0, index), self._kept)
        self._labels.keep_members(index)
        self.parameters = self.parameters.keep_rows(index)
        self._adam.keep_rows(rows, self.parameters)
        self._build_step()

    def member_states(self) -> list[MemberState]:
        """Copy each member's state between two epochs: all that the next epoch depends on."""
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
            # Copies: `torch.save` writes the whole storage that a view is a part of.
            MemberState(layout=layout, steps=steps, **_copy_row(there, row))
            for row in range(self.size)
        ]

    def restore_states(self, states: Sequence[MemberState]) -> None:
        """Resume from the states of the members between two epochs.

        Args:
            states: State of each member, in their order, all after the same epoch.

        Raises:
            CheckpointError: The states belong to other modules than the members have.
        """
        own = self.parameters.layout
        fresh = _copy_row({"kept": self._kept, "labels": self._labels.state}, 0)
        for state in states:
            if not (
                _ordered_shapes(state.layout) == _ordered_shapes(own)
                and structure_of({"kept": state.kept, "labels": state.labels})
                == structure_of(fresh)
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
            rows = [own.convert_row(getattr(state, name), state.layout) for state in states]
            whole_KP.copy_(torch.stack(rows))
        self._adam.steps = dict(states[0].steps)
        self._kept = self._on_device(stack_trees([state.kept for state in states]))
        self._labels.state = self._on_device(stack_trees([state.labels for state in states]))

    @property
    def _member_streams(self) -> list[Streams]:
        return [Streams(member.seed, member.config.control.placebo) for member in self._members]

    def _build_step(self) -> None:
        """Build what depends on which members there are."""
        self._step = StepFunction(
            self._config,
            self._network,
            self.procedure,
            self._members,
            self.parameters,
            keeps_hidden=self._labels.generates,
        )

    def _with_twin(self, rows: Sequence[int]) -> list[int]:
        # Products of two matrices round differently from batched products of several, so a lone
        # member gets a twin: its numbers are then the same alone and in any pack.
        return [rows[0], rows[0]] if self.vmapped and len(rows) == 1 else list(rows)

    def _epoch_steps(
        self, epoch: int, most: int | None = None
    ) -> Iterator[tuple[Move, StepResult, int]]:
        """Run the steps of an epoch, or the first few batches of each pass.

        Yields:
            The move, its result, and the number of utterances of the step.
        """
        self._model.train()
        for moves in self.procedure.passes(epoch):
            orders_KN = torch.stack(
                [
                    self.procedure.row_order(epoch, moves[0], streams)
                    for streams in self._member_streams
                ]
            ).to(self.device)
            sizes = batch_sizes(orders_KN.shape[1], self._config.train.batch_size)[:most]
            drawn_KN = {move: self._draw_numbers(epoch, move, sum(sizes)) for move in moves}
            again = {
                move: self._replayed_visits(epoch, move, sizes) for move in moves if move.replays
            }
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
        again: ReplayedBatch | None,
        *,
        measures: bool,
    ) -> StepResult:
        """Make one move of every member.

        Args:
            epoch: Number of the epoch, from 1.
            move: Move of the training algorithm.
            rows_KB: Rows of train in the batch.
            drawn: Module -> its random numbers.
            again: Batch that is replayed beside it.
            measures: Whether once-per-epoch values are computed, as in `StepFunction`.
        """
        batch = self._batch_of_rows(rows_KB)
        replayed = (self._batch_of_rows(again[0]).to_pytree(), again[1]) if again else ({}, {})
        result = self._step(move, batch, drawn, self._kept, replayed, measures=measures)
        self._adam.step(result.gradients)
        self._kept = dict(result.kept)
        if self._labels.generates and not move.name:
            self._labels.update_labels(epoch, batch.rows, result.hidden)
        return result

    def _batch_of_rows(self, rows_KB: Tensor) -> Batch:
        batch = self._train.take(rows_KB)
        return self._labels.batch_with_labels(batch if self.vmapped else batch.trim_padding())

    def _replayed_visits(self, epoch: int, move: Move, sizes: Sequence[int]) -> list[ReplayedBatch]:
        """Draw the replayed rows beside each batch of a pass (experience replay)."""
        rows = [
            self.procedure.replayed_rows(epoch, move, sizes, own) for own in self._member_streams
        ]
        steps = [torch.stack(own).to(self.device) for own in zip(*rows, strict=True)]
        counts = [rows_KR.shape[1] for rows_KR in steps]
        drawn = self._draw_numbers(epoch, move, sum(counts), "replay")
        parts = {name: torch.split(of, counts, dim=1) for name, of in drawn.items()}
        return [
            (rows_KR, {name: of[step] for name, of in parts.items()})
            for step, rows_KR in enumerate(steps)
        ]

    def _draw_numbers(self, epoch: int, move: Move, count: int, *beside: str) -> dict[str, Tensor]:
        """Draw each stochastic module's random numbers for an epoch, [K, N, ...]."""
        drawn = {}
        for name, module in self._model.stochastic_modules().items():
            if not module.rate or _is_unread(name, move):
                continue
            own: tuple[str, ...] = (move.name, *beside) if move.name else beside
            stream: tuple[str | int, ...] = (module.stream, name, epoch, *own)
            drawn[name] = torch.stack(
                [
                    module.draw(rate, count, streams.generator(*stream, device=self.device))
                    for rate, streams in zip(
                        self._step.rates[name][0], self._member_streams, strict=True
                    )
                ]
            )
        return drawn

    def _on_device(self, tree: Tree) -> Tree:
        return map_tensors(lambda tensor: tensor.to(self.device), tree)


def _is_unread(module: str, move: Move) -> bool:
    """Check whether a module belongs to a modality that a move does not read."""
    modality = module.split(".")[1] if "." in module else ""
    return move.only is not None and modality in MODALITIES and modality not in move.only


def _copy_row(tree: Tree, row: int) -> Tree:
    """Copy one member's part of tensors that have the member axis in front."""
    return map_tensors(lambda tensor: tensor[row].clone(), tree)


def _ordered_shapes(layout: Layout) -> list[tuple[str, object]]:
    return [(block, list(shapes.items())) for block, shapes in layout.blocks.items()]


def _log_values(
    losses: Sequence[dict[str, float]], move: Move, names: Sequence[str], values: list[list[float]]
) -> None:
    """Add the values of a move to the members' curves."""
    for own, row in zip(losses, values, strict=False):
        for name, value in zip(names, row, strict=True):
            if name == "train.loss" and move.counts:
                own[name] = own.get(name, 0.0) + value
            else:
                own[f"{name}.{move.name}" if move.name else name] = value
