"""What every member of a stack is to learn on train: the data's labels, or labels of its own.

Shapes: K members, N utterances of train, B of a batch, H = width of a head's hidden layer.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from msa_core.config.rules import head_width
from msa_core.config.schema import Config
from msa_core.data.batching import Batch, taken
from msa_core.modules.labels import MULTIMODAL, LabelGenerator
from msa_core.tensors.pytrees import Tree, map_tensors, stacked
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised.network import over_members


class MemberLabels:
    """Labels that members have of their own: shuffled ones, generated ones, or none.

    Shuffled labels are those of other utterances of train, in an order that each member draws from
    its stream ("labels",); the unimodal labels of an utterance go with its multimodal one.

    Attributes:
        generates: whether unimodal labels are generated (`ulgm`).
        state: of the generated ones, tensors [K, ...]; nothing else changes while members train.
    """

    def __init__(
        self,
        config: Config,
        train: Batch,
        heads: Sequence[str],
        bound: float,
        streams: Sequence[Streams],
        *,
        vmapped: bool,
    ) -> None:
        """As they are before the first epoch.

        Args:
            config: that the members share the structure of.
            train: the whole split.
            heads: modalities that have a unimodal head.
            bound: of the labels.
            streams: of the K members.
            vmapped: as their stack.
        """
        self._train = train
        self._bound = bound
        self._vmapped = vmapped
        self._options = config.loss.unimodal.ulgm
        self.generates = config.loss.unimodal.kind == "ulgm" and bool(heads)
        self._heads = list(heads) if self.generates else []
        device = train.labels.device
        # What a member takes for the labels of row n are those of row `_places[k, n]`.
        self._places: Tensor | None = None
        if config.control.shuffled_labels:
            self._places = torch.stack([_shuffled(len(train), own) for own in streams]).to(device)
        widths = dict.fromkeys(self._heads, config.loss.unimodal.width)
        widths[MULTIMODAL] = head_width(config)
        self.state: Tree = {}
        if self.generates:
            states = [self._generator(row, widths).state for row in range(len(streams))]
            self.state = stacked(states)

    def given(self, batch: Batch) -> Batch:
        """A batch [K, B, ...] with the labels that each member has for its rows."""
        if self._places is not None:
            places_KB = self._places.gather(1, batch.rows)
            batch = dataclasses.replace(
                batch,
                labels=taken(self._train.labels, places_KB),
                unimodal_labels={
                    name: taken(labels_N, places_KB)
                    for name, labels_N in self._train.unimodal_labels.items()
                },
            )
        return self._with_generated(batch) if self.generates else batch

    @torch.no_grad()
    def move(self, epoch: int, rows_KB: Tensor, hidden: Mapping[str, Tensor]) -> None:
        """Move the generated labels of a batch.

        Args:
            epoch: counts from 1.
            rows_KB: rows of train.
            hidden: head -> [K, B, H].
        """

        def of_member(state: Tree, rows_B: Tensor, hidden: Mapping[str, Tensor]) -> Tree:
            generator = self._of(state)
            generator.update(epoch, rows_B, hidden)
            return generator.state

        self.state = over_members(of_member, self._vmapped)(
            self.state, rows_KB, {name: vectors.detach() for name, vectors in hidden.items()}
        )

    def start_epoch(self) -> None:
        """Count anew what is counted within an epoch."""
        if self.generates:
            generator = self._of(self.state)
            generator.start_epoch()
            self.state = generator.state

    def summary(self, row: int) -> dict[str, float]:
        """What a member's generated labels are worth a curve for: `train.unimodal.<m>.<what>`.

        See `LabelGenerator.summary`.
        """
        found = {}
        for name in self._heads:
            # A member at a time: how a sum over several is rounded depends on how many there are.
            generator = self._of(map_tensors(lambda tensor: tensor[row], self.state))
            true_N = self._train.unimodal_labels.get(name)
            if true_N is not None and self._places is not None:
                true_N = true_N[self._places[row]]
            for what, value in generator.summary(name, true_N).items():
                found[f"train.unimodal.{name}.{what}"] = value
        return found

    def keep(self, index: Tensor) -> None:
        """Go on with some of the members."""
        self.state = map_tensors(lambda tensor: tensor.index_select(0, index), self.state)
        if self._places is not None:
            self._places = self._places.index_select(0, index)

    def _generator(self, row: int, widths: Mapping[str, int]) -> LabelGenerator:
        labels_N = self._train.labels
        if self._places is not None:
            labels_N = labels_N[self._places[row]]
        return LabelGenerator(labels_N, widths, self._bound, self._options)

    def _of(self, state: Tree) -> LabelGenerator:
        return LabelGenerator.of(state, self._bound, self._options)

    def _with_generated(self, batch: Batch) -> Batch:
        def of_member(state: Tree, rows_B: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            generator = self._of(state)
            return (
                {name: generator.labels[name][rows_B] for name in self._heads},
                {name: generator.weights(name, rows_B) for name in self._heads},
            )

        labels, weights = over_members(of_member, self._vmapped)(self.state, batch.rows)
        return dataclasses.replace(batch, unimodal_labels=labels, unimodal_weights=weights)


def _shuffled(count: int, streams: Streams) -> Tensor:
    generator = streams.generator("labels", device=torch.device("cpu"))
    return torch.randperm(count, generator=generator)
