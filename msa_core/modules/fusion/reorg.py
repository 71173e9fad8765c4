"""Fusion of frames that are first sorted into slots.

Shapes: B utterances, T steps, S slots, D = width of a projected modality, C class tokens,
N = bins of a label.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.fusion.base import Fusion, Terms, mean_over, present_lengths, row_mean
from msa_core.modules.parts.attention import AttentionStack
from msa_core.modules.parts.frames import masked_mean, position_encoding, valid_frames
from msa_core.modules.parts.inputs import EncodedBatch
from msa_core.modules.parts.linear import Linear

BINS = 7


class ReorganisedSum(Fusion):
    """Frames sorted into slots that are the same for every modality, added up, and read.

    The slots of a modality add up to its frames, and any subset of modalities can be added. What
    reads them is attention between the slots and a learned token, which becomes the fused vector.

    Formula: f = token of attend([tokens; V sum_m mu_m O_m^T X_m + b]), O = softmax(W attend(X)).
    """

    def __init__(self, modalities: Sequence[str], width: int, options: Any) -> None:
        super().__init__(modalities, width, options)
        self.terms = {
            name for name in ("label_curve", "pseudo") if getattr(options, name).weight > 0
        }
        self.sorters = nn.ModuleDict()
        self.slots = nn.ModuleDict()
        for name in modalities if options.reorganise else []:
            self.sorters[name] = AttentionStack(width, options.heads, options.layers)
            self.slots[name] = Linear(width, options.slots)
        self.token = nn.Parameter(torch.empty(width))
        # With a bias, since the reader's norms would hide how large a sum is.
        self.enter = Linear(width, width)
        self.reader = AttentionStack(width, options.heads, options.layers)
        if "label_curve" in self.terms:
            self.curve = nn.Parameter(torch.empty(BINS, width))
        if "pseudo" in self.terms:
            self.pseudo_token = nn.Parameter(torch.empty(width))
            self.pseudo = Linear(width, 1)

    def initial(self, name: str, drawn: Tensor) -> Tensor:
        """Scale tokens and points of the curve to a length of about 1 / sqrt(3)."""
        initial: Tensor = drawn * self.width**-0.5
        return initial

    def forward(self, seen: EncodedBatch) -> tuple[Tensor, Terms]:
        """Fuse M times [B, T, D] into [B, D]."""
        lengths = present_lengths(seen)
        slots = {name: self._sort_frames(name, seen, lengths[name]) for name in self.modalities}
        together_BSD = (
            torch.stack(list(slots.values())).sum(dim=0)
            if self.options.pool == "sum"
            else mean_over(slots, seen.present)
        )
        tokens: list[Tensor] = [self.token]
        if "pseudo" in self.terms:
            tokens.append(self.pseudo_token)
        tokens_BCD = torch.stack(tokens).expand(len(together_BSD), len(tokens), self.width)
        read_BXD = self.reader(torch.cat([tokens_BCD, self.enter(together_BSD)], dim=1), None)
        terms = self._loss_terms(seen, slots, read_BXD) if self.training else {}
        return read_BXD[:, 0], terms

    def _sort_frames(self, name: str, seen: EncodedBatch, lengths_B: Tensor) -> Tensor:
        """Sort a modality's frames into slots [B, S, D] that add up to them; or average, S = 1."""
        frames_BTD = seen.frames[name]
        if not self.options.reorganise:
            return masked_mean(frames_BTD, lengths_B)[:, None]
        valid_BT = valid_frames(frames_BTD, lengths_B)
        hidden_BTD = self.sorters[name](frames_BTD + position_encoding(frames_BTD), valid_BT)
        shares_BTS = torch.softmax(self.slots[name](hidden_BTD), dim=2) * valid_BT[:, :, None]
        sorted_BSD: Tensor = shares_BTS.transpose(1, 2) @ frames_BTD
        return sorted_BSD

    def _loss_terms(
        self, seen: EncodedBatch, slots: Mapping[str, Tensor], read_BXD: Tensor
    ) -> Terms:
        terms: Terms = {}
        if "label_curve" in self.terms:
            wanted_BD = curve_at(seen.labels, self.curve, seen.bound)
            distances = [
                row_mean(
                    (slots_BSD.mean(dim=1) - wanted_BD).square().sum(dim=1), seen.present.get(name)
                )
                for name, slots_BSD in slots.items()
            ]
            terms["label_curve"] = torch.stack(distances).mean()
        if "pseudo" in self.terms:
            follows_B = self.pseudo(read_BXD[:, 1]).squeeze(1)
            terms["pseudo"] = _distance_to_mean(follows_B, seen)
        return terms


def curve_at(labels_B: Tensor, curve_ND: Tensor, bound: float) -> Tensor:
    """Read a curve that is given at the centres of bins and straight between them, [B, D].

    Args:
        labels_B: Labels in [-bound, bound].
        curve_ND: Points of the curve at N labels, evenly over that range.
        bound: Largest absolute label, 3 for MOSI, 1 for SIMS.
    """
    # Hat functions as weights: an index made of a label's value is not allowed under vmap.
    position_B = (labels_B.clamp(-bound, bound) + bound) * ((len(curve_ND) - 1) / (2 * bound))
    bin_N = torch.arange(len(curve_ND), device=labels_B.device)
    return torch.relu(1 - (position_B[:, None] - bin_N).abs()) @ curve_ND


def _distance_to_mean(prediction_B: Tensor, seen: EncodedBatch) -> Tensor:
    """Average the distance to the mean of the present modalities' predictions, kept fixed."""
    fixed = {name: own_B.detach() for name, own_B in seen.unimodal.items()}
    if not seen.present:
        return (prediction_B - mean_over(fixed, {})).abs().mean()
    there = {name: seen.present[name] for name in fixed}
    known = {name: own_B * there[name] for name, own_B in fixed.items()}
    counts_B = torch.stack(list(there.values())).amax(dim=0)
    return row_mean((prediction_B - mean_over(known, there)).abs(), counts_B)
