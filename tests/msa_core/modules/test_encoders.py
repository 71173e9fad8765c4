"""Encoders: what they make of a sequence, alone and in packs.

Shapes: B utterances, T steps, D features, W = width of an encoder.
"""

import pytest
import torch
from torch.nn import functional

from msa_core.config.encoders import EncodersConfig, ModalityConfig
from msa_core.config.kinds import kinds_of, module_of
from msa_core.config.schema import Config
from msa_core.modules.parts.dropout import Dropout, draw_keep_mask
from msa_core.tensors.recorded_ops import Recordings
from spaces.fields.paths import fields_of, replace

B, T, D, W = 6, 5, 3, 4
LENGTHS = torch.tensor([5, 1, 3, 0, 2, 5])
CPU = torch.device("cpu")
RECURRENT = ("lstm", "gru")
WITH_FRAMES = [kind for kind in kinds_of(Config, "encoder") if kind != "mean_mlp"]


@pytest.fixture
def frames():
    return torch.randn(B, T, D, generator=torch.Generator().manual_seed(3))


@pytest.fixture(params=[*kinds_of(Config, "encoder"), *(f"{kind}, stepwise" for kind in RECURRENT)])
def encoder(request):
    kind, _, how = request.param.partition(", ")
    return built(kind, stepwise=bool(how))


def built(kind, dropout=0.0, stepwise=False):
    """An encoder with known parameters, in evaluation mode."""
    options = getattr(EncodersConfig(), kind)
    module = module_of(Config, "encoder", kind)(D, W, dropout, options).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.4)
    if stepwise:
        module.stepwise = True
    module.gives_frames = kind in WITH_FRAMES
    return module


def vector(encoder, frames, lengths=LENGTHS):
    return encoder(frames, lengths)[0]


def valid_part(encoder, frames, lengths=LENGTHS):
    """The frames that it gives, zeros in place of padding; the vectors of one that gives none."""
    vectors, given = encoder(frames, lengths)
    return vectors if given is None else given * ~padding(given.shape[1], lengths)[:, :, None]


def means_of(frames):
    """The mean over the valid frames of each row, zeros where there are none."""
    rows = zip(frames, LENGTHS.tolist(), strict=True)
    return torch.stack([row[:length].sum(dim=0) / max(1, length) for row, length in rows])


def padding(steps, lengths):
    return torch.arange(steps) >= lengths[:, None]


def test_every_encoder_is_an_allowed_choice_and_the_other_way_round():
    info, _ = fields_of(Config)["model.text.encoder"]
    assert set(info.choices) == set(kinds_of(Config, "encoder"))
    assert ModalityConfig().encoder in kinds_of(Config, "encoder")


@pytest.mark.parametrize("kind", kinds_of(Config, "encoder"))
def test_every_encoder_states_its_formula(kind):
    assert "Formula:" in module_of(Config, "encoder", kind).__doc__


# What every encoder promises.


def test_an_encoder_gives_one_vector_of_its_width_and_one_for_each_frame(encoder, frames):
    vectors, given = encoder(frames, LENGTHS)
    assert vectors.shape == (B, W)
    assert given is None if not encoder.gives_frames else given.shape == (B, T, W)


@pytest.mark.parametrize("kind", kinds_of(Config, "encoder"))
def test_frames_that_nobody_reads_are_not_given(kind, frames):
    encoder = built(kind)
    with_frames = vector(encoder, frames)
    encoder.gives_frames = False
    vectors, given = encoder(frames, LENGTHS)
    assert given is None
    assert torch.equal(vectors, with_frames)


@pytest.mark.parametrize("part", [vector, valid_part])
def test_the_values_in_the_padding_never_matter(encoder, frames, part):
    other = frames.clone()
    other[padding(T, LENGTHS)] = 1e3
    assert torch.equal(part(encoder, other), part(encoder, frames))


def test_more_padding_never_matters(encoder, frames):
    longer = torch.cat([frames, torch.full((B, 4, D), 7.0)], dim=1)
    torch.testing.assert_close(vector(encoder, longer), vector(encoder, frames))
    if encoder.gives_frames:
        found = valid_part(encoder, longer)[:, :T]
        torch.testing.assert_close(found, valid_part(encoder, frames))


def test_an_utterance_does_not_depend_on_its_neighbours(encoder, frames):
    together = vector(encoder, frames), valid_part(encoder, frames)
    for row in range(B):
        alone = frames[row : row + 1], LENGTHS[row : row + 1]
        torch.testing.assert_close(vector(encoder, *alone)[0], together[0][row])
        torch.testing.assert_close(valid_part(encoder, *alone)[0], together[1][row])


