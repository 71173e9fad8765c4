"""Pair alignment as a switch: a contract for every measure, and what the switches do.

Shapes: B utterances, D = width.
"""

import math

import numpy as np
import pytest
import torch

from msa_core.config.fields import MODALITIES, PAIRS
from msa_core.config.kinds import kinds_of, module_of
from msa_core.config.planted import PlantedConfig
from msa_core.config.rules import check_config
from msa_core.config.schema import Config
from msa_core.data.batching import prepare_batch
from msa_core.data.planted import generate_planted
from msa_core.data.prepared import PreparedSplits
from msa_core.model import build_model, fresh_parameters
from msa_core.modules.alignment import measures as alignment
from msa_core.modules.alignment.pairs import PairAlignment
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised.pack_key import free_numbers
from spaces.core import Member
from spaces.fields.declaration import ConfigError
from spaces.fields.paths import replace
from tests.cases.comparing import same_training as same
from tests.cases.train_pack import train_pack

SEED = 11  # of `draw`

PAIR = "text_audio"
SMALL = {
    **{f"model.{name}.width": 8 for name in MODALITIES},
    **{f"model.{name}.dropout": 0.0 for name in MODALITIES},
    "model.projection.width": 4,
    "model.fusion.width": 8,
    "loss.unimodal.width": 5,
    "train.batch_size": 16,
    "train.epochs": 1,
}
EMA = {"loss.alignment.cov.estimate": "ema"}
QUEUE = {"loss.alignment.cov.estimate": "queue", "loss.alignment.cov.queue": 12}
VARIANTS = {
    **{
        kind: {f"loss.alignment.{pair}.measure": kind for pair in PAIRS}
        for kind in kinds_of(Config, "alignment")
    },
    "cov, ema": EMA,
    "cov, queue": QUEUE,
    "cca of 2": {
        **{f"loss.alignment.{pair}.measure": "cca" for pair in PAIRS},
        "loss.alignment.cca.components": 2,
    },
    "unit variance": {"loss.alignment.standardise": "unit_variance"},
    "encoders": {"loss.alignment.layer": "encoder"},
    "heads": {"loss.alignment.layer": "head", "loss.unimodal.kind": "fixed"},
}


def aligned(changes=(), mode="shared"):
    """A configuration with every pair in a mode."""
    modes = {f"loss.alignment.{pair}.mode": mode for pair in PAIRS}
    return replace(Config(), {**SMALL, **modes, **dict(changes)})


class Aligned:
    """A pair's module, one member's numbers, and its memory from step to step."""

    def __init__(self, changes=(), mode="shared", dtype=torch.float64):
        config = aligned(changes, mode)
        self.module = PairAlignment(config, PAIR)
        self.numbers = free_numbers(config)
        for name, value in self.module.initial_state.items():
            setattr(self.module, name, value.to(dtype))

    def __call__(self, first, second):
        return self.module(first, second, self.numbers)[0]

    def logged(self, first, second):
        return self.module(first, second, self.numbers)[1]


@pytest.fixture(params=sorted(VARIANTS))
def variant(request):
    return VARIANTS[request.param]


@pytest.fixture(scope="module")
def splits():
    """Three steps an epoch, the last of 7 utterances."""
    return PreparedSplits(
        generate_planted(PlantedConfig(train=39, valid=12, test=2, steps=3, width=6)).splits
    )


# Every measure.


@pytest.mark.parametrize("kind", kinds_of(Config, "alignment"))
def test_every_measure_states_its_formula(kind):
    assert "Formula: " in module_of(Config, "alignment", kind).__doc__


