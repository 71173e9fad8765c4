"""Padded sequences: which frames count, and one vector of all of them.

Shapes: B utterances, T steps, D = width.
"""

import math

import torch
from torch import Tensor


def valid_frames(frames_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """Check whether each frame is one and not padding, bool [B, T]."""
    return torch.arange(frames_BTD.shape[1], device=frames_BTD.device) < lengths_B[:, None]


def masked_mean(frames_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """Average the valid frames, [B, D]; zeros where there are none."""
    mask_BT = valid_frames(frames_BTD, lengths_B)
    total_BD = (frames_BTD * mask_BT[:, :, None]).sum(dim=1)
    return total_BD / lengths_B.clamp(min=1)[:, None]


def last_frame(frames_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """Return the last valid frame, [B, D]; zeros where there is none."""
    # Clamped before indexing: the row of an empty utterance is read and then set to zero, since
    # `torch.func.vmap` allows no branch on a value.
    last_B = (lengths_B - 1).clamp(min=0)
    rows_B = torch.arange(len(frames_BTD), device=frames_BTD.device)
    return frames_BTD[rows_B, last_B] * (lengths_B > 0)[:, None]


def position_encoding(frames_BTD: Tensor) -> Tensor:
    """Compute a vector for each position in time, to be added to the frames, [T, D].

    Formula: sin(t / 10000^(2i/D)) in entry 2i, cos of the same in entry 2i + 1.
    Source: Vaswani et al. 2017, section 3.5.
    """
    steps, width = frames_BTD.shape[1:]
    entry_D = torch.arange(width, device=frames_BTD.device)
    odd_D = entry_D % 2
    rate_D = torch.exp((entry_D - odd_D) * (-math.log(10000.0) / width))
    step_T = torch.arange(steps, device=frames_BTD.device)
    # A cosine is a sine a quarter of a turn ahead: one call instead of two and an interleaving.
    return torch.sin(step_T[:, None] * rate_D + odd_D * (math.pi / 2))
