"""Encoders: one modality's sequence becomes one vector, and most keep a vector for every frame.

Every encoder is built from (features, width, dropout, options) and called with frames [B, T, D] and
lengths [B]; it gives the vectors [B, W] and its frames [B, T, W], or None where it has none.
Shapes: B utterances, T steps, D features, W = width of the encoder.
"""

from typing import Any

import torch
from torch import Tensor, nn

from msa_core.modules.dropout import Dropout
from msa_core.modules.linear import Linear


class Encoder(nn.Module):
    """Base of the encoders.

    Attributes:
        gives_frames: whether its frames are read by anyone.
    """

    gives_frames = False


class MeanMlp(Encoder):
    """Mean over the valid frames, then two ReLU layers.

    [B, T, D] and lengths [B] -> [B, W]. Blind to the order of the frames. An utterance without
    a valid frame is the zero vector's encoding.
    Source: the subnet of late-fusion DNNs, e.g. the public MMSA framework's LF-DNN.
    """

    def __init__(self, features: int, width: int, dropout: float, options: Any = None) -> None:
        super().__init__()
        self.first = Linear(features, width)
        self.second = Linear(width, width)
        self.dropout = Dropout(dropout, width)

    def forward(self, frames: Tensor, lengths_B: Tensor | None) -> tuple[Tensor, None]:
        """[B, W], from [B, T, D] with lengths or from means that were taken before, [B, D]."""
        mean_BD = frames if lengths_B is None else _masked_mean(frames, lengths_B)
        hidden_BW = torch.relu(self.first(mean_BD))
        return self.dropout(torch.relu(self.second(hidden_BW))), None


class Lstm(Encoder):
    """The state of a one-layer LSTM after the last valid frame.

    [B, T, D] and lengths [B] -> [B, W]. Padding after the last valid frame changes nothing. An
    utterance without a valid frame gives zeros.
    Source: Hochreiter & Schmidhuber 1997.

    Attributes:
        stepwise: write the recurrence out step by step, which `torch.func.vmap` can batch, instead
            of calling PyTorch's fused kernel, which it can't.
    """

    def __init__(self, features: int, width: int, dropout: float, options: Any = None) -> None:
        super().__init__()
        self.lstm = nn.LSTM(features, width, batch_first=True)
        self.dropout = Dropout(dropout, width)
        self.stepwise = False

    def forward(self, frames_BTD: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor | None]:
        """[B, W] and the states after every step, [B, T, W]."""
        states_BTW = self._steps(frames_BTD) if self.stepwise else self._fused(frames_BTD)
        last_B = (lengths_B - 1).clamp(min=0)
        rows_B = torch.arange(len(states_BTW), device=states_BTW.device)
        state_BW = states_BTW[rows_B, last_B] * (lengths_B > 0)[:, None]
        return self.dropout(state_BW), self.dropout(states_BTW) if self.gives_frames else None

    def _fused(self, frames_BTD: Tensor) -> Tensor:
        # Not `self.lstm(...)`, which keeps a list of its weights besides its parameters.
        start_1BW = frames_BTD.new_zeros(1, len(frames_BTD), self.lstm.hidden_size)
        weights: list[Tensor] = list(self.lstm.parameters())
        states_BTW: Tensor = torch.lstm(
            frames_BTD, (start_1BW, start_1BW), weights, True, 1, 0.0, self.training, False, True
        )[0]
        return states_BTW

    def _steps(self, frames_BTD: Tensor) -> Tensor:
        """The states after every step, [B, T, W]; G = 4 W gates."""
        enter_GD, repeat_GW, enter_G, repeat_G = dict(self.lstm.named_parameters()).values()
        inputs_TBG = frames_BTD.transpose(0, 1) @ enter_GD.T + (enter_G + repeat_G)
        cell_BW = state_BW = inputs_TBG.new_zeros(inputs_TBG.shape[1], self.lstm.hidden_size)
        states = []
        for inputs_BG in inputs_TBG.unbind(0):
            gates_BG = inputs_BG + state_BW @ repeat_GW.T
            enter, keep, candidate, leave = gates_BG.chunk(4, dim=1)
            entering_BW = torch.sigmoid(enter) * torch.tanh(candidate)
            cell_BW = torch.sigmoid(keep) * cell_BW + entering_BW
            state_BW = torch.sigmoid(leave) * torch.tanh(cell_BW)
            states.append(state_BW)
        return torch.stack(states, dim=1)


def _masked_mean(frames_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    mask_BT = torch.arange(frames_BTD.shape[1], device=frames_BTD.device) < lengths_B[:, None]
    total_BD = (frames_BTD * mask_BT[:, :, None]).sum(dim=1)
    return total_BD / lengths_B.clamp(min=1)[:, None]


ENCODERS: dict[str, type[Encoder]] = {"mean_mlp": MeanMlp, "lstm": Lstm}
