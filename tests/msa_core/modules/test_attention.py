"""Attention over valid steps: PyTorch's own numbers, known answers, and nothing valid at all.

Shapes: K members, B utterances, T steps that ask, S steps that are asked, D = width, H heads.
"""

import math

import pytest
import torch
from torch.nn import functional

from msa_core.modules.parts.attention import (
    Attention,
    AttentionLayer,
    AttentionStack,
    Norm,
    masked_softmax,
)
from msa_core.modules.parts.frames import last_frame, masked_mean, position_encoding, valid_frames
from msa_core.modules.parts.linear import Product

B, T, S, D, H = 4, 3, 5, 6, 2
LENGTHS = torch.tensor([5, 2, 0, 1])


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(11)
    return lambda *shape: torch.randn(*shape, generator=generator)


@pytest.fixture
def valid(draw):
    return valid_frames(draw(B, S, D), LENGTHS)


def filled(module):
    """A module with known parameters, in evaluation mode."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=generator) - 0.4)
    return module.eval()


# Padding.


def test_frames_are_valid_up_to_their_length(valid):
    assert valid.sum(dim=1).tolist() == LENGTHS.tolist()
    assert valid[1].tolist() == [True, True, False, False, False]


def test_the_mean_and_the_last_of_the_valid_frames_are_known(draw):
    frames = draw(B, S, D)
    for row, length in enumerate(LENGTHS.tolist()):
        own = frames[row, :length] if length else torch.zeros(1, D)
        torch.testing.assert_close(masked_mean(frames, LENGTHS)[row], own.mean(dim=0))
        assert torch.equal(last_frame(frames, LENGTHS)[row], own[-1])


@pytest.mark.parametrize("width", [6, 7])
def test_positions_are_sines_and_cosines(width):
    found = position_encoding(torch.zeros(1, 4, width))
    for step in range(4):
        for entry in range(width):
            angle = step / 10000 ** (2 * (entry // 2) / width)
            known = math.cos(angle) if entry % 2 else math.sin(angle)
            assert found[step, entry].item() == pytest.approx(known, abs=1e-6)


def test_a_longer_sequence_has_the_same_first_positions():
    assert torch.equal(
        position_encoding(torch.zeros(1, 9, D))[:4], position_encoding(torch.zeros(1, 4, D))
    )


# The softmax.


def test_a_masked_softmax_is_the_softmax_of_what_is_valid(draw, valid):
    scores = draw(B, S)
    weights = masked_softmax(scores, valid)
    assert not weights[~valid].any()
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(
            weights[row, :length], torch.softmax(scores[row, :length], dim=0)
        )


def test_a_masked_softmax_with_nothing_valid_is_zeros_with_a_gradient_of_zeros(draw):
    scores = draw(2, S).requires_grad_()
    weights = masked_softmax(scores, torch.zeros(2, S, dtype=torch.bool))
    weights.sum().backward()
    assert not weights.any()
    assert torch.equal(scores.grad, torch.zeros(2, S))


# The norm.


def test_a_norm_scales_and_shifts_what_has_mean_0_and_variance_1(draw):
    norm, vectors = filled(Norm(D)), draw(B, T, D)
    centred = vectors - vectors.mean(dim=2, keepdim=True)
    scaled = centred / (centred.square().mean(dim=2, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(norm(vectors), norm.weight * scaled + norm.bias)


def test_a_norm_starts_as_nothing_but_the_scaling(draw):
    norm = Norm(D)
    for name, parameter in norm.named_parameters():
        parameter.data = norm.initial(name, draw(D))
    torch.testing.assert_close(norm(draw(B, D)).mean(dim=1), torch.zeros(B), rtol=0, atol=1e-6)


# Attention.


def test_attention_is_that_of_pytorch(draw, valid):
    attention, asking, context = filled(Attention(D, H)), draw(B, T, D), draw(B, S, D)
    layers = [attention.query, attention.key, attention.value]
    rows = [0, 1, 3]  # PyTorch's own is NaN where nothing is valid
    expected, _ = functional.multi_head_attention_forward(
        asking[rows].transpose(0, 1), *[context[rows].transpose(0, 1)] * 2, D, H, None,
        torch.cat([layer.bias for layer in layers]), None, None, False, 0.0,
        attention.output.weight, None, training=False, key_padding_mask=~valid[rows],
        need_weights=False, use_separate_proj_weight=True,
        q_proj_weight=layers[0].weight, k_proj_weight=layers[1].weight,
        v_proj_weight=layers[2].weight,
    )  # fmt: skip
    found = attention(asking, context, valid)
    torch.testing.assert_close(found[rows], expected.transpose(0, 1))


def test_attention_without_a_mask_is_attention_where_all_is_valid(draw):
    attention, asking, context = filled(Attention(D, H)), draw(B, T, D), draw(B, S, D)
    everything = torch.ones(B, S, dtype=torch.bool)
    assert torch.equal(attention(asking, context, None), attention(asking, context, everything))


def test_attention_without_a_valid_step_is_zeros_and_its_gradients_are_finite(draw, valid):
    attention, asking, context = filled(Attention(D, H)), draw(B, T, D), draw(B, S, D)
    asking.requires_grad_()
    context.requires_grad_()
    attended = attention(asking, context, valid)
    assert not attended[2].any()
    assert attended[[0, 1, 3]].any(dim=2).all()
    attended.square().sum().backward()
    gradients = [asking.grad, context.grad, *(one.grad for one in attention.parameters())]
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert not context.grad[~valid].any()


def test_what_is_in_the_padding_never_matters(draw, valid):
    attention, asking, context = filled(Attention(D, H)), draw(B, T, D), draw(B, S, D)
    other = torch.where(valid[:, :, None], context, 1e3)
    assert torch.equal(attention(asking, context, valid), attention(asking, other, valid))


def test_a_layer_without_a_valid_step_does_not_hear_its_context(draw, valid):
    """Only the residual of its attention is left, to the bit; here of the whole layer."""
    layer, frames = filled(AttentionLayer(D, H, 0.0)), draw(B, T, D)
    with torch.no_grad():
        layer.narrow.weight.zero_()
        layer.narrow.bias.zero_()
    attended = layer(frames, valid, draw(B, S, D))
    assert torch.equal(attended[2], frames[2])
    assert not torch.equal(attended[1], frames[1])


def test_self_attention_is_attention_to_oneself(draw, valid):
    layer, frames = filled(AttentionLayer(D, H, 0.0)), draw(B, S, D)
    assert torch.equal(layer(frames, valid), layer(frames, valid, frames))


def test_a_layer_drops_in_training_only(draw, valid):
    layer, frames = filled(AttentionLayer(D, H, 0.5)), draw(B, S, D)
    plain = layer(frames, valid)
    layer.attention_dropout.drawn = torch.zeros(B, D)
    layer.steps_dropout.drawn = torch.zeros(B, D)
    assert torch.equal(layer(frames, valid), plain)
    layer.train()
    assert torch.equal(layer(frames, valid), frames)  # all that it adds is dropped


def test_a_stack_is_its_layers_one_after_another(draw, valid):
    stack, frames, context = filled(AttentionStack(D, H, 2)), draw(B, T, D), draw(B, S, D)
    first, second = stack.layers
    expected = stack.norm(second(first(frames, valid, context), valid, context))
    assert torch.equal(stack(frames, valid, context), expected)


def test_members_at_once_hear_what_each_hears_alone(draw, valid):
    stack = filled(AttentionStack(D, H, 2))
    parameters = {name: draw(3, *one.shape) for name, one in stack.named_parameters()}
    frames, context = draw(3, B, T, D), draw(3, B, S, D)

    def of_member(parameters, frames, context):
        return torch.func.functional_call(stack, parameters, (frames, valid, context))

    together = torch.func.vmap(of_member)(parameters, frames, context)
    for member in range(3):
        own = {name: of[member] for name, of in parameters.items()}
        alone = of_member(own, frames[member], context[member])
        torch.testing.assert_close(together[member], alone, rtol=1e-5, atol=1e-5)


def test_a_product_keeps_zeros_and_starts_in_the_range_of_a_linear_layer(draw):
    product, drawn = filled(Product(D, 2)), torch.ones(2, D)
    assert not product(torch.zeros(B, D)).any()
    vectors = draw(B, D)
    torch.testing.assert_close(product(vectors), vectors @ product.weight.T)
    torch.testing.assert_close(product.initial("weight", drawn), drawn / math.sqrt(D))
