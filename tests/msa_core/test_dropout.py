"""Dropout from a named stream: keyed, scaled, and never from global state."""

import pytest
import torch

from msa_core.modules.dropout import Dropout
from msa_core.streams import Streams

CPU = torch.device("cpu")


@pytest.fixture
def values():
    return torch.rand(40, 50, generator=torch.Generator().manual_seed(1)) + 0.5


def training(rate, *name, seed=0, salt="off"):
    module = Dropout(rate).train()
    module.generator = Streams(seed, salt).generator(*(name or ("dropout",)), device=CPU)
    return module


def test_rate_0_is_the_identity_and_draws_nothing(values):
    module = training(0.0)
    before = module.generator.get_state()
    assert module(values) is values
    assert torch.equal(module.generator.get_state(), before)
    assert Dropout(0.0).train()(values) is values


def test_evaluation_is_the_identity(values):
    assert Dropout(0.9).eval()(values) is values


def test_training_without_a_stream_is_refused(values):
    with pytest.raises(RuntimeError, match="needs a dropout generator"):
        Dropout(0.5).train()(values)


def test_an_entry_is_dropped_or_scaled(values):
    dropped = training(0.75)(values)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], 4 * values[kept])


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.95])
def test_the_expectation_is_the_value(rate):
    ones = torch.ones(400, 500)
    dropped = training(rate)(ones)
    # Four standard deviations of a mean of 200,000 draws.
    room = 4 * (rate / (1 - rate) / ones.numel()) ** 0.5
    assert dropped.mean().item() == pytest.approx(1.0, abs=room)
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.01)


def test_the_same_name_gives_the_same_masks_and_another_one_others(values):
    first = training(0.5, "head", 1)(values)
    assert torch.equal(training(0.5, "head", 1)(values), first)
    for other in (
        training(0.5, "head", 2),
        training(0.5, "text", 1),
        training(0.5, "head", 1, seed=1),
        training(0.5, "head", 1, salt="placebo"),
    ):
        assert not torch.equal(other(values), first)


def test_each_step_has_its_own_mask(values):
    module = training(0.5)
    assert not torch.equal(module(values), module(values))


def test_global_random_state_is_neither_read_nor_moved(values):
    torch.manual_seed(0)
    first = training(0.5)(values)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert torch.equal(training(0.5)(values), first)
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
