"""The labels of every member of a stack on train: the data's, or labels of its own.

Shapes: K members, N utterances of train, B of a batch, H = width of a head's hidden layer.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from msa_core.config.rules import head_width
from msa_core.config.schema import Config
from msa_core.data.batching import Batch, take_rows
from msa_core.modules.unimodal_labels import MULTIMODAL, LabelGenerator, fresh_labels
from msa_core.tensors.pytrees import Tree, map_tensors, stack_trees
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised.network import over_members


class MemberLabels:
    """Labels that members have of their own: shuffled ones, generated ones, or none.

    Shuffled labels are those of other utterances of train, in an order that each member draws from
    its stream ("labels",); the unimodal labels of an utterance go with its multimodal one.

    Attributes:
        generates: Whether unimodal labels are generated (`ulgm`).
        state: State of the generated labels, pytree of tensors [K, ...]; nothing else changes
            while members train.
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
        """Create the labels before the first epoch.

        Args:
            config: Configuration with the structure that the members share.
            train: Split train.
            heads: Modalities that have a unimodal head.
            bound: Largest absolute label.
            streams: Random streams of the K members.
            vmapped: Whether their stack is vmapped.
        """
        self._train = train
        self._bound = bound
        self._vmapped = vmapped
        self._options = config.loss.unimodal.ulgm
        self.generates = config.loss.unimodal.kind == "ulgm" and bool(heads)
        self._heads = list(heads) if self.generates else []
        device = train.labels.device
        # Member k's labels of row n are the data's labels of row `_places[k, n]`.
        self._places: Tensor | None = None
        if config.control.shuffled_labels:
            self._places = torch.stack([_shuffled_rows(len(train), own) for own in streams]).to(
                device
            )
        widths = dict.fromkeys(self._heads, config.loss.unimodal.width)
        widths[MULTIMODAL] = head_width(config)
        # Tensors and not objects: they are stacked, checkpointed and vmapped with the rest.
        self.state: Tree = {}
        if self.generates:
            own = [self._own_rows(row, train.labels) for row in range(len(streams))]
            states = [fresh_labels(labels_N, widths) for labels_N in own]
            self.state = stack_trees(states)

    def batch_with_labels(self, batch: Batch) -> Batch:
        """Return a batch [K, B, ...] with each member's own labels of its rows."""
        if self._places is not None:
            places_KB = self._places.gather(1, batch.rows)
            batch = dataclasses.replace(
                batch,
                labels=take_rows(self._train.labels, places_KB),
                unimodal_labels={
                    name: take_rows(labels_N, places_KB)
                    for name, labels_N in self._train.unimodal_labels.items()
                },
            )
        return self._with_generated(batch) if self.generates else batch

    @torch.no_grad()
    def update_labels(self, epoch: int, rows_KB: Tensor, hidden: Mapping[str, Tensor]) -> None:
        """Update the generated labels of a batch.

        Args:
            epoch: Number of the epoch, from 1.
            rows_KB: Rows of train in the batch.
            hidden: Head -> hidden vectors [K, B, H].
        """

        def of_member(state: Tree, rows_B: Tensor, hidden: Mapping[str, Tensor]) -> Tree:
            generator = self._generator_of(state)
            generator.update(epoch, rows_B, hidden)
            return generator.state

        self.state = over_members(of_member, self._vmapped)(
            self.state, rows_KB, {name: vectors.detach() for name, vectors in hidden.items()}
        )

    def start_epoch(self) -> None:
        """Reset the counts of an epoch."""
        if self.generates:
            generator = self._generator_of(self.state)
            generator.start_epoch()
            self.state = generator.state

    def summarise_member(self, row: int) -> dict[str, float]:
        """Summarise a member's generated labels as curves `train.unimodal.<modality>.<what>`.

        See `LabelGenerator.summarise_labels`.
        """
        found = {}
        for name in self._heads:
            # One member at a time: rounding of a sum over several depends on their number.
            generator = self._generator_of(map_tensors(lambda tensor: tensor[row], self.state))
            true_N = self._train.unimodal_labels.get(name)
            if true_N is not None:
                true_N = self._own_rows(row, true_N)
            for what, value in generator.summarise_labels(name, true_N).items():
                found[f"train.unimodal.{name}.{what}"] = value
        return found

    def keep_members(self, index: Tensor) -> None:
        """Keep the labels of some members only, by row number."""
        self.state = map_tensors(lambda tensor: tensor.index_select(0, index), self.state)
        if self._places is not None:
            self._places = self._places.index_select(0, index)

    def _own_rows(self, row: int, labels_N: Tensor) -> Tensor:
        """Return the data's labels in a member's own order."""
        return labels_N if self._places is None else labels_N[self._places[row]]

    def _generator_of(self, state: Tree) -> LabelGenerator:
        return LabelGenerator(state, self._bound, self._options)

    def _with_generated(self, batch: Batch) -> Batch:
        def of_member(state: Tree, rows_B: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
            generator = self._generator_of(state)
            return (
                {name: generator.labels[name][rows_B] for name in self._heads},
                {name: generator.row_weights(name, rows_B) for name in self._heads},
            )

        labels, weights = over_members(of_member, self._vmapped)(self.state, batch.rows)
        return dataclasses.replace(batch, unimodal_labels=labels, unimodal_weights=weights)


def _shuffled_rows(count: int, streams: Streams) -> Tensor:
    generator = streams.generator("labels", device=torch.device("cpu"))
    return torch.randperm(count, generator=generator)