def test_a_term_is_a_scalar_never_negative_and_symmetric(variant, draw):
    for _ in range(3):
        first, second = draw(7, 5)[:, :4], draw(7, 4)
        if variant == VARIANTS["heads"]:
            first, second = draw(7, 5), draw(7, 5)
        elif variant == VARIANTS["encoders"]:
            first, second = draw(7, 8), draw(7, 8)
        forth, back = Aligned(variant)(first, second), Aligned(variant)(second, first)
        assert forth.shape == ()
        assert forth.item() >= 0
        assert forth.item() == pytest.approx(back.item(), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("mode", ["shared", "private"])
@pytest.mark.parametrize("rows", ["two", "equal", "equal sides", "zero"])
def test_values_and_gradients_are_finite_at_the_edges(variant, mode, rows, draw):
    width = 4 + 4 * (variant == VARIANTS["encoders"]) + (variant == VARIANTS["heads"])
    first, second = {
        "two": lambda: (draw(2, width), draw(2, width)),
        "equal": lambda: (draw(1, width).repeat(5, 1), draw(1, width).repeat(5, 1)),
        "equal sides": lambda: (draw(5, width),) * 2,
        "zero": lambda: (torch.zeros(5, width), torch.zeros(5, width)),
    }[rows]()
    first, second = (side.float().detach().clone().requires_grad_() for side in (first, second))
    module = Aligned(variant, mode, torch.float32)
    for _ in range(2):  # with and without a past
        term = module(first, second)
        for gradient in torch.autograd.grad(term, (first, second)):
            assert gradient.isfinite().all()
        assert term.isfinite()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_private_term_is_bounded_whatever_the_scale_of_the_features(variant, scale, draw):
    width = 4 + 4 * (variant == VARIANTS["encoders"]) + (variant == VARIANTS["heads"])
    term = Aligned(variant, "private")(scale * draw(9, width), scale * draw(9, width))
    assert 0 <= term.item() <= 1


def test_a_private_term_is_what_is_missing_to_the_margin(draw):
    first, second = draw(9, 4), draw(9, 4)
    for margin in (0.05, 1.0, 10.0):
        changes = {f"loss.alignment.{PAIR}.margin": margin}
        distance = alignment.covariance_alignment(first, second).item()
        expected = max(0.0, margin - distance) / margin
        assert Aligned(changes, "private")(first, second).item() == pytest.approx(expected)


# In a training, of one pair. The whole contract of a pack is in `test_packs.py`.


def train(splits, changes, seeds=(0,)):
    modes = {"loss.alignment.text_vision.mode": "off", "loss.alignment.audio_vision.mode": "off"}
    config = aligned({**modes, **changes})
    results = train_pack([Member(config, seed) for seed in seeds], splits)
    assert [result.status for result in results] == ["complete"] * len(seeds)
    return results


@pytest.fixture(scope="module")
def absent(splits):
    """Trainings that never had an alignment, with and without unimodal heads."""
    off = {f"loss.alignment.{PAIR}.mode": "off"}
    return {
        kind: train(splits, {**off, "loss.unimodal.kind": kind})[0] for kind in ("none", "fixed")
    }


def test_every_measure_is_a_switch_whose_weight_0_is_its_absence_after_3_steps(
    splits, variant, absent
):
    without = absent[variant.get("loss.unimodal.kind", "none")]
    (on,) = train(splits, variant)
    assert math.isfinite(on.curve[f"train.alignment.{PAIR}"][0])
    assert not same(on, without)
    assert same(train(splits, {**variant, f"loss.alignment.{PAIR}.weight": 0})[0], without)


def test_options_of_a_pair_that_is_off_change_no_bit(splits, absent):
    every = {path: value for changes in VARIANTS.values() for path, value in changes.items()}
    every |= {"loss.unimodal.kind": "none", f"loss.alignment.{PAIR}.mode": "off"}
    assert same(train(splits, every)[0], absent["none"])


@pytest.mark.parametrize("changes", [EMA, QUEUE], ids=["ema", "queue"])
def test_what_is_remembered_is_each_member_s_own_and_survives_recording(splits, changes, request):
    together = train(splits, changes, seeds=(0, 1, 2))
    assert same(together[1], train(splits, changes, seeds=(1,))[0])
    request.getfixturevalue("nothing_recorded")
    as_written = train(splits, changes, seeds=(0, 1, 2))
    assert all(same(*both) for both in zip(together, as_written, strict=True))


@pytest.mark.parametrize("layer", ["encoder", "projector", "head"])
def test_the_layer_says_what_is_aligned(splits, layer):
    config = aligned({"loss.alignment.layer": layer, "loss.unimodal.kind": "fixed"})
    model = build_model(config, dict.fromkeys(MODALITIES, 6))
    data = generate_planted(PlantedConfig(train=9, valid=2, test=2, steps=3, width=6)).splits
    batch = prepare_batch(data.train, splits.scaler(config), config, torch.device("cpu"))
    found = {}
    for name in MODALITIES:
        model.encoders[name].register_forward_hook(
            lambda module, inputs, result, name=name: found.update({name: result[0]})
        )
    idle = {f"{name}.drawn": torch.empty(0) for name in model.stochastic_modules()}
    tensors = {**fresh_parameters(model, Streams(0)), **idle}
    for module in model.stochastic_modules().values():
        module.rate = 0.0
    output = torch.func.functional_call(model.train(), tensors, (batch, free_numbers(config)))
    layers = {"encoder": found, "projector": output.projected, "head": output.hidden}
    for pair, (first, second) in PAIRS.items():
        expected = alignment.covariance_alignment(layers[layer][first], layers[layer][second])
        assert output.terms[f"alignment.{pair}"].item() == pytest.approx(expected.item())


def test_encoders_of_two_widths_cannot_be_aligned_and_heads_must_be_there():
    with pytest.raises(ConfigError, match="two equal widths"):
        check_config(aligned({"loss.alignment.layer": "encoder", "model.audio.width": 9}), "mosi")
    with pytest.raises(ConfigError, match="needs unimodal heads of text and audio"):
        check_config(aligned({"loss.alignment.layer": "head"}), "mosi")


def test_cca_of_a_batch_not_larger_than_the_width_is_refused():
    with pytest.raises(ConfigError, match=r"not above the width 16.*every canonical correlation"):
        check_config(aligned({**VARIANTS["cca"], "model.projection.width": 16}), "mosi")
    with pytest.raises(ConfigError, match="components' is 5, above the width 4"):
        check_config(aligned({**VARIANTS["cca"], "loss.alignment.cca.components": 5}), "mosi")


# Switches of one pair.


def test_unit_variance_makes_the_scale_of_a_column_meaningless(draw):
    first, second, scale = draw(9, 4), draw(9, 4), draw(1, 4).exp()
    standardised = Aligned(VARIANTS["unit variance"])
    assert standardised(scale * first, second).item() == pytest.approx(
        standardised(first, second).item()
    )
    correlations = [np.corrcoef(side.numpy().T) for side in (first, second)]
    expected = ((correlations[0] - correlations[1]) ** 2).sum() / (4 * 4**2)
    assert standardised(first, second).item() == pytest.approx(expected)
    assert Aligned()(scale * first, second).item() != pytest.approx(Aligned()(first, second).item())


def test_components_of_cca_count_the_largest_correlations(draw):
    first, second = draw(30, 4), draw(30, 4)
    terms = [
        Aligned({**VARIANTS["cca"], "loss.alignment.cca.components": k})(first, second).item()
        for k in (1, 2, 3, 4, 0)
    ]
    steps = np.diff([0.0, *terms[:4]])  # 1 minus each correlation
    assert all(np.diff(steps) > 0)
    assert terms[4] == pytest.approx(terms[3])


def covariances(sides):
    return [np.cov(side.numpy().T) for side in sides]


def distance(first, second):
    return ((first - second) ** 2).sum() / (4 * len(first) ** 2)


def test_a_running_average_starts_as_the_batch_and_weights_batches_by_their_age(draw):
    momentum, module = 0.7, Aligned({**EMA, "loss.alignment.cov.momentum": 0.7})
    batches = [(draw(6, 4), draw(6, 4)) for _ in range(4)]
    for count in range(1, 5):
        found = module(*batches[count - 1]).item()
        weights = momentum ** np.arange(count)[::-1]
        averages = [
            np.average([covariances(sides)[place] for sides in batches[:count]], 0, weights)
            for place in (0, 1)
        ]
        assert found == pytest.approx(distance(*averages))
    assert count == 4


def test_a_queue_is_the_covariance_of_this_batch_and_the_latest_rows_before_it(draw):
    module = Aligned(QUEUE)  # of 12
    batches = [(draw(5, 4), draw(5, 4)) for _ in range(5)]
    for count in range(1, 6):
        found = module(*batches[count - 1]).item()
        rows = [
            torch.cat([sides[place] for sides in batches[:count]])[-(12 + 5) :] for place in (0, 1)
        ]
        assert found == pytest.approx(distance(*covariances(rows)))


@pytest.mark.parametrize("changes", [EMA, QUEUE])
def test_what_is_remembered_gets_no_gradient(changes, draw):
    module = Aligned(changes)
    first, second, third = (draw(5, 4).requires_grad_() for _ in range(3))
    module(first, second)
    (slope,) = torch.autograd.grad(module(third, second.detach()), third)
    assert slope.any()
    for name in module.module.initial_state:
        assert not getattr(module.module, name).requires_grad


def test_momentum_0_is_the_batch(draw):
    module = Aligned({**EMA, "loss.alignment.cov.momentum": 0.0})
    for _ in range(3):
        first, second = draw(6, 4), draw(6, 4)
        expected = alignment.covariance_alignment(first, second).item()
        assert module(first, second).item() == pytest.approx(expected)


# What is logged beside the covariances.


@pytest.mark.parametrize(
    "changes",
    [{}, {**EMA, "loss.alignment.cov.momentum": 0.8}, QUEUE],
    ids=["batch", "ema", "queue"],
)
def test_the_floor_is_the_average_distance_of_two_draws_of_one_normal(changes, draw):
    """400 members of 4 steps; their distances scatter by a fifth, their mean by a hundredth."""
    pair = Aligned(changes)

    def step(kept, first_BD, second_BD):
        for name, value in kept.items():
            setattr(pair.module, name, value)
        term, logged = pair.module(first_BD, second_BD, pair.numbers)
        return term, logged["floor"], {name: getattr(pair.module, name) for name in kept}

    kept = {name: value.double().expand(400, *value.shape) for name, value in
            pair.module.initial_state.items()}  # fmt: skip
    for _ in range(4):
        terms, floors, kept = torch.func.vmap(step)(kept, draw(400, 16, 4), draw(400, 16, 4))
    assert floors.mean().item() == pytest.approx(terms.mean().item(), rel=0.05)
    if not changes:
        assert floors.mean().item() == pytest.approx((1 + 1 / 4) / (2 * 15), rel=0.05)


def test_the_floor_and_the_norm_are_curves_of_a_training(splits):
    (result,) = train(splits, {})
    for name in ("floor", "norm"):
        assert result.curve[f"train.alignment.{PAIR}.{name}"][0] > 0


def test_the_norm_is_the_mean_length_of_the_vectors_as_they_come(draw):
    first, second = draw(9, 4), draw(9, 4)
    expected = (first.norm(dim=1).mean() + second.norm(dim=1).mean()).item() / 2
    for changes in ({}, VARIANTS["unit variance"]):
        logged = Aligned(changes).logged(first, second)
        assert logged["norm"].item() == pytest.approx(expected)
        halved = Aligned(changes).logged(first / 2, second / 2)["norm"].item()
        assert halved == pytest.approx(expected / 2)
