"""A stack: members of one pack key that train in one step, their parameters side by side.

What a step computes is written for one member and put over all members of the stack by
`torch.func.vmap`. A lone member trains with a twin: the product of two matrices and the batched
product of several round differently, and no number may depend on the company (law 2).
Shapes: K members, N utterances of a split, B of a batch, W = width of a layer, P parameters.
"""

import dataclasses
import os
import time
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from msa_core.config import LABEL_SCHEMES
from msa_core.data.batching import Batch, Scaler, batch_sizes
from msa_core.data.dataset import FloatArray
from msa_core.data.prepared import PreparedSplits
from msa_core.members import Network, over_members
from msa_core.model import build_model, fresh_parameters
from msa_core.modules.dropout import kept
from msa_core.modules.labels import MULTIMODAL, LabelGenerator
from msa_core.objective import loss_terms, weighted
from msa_core.packing import Member, free_numbers
from msa_core.parameters import Parameters, RowAdam
from msa_core.replay import Recordings
from msa_core.streams import Streams
from msa_core.trees import Tree, map_tensors

# A batched product of MKL otherwise rounds by where in memory a member lies, and so by its
# company. Read by MKL at its first product.
os.environ.setdefault("MKL_CBWR", "AUTO")

CPU = torch.device("cpu")


