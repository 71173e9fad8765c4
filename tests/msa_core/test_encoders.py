"""Encoders: what they read of a sequence, and the pooling that is done before training.

Shapes: B utterances, T steps, D features, W = width of an encoder.
"""

import numpy as np
import pytest
import torch

from msa_core.config import Config, ModalityConfig
from msa_core.config_paths import fields_of, replace
from msa_core.data.batching import Scaler, prepare
from msa_core.data.dataset import Split
from msa_core.modules.dropout import kept
from msa_core.modules.encoders import ENCODERS, Lstm, MeanMlp

B, T, D, W = 6, 5, 3, 4
LENGTHS = torch.tensor([5, 1, 3, 0, 2, 5])
CPU = torch.device("cpu")


@pytest.fixture
def frames():
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(3))


@pytest.fixture(params=[*sorted(ENCODERS), "lstm, stepwise"])
def encoder(request):
    module = built(ENCODERS[request.param.split(",")[0]])
    if "stepwise" in request.param:
        module.stepwise = True
    return module


def built(kind, dropout=0.0):
    """An encoder with known parameters, in evaluation mode."""
    module = kind(D, W, dropout).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.4)
    return module


def means_of(frames):
    """The mean over the valid frames of each row, zeros where there are none."""
    rows = zip(frames, LENGTHS.tolist(), strict=True)
    return torch.stack([row[:length].sum(dim=0) / max(1, length) for row, length in rows])


def padding(steps, lengths):
    return torch.arange(steps) >= lengths[:, None]


def split_of(frames, lengths):
    rows = len(frames)
    return Split(
        name="train",
        ids=tuple(map(str, range(rows))),
        features={"text": frames.numpy().astype(np.float32)},
        lengths={"text": lengths.numpy()},
        labels=np.zeros(rows, np.float32),
    )


def test_every_encoder_is_an_allowed_choice_and_the_other_way_round():
    info, _ = fields_of(ModalityConfig)["encoder"]
    assert set(info.choices) == set(ENCODERS)
    assert ModalityConfig().encoder in ENCODERS


def test_an_encoder_gives_one_vector_of_its_width(encoder, frames):
    assert encoder(frames, LENGTHS).shape == (B, W)


def test_the_values_in_the_padding_never_matter(encoder, frames):
    other = frames.clone()
    other[padding(T, LENGTHS)] = 1e3
    torch.testing.assert_close(encoder(other, LENGTHS), encoder(frames, LENGTHS), rtol=0, atol=0)


def test_more_padding_never_matters(encoder, frames):
    longer = torch.cat([frames, torch.full((B, 4, D), 7.0)], dim=1)
    torch.testing.assert_close(encoder(longer, LENGTHS), encoder(frames, LENGTHS))


def test_an_utterance_does_not_depend_on_its_neighbours(encoder, frames):
    together = encoder(frames, LENGTHS)
    for row in range(B):
        alone = encoder(frames[row : row + 1], LENGTHS[row : row + 1])
        torch.testing.assert_close(alone[0], together[row])


def test_padding_gets_no_gradient(encoder, frames):
    frames.requires_grad_()
    encoder(frames, LENGTHS).square().sum().backward()
    assert not frames.grad[padding(T, LENGTHS)].any()
    assert frames.grad.any()


def test_the_mean_encoder_without_a_valid_frame_encodes_the_zero_vector(frames):
    encoder = built(MeanMlp)
    zero = encoder(torch.zeros(1, 1, D), torch.tensor([1]))
    torch.testing.assert_close(encoder(frames, LENGTHS)[3], zero[0])


def test_the_lstm_without_a_valid_frame_gives_zeros(frames):
    encoded = built(Lstm)(frames, LENGTHS)
    assert not encoded[3].any()
    assert encoded[[0, 1, 2, 4, 5]].any(dim=1).all()


def test_the_mean_encoder_is_two_relu_layers_on_the_mean_of_the_valid_frames(frames):
    encoder = built(MeanMlp)
    first, second = encoder.first, encoder.second
    for row, length in enumerate(LENGTHS.tolist()):
        mean = frames[row, :length].mean(dim=0) if length else torch.zeros(D)
        hidden = torch.relu(first.weight @ mean + first.bias)
        expected = torch.relu(second.weight @ hidden + second.bias)
        torch.testing.assert_close(encoder(frames, LENGTHS)[row], expected)


