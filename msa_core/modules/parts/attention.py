"""Attention between frames, over the valid ones only.

Written as matrix products and a softmax: PyTorch's fused form has no fast way under
`torch.func.vmap`.
Shapes: B utterances, T steps with queries, S steps of the context, D = width, H heads, E = D / H.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from msa_core.modules.parts.dropout import Dropout
from msa_core.modules.parts.linear import Linear, Product

WIDENING = 4  # hidden units of a layer, in widths


def masked_softmax(scores: Tensor, valid: Tensor) -> Tensor:
    """Compute a softmax over the last axis, 0 where not valid; all 0 where nothing is valid."""
    # The lowest number and not minus infinity, whose gradient would be NaN where nothing is valid.
    lowest = torch.finfo(scores.dtype).min
    return torch.softmax(torch.where(valid, scores, lowest), dim=-1) * valid


class Norm(nn.Module):
    """Every vector scaled to mean 0 and variance 1, then times a weight plus a bias.

    Formula: w (x - mean) / sqrt(variance + 1e-5) + b.
    Source: Ba et al. 2016 (layer normalisation).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width))

    def initial(self, name: str, drawn: Tensor) -> Tensor:
        """Start with a weight of one and a bias of zero: nothing but the scaling at first."""
        return torch.ones_like(drawn) if name == "weight" else torch.zeros_like(drawn)

    def forward(self, vectors: Tensor) -> Tensor:
        """Normalise vectors: [..., D] -> [..., D]."""
        return functional.layer_norm(vectors, vectors.shape[-1:], self.weight, self.bias)


class Attention(nn.Module):
    """Every step's mean over the steps of a context, weighted by how well they match.

    Formula: softmax(Q K^T / sqrt(E)) V in each head, then a product without a bias. Where the
    context has no valid step it gives zeros, whatever is there.
    Source: Vaswani et al. 2017, eq. 1.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width)
        self.key = Linear(width, width)
        self.value = Linear(width, width)
        # Without a bias: a context without a valid step must give zeros.
        self.output = Product(width, width)

    def forward(self, query_BTD: Tensor, context_BSD: Tensor, valid_BS: Tensor | None) -> Tensor:
        """Attend to a context, [B, T, D]; `valid_BS` = None: every step of it is valid."""
        query_BHTE = self._in_heads(self.query(query_BTD))
        key_BHSE = self._in_heads(self.key(context_BSD))
        value_BHSE = self._in_heads(self.value(context_BSD))
        scores_BHTS = query_BHTE @ key_BHSE.transpose(2, 3) / math.sqrt(query_BHTE.shape[3])
        if valid_BS is None:
            weights_BHTS = torch.softmax(scores_BHTS, dim=-1)
        else:
            weights_BHTS = masked_softmax(scores_BHTS, valid_BS[:, None, None, :])
        attended_BHTE = weights_BHTS @ value_BHSE
        attended_BTD: Tensor = self.output(attended_BHTE.transpose(1, 2).flatten(start_dim=2))
        return attended_BTD

    def _in_heads(self, vectors_BTD: Tensor) -> Tensor:
        return vectors_BTD.reshape(*vectors_BTD.shape[:2], self.heads, -1).transpose(1, 2)


class AttentionLayer(nn.Module):
    """Attention to a context, then two layers per step, each added to its input.

    Formula: h = x + drop(attend(norm(x), norm(c))); h + drop(W2 relu(W1 norm(h))).
    Source: Vaswani et al. 2017, normalised before each part as in Xiong et al. 2020.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.before_attention = Norm(width)
        self.attention = Attention(width, heads)
        self.attention_dropout = Dropout(dropout, width)
        self.before_steps = Norm(width)
        self.widen = Linear(width, WIDENING * width)
        self.narrow = Linear(WIDENING * width, width)
        self.steps_dropout = Dropout(dropout, width)

    def forward(
        self, frames_BTD: Tensor, valid_BS: Tensor | None, context_BSD: Tensor | None = None
    ) -> Tensor:
        """Attend to a context, [B, T, D].

        Args:
            frames_BTD: Frames that the queries are made of.
            valid_BS: Whether a step of the context is valid; None = all are.
            context_BSD: Frames that keys and values are made of; None = the frames themselves.
        """
        query_BTD = self.before_attention(frames_BTD)
        source_BSD = query_BTD if context_BSD is None else self.before_attention(context_BSD)
        attended_BTD = self.attention(query_BTD, source_BSD, valid_BS)
        frames_BTD = frames_BTD + self.attention_dropout(attended_BTD)
        hidden_BTD = self.narrow(torch.relu(self.widen(self.before_steps(frames_BTD))))
        added_BTD: Tensor = self.steps_dropout(hidden_BTD)
        return frames_BTD + added_BTD


class AttentionStack(nn.Module):
    """Layers of attention, one after another, and a `Norm` at the end.

    A context is the same for every layer.
    """

    def __init__(self, width: int, heads: int, layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.layers = nn.ModuleList(AttentionLayer(width, heads, dropout) for _ in range(layers))
        self.norm = Norm(width)

    def forward(
        self, frames_BTD: Tensor, valid_BS: Tensor | None, context_BSD: Tensor | None = None
    ) -> Tensor:
        """Attend to a context in every layer, [B, T, D]; see `AttentionLayer`."""
        for layer in self.layers:
            frames_BTD = layer(frames_BTD, valid_BS, context_BSD)
        normed_BTD: Tensor = self.norm(frames_BTD)
        return normed_BTD
