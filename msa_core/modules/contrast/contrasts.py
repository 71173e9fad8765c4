"""Contrast modules: terms of the loss that tell utterances apart.

Shapes: B utterances, T frames, F features a frame, D = width of a projected modality, M modalities,
N = B // 2 pairs of utterances.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.contrast.base import (
    Contrast,
    Predictor,
    average_terms,
    uncertainty_weighted,
)
from msa_core.modules.parts import similarity
from msa_core.modules.parts.dropout import Dropout
from msa_core.modules.parts.frames import masked_mean, valid_frames
from msa_core.modules.parts.inputs import EncodedBatch, Numbers, Sizes
from msa_core.modules.parts.linear import Linear
from msa_core.modules.parts.similarity import Number
from msa_core.modules.parts.stochastic import Noise

SENTIMENTS = 3  # bins on each side of neutral, whatever the labels' own bound


class Anchor(Contrast):
    """Every modality is pulled to a frozen vector of its utterance.

    The vector is the mean over the valid frames of the text's features as the model gets them, or
    of each modality's own: no parameter is in it. Utterances of equal labels push each other away.

    Formula: mean_m InfoNCE(W_m z_m, stopgrad c_m), c_m = mean frame of the text, or of m.
    """

    def __init__(self, options: Any, sizes: Sizes) -> None:
        """See `Contrast`."""
        super().__init__(options, sizes)
        self.anchors = {
            name: name if options.anchor == "own" else "text" for name in sizes.modalities
        }
        self.towards = nn.ModuleDict(
            {
                name: Linear(sizes.projected, sizes.features[anchor])
                for name, anchor in self.anchors.items()
            }
        )

    def forward(self, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """See `Contrast`."""
        return average_terms(
            [
                similarity.info_nce(
                    towards(seen.projected[name]),
                    mean_frame(seen, self.anchors[name]).detach(),
                    numbers["temperature"],
                )
                for name, towards in self.towards.items()
            ]
        )


def mean_frame(seen: EncodedBatch, modality: str) -> Tensor:
    """Average the valid frames, [B, F]; zeros where there are none."""
    features = seen.features[modality]
    if features.dim() == 2:  # taken before the training
        return features
    return masked_mean(features, seen.lengths[modality])


class Views(Contrast):
    """Two views of an audio or vision sequence are one utterance.

    A view lacks some of the features, in all of its frames, and has noise on the others, the same
    in all frames. Both views go through the modality's own encoder, with the same dropout there.

    Formula: mean_m InfoNCE(z_m(view 1), z_m(view 2)), view = features kept / (1 - p) + s noise.
    """

    def __init__(self, options: Any, sizes: Sizes) -> None:
        """See `Contrast`."""
        super().__init__(options, sizes)
        self.viewed = [name for name in sizes.modalities if name != "text"]
        self.views = nn.ModuleDict(
            {
                f"{name}_{side}": View(options.dropped, sizes.features[name])
                for name in self.viewed
                for side in (1, 2)
            }
        )

    def forward(self, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """See `Contrast`."""
        return average_terms(
            [
                similarity.info_nce(
                    self._encode_view(name, 1, seen, numbers),
                    self._encode_view(name, 2, seen, numbers),
                    numbers["temperature"],
                )
                for name in self.viewed
            ]
        )

    def _encode_view(self, name: str, side: int, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """Encode and project one view of a modality, [B, D]."""
        assert seen.encode is not None  # of a model in training
        # Through the modality's own encoder and its dropout masks of this step: the two views
        # differ in nothing but the view.
        view = self.views[f"{name}_{side}"]
        features = view(seen.features[name], seen.lengths.get(name), numbers["noise"])
        return seen.encode(name, features)


class View(nn.Module):
    """One random view of some features."""

    def __init__(self, dropped: float, features: int) -> None:
        super().__init__()
        self.kept = Dropout(dropped, features)
        self.noise = Noise(features)

    def forward(self, features: Tensor, lengths_B: Tensor | None, deviation: Number) -> Tensor:
        """Return a view shaped as the features, [B, F] or [B, T, F]; padding stays zero."""
        noise = deviation * self.noise.drawn
        # Masked, so that padding stays zero; the features' dropout leaves it so by itself.
        if lengths_B is not None:
            noise = noise[:, None, :] * valid_frames(features, lengths_B)[:, :, None]
        moved: Tensor = self.kept(features) + noise
        return moved


class Instance(Contrast):
    """Each modality predicts every other of its utterance.

    Formula: mean over p != q of InfoNCE(P_pq(z_p), stopgrad z_q).
    """

    def __init__(self, options: Any, sizes: Sizes) -> None:
        """See `Contrast`."""
        super().__init__(options, sizes)
        names = sizes.modalities
        self.pairs = {f"{q}_from_{p}": (p, q) for p in names for q in names if p != q}
        self.predictors = nn.ModuleDict(
            {
                pair: Predictor(sizes.projected, options.width, sizes.projected)
                for pair in self.pairs
            }
        )

    def forward(self, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """See `Contrast`."""
        terms = []
        for pair, predictor in self.predictors.items():
            source, target = self.pairs[pair]
            predicted_BD, target_BD = predictor(seen.projected[source]), seen.projected[target]
            if self.options.stop_gradient:
                target_BD = target_BD.detach()
            terms.append(similarity.info_nce(predicted_BD, target_BD, numbers["temperature"]))
        return average_terms(terms)


class Sentiment(Contrast):
    """Utterances of one sentiment are alike, in whatever modality.

    Formula: SupCon over the M B vectors, bin = round(clip(3 y / bound, -3, 3)), 7 bins.
    """

    def forward(self, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """See `Contrast`."""
        rows_RD = torch.cat(list(seen.projected.values()))
        bins_R = sentiment_bins(seen.labels, self.sizes.bound).repeat(len(seen.projected))
        return similarity.supervised_contrast(rows_RD, bins_R, numbers["temperature"])


def sentiment_bins(labels_B: Tensor, bound: float) -> Tensor:
    """Sort labels into seven bins, -3 to 3: scaled to them and rounded half to even."""
    return (labels_B * (SENTIMENTS / bound)).clamp(-SENTIMENTS, SENTIMENTS).round()


class PairedContrast(Contrast):
    """Base of the contrasts in which an utterance has a partner of like sentiment.

    Their terms, one per modality, are averaged, or weighted by learned uncertainties and added up;
    the sum may be negative.
    """

    def __init__(self, options: Any, sizes: Sizes) -> None:
        """See `Contrast`."""
        super().__init__(options, sizes)
        if options.uncertainty:
            self.log_variances = nn.Parameter(torch.zeros(len(sizes.modalities)))

    def initial(self, name: str, drawn: Tensor) -> Tensor:
        """Start with equal weights."""
        return torch.zeros_like(drawn)

    def combine_terms(self, losses: list[Tensor]) -> Tensor:
        """Combine the modalities' terms into one."""
        if self.options.uncertainty:
            return uncertainty_weighted(torch.stack(losses), self.log_variances)
        return average_terms(losses)