def test_padding_gets_no_gradient(encoder, frames):
    frames.requires_grad_()
    (vector(encoder, frames).square().sum() + valid_part(encoder, frames).square().sum()).backward()
    assert not frames.grad[padding(T, LENGTHS)].any()
    assert frames.grad.any(dim=2)[~padding(T, LENGTHS)].any()


def test_an_utterance_without_a_valid_frame_is_finite_in_value_and_gradient(encoder, frames):
    frames.requires_grad_()
    encoded = vector(encoder, frames)
    assert encoded.isfinite().all()
    encoded.square().sum().backward()
    assert frames.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


def test_an_encoder_drops_in_training_only(encoder, frames):
    plain = vector(encoder, frames), valid_part(encoder, frames)
    mask = draw_keep_mask(0.5, B, W, torch.Generator().manual_seed(0)) * 2.0
    encoder.dropout.drawn = mask
    assert torch.equal(vector(encoder, frames), plain[0])
    encoder.train()
    for module in encoder.modules():
        if isinstance(module, Dropout) and module is not encoder.dropout:
            module.rate = 0.0  # a layer's own
    torch.testing.assert_close(vector(encoder, frames), plain[0] * mask)
    of_frames = mask[:, None] if encoder.gives_frames else mask
    torch.testing.assert_close(valid_part(encoder, frames), plain[1] * of_frames)
    assert not torch.equal(plain[0] * mask, plain[0])


@pytest.mark.parametrize("kind", kinds_of(Config, "encoder"))
def test_an_encoder_pools_if_it_reads_nothing_but_the_mean(kind, frames):
    """`pools` says whether the frames may be replaced by their mean before the training."""
    constant = means_of(frames)[:, None].expand(B, T, D)
    encoder = built(kind)
    gap = (vector(encoder, constant) - vector(encoder, frames)).abs().max()
    assert getattr(EncodersConfig(), kind).pools == (gap < 1e-5)


def stacked(encoder, members, seed):
    """Parameters and frames of some members."""
    generator = torch.Generator().manual_seed(seed)
    parameters = {
        name: torch.rand(members, *one.shape, generator=generator) - 0.4
        for name, one in encoder.named_parameters()
    }
    return parameters, torch.randn(members, B, T, D, generator=generator)


def of_member(encoder):
    def function(parameters, frames):
        vectors, given = torch.func.functional_call(encoder, parameters, (frames, LENGTHS))
        return vectors if given is None else torch.cat([vectors[:, None], given], dim=1)

    return function


@pytest.fixture
def packable(encoder):
    """The fused kernels do not go under vmap; a pack steps them."""
    if hasattr(encoder, "stepwise"):
        encoder.stepwise = True
    return encoder


def test_members_at_once_get_what_each_gets_alone(packable):
    parameters, frames = stacked(packable, 3, seed=0)
    function = of_member(packable)
    together = torch.func.vmap(function)(parameters, frames)
    for member in range(3):
        own = {name: of[member] for name, of in parameters.items()}
        alone = function(own, frames[member])
        torch.testing.assert_close(together[member], alone, rtol=1e-5, atol=1e-5)


def test_what_was_recorded_gives_the_same_bits_for_other_inputs(packable):
    def step(inputs):
        parameters, frames = inputs
        leaves = {name: of.detach().requires_grad_() for name, of in parameters.items()}
        values = torch.func.vmap(of_member(packable))(leaves, frames)
        gradients = torch.autograd.grad(values.square().sum(), list(leaves.values()))
        return {"values": values.detach(), "gradients": tuple(gradients)}

    recordings = Recordings()
    recordings.call(step, stacked(packable, 3, seed=1))
    repeated = recordings.call(step, stacked(packable, 3, seed=2))
    expected = step(stacked(packable, 3, seed=2))
    assert torch.equal(repeated["values"], expected["values"])
    for found, wanted in zip(repeated["gradients"], expected["gradients"], strict=True):
        assert torch.equal(found, wanted)


# mean_mlp.


def test_the_mean_encoder_without_a_valid_frame_encodes_the_zero_vector(frames):
    encoder = built("mean_mlp")
    zero = vector(encoder, torch.zeros(1, 1, D), torch.tensor([1]))
    torch.testing.assert_close(vector(encoder, frames)[3], zero[0])


def test_the_mean_encoder_is_two_relu_layers_on_the_mean_of_the_valid_frames(frames):
    encoder = built("mean_mlp")
    first, second = encoder.first, encoder.second
    for row, length in enumerate(LENGTHS.tolist()):
        mean = frames[row, :length].mean(dim=0) if length else torch.zeros(D)
        hidden = torch.relu(first.weight @ mean + first.bias)
        expected = torch.relu(second.weight @ hidden + second.bias)
        torch.testing.assert_close(vector(encoder, frames)[row], expected)


