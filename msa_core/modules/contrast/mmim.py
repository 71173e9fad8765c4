"""Contrasts that bound information: of text about the others, of the fusion about each (MMIM).

Shapes: B utterances, D = width of a projected modality, R = utterances of a memory.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.contrast import estimators as information
from msa_core.modules.contrast.base import Contrast, GaussianPredictor, Predictor, average_terms
from msa_core.modules.parts.inputs import EncodedBatch, Numbers, Sizes
from msa_core.modules.parts.stateful import StatefulModule


class Bound(Contrast):
    """A lower bound on the information of text about audio and vision is raised.

    Text predicts each of the others, and their entropy within the two signs of the label is added
    to the likelihood of the prediction. The entropy rises with the scale of the vectors without
    end, and in the released form (not `normalised`) a wide prediction costs nothing: the term can
    go far below 0. The procedure `two_stage` first fits the predictions alone.

    Formula: -mean_m [E log N(z_m; mu(z_text), var(z_text)) + H(z_m)], m = audio, vision.
    """

    def __init__(self, options: Any, sizes: Sizes) -> None:
        """See `Contrast`."""
        super().__init__(options, sizes)
        width = sizes.projected
        others = [name for name in sizes.modalities if name != "text"]
        self.estimators = nn.ModuleDict(
            {name: GaussianPredictor(width, options.width, width) for name in others}
        )
        self.memory = RecentRows(options.memory, others, width)

    def forward(self, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """See `Contrast`."""
        bounds = []
        for name, estimator in self.estimators.items():
            rows_BD = seen.projected[name]
            mean_BD, log_variance_BD = estimator(seen.projected["text"])
            likelihood = information.gaussian_log_likelihood(
                mean_BD, log_variance_BD, rows_BD, normalised=self.options.normalised
            )
            entropy = information.class_entropy(
                rows_BD, seen.labels, *self.memory.stored_rows(name), numbers["ridge"]
            )
            bounds.append(likelihood + entropy)
        # After the terms: this step's rows are in the batch already, and must not count twice.
        self.memory.store_rows(seen.projected, seen.labels)
        return -average_terms(bounds)


class RecentRows(StatefulModule):
    """The vectors and labels of the latest utterances; a slot that is still empty has label 0."""

    labels: Tensor

    def __init__(self, size: int, names: Sequence[str], width: int) -> None:
        super().__init__(
            labels=torch.zeros(size, device="cpu"),
            **{name: torch.zeros(size, width, device="cpu") for name in names},
        )
        self.size = size
        self.names = list(names)

    def stored_rows(self, name: str) -> tuple[Tensor, Tensor]:
        """Return a modality's vectors [R, D] and their labels [R], before this step."""
        rows_RD: Tensor = getattr(self, name)
        return rows_RD, self.labels

    def store_rows(self, rows: Mapping[str, Tensor], labels_B: Tensor) -> None:
        """Keep these utterances, and as many of those before as there is room for."""
        # The latest rows last, whatever is too old cut off in front: the size never changes, as
        # members of a pack and the recorded step need it.
        new = {name: rows[name] for name in self.names} | {"labels": labels_B}
        self.update_state(
            **{
                name: torch.cat([getattr(self, name), value])[-self.size :]
                for name, value in new.items()
            }
        )


class Cpc(Contrast):
    """The fused vector finds the utterance in every modality.

    Formula: mean_m CE(S_m, I), S_m = cosines of z_m and P_m(f), no temperature.
    """

    def __init__(self, options: Any, sizes: Sizes) -> None:
        """See `Contrast`."""
        super().__init__(options, sizes)
        self.predictors = nn.ModuleDict(
            {
                name: Predictor(sizes.fused, options.width, sizes.projected)
                for name in sizes.modalities
            }
        )

    def forward(self, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """See `Contrast`."""
        return average_terms(
            [
                information.cpc(predictor(seen.fused), seen.projected[name])
                for name, predictor in self.predictors.items()
            ]
        )
