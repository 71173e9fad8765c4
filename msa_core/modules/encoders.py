"""Encoders: one modality's sequence becomes one vector, and most keep a vector for every frame.

Every encoder is built from (features, width, dropout, options) and called with frames [B, T, D] and
lengths [B]; it returns the vectors [B, W] and its frames [B, T, W], or None where it has none.
Shapes: B utterances, T steps, D features, W = width of the encoder, G = W times the gates.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from msa_core.modules.parts.attention import AttentionStack
from msa_core.modules.parts.dropout import Dropout
from msa_core.modules.parts.frames import last_frame, masked_mean, position_encoding, valid_frames
from msa_core.modules.parts.linear import Linear
from msa_core.modules.parts.rounding import sigmoid


class Encoder(nn.Module):
    """Base of the encoders.

    Attributes:
        gives_frames: Whether a fusion reads its frames.
    """

    gives_frames = False


class MeanMlp(Encoder):
    """Mean over the valid frames, then two ReLU layers.

    [B, T, D] and lengths [B] -> [B, W]. Blind to the order of the frames. An utterance without
    a valid frame is the zero vector's encoding.

    Formula: relu(W2 relu(W1 mean_t x_t + b1) + b2).
    """

    def __init__(self, features: int, width: int, dropout: float, options: Any = None) -> None:
        super().__init__()
        self.first = Linear(features, width)
        self.second = Linear(width, width)
        self.dropout = Dropout(dropout, width)

    def forward(self, frames: Tensor, lengths_B: Tensor | None) -> tuple[Tensor, None]:
        """Encode frames [B, T, D], or their means [B, D] (no lengths), into vectors [B, W]."""
        # The mean of frames does not depend on parameters, so it can be taken once before training.
        mean_BD = frames if lengths_B is None else masked_mean(frames, lengths_B)
        hidden_BW = torch.relu(self.first(mean_BD))
        return self.dropout(torch.relu(self.second(hidden_BW))), None


class Recurrent(Encoder):
    """The state of one recurrent layer after the last valid frame.

    [B, T, D] and lengths [B] -> [B, W]. Padding after the last valid frame changes nothing. An
    utterance without a valid frame gives zeros.

    Attributes:
        stepwise: Whether to write the recurrence out step by step, which `torch.func.vmap` can
            batch, instead of calling PyTorch's fused kernel, which it can't.
    """

    carried = 1  # vectors that go from step to step; the first is the state

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.width = width
        self.dropout = Dropout(dropout, width)
        self.stepwise = False

    def forward(self, frames_BTD: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor | None]:
        """Encode frames into the last state [B, W] and the states after every step, [B, T, W]."""
        weights: list[Tensor] = list(self._recurrent_layer().parameters())
        if self.stepwise:
            states_BTW = self._run_stepwise(frames_BTD, *weights)
        else:
            start_1BW = frames_BTD.new_zeros(1, len(frames_BTD), self.width)
            states_BTW = self._run_fused(frames_BTD, start_1BW, weights)
        state_BW = last_frame(states_BTW, lengths_B)
        return self.dropout(state_BW), self.dropout(states_BTW) if self.gives_frames else None

    def _run_stepwise(
        self, frames_BTD: Tensor, enter_GD: Tensor, repeat_GW: Tensor, *biases_G: Tensor
    ) -> Tensor:
        before_G, within_G = self._split_biases(*biases_G)
        inputs_TBG = frames_BTD.transpose(0, 1) @ enter_GD.T + before_G
        start_BW = inputs_TBG.new_zeros(inputs_TBG.shape[1], self.width)
        carried = (start_BW,) * self.carried
        states = []
        for inputs_BG in inputs_TBG.unbind(0):
            repeated_BG = carried[0] @ repeat_GW.T
            if within_G is not None:
                repeated_BG = repeated_BG + within_G
            carried = self._next_state(inputs_BG, repeated_BG, *carried)
            states.append(carried[0])
        return torch.stack(states, dim=1)

    def _recurrent_layer(self) -> nn.RNNBase:
        """Return the layer that holds the parameters."""
        # Not called: it would read a list of parameters that it keeps besides, not those that
        # `torch.func.functional_call` puts in.
        raise NotImplementedError

    def _run_fused(self, frames_BTD: Tensor, start_1BW: Tensor, weights: list[Tensor]) -> Tensor:
        """Compute the states after every step, [B, T, W], by PyTorch's kernel."""
        raise NotImplementedError

    def _split_biases(self, enter_G: Tensor, repeat_G: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the biases of the inputs of all steps, and of the product in each step."""
        # As much as possible in one addition for all steps, of which a step is then spared.
        return enter_G + repeat_G, None

    def _next_state(
        self, inputs_BG: Tensor, repeated_BG: Tensor, state_BW: Tensor, *more: Tensor
    ) -> tuple[Tensor, ...]:
        """Compute the vectors that the next step reads, each [B, W]."""
        raise NotImplementedError


class Lstm(Recurrent):
    """The state of a one-layer LSTM after the last valid frame; see `Recurrent`.

    Formula: c' = s(f) c + s(i) tanh(g), h' = s(o) tanh(c'); (i, f, g, o) = W x + b + U h + b'.
    """

    carried = 2

    def __init__(self, features: int, width: int, dropout: float, options: Any = None) -> None:
        super().__init__(width, dropout)
        self.lstm = nn.LSTM(features, width, batch_first=True)

    def _recurrent_layer(self) -> nn.RNNBase:
        return self.lstm

    def _run_fused(self, frames_BTD: Tensor, start_1BW: Tensor, weights: list[Tensor]) -> Tensor:
        # Under autocast PyTorch would choose oneDNN's kernel by the float32 frames, and that has no
        # bfloat16 on a CPU without AVX-512. By bfloat16 frames it takes what the CPU can compute.
        if frames_BTD.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            frames_BTD, start_1BW = frames_BTD.bfloat16(), start_1BW.bfloat16()
            weights = [weight.bfloat16() for weight in weights]
        states_BTW: Tensor = torch.lstm(
            frames_BTD, (start_1BW, start_1BW), weights, True, 1, 0.0, self.training, False, True
        )[0]
        return states_BTW

    def _next_state(
        self, inputs_BG: Tensor, repeated_BG: Tensor, state_BW: Tensor, *more: Tensor
    ) -> tuple[Tensor, ...]:
        enter, keep, candidate, leave = (inputs_BG + repeated_BG).chunk(4, dim=1)
        # Rows apart from one another: PyTorch's sigmoid is safe there (see `rounding`).
        entering_BW = torch.sigmoid(enter) * torch.tanh(candidate)
        cell_BW = torch.sigmoid(keep) * more[0] + entering_BW
        return torch.sigmoid(leave) * torch.tanh(cell_BW), cell_BW


class Gru(Recurrent):
    """The state of a one-layer GRU after the last valid frame; see `Recurrent`.

    Formula: h' = (1 - s(z)) n + s(z) h, n = tanh(a_n + s(r) u_n); a = W x + b, u = U h + b'.
    """

    def __init__(self, features: int, width: int, dropout: float, options: Any = None) -> None:
        super().__init__(width, dropout)
        self.gru = nn.GRU(features, width, batch_first=True)

    def _recurrent_layer(self) -> nn.RNNBase:
        return self.gru

    def _run_fused(self, frames_BTD: Tensor, start_1BW: Tensor, weights: list[Tensor]) -> Tensor:
        states_BTW: Tensor = torch.gru(
            frames_BTD, start_1BW, weights, True, 1, 0.0, self.training, False, True
        )[0]
        return states_BTW

    def _split_biases(self, enter_G: Tensor, repeat_G: Tensor) -> tuple[Tensor, Tensor | None]:
        return enter_G, repeat_G  # the reset gate also scales the second

    def _next_state(
        self, inputs_BG: Tensor, repeated_BG: Tensor, state_BW: Tensor, *more: Tensor
    ) -> tuple[Tensor, ...]:
        reset, keep, candidate = inputs_BG.chunk(3, dim=1)
        repeated_reset, repeated_keep, repeated_candidate = repeated_BG.chunk(3, dim=1)
        let_in_BW = sigmoid(reset + repeated_reset)
        new_BW = torch.tanh(candidate + let_in_BW * repeated_candidate)
        return (new_BW + sigmoid(keep + repeated_keep) * (state_BW - new_BW),)


class Conv(Encoder):
    """A convolution over time, and the mean over its valid frames.

    [B, T, D] and lengths [B] -> [B, W]. Padding counts as zeros, so an output frame at the end of
    an utterance sees no more than what is there. An utterance without a valid frame gives zeros.

    Formula: mean_t h_t, h_t = relu(sum_j W_j x_(t + j - floor((k - 1) / 2)) + b), j = 0..k-1.
    """

    def __init__(self, features: int, width: int, dropout: float, options: Any) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(features, width, options.kernel)
        self.dropout = Dropout(dropout, width)

    def forward(self, frames_BTD: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor | None]:
        """Encode frames into vectors [B, W], and the convolution's output [B, T, W]."""
        # Whatever stands in the padding, the frames beside it must see zeros.
        clean_BTD = frames_BTD * valid_frames(frames_BTD, lengths_B)[:, :, None]
        hidden_BTW = torch.relu(self._convolve_frames(clean_BTD))
        vector_BW = masked_mean(hidden_BTW, lengths_B)
        return self.dropout(vector_BW), self.dropout(hidden_BTW) if self.gives_frames else None

    def _convolve_frames(self, frames_BTD: Tensor) -> Tensor:
        """Convolve by one product for all J positions of the kernel, each then shifted in time."""
        # Under `torch.func.vmap` PyTorch's convolution has one group per member, which is slow.
        weight_WDJ, bias_W = self.convolution.weight, self.convolution.bias
        assert bias_W is not None
        steps, kernel = frames_BTD.shape[1], weight_WDJ.shape[2]
        weight_DV = weight_WDJ.permute(1, 2, 0).flatten(start_dim=1)
        products_BTJW = (frames_BTD @ weight_DV).reshape(len(frames_BTD), steps, kernel, -1)
        before = (kernel - 1) // 2
        padded_BPJW = functional.pad(products_BTJW, (0, 0, 0, 0, before, kernel - 1 - before))
        moved = [padded_BPJW[:, shift : shift + steps, shift] for shift in range(kernel)]
        return torch.stack(moved).sum(dim=0) + bias_W


class Transformer(Encoder):
    """Layers of self-attention over the valid frames, and their mean.

    [B, T, D] and lengths [B] -> [B, W]. An utterance without a valid frame gives zeros.

    Formula: mean_t norm(L_n(...L_1(W x_t + b + position_t))), L = `AttentionLayer`.
    """

    def __init__(self, features: int, width: int, dropout: float, options: Any) -> None:
        super().__init__()
        self.enter = Linear(features, width)
        self.stack = AttentionStack(width, options.heads, options.layers, options.dropout)
        self.dropout = Dropout(dropout, width)

    def forward(self, frames_BTD: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor | None]:
        """Encode frames into vectors [B, W], and the last layer's output [B, T, W]."""
        entered_BTW = self.enter(frames_BTD)
        entered_BTW = entered_BTW + position_encoding(entered_BTW)
        hidden_BTW = self.stack(entered_BTW, valid_frames(frames_BTD, lengths_B))
        vector_BW = masked_mean(hidden_BTW, lengths_B)
        return self.dropout(vector_BW), self.dropout(hidden_BTW) if self.gives_frames else None