def test_the_mean_encoder_also_reads_means_that_were_taken_before(frames):
    encoder = built(MeanMlp)
    # They come without lengths: a mean is not divided by the length again.
    torch.testing.assert_close(encoder(means_of(frames), None), encoder(frames, LENGTHS))


@pytest.mark.parametrize("kind", ENCODERS.values())
def test_an_encoder_pools_if_it_reads_nothing_but_the_mean(kind, frames):
    """`pools` says whether the frames may be replaced by their mean before the training."""
    constant = means_of(frames)[:, None].expand(B, T, D)
    encoder = built(kind)
    gap = (encoder(constant, LENGTHS) - encoder(frames, LENGTHS)).abs().max()
    assert kind.pools == (gap < 1e-5)


def test_the_mean_encoder_is_blind_to_the_order_of_the_frames_and_the_lstm_is_not(frames):
    lengths = torch.full((B,), T)
    backwards = frames.flip(dims=[1])
    mean, lstm = built(MeanMlp), built(Lstm)
    torch.testing.assert_close(mean(backwards, lengths), mean(frames, lengths))
    assert (lstm(backwards, lengths) - lstm(frames, lengths)).abs().max() > 1e-3


def test_the_lstm_gives_the_state_after_the_last_valid_frame(frames):
    encoder = built(Lstm)
    encoded = encoder(frames, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        if length:
            _, (state, _) = encoder.lstm(frames[row : row + 1, :length])
            torch.testing.assert_close(encoded[row], state[0, 0])


def test_the_lstm_written_out_step_by_step_is_the_fused_kernel(frames):
    encoders = [built(Lstm), built(Lstm)]
    encoders[1].stepwise = True
    inputs = [frames.clone().requires_grad_() for _ in encoders]
    fused, stepwise = (
        encoder(values, LENGTHS) for encoder, values in zip(encoders, inputs, strict=True)
    )
    torch.testing.assert_close(stepwise, fused, rtol=0, atol=1e-6)
    weights = torch.linspace(-1, 1, B * W).reshape(B, W)
    for encoded in (fused, stepwise):
        (encoded * weights).sum().backward()
    gradients = [
        {"frames": values.grad, **{name: p.grad for name, p in encoder.named_parameters()}}
        for encoder, values in zip(encoders, inputs, strict=True)
    ]
    assert len(gradients[0]) == 5
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients[0].values())
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0, atol=1e-6)


def test_an_encoder_drops_in_training_only(frames):
    for kind in ENCODERS.values():
        encoder = built(kind, dropout=0.5)
        encoded = encoder(frames, LENGTHS)
        mask = kept(0.5, B, W, torch.Generator().manual_seed(0)) * 2.0
        encoder.dropout.drawn = mask
        torch.testing.assert_close(encoder(frames, LENGTHS), encoded, rtol=0, atol=0)
        encoder.train()
        dropped = encoder(frames, LENGTHS)
        torch.testing.assert_close(dropped, encoded * mask)
        assert not torch.equal(dropped, encoded)


def test_pooling_before_training_equals_pooling_inside_the_encoder(frames):
    split = split_of(frames, LENGTHS)
    scaler = Scaler.fit(split, ("text",), standardise=True)
    pooled = prepare(split, scaler, Config(), CPU)
    whole = prepare(split, scaler, replace(Config(), {"model.text.encoder": "lstm"}), CPU)
    assert pooled.features["text"].shape == (B, D)
    assert whole.features["text"].shape == (B, T, D)
    assert not pooled.lengths
    encoder = built(MeanMlp)
    torch.testing.assert_close(
        encoder(pooled.features["text"], pooled.lengths.get("text")),
        encoder(whole.features["text"], whole.lengths["text"]),
    )


@pytest.mark.parametrize("encoder_name", sorted(ENCODERS))
def test_what_a_file_holds_behind_the_last_frame_never_reaches_a_model(frames, encoder_name):
    config = replace(Config(), {"model.text.encoder": encoder_name})
    dirty = frames.clone()
    dirty[padding(T, LENGTHS)] = 1e30
    batches = []
    for values in (frames, dirty):
        split = split_of(values, LENGTHS)
        batches.append(prepare(split, Scaler.fit(split, ("text",), True), config, CPU))
    torch.testing.assert_close(batches[0].features, batches[1].features, rtol=0, atol=0)
