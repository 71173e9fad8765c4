"""A stream of tasks: utterances come by rising sentiment, and a few earlier ones are replayed.

Shapes: N utterances of train, B of a batch, R replayed ones, H heads.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from msa_core.config.schema import Config
from msa_core.config.unimodal import unimodal_heads
from msa_core.data.dataset import FloatArray
from msa_core.model import ModelOutput
from msa_core.objective import Term, loss_terms, total_loss
from msa_core.procedures.base import CPU, Curves, Move, Procedure, StepView, Tensors
from msa_core.tensors.random_streams import Streams

STORED = "stream.outputs"


class Stream(Procedure):
    """Tasks come one after another; a buffer of earlier utterances is replayed beside each batch.

    A task is a range of labels between quantiles of train, with its share of the epochs. When it
    ends, its utterances pass by a reservoir, so that the buffer is a fair sample of all that came
    so far. From the second task on each batch has as many rows of the buffer beside it, and the
    loss two more terms: `replay`, the task and unimodal losses on them, and `consistency`, which
    keeps every head's outputs on them near the output stored for the head that is now nearest to
    the label. What is stored is the output at the row's last visit in its task.

    Left out of SAMM: the calibration of temperatures after each task and the weighting of
    predictions by calibrated confidence (a regression has no confidence), and alignment on
    replayed rows; its relational loss and its unimodal heads are switches of their own. SAMM's
    reservoir also takes rows while their task lasts.

    Formula: L + w_r L(replayed) + w_c sum_h r_h mean_i (yhat_h,i - stored_h*(i),i)^2, h*(i) =
        argmin_h |yhat_h,i - y_i|, r = 1 for the multimodal head, else the weight of its loss.
    """

    def __init__(self, config: Config, labels_N: Tensor, bound: float) -> None:
        """See `Procedure`.

        Raises:
            ValueError: a task without utterances.
        """
        super().__init__(config, labels_N, bound)
        count = self.options.tasks
        shares = torch.arange(1, count, dtype=torch.float64) / count
        self.edges = torch.quantile(labels_N.double(), shares)
        task_N = self._tasks_of_labels(labels_N)
        self.rows = [torch.nonzero(task_N == task)[:, 0] for task in range(count)]
        for task, rows in enumerate(self.rows, start=1):
            if not len(rows):
                raise ValueError(
                    f"procedure.stream.tasks is {count}, but task {task} has no utterance: too "
                    "many have the same label; choose fewer tasks"
                )
        self.heads = unimodal_heads(config)
        self.replays = self.options.replay.weight > 0
        self.is_consistent = self.options.consistency.weight > 0
        self._buffers: dict[Streams, list[Tensor]] = {}

    def task_of_epoch(self, epoch: int) -> int:
        """Return the number of an epoch's task, from 0."""
        count: int = self.options.tasks
        return min((epoch - 1) * count // self.config.train.epochs, count - 1)

    def passes(self, epoch: int) -> Sequence[Sequence[Move]]:
        """List one pass of one move, which replays from the second task on."""
        return (
            (Move(replays=self.task_of_epoch(epoch) > 0 and (self.replays or self.is_consistent)),),
        )

    def row_order(self, epoch: int, move: Move, streams: Streams) -> Tensor:
        """Return the rows of the epoch's task, shuffled."""
        rows = self.rows[self.task_of_epoch(epoch)]
        generator = streams.generator("batches", epoch, device=CPU)
        return rows[torch.randperm(len(rows), generator=generator)]

    def replayed_rows(
        self, epoch: int, move: Move, sizes: Sequence[int], streams: Streams
    ) -> list[Tensor]:
        """Draw as many rows of the buffer as each batch has, or all of it."""
        buffer = self.buffer_rows(self.task_of_epoch(epoch), streams)
        generator = streams.generator("replay", epoch, device=CPU)
        return [buffer[torch.randperm(len(buffer), generator=generator)[:size]] for size in sizes]

    def buffer_rows(self, tasks: int, streams: Streams) -> Tensor:
        """Return the rows of the buffer after the given number of tasks."""
        # Drawn once per member and kept, since reservoir sampling passes over all tasks in order.
        if streams not in self._buffers:
            generator = streams.generator("buffer", device=CPU)
            self._buffers[streams] = fill_reservoirs(self.rows, self.options.buffer, generator)
        return self._buffers[streams][tasks - 1]

    def terms(self, move: Move, terms: Mapping[str, Term], view: StepView) -> dict[str, Term]:
        """Return the terms of the batch, and those on replayed rows."""
        found = dict(terms)
        if view.replayed is None:
            return found
        batch, output = view.replayed
        if self.replays:
            again = total_loss(loss_terms(self.config, output, batch, view.numbers))
            found["replay"] = Term(raw=again, weight=view.numbers["procedure.stream.replay.weight"])
        if self.is_consistent:
            weights = [
                1.0, *(view.numbers[f"loss.unimodal.{name}.weight"] for name in self.heads)
            ]  # fmt: skip
            raw = consistency_loss(
                self._head_outputs(output),
                view.kept[STORED].index_select(0, batch.rows),
                batch.labels,
                weights,
            )
            found["consistency"] = Term(
                raw=raw, weight=view.numbers["procedure.stream.consistency.weight"]
            )
        return found

    def initial_state(self) -> Tensors:
        """Return the stored outputs, [N, H]; nothing where no term reads them."""
        if not self.is_consistent:
            return {}
        return {STORED: torch.zeros(len(self.labels), 1 + len(self.heads))}

    def save_activations(self, move: Move, view: StepView) -> Tensors:
        """Return the outputs of this step, and their rows."""
        if not self.is_consistent:
            return {}
        return {"rows": view.batch.rows, "outputs": self._head_outputs(view.output)}

    def modify_gradients(
        self, move: Move, gradients: Tensors, saved: Tensors, kept: Tensors
    ) -> tuple[Tensors, Tensors]:
        """Return gradients unchanged, and store the outputs."""
        stored_NH = kept[STORED].index_copy(0, saved["rows"], saved["outputs"])
        return gradients, {**kept, STORED: stored_NH}

    def validation_metrics(
        self, epoch: int, predictions_N: FloatArray, labels_N: FloatArray, curve: Curves
    ) -> dict[str, float]:
        """Compute the error on valid within each task's range, and the forgetting.

        `valid.forgetting` is the mean, over finished tasks, of the error now less the smallest in
        any epoch before; below 0 they got better still.
        """
        task_N = self._tasks_of_labels(torch.from_numpy(labels_N)).numpy()
        error_N = np.abs(predictions_N - labels_N)
        found: dict[str, float] = {}
        forgotten = []
        for task in range(self.options.tasks):
            own = error_N[task_N == task]
            if len(own):
                name = f"valid.task_{task + 1}.mae"
                found[name] = float(own.mean(dtype=np.float64))
                if task < self.task_of_epoch(epoch):
                    forgotten.append(found[name] - min(curve[name]))
        if forgotten:
            found["valid.forgetting"] = float(np.mean(forgotten))
        return found

    def _tasks_of_labels(self, labels_N: Tensor) -> Tensor:
        return torch.bucketize(labels_N.double(), self.edges, right=True)

    def _head_outputs(self, output: ModelOutput) -> Tensor:
        """Stack the outputs of all heads, [B, H], the multimodal head first."""
        heads = [output.prediction, *(output.unimodal[name] for name in self.heads)]
        return torch.stack(heads, dim=1)


def fill_reservoirs(tasks: Sequence[Tensor], size: int, generator: torch.Generator) -> list[Tensor]:
    """Sample a reservoir after each task: a fair sample of all rows that came so far.

    Args:
        tasks: Rows of each task, in the order in which they come.
        size: Largest number of rows in the reservoir.
        generator: Generator of one number per row.

    Returns:
        For each task min(size, rows so far) rows; one that left never comes back.
    Source: Vitter 1985, algorithm R.
    """
    count = sum(len(rows) for rows in tasks)
    drawn = torch.rand(count, dtype=torch.float64, generator=generator).tolist()
    held: list[int] = []
    after = []
    # Row number n (from 0) is kept with probability size / (n + 1), in the slot that its number
    # falls on; so each row so far is held with the same probability.
    seen = 0
    for rows in tasks:
        for row in rows.tolist():
            slot = int(drawn[seen] * (seen + 1))
            seen += 1
            if len(held) < size:
                held.append(row)
            elif slot < size:
                held[slot] = row
        after.append(torch.tensor(held))
    return after


def consistency_loss(
    outputs_RH: Tensor, stored_RH: Tensor, labels_R: Tensor, weights: Sequence[Tensor | float]
) -> Tensor:
    """Measure how far the heads are from the stored output of the head that is now best.

    Formula: sum_h r_h mean_i (yhat_h,i - stored_h*(i),i)^2, h*(i) = argmin_h |yhat_h,i - y_i|.

    Args:
        outputs_RH: Outputs of every head now.
        stored_RH: Outputs of every head as stored; no gradient reaches them.
        labels_R: Labels of the rows.
        weights: Weight r of each head.

    Returns:
        Scalar >= 0; 0 with one head whose outputs are the stored ones.
    Source: Sarfraz et al. 2024 (SAMM), its public code; nearest to the label in place of most
        confident on the true class.
    """
    nearest_R = (outputs_RH.detach() - labels_R[:, None]).abs().argmin(dim=1)
    target_R1 = stored_RH.detach().gather(1, nearest_R[:, None])
    errors_H = (outputs_RH - target_R1).square().mean(dim=0)
    terms = [error * weight for error, weight in zip(errors_H.unbind(), weights, strict=True)]
    return torch.stack(terms).sum()