def pair_neighbours(rows: Mapping[str, Tensor], labels_B: Tensor) -> list[dict[str, Tensor]]:
    """Pair utterances of neighbouring labels: the first of all pairs, and the second.

    Each is in one pair; of an odd number that of the largest label is in none.

    Args:
        rows: Modality -> vectors [B, D].
        labels_B: Labels; equal ones are neighbours in the order of the batch.

    Returns:
        Modality -> [N, D], twice.
    """
    # Were each utterance given its nearest, a row would often be its partner's partner, and so a
    # negative of itself.
    pairs = len(labels_B) // 2
    order_N2 = labels_B.argsort(stable=True)[: 2 * pairs].reshape(pairs, 2)
    return [
        {name: vectors_BD[side_N] for name, vectors_BD in rows.items()}
        for side_N in order_N2.unbind(1)
    ]


class Icl(PairedContrast):
    """Within each modality an utterance finds its partner of like sentiment.

    Of two or three utterances there is one pair, nothing to tell it from, and the term is 0.

    Formula: sum_m exp(-s_m) ICL_m + s_m, or mean_m ICL_m; ICL: partner among 2 N - 1 candidates.
    """

    def forward(self, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """See `Contrast`."""
        first, second = pair_neighbours(seen.projected, seen.labels)
        return self.combine_terms(
            [
                _loss_of_pairs(similarity.icl, first[name], second[name], numbers["temperature"])
                for name in first
            ]
        )


def _loss_of_pairs(loss: Callable[..., Tensor], first_ND: Tensor, *more: Any) -> Tensor:
    """Compute a loss of pairs of utterances; 0 of a single pair, which has nothing to compare."""
    # The last batch of an epoch can be that small. A product with 0, so that there is a gradient.
    return loss(first_ND, *more) if len(first_ND) > 1 else first_ND.sum() * 0.0


class Ial(PairedContrast):
    """Each modality's similarities follow those of all modalities together.

    The joint vector has every modality at length 1, times its share softmax(w)_m. Learned shares
    come with the joint's own ICL.

    Formula: sum_m exp(-s_m) KL_m + s_m, or mean_m KL_m; + ICL(joint) if shares are learned.
    """

    def __init__(self, options: Any, sizes: Sizes) -> None:
        """See `Contrast`."""
        super().__init__(options, sizes)
        if options.joint == "learned":
            self.shares = nn.Parameter(torch.zeros(len(sizes.modalities)))

    def forward(self, seen: EncodedBatch, numbers: Numbers) -> Tensor:
        """See `Contrast`."""
        sides = pair_neighbours(seen.projected, seen.labels)
        first, second = sides
        joint_NE, other_NE = (self._joint_rows(side) for side in sides)
        term = self.combine_terms(
            [
                _loss_of_pairs(
                    similarity.ial,
                    first[name],
                    second[name],
                    joint_NE,
                    other_NE,
                    numbers["temperature"],
                )
                for name in first
            ]
        )
        # The term only follows the joint vector and could never move the learned shares in it; so
        # they get a loss of their own.
        if self.options.joint == "learned":
            own = numbers["joint_temperature"]
            term = term + _loss_of_pairs(similarity.icl, joint_NE, other_NE, own)
        return term

    def _joint_rows(self, side: Mapping[str, Tensor]) -> Tensor:
        """Lay the modalities side by side, [N, M D]."""
        units_MND = torch.stack([similarity.unit_rows(vectors) for vectors in side.values()])
        if self.options.joint == "learned":
            units_MND = units_MND * self.shares.softmax(dim=0)[:, None, None]
        return torch.cat(list(units_MND.unbind(0)), dim=1)
