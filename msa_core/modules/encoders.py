"""Encoders: one modality's sequence becomes one vector.

Shapes: B utterances, T steps, D features, W = width of the encoder.
"""

import torch
from torch import Tensor, nn

from msa_core.modules.dropout import Dropout


class MeanMlp(nn.Module):
    """Mean over the valid frames, then two ReLU layers.

    [B, T, D] and lengths [B] -> [B, W]. Blind to the order of the frames. An utterance without
    a valid frame is the zero vector's encoding.
    Source: the subnet of late-fusion DNNs, e.g. the public MMSA framework's LF-DNN.
    """

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Linear(features, width)
        self.second = nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, frames_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """[B, W]."""
        mask_BT = torch.arange(frames_BTD.shape[1], device=frames_BTD.device) < lengths_B[:, None]
        total_BD = (frames_BTD * mask_BT[:, :, None]).sum(dim=1)
        mean_BD = total_BD / lengths_B.clamp(min=1)[:, None]
        hidden_BW = torch.relu(self.first(mean_BD))
        encoded_BW: Tensor = self.dropout(torch.relu(self.second(hidden_BW)))
        return encoded_BW


class Lstm(nn.Module):
    """The state of a one-layer LSTM after the last valid frame.

    [B, T, D] and lengths [B] -> [B, W]. Padding after the last valid frame changes nothing. An
    utterance without a valid frame gives zeros.
    Source: Hochreiter & Schmidhuber 1997.
    """

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, width, batch_first=True)
        self.dropout = Dropout(dropout)

    def forward(self, frames_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """[B, W]."""
        states_BTW, _ = self.lstm(frames_BTD)
        last_B = (lengths_B - 1).clamp(min=0)
        rows_B = torch.arange(len(states_BTW), device=states_BTW.device)
        state_BW = states_BTW[rows_B, last_B] * (lengths_B > 0)[:, None]
        encoded_BW: Tensor = self.dropout(state_BW)
        return encoded_BW


ENCODERS: dict[str, type[MeanMlp] | type[Lstm]] = {"mean_mlp": MeanMlp, "lstm": Lstm}