def test_the_mean_encoder_also_reads_means_that_were_taken_before(frames):
    encoder = built("mean_mlp")
    # They come without lengths: a mean is not divided by the length again.
    torch.testing.assert_close(vector(encoder, means_of(frames), None), vector(encoder, frames))


@pytest.mark.parametrize("kind", kinds_of(Config, "encoder"))
def test_only_the_mean_encoder_is_blind_to_the_order_of_the_frames(frames, kind):
    lengths = torch.full((B,), T)
    encoder = built(kind)
    gap = vector(encoder, frames.flip(dims=[1]), lengths) - vector(encoder, frames, lengths)
    assert (gap.abs().max() < 1e-5) == (kind == "mean_mlp")


# lstm and gru.


@pytest.mark.parametrize("kind", WITH_FRAMES)
def test_an_encoder_of_frames_without_a_valid_frame_gives_zeros(frames, kind):
    encoded = vector(built(kind), frames)
    assert not encoded[3].any()
    assert encoded[[0, 1, 2, 4, 5]].any(dim=1).all()


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_recurrent_encoder_gives_the_state_after_the_last_valid_frame(frames, kind):
    encoder = built(kind)
    encoded, given = encoder(frames, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        if length:
            states, _ = getattr(encoder, kind)(frames[row : row + 1, :length])
            torch.testing.assert_close(encoded[row], states[0, -1])
            torch.testing.assert_close(given[row, :length], states[0])


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_fused_kernel_computes_in_bfloat16_on_every_cpu(frames, kind):
    encoder = built(kind)
    exact = vector(encoder, frames)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = vector(encoder, frames)
    assert not torch.equal(rounded.float(), exact)
    torch.testing.assert_close(rounded.float(), exact, rtol=0, atol=0.02)


@pytest.mark.parametrize("kind", RECURRENT)
def test_a_recurrence_written_out_step_by_step_is_the_fused_kernel(frames, kind):
    encoders = [built(kind), built(kind, stepwise=True)]
    inputs = [frames.clone().requires_grad_() for _ in encoders]
    fused, stepwise = (
        vector(encoder, values) for encoder, values in zip(encoders, inputs, strict=True)
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


# conv.


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
def test_the_convolution_is_that_of_pytorch_on_each_utterance(frames, kernel):
    options = replace(EncodersConfig(), {"conv.kernel": kernel}).conv
    encoder = module_of(Config, "encoder", "conv")(D, W, 0.0, options).eval()
    encoder.gives_frames = True
    vectors, given = encoder(frames, LENGTHS)
    weight, bias = encoder.convolution.weight, encoder.convolution.bias
    for row, length in enumerate(LENGTHS.tolist()):
        if length:
            before = (kernel - 1) // 2
            padded = functional.pad(frames[row, :length].T, (before, kernel - 1 - before))
            expected = torch.relu(functional.conv1d(padded[None], weight, bias))[0].T
            torch.testing.assert_close(given[row, :length], expected)
            torch.testing.assert_close(vectors[row], expected.mean(dim=0))


def test_a_convolution_of_one_frame_is_blind_to_their_order(frames):
    options = replace(EncodersConfig(), {"conv.kernel": 1}).conv
    encoder = module_of(Config, "encoder", "conv")(D, W, 0.0, options).eval()
    lengths = torch.full((B,), T)
    backwards = vector(encoder, frames.flip(dims=[1]), lengths)
    torch.testing.assert_close(backwards, vector(encoder, frames, lengths))


# transformer.


def test_the_transformer_gives_the_mean_of_the_vectors_of_its_valid_frames(frames):
    encoded, given = built("transformer")(frames, LENGTHS)
    torch.testing.assert_close(encoded, means_of(given.detach()))


def test_the_transformer_lets_every_frame_see_every_other(frames):
    encoder = built("transformer")
    frames.requires_grad_()
    _, given = encoder(frames, LENGTHS)
    for seen in (0, 4):
        gradient = torch.autograd.grad(given[0, seen].sum(), frames, retain_graph=True)[0]
        assert gradient[0].any(dim=1).all()
        assert not gradient[1:].any()


def test_a_transformer_whose_layers_are_all_dropped_has_none(frames):
    encoder = built("transformer").train()
    dropouts = [module for module in encoder.stack.modules() if isinstance(module, Dropout)]
    assert len(dropouts) == 2
    for module in dropouts:
        module.drawn = torch.zeros(B, W)
    dropped = vector(encoder, frames)
    encoder.stack.layers = torch.nn.ModuleList()
    assert torch.equal(dropped, vector(encoder, frames))
