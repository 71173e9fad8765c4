"""Dropout from a named stream: keyed, scaled, and never from global state.

Shapes: N utterances of train, B of a batch, W = width of the layer.
"""

import pytest
import torch

from msa_core.modules.parts.dropout import Dropout, draw_keep_mask
from msa_core.tensors.random_streams import Streams

CPU = torch.device("cpu")
B, W = 40, 50


@pytest.fixture
def values():
    return torch.rand(B, W, generator=torch.Generator().manual_seed(1)) + 0.5


def stream(*name, seed=0, salt="off"):
    return Streams(seed, salt).generator(*(name or ("dropout",)), device=CPU)


def training(rate, rows=B, width=W, generator=None):
    """A dropout with the mask of a first step."""
    module = Dropout(rate, width).train()
    keep = draw_keep_mask(rate, rows, width, generator or stream())
    module.drawn = keep / (1 - rate)
    return module


def test_rate_0_is_the_identity_with_and_without_a_mask(values):
    assert Dropout(0.0, W).train()(values) is values
    # Beside a member of another rate, a member of rate 0 has a mask too.
    assert draw_keep_mask(0.0, B, W, stream()).all()
    assert torch.equal(training(0.0)(values), values)


def test_evaluation_is_the_identity(values):
    assert Dropout(0.9, W).eval()(values) is values
    assert training(0.9).eval()(values) is values


def test_training_without_a_mask_is_refused(values):
    with pytest.raises(RuntimeError, match="needs random numbers"):
        Dropout(0.5, W).train()(values)


def test_a_mask_is_no_part_of_a_trained_model():
    assert not training(0.5).state_dict()


def test_an_entry_is_dropped_or_scaled(values):
    dropped = training(0.75)(values)
    stays = draw_keep_mask(0.75, B, W, stream())
    torch.testing.assert_close(dropped, torch.where(stays.bool(), 4 * values, 0.0))
    assert 0 < stays.sum() < stays.numel()


def test_what_is_kept_is_1_and_the_rest_0_in_a_byte_each():
    stays = draw_keep_mask(0.5, B, W, stream())
    assert stays.dtype == torch.uint8
    assert stays.unique().tolist() == [0, 1]
    assert stays.shape == (B, W)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
def test_the_expectation_is_the_value(rate):
    ones = torch.ones(400, 500)
    dropped = training(rate, *ones.shape)(ones)
    # Four standard deviations of a mean of 200,000 draws.
    room = 4 * (rate / (1 - rate) / ones.numel()) ** 0.5
    assert dropped.mean().item() == pytest.approx(1.0, abs=room)
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.01)


def test_the_same_name_gives_the_same_masks_and_another_one_others():
    first = draw_keep_mask(0.5, B, W, stream("head", 1))
    assert torch.equal(draw_keep_mask(0.5, B, W, stream("head", 1)), first)
    for other in (
        stream("head", 2),
        stream("text", 1),
        stream("head", 1, seed=1),
        stream("head", 1, salt="placebo"),
    ):
        assert not torch.equal(draw_keep_mask(0.5, B, W, other), first)


def test_each_step_has_its_own_mask():
    first, second = draw_keep_mask(0.5, 2 * B, W, stream()).split(B)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("sizes", [(1,) * 11, (4, 4, 3), (10, 1)])
def test_an_epoch_s_masks_are_those_drawn_step_by_step(sizes):
    whole, generator = draw_keep_mask(0.3, 11, 7, stream()), stream()
    parts = [draw_keep_mask(0.3, size, 7, generator) for size in sizes]
    assert torch.equal(torch.cat(parts), whole)


def test_a_higher_rate_drops_what_a_lower_one_drops_and_more():
    """So that members of a pack that differ in the rate alone differ in nothing else."""
    low, high = (draw_keep_mask(rate, B, W, stream()) for rate in (0.2, 0.6))
    assert not (high > low).any()
    assert high.sum() < low.sum()


def test_global_random_state_is_neither_read_nor_moved():
    torch.manual_seed(0)
    first = draw_keep_mask(0.5, B, W, stream())
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert torch.equal(draw_keep_mask(0.5, B, W, stream()), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_gradient_follows_the_mask(values):
    values.requires_grad_()
    dropped = training(0.5)(values)
    dropped.sum().backward()
    torch.testing.assert_close(values.grad, torch.where(dropped == 0, 0.0, 2.0))


def test_a_stream_is_fresh_at_every_call_and_its_own_for_every_name():
    streams = Streams(7)
    seeds = {
        streams.generator(*name, device=CPU).initial_seed()
        for name in [("init", "head"), ("batches", 1), ("batches", 2), ("dropout", "head", 1)]
    }
    assert len(seeds) == 4
    one, same = (streams.generator("batches", 1, device=CPU) for _ in range(2))
    one.seed()
    assert one.initial_seed() != same.initial_seed()
    assert same.initial_seed() == streams.generator("batches", 1, device=CPU).initial_seed()
