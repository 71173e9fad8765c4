"""The affine layer: what PyTorch's gives, alone and for every member of a stack.

Shapes: K members, B utterances, T steps, D features, W = width of the layer.
"""

import pytest
import torch
from torch.nn import functional

from msa_core.config.fields import MODALITIES
from msa_core.config.schema import Config
from msa_core.model import build_model
from msa_core.modules.parts.linear import Linear
from spaces.fields.paths import replace

K, B, T, D, W = 3, 6, 5, 7, 4
LAYER = Linear(D, W, device="meta")


@pytest.fixture
def draw():
    generator = torch.Generator().manual_seed(3)
    return lambda *shape: torch.randn(*shape, generator=generator)


def assert_near(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def with_gradients(function, weights, *inputs):
    """What a function gives, and the gradients of its weighted sum."""
    leaves = [values.clone().requires_grad_() for values in inputs]
    found = function(*leaves)
    return found.detach(), *torch.autograd.grad((found * weights).sum(), leaves)


def layer(inputs, weight, bias):
    """The layer, called with parameters from outside, as a stack does."""
    return torch.func.functional_call(LAYER, {"weight": weight, "bias": bias}, (inputs,))


@pytest.mark.parametrize("shape", [(B, D), (B, T, D), (D,)], ids=str)
def test_it_is_the_linear_layer_of_pytorch(draw, shape):
    weights = draw(*shape[:-1], W)
    inputs = draw(*shape), draw(W, D), draw(W)
    found = with_gradients(layer, weights, *inputs)
    assert found[0].shape == weights.shape
    assert_near(found, with_gradients(functional.linear, weights, *inputs))


@pytest.mark.parametrize("shared", [False, True], ids=["own inputs", "shared inputs"])
def test_over_a_stack_it_is_each_member_s_own_layer(draw, shared):
    weights = draw(K, B, W)
    inputs = draw(B, D) if shared else draw(K, B, D)
    parameters = draw(K, W, D), draw(K, W)
    stacked = torch.func.vmap(layer, in_dims=(None if shared else 0, 0, 0))
    found, gradient, *own = with_gradients(stacked, weights, inputs, *parameters)
    alone = [
        with_gradients(
            functional.linear,
            weights[row],
            inputs if shared else inputs[row],
            *(values[row] for values in parameters),
        )
        for row in range(K)
    ]
    expected, gradients, *theirs = (torch.stack(values) for values in zip(*alone, strict=True))
    assert_near(found, expected)
    assert_near(gradient, gradients.sum(dim=0) if shared else gradients)
    assert_near(own, theirs)


def test_a_model_has_no_other_affine_layer():
    config = replace(Config(), {"loss.unimodal.kind": "fixed", "model.text.encoder": "lstm"})
    model = build_model(config, dict.fromkeys(MODALITIES, D))
    affine = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    assert len(affine) > 10
    assert all(type(module) is Linear for module in affine)