class Stack:
    """Some members on their way, epoch by epoch.

    Attributes:
        size: how many members there are; results come in their order.
        features: modality -> features a frame.
        scaler: fitted on train.
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
        rows = [members[row] for row in self._with_twin(range(self.size))]
        self._config = members[0].config
        self.scaler: Scaler = data.scaler(self._config)
        self._train = data.train(self._config, device)
        self._valid = data.valid(self._config, device)
        self.features = {name: array.shape[-1] for name, array in self._train.features.items()}
        self._network = Network(self._config, self.features, vmapped=vmapped)
        self._model = self._network.model
        self._streams = [Streams(row.seed, row.config.control.placebo) for row in rows]
        dropouts = [build_model(row.config, self.features).dropouts() for row in rows]
        self._dropouts = {
            name: [own[name].rate for own in dropouts] for name in self._model.dropouts()
        }
        self._numbers = self._stacked([free_numbers(row.config) for row in rows])
        self._labels = self._fresh_labels(LABEL_SCHEMES[data.scheme].bound)
        self._names: tuple[str, ...] = ()  # of what a step logs
        self._settle()
        self.parameters = Parameters.stack(
            [fresh_parameters(self._model, streams) for streams in self._streams],
            device,
            transposed=vmapped,
        )
        self._adam = RowAdam(
            self.parameters,
            [row.config.train.learning_rate for row in rows],
            [row.config.train.weight_decay for row in rows],
        )

    def train_epoch(self, epoch: int) -> list[dict[str, float]]:
        """One pass over train, every member in its own order.

        Args:
            epoch: counts from 1; random streams are keyed by it.

        Returns:
            For every member the mean over the utterances of `train.loss` and, for every term,
            `train.<term>` (raw) and `train.<term>.weighted`.
        """
        sums: Tensor | float = 0.0
        for values_KL, size in self._steps(epoch):
            sums = sums + values_KL * size
        means: list[list[float]] = (sums / len(self._train))[: self.size].tolist()  # type: ignore[index]
        return [dict(zip(self._names, values, strict=True)) for values in means]

    def seconds_a_step(self, steps: int) -> float:
        """Wall time of the fastest of some steps, after one to warm up. It trains the members."""
        times: list[float] = []
        epoch = 0
        while len(times) <= steps:  # more than one epoch if those are short
            epoch += 1
            started = time.perf_counter()
            for values_KL, _ in self._steps(epoch, steps + 1 - len(times)):
                values_KL.sum().item()  # waits for the device
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
        self._streams = [self._streams[row] for row in rows]
        self._dropouts = {
            name: [rates[row] for row in rows] for name, rates in self._dropouts.items()
        }
        self._numbers, self._labels = map_tensors(
            lambda tensor: tensor.index_select(0, index), (self._numbers, self._labels)
        )
        self.parameters = self.parameters.keep(index)
        self._adam.keep(rows, self.parameters)
        self._settle()

    def _with_twin(self, rows: Sequence[int]) -> list[int]:
        return [rows[0], rows[0]] if self.vmapped and len(rows) == 1 else list(rows)

    def _steps(self, epoch: int, most: int | None = None) -> Iterator[tuple[Tensor, int]]:
        """The steps of an epoch, or the first few of them.

        Yields:
            The values [K, L] of what is logged, and the utterances of the step.
        """
        self._model.train()
        count = len(self._train)
        orders_KN = torch.stack(
            [
                torch.randperm(count, generator=streams.generator("batches", epoch, device=CPU))
                for streams in self._streams
            ]
        ).to(self.device)
        sizes = batch_sizes(count, self._config.train.batch_size)[:most]
        kept_KNW = self._kept(epoch, sum(sizes))
        start = 0
        for size in sizes:
            end = start + size
            kept_KBW = {name: of_epoch[:, start:end] for name, of_epoch in kept_KNW.items()}
            values_KL = self._step(epoch, orders_KN[:, start:end], kept_KBW)
            yield values_KL, size
            start = end

    def _step(self, epoch: int, rows_KB: Tensor, kept_KBW: Mapping[str, Tensor]) -> Tensor:
        """One step of every member: the values [K, L] of what is logged."""
        batch = self._train.take(rows_KB)
        if not self.vmapped:
            batch = batch.trimmed()
        if self._labels:
            batch = self._with_generated_labels(batch)
        inputs = batch.parts(), kept_KBW
        with self._network.rounding():
            if self.vmapped:
                outputs = self._recordings.call(self._loss_and_gradients, inputs)
            else:  # large products, of other shapes at each step: nothing to gain
                outputs = self._loss_and_gradients(inputs)
        values_KL, gradients, hidden = outputs
        self._adam.step(gradients)
        if self._labels:
            self._move_labels(epoch, batch.rows, hidden)
        return values_KL.detach()  # type: ignore[no-any-return]

    def _loss_and_gradients(self, inputs: Tree) -> Tree:
        """What a step does to a batch of every member, up to the optimiser.

        Args:
            inputs: the parts of the batch, and dropout -> the entries `kept` [K, B, W].

        Returns:
            Values [K, L] of what is logged, the gradients of the parameters' leaves, and the
            layers that generated labels are made from.
        """
        parts, kept_KBW = inputs

        def loss_of_member(
            parameters: Tree, kept_BW: Tree, scales: Tree, numbers: Tree, parts: Tree
        ) -> tuple[Tensor, Tensor, Mapping[str, Tensor]]:
            masks = {f"{name}.mask": own.float() * scales[name] for name, own in kept_BW.items()}
            batch = Batch(**parts)
            output = self._network({**parameters, **masks}, batch)
            terms = loss_terms(self._config, output, batch, numbers)
            raw_L = torch.stack([term.raw for term in terms.values()])
            weighted_L = torch.stack([weighted(term) for term in terms.values()])
            loss = weighted_L.sum()
            self._names = (
                "train.loss",
                *(f"train.{name}" for name in terms),
                *(f"train.{name}.weighted" for name in terms),
            )
            hidden = output.hidden if self._labels else {}
            return loss, torch.cat([loss[None], raw_L, weighted_L]), hidden

        leaves = self.parameters.leaves
        dims = (self.parameters.axis, 0, 0, 0, 0)
        losses_K, values_KL, hidden = over_members(loss_of_member, self.vmapped, dims)(
            leaves, kept_KBW, self._scales, self._numbers, parts
        )
        # No member's loss depends on another's parameters.
        gradients = torch.autograd.grad(
            losses_K.sum(), list(leaves.values()), materialize_grads=True
        )
        return values_KL, gradients, hidden

    def _kept(self, epoch: int, count: int) -> dict[str, Tensor]:
        """Dropout -> the entries `kept` in this epoch, [K, N, W]."""
        return {
            name: torch.stack(
                [
                    kept(rate, count, module.width, streams.generator(
                        "dropout", name, epoch, device=self.device))
                    for rate, streams in zip(self._dropouts[name], self._streams, strict=True)
                ]
            )
            for name, module in self._model.dropouts().items()
            if module.rate
        }  # fmt: skip

    def _settle(self) -> None:
        """What holds as long as these are the members: dropout, and what is recorded of steps."""
        self._recordings = Recordings()
        self._scales = {}
        for name, module in self._model.dropouts().items():
            rates = self._dropouts[name]
            module.rate = max(rates)
            scale_K = [1.0 / (1.0 - rate) for rate in rates]
            self._scales[name] = torch.tensor(scale_K, device=self.device)

    def _stacked(self, numbers: Sequence[Mapping[str, float]]) -> dict[str, Tensor]:
        return {
            name: torch.tensor([own[name] for own in numbers], device=self.device)
            for name in numbers[0]
        }

    def _fresh_labels(self, bound: float) -> Tree:
        """The state of every member's label generator; empty without one."""
        self._bound = bound
        if self._config.loss.unimodal.kind != "ulgm" or not self._model.unimodal_heads:
            return {}
        widths = dict.fromkeys(self._model.unimodal_heads, self._config.loss.unimodal.width)
        widths[MULTIMODAL] = self._config.model.fusion.width
        fresh = LabelGenerator(self._train.labels, widths, bound).state
        copies = len(self._streams)
        return map_tensors(lambda tensor: torch.stack([tensor] * copies), fresh)

    def _with_generated_labels(self, batch: Batch) -> Batch:
        def of_member(state: Tree, rows_B: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            generator = LabelGenerator.of(state, self._bound)
            heads = list(self._model.unimodal_heads)
            return (
                {name: generator.labels[name][rows_B] for name in heads},
                {name: generator.weights(name, rows_B) for name in heads},
            )

        labels, weights = over_members(of_member, self.vmapped)(self._labels, batch.rows)
        return dataclasses.replace(batch, unimodal_labels=labels, unimodal_weights=weights)

    @torch.no_grad()
    def _move_labels(self, epoch: int, rows_KB: Tensor, hidden: Mapping[str, Tensor]) -> None:
        def of_member(state: Tree, rows_B: Tensor, hidden: Mapping[str, Tensor]) -> Tree:
            generator = LabelGenerator.of(state, self._bound)
            generator.update(epoch, rows_B, hidden)
            return generator.state

        self._labels = over_members(of_member, self.vmapped)(
            self._labels, rows_KB, {name: vectors.detach() for name, vectors in hidden.items()}
        )
